//! Workflows of the SDK over a real coordinator. The service is a process of its own: it is killed with -9 in the middle, and
//! the callback brings another instance of it to the end. The same holds for a workflow that an older SDK began.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use trine_sdk::workflow::{Failure, Step, WorkflowError, Workflows};
use trine_sdk::{Client, Gid, Status};

use crate::support::{Coordinator, Http};

/// How long a test waits before it says that something does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Makes the first test below a service. Its value is a [`Task`].
const TASK: &str = "TRINE_TEST_WORKFLOW_SERVICE";
/// What the SDK sent before it had the native calls, as its own test recorded it: a path and a body in each line.
const OLDER_SDK: &str = include_str!("workflow/older_sdk.txt");
/// The callback in there.
const OLDER_CALLBACK: &str = "http://127.0.0.1:1/workflows";

/// What a service is to do.
#[derive(Serialize, Deserialize)]
struct Task {
    coordinator: String,
    callback: String,
    /// The workflow it executes; in the second step it stands still for ever. None: it only serves callbacks.
    executes: Option<(Gid, bool)>,
}

/// A service that buys two things and is refused a third, if it is told to.
fn service(coordinator: &str, callback: &str, stands_still: bool) -> Workflows {
    let client = Client::builder().coordinator(coordinator).build().expect("a client");
    let workflows =
        Workflows::of(&client, callback).expect("a callback URL").callback_after(Duration::from_secs(1));
    workflows.register_json("buy it", move |flow, refuses: bool| async move {
        let mut sum = 0;
        for number in 1..=3 {
            let undo = async |step: Step| {
                println!("did {}", step.context().idempotency_key());
                Ok(())
            };
            let action = async move |step: Step| {
                println!("did {}", step.context().idempotency_key());
                match number {
                    2 if stands_still => std::future::pending().await,
                    3 if refuses => Err(Failure::refused("sold out")),
                    _ => Ok(number),
                }
            };
            sum += flow.branch().on_rollback(undo).run(action).await?;
        }
        Ok(sum)
    });
    workflows
}

/// Is the service, until it is killed or the test that started it is gone.
async fn be_the_service(task: Task) {
    let workflows = service(&task.coordinator, &task.callback, task.executes.is_some());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("serving {}", listener.local_addr().expect("an address"));
    let tell = async |request: Request, next: Next| {
        let natively = request.headers().contains_key("trine-gid");
        println!("called back {}", if natively { "natively" } else { "as dtm does" });
        next.run(request).await
    };
    let router = workflows.router().layer(from_fn(tell));
    tokio::spawn(async move { axum::serve(listener, router).await });
    if let Some((gid, refuses)) = task.executes {
        tokio::spawn(async move { workflows.execute_json::<_, i32>("buy it", &gid, &refuses).await });
    }
    let ends = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    ends.await.expect("no panic").expect("stdin is a pipe");
}

/// A service in a process of its own. Dropping it kills it with -9.
struct Service {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Service {
    fn start(task: &Task) -> Self {
        let module = module_path!().split_once("::").expect("a module of this crate").1;
        let test = format!("{module}::the_callback_resumes_a_workflow_whose_service_was_killed");
        let mut child = Command::new(std::env::current_exe().expect("the program of this test"))
            .args(["--exact", &test, "--nocapture"])
            .env(TASK, serde_json::to_string(task).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program of this test runs");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Self { child, lines }
    }

    /// The next line with one of these beginnings, which may stand behind words of the test harness: which, and its rest.
    async fn next<'a>(&mut self, beginnings: &[&'a str]) -> (&'a str, String) {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("it goes on");
            let line = line.expect("stdout is text").expect("it is not over");
            let found = beginnings.iter().find_map(|begin| Some((*begin, line.split_once(begin)?.1)));
            if let Some((begin, rest)) = found {
                return (begin, rest.to_owned());
            }
        }
    }

    /// The next ops that it does.
    async fn ops(&mut self, count: usize) -> Vec<String> {
        let mut ops = Vec::new();
        while ops.len() < count {
            ops.push(self.next(&["did "]).await.1);
        }
        ops
    }

    /// `kill -9`, and waits until it is gone.
    async fn kill(mut self) {
        self.child.kill().await.expect("it was running");
    }
}

/// A coordinator, and the address at which a service is called back, whichever of its instances lives.
struct Stage {
    coordinator: Coordinator,
    http: Http,
    listener: TcpListener,
    callback: String,
    _folder: TempDir,
}

/// What the successor of a service that died did.
struct Resumed {
    coordinator: Coordinator,
    http: Http,
    callback: String,
    ops: Vec<String>,
    /// How it was called back, each time.
    calls: Vec<String>,
    _folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let coordinator = Coordinator::start(&folder.path().join("trine.db")).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let callback = format!("http://{}/workflows", listener.local_addr().expect("an address"));
        Self { coordinator, http: Http::new(), listener, callback, _folder: folder }
    }

    fn task(&self, executes: Option<(Gid, bool)>) -> Task {
        Task { coordinator: self.coordinator.url().into(), callback: self.callback.clone(), executes }
    }

    /// A service begins the workflow and is killed in its second step.
    async fn begin_and_be_killed(&self, gid: &Gid, refuses: bool) {
        let mut service = Service::start(&self.task(Some((gid.clone(), refuses))));
        assert_eq!(service.ops(2).await, [format!("{gid}/01/action"), format!("{gid}/02/action")]);
        service.kill().await;
    }

    /// An older SDK begins the workflow and dies: the answer to each of its requests.
    async fn begin_with_the_older_sdk(&self, gid: &Gid) -> Vec<Value> {
        let mut answers = Vec::new();
        for (path, body) in older_requests(gid, &self.callback) {
            let (status, answer) = self.http.post(&format!("{}{path}", self.coordinator.url()), &body).await;
            assert_eq!(status, 200, "{path}: {answer}");
            answers.push(answer);
        }
        answers
    }

    /// Starts another instance, which only serves callbacks, and waits for so many ops of it and for the workflow's end.
    async fn resume(self, gid: &Gid, ops: usize) -> Resumed {
        let mut successor = Service::start(&self.task(None));
        let address = successor.next(&["serving "]).await.1.parse().expect("an address");
        let Self { coordinator, http, listener, callback, _folder } = self;
        tokio::spawn(lead(listener, address));
        let (mut done, mut calls) = (Vec::new(), Vec::new());
        while done.len() < ops {
            match successor.next(&["did ", "called back "]).await {
                ("did ", op) => done.push(op),
                (_, call) => calls.push(call),
            }
        }
        // The stream ends with the workflow.
        let events = format!("{}/v1/transactions/{gid}/events", coordinator.url());
        tokio::time::timeout(PATIENCE, http.text(&events)).await.expect("it ends");
        Resumed { coordinator, http, callback, ops: done, calls, _folder }
    }
}

impl Resumed {
    /// How the workflow ended, as its executor is told.
    async fn end(&self, gid: &Gid, refuses: bool) -> Result<i32, WorkflowError> {
        let asks = service(self.coordinator.url(), &self.callback, false);
        asks.execute_json::<_, i32>("buy it", gid, &refuses).await
    }

    async fn status(&self, gid: &Gid) -> Status {
        let client = Client::new(self.coordinator.url()).expect("a client");
        client.get(gid).await.expect("it is there").status
    }
}

/// Leads every connection to an address.
async fn lead(listener: TcpListener, to: SocketAddr) {
    while let Ok((mut from, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut to = TcpStream::connect(to).await?;
            copy_bidirectional(&mut from, &mut to).await
        });
    }
}

/// The requests of an older SDK about a workflow, as they were recorded but for the callback.
fn older_requests(gid: &Gid, callback: &str) -> Vec<(String, Value)> {
    let lines = OLDER_SDK.lines().map(|line| line.split_once(' ').expect("a path and a body"));
    let requests = lines.map(|(path, body)| {
        let body = body.replace(OLDER_CALLBACK, callback);
        (path.to_owned(), serde_json::from_str::<Value>(&body).expect("JSON"))
    });
    requests.filter(|(_, body)| body["gid"] == gid.as_str()).collect()
}

fn gid(text: &str) -> Gid {
    Gid::parse(text).expect("a gid")
}

#[tokio::test]
async fn the_callback_resumes_a_workflow_whose_service_was_killed() {
    if let Ok(task) = std::env::var(TASK) {
        return be_the_service(serde_json::from_str(&task).expect("a task")).await;
    }
    let (stage, gid) = (Stage::set().await, gid("resumed"));
    stage.begin_and_be_killed(&gid, false).await;
    let resumed = stage.resume(&gid, 2).await;
    assert_eq!(resumed.ops, ["resumed/02/action", "resumed/03/action"]);
    assert!(!resumed.calls.is_empty() && resumed.calls.iter().all(|call| call == "natively"));
    assert_eq!(resumed.end(&gid, false).await.expect("it ends"), 6);
    assert_eq!(resumed.status(&gid).await, Status::Committed);
}

#[tokio::test]
async fn the_callback_rolls_back_a_workflow_whose_service_was_killed() {
    let (stage, gid) = (Stage::set().await, gid("undone"));
    stage.begin_and_be_killed(&gid, true).await;
    let resumed = stage.resume(&gid, 5).await;
    let expected = ["02/action", "03/action", "03/compensate", "02/compensate", "01/compensate"];
    assert_eq!(resumed.ops, expected.map(|op| format!("undone/{op}")));
    let end = resumed.end(&gid, true).await;
    assert!(matches!(&end, Err(WorkflowError::Refused(reason)) if reason == "sold out"), "{end:?}");
    assert_eq!(resumed.status(&gid).await, Status::RolledBack);
}

#[tokio::test]
async fn a_workflow_that_an_older_sdk_began_is_called_back_as_before_and_goes_on() {
    let (stage, gid) = (Stage::set().await, gid("old-resumed"));
    stage.begin_with_the_older_sdk(&gid).await;
    let resumed = stage.resume(&gid, 2).await;
    assert_eq!(resumed.ops, ["old-resumed/02/action", "old-resumed/03/action"]);
    assert!(!resumed.calls.is_empty() && resumed.calls.iter().all(|call| call == "as dtm does"));
    assert_eq!(resumed.end(&gid, false).await.expect("it ends"), 6);
    assert_eq!(resumed.status(&gid).await, Status::Committed);
    // The older SDK learns the end as well: 6, in base64.
    let [(path, begin), ..] = &older_requests(&gid, &resumed.callback)[..] else { panic!("none recorded") };
    let (_, told) = resumed.http.post(&format!("{}{path}", resumed.coordinator.url()), begin).await;
    let (status, result) = (&told["transaction"]["status"], &told["transaction"]["result"]);
    assert_eq!((status, result), (&json!("succeed"), &json!("Ng==")), "{told}");
}

#[tokio::test]
async fn a_rollback_that_an_older_sdk_decided_is_gone_on_with() {
    let (stage, gid) = (Stage::set().await, gid("old-undone"));
    let answers = stage.begin_with_the_older_sdk(&gid).await;
    assert_eq!(answers.len(), 5, "begun, three steps and the decision");
    let resumed = stage.resume(&gid, 3).await;
    let expected = ["03/compensate", "02/compensate", "01/compensate"];
    assert_eq!(resumed.ops, expected.map(|op| format!("old-undone/{op}")));
    let end = resumed.end(&gid, true).await;
    assert!(matches!(&end, Err(WorkflowError::Refused(reason)) if reason == "sold out"), "{end:?}");
    assert_eq!(resumed.status(&gid).await, Status::RolledBack);
}

#[tokio::test]
async fn of_two_instances_that_execute_at_once_one_goes_on_and_the_other_stops_or_agrees() {
    let (stage, gid) = (Stage::set().await, gid("both"));
    let both = [(); 2].map(|()| service(stage.coordinator.url(), "http://127.0.0.1:1/workflows", false));
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
