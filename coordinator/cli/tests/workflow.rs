//! Workflows of the SDK over a real coordinator: an executor dies in the middle, and the callback brings another to the end.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use trine_sdk::workflow::{Failure, Step, WorkflowError, Workflows};
use trine_sdk::{Client, Gid};

use crate::support::Coordinator;

/// How long a test waits before it says that something does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What executions say they do.
type Diary = mpsc::UnboundedSender<String>;

/// A service that buys two things and is refused a third. In its second step it stands still for ever, if it is told to.
fn service(coordinator: &str, callback: &str, diary: &Diary, stands_still: bool) -> Workflows {
    let client = Client::builder().coordinator(coordinator).build().expect("a client");
    let workflows =
        Workflows::of(&client, callback).expect("a callback URL").callback_after(Duration::from_secs(1));
    let noted = diary.clone();
    workflows.register_json("buy it", move |flow, refuses: bool| {
        let diary = noted.clone();
        async move {
            let mut sum = 0;
            for number in 1..=3 {
                let (acts, undoes) = (diary.clone(), diary.clone());
                let undo = async move |step: Step| {
                    undoes.send(step.context().idempotency_key())?;
                    Ok(())
                };
                let action = async move |step: Step| {
                    acts.send(step.context().idempotency_key())?;
                    match number {
                        2 if stands_still => std::future::pending().await,
                        3 if refuses => Err(Failure::refused("sold out")),
                        _ => Ok(number),
                    }
                };
                sum += flow.branch().on_rollback(undo).run(action).await?;
            }
            Ok(sum)
        }
    });
    workflows
}

async fn serve(listener: TcpListener, router: Router) {
    axum::serve(listener, router).await.expect("it serves");
}

async fn next(diary: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(PATIENCE, diary.recv()).await.expect("it goes on").expect("it is not over")
}

/// An executor begins the workflow and dies in its second step. What its successor does, which only serves callbacks.
async fn die_and_resume(
    folder: &Path,
    gid: &Gid,
    refuses: bool,
    steps: usize,
) -> (Vec<String>, Workflows, Coordinator) {
    let coordinator = Coordinator::start(&folder.join("trine.db")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let callback = format!("http://{}/workflows", listener.local_addr().expect("an address"));
    let (sender, mut diary) = mpsc::unbounded_channel();

    let dying = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (url, gone, begun) = (coordinator.url().to_owned(), callback.clone(), sender.clone());
    let asked = gid.clone();
    dying.spawn(async move {
        let workflows = service(&url, &gone, &begun, true);
        workflows.execute_json::<_, i32>("buy it", &asked, &refuses).await
    });
    assert_eq!(
        [next(&mut diary).await, next(&mut diary).await],
        [format!("{gid}/01/action"), format!("{gid}/02/action")]
    );
    dying.shutdown_background();

    let successor = service(coordinator.url(), &callback, &sender, false);
    tokio::spawn(serve(listener, successor.router()));
    let mut done = Vec::new();
    while done.len() < steps {
        done.push(next(&mut diary).await);
    }
    (done, successor, coordinator)
}

#[tokio::test]
async fn the_callback_resumes_a_workflow_whose_executor_died() {
    let (folder, gid) = (tempfile::tempdir().expect("a folder"), Gid::parse("resumed").expect("a gid"));
    let (done, workflows, _coordinator) = die_and_resume(folder.path(), &gid, false, 2).await;
    assert_eq!(done, ["resumed/02/action", "resumed/03/action"]);
    assert_eq!(workflows.execute_json::<_, i32>("buy it", &gid, &false).await.expect("it ends"), 6);
}

#[tokio::test]
async fn the_callback_rolls_back_a_workflow_whose_executor_died() {
    let (folder, gid) = (tempfile::tempdir().expect("a folder"), Gid::parse("undone").expect("a gid"));
    let (done, workflows, coordinator) = die_and_resume(folder.path(), &gid, true, 5).await;
    let expected = ["02/action", "03/action", "03/compensate", "02/compensate", "01/compensate"];
    assert_eq!(done, expected.map(|op| format!("undone/{op}")));
    let end = workflows.execute_json::<_, i32>("buy it", &gid, &true).await;
    assert!(matches!(&end, Err(WorkflowError::Refused(reason)) if reason == "sold out"), "{end:?}");
    let seen = Client::new(coordinator.url()).expect("a client").get(&gid).await.expect("it is there");
    assert_eq!(seen.status, trine_sdk::Status::RolledBack);
}

#[tokio::test]
async fn of_two_instances_that_execute_at_once_one_goes_on_and_the_other_stops_or_agrees() {
    let (folder, gid) = (tempfile::tempdir().expect("a folder"), Gid::parse("both").expect("a gid"));
    let coordinator = Coordinator::start(&folder.path().join("trine.db")).await;
    let (sender, _diary) = mpsc::unbounded_channel();
    let both = [false, false]
        .map(|still| service(coordinator.url(), "http://127.0.0.1:1/workflows", &sender, still));
    let [first, second] = &both;
    let ends = tokio::join!(
        first.execute_json::<_, i32>("buy it", &gid, &false),
        second.execute_json::<_, i32>("buy it", &gid, &false)
    );
    // Whoever loses a step stops, and the other goes on.
    assert!(ends.0.is_ok() || ends.1.is_ok(), "{ends:?}");
    for end in [ends.0, ends.1] {
        assert!(matches!(end, Ok(6) | Err(WorkflowError::Superseded)), "{end:?}");
    }
    assert_eq!(first.execute_json::<_, i32>("buy it", &gid, &false).await.expect("it ends"), 6);
}
