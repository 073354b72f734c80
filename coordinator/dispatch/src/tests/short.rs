//! A process that has run out of what connections need.

use std::fs::File;

use axum::Router;
use axum::routing::post;

use super::super::{Caller, Returned};
use super::support::{answer_of, call, caller, done, serve};

/// Runs itself in a process that may open few files.
#[tokio::test]
async fn a_shortage_of_files_is_no_attempt() {
    const BASE: &str = "DISPATCH_TEST_BASE";
    if let Ok(base) = std::env::var(BASE) {
        return short_of_files(&base).await;
    }
    let base = serve(Router::new().route("/", post(|| async { "well" }))).await;
    let module = module_path!().split_once("::").unwrap().1;
    let output = tokio::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::a_shortage_of_files_is_no_attempt")])
        .env(BASE, base)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

async fn short_of_files(base: &str) {
    let caller = caller();
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    let grpc = format!("{}/a.B/C", base.replace("http://", "grpc://"));
    for target in [base, &grpc] {
        let returned = caller.call(call(target)).await;
        let Returned::Held { reason, .. } = returned else { panic!("{target}: {returned:?}") };
        assert!(reason.starts_with("this coordinator is short of open files"), "{reason}");
    }
    drop(held);
    assert_eq!(answer_of(&caller, call(base)).await.outcome, done("well"));
}
