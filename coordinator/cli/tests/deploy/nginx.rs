//! The shipped nginx configuration, before coordinators that answer always the same, or not at all.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};
use trine_testkit::nginx::Nginx;
use trine_testkit::ports::free_port;

use super::compose::Compose;
use super::nginx_config;
use crate::support::Http;

/// What coordinators say that have no room.
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-type: application/problem+json\r\n\
                    connection: close\r\ncontent-length: 17\r\n\r\n{\"code\":\"TX0010\"}";
const GOOD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}";

/// Answers every request with the same words; where it listens. Without words nobody listens there.
fn answering(words: Option<&'static str>) -> String {
    let Some(words) = words else { return format!("127.0.0.1:{}", free_port()) };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it listens").to_string();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = Vec::new();
            // None of the requests has a body.
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match connection.read(&mut byte) {
                    Ok(1) => request.push(byte[0]),
                    _ => break,
                }
            }
            // Who has left needs no answer.
            let _ = connection.write_all(words.as_bytes());
        }
    });
    addr
}

/// nginx before three coordinators, and its URL.
async fn before(words: [Option<&'static str>; 3]) -> (Nginx, String) {
    let listen = free_port();
    let compose = Compose::read();
    let names = compose.coordinators().into_iter().map(|one| one.name.to_owned());
    let config = nginx_config(listen, &names.zip(words.map(answering)).collect::<Vec<_>>());
    let nginx = tokio::task::spawn_blocking(move || Nginx::start(&config)).await.expect("nginx starts");
    (nginx, format!("http://127.0.0.1:{listen}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_takes_the_configuration_and_says_when_nobody_answers() {
    let (nginx, url) = before([None; 3]).await;
    let log = std::fs::read_to_string(nginx.folder().join("log")).expect("nginx has a log");
    assert!(!log.contains("[warn]"), "{log}");
    for wait in [None, Some("wait=300")] {
        let answer = Http::new().raw(&format!("{url}/v1/transactions/x/commit"), wait).await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers()["retry-after"], "1");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(body["title"], "No coordinator answers");
    }
    assert_eq!(Http::new().get(&format!("{url}/metrics")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_coordinator_that_can_answer_is_enough() {
    let (_nginx, url) = before([Some(BUSY), None, Some(GOOD)]).await;
    for wait in [None, Some("wait=1")].into_iter().cycle().take(40) {
        let answer = Http::new().raw(&format!("{url}/v1/transactions/x/commit"), wait).await;
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinators_that_are_all_busy_say_so_themselves() {
    let (_nginx, url) = before([Some(BUSY); 3]).await;
    // Soon all are left out, and asked all the same.
    for _ in 0..20 {
        let answer = Http::new().raw(&format!("{url}/v1/transactions/x/commit"), None).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &"7".parse().expect("a value"))
        );
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body, json!({"code": "TX0010"}));
    }
}
