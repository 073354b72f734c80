//! A coordinator as far as workflows see one: three endpoints over a map, and faults on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use trine_protocol::dtm::status;
use trine_protocol::dtm::workflow::{Finish, Prepare, Prepared, Progress, Record, WorkflowTransaction, path};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is carried out, and the connection closed without an answer.
    LoseAnswer,
    /// It is not carried out, and to be repeated.
    Busy,
    /// None.
    Pass,
    /// It is neither carried out nor answered: whoever asks is to die of it.
    Die,
}

#[derive(Clone)]
pub(super) struct Fake {
    workflows: Arc<Mutex<HashMap<String, Prepared>>>,
    faults: Arc<Mutex<VecDeque<(&'static str, Fault)>>>,
    ending: Arc<Mutex<Option<(String, String)>>>,
    /// Has a permit for each executor that has come to where it is to die.
    pub(super) dying: Arc<Semaphore>,
    pub(super) url: String,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let mut fake = Self {
            workflows: Arc::default(),
            faults: Arc::default(),
            ending: Arc::default(),
            dying: Arc::new(Semaphore::new(0)),
            url: String::new(),
        };
        let router = Router::new()
            .route(path::PREPARE, post(answer))
            .route(path::RECORD, post(answer))
            .route(path::FINISH, post(answer))
            .layer(DefaultBodyLimit::disable())
            .with_state(fake.clone());
        fake.url = serve(router).await;
        fake
    }

    /// The next request to this path that no earlier fault is meant for has this fault.
    pub(super) fn fail(&self, path: &'static str, fault: Fault) {
        self.faults.lock().unwrap().push_back((path, fault));
    }

    /// For an executor that is to die here.
    pub(super) async fn die(&self) {
        self.dying.add_permits(1);
        std::future::pending().await
    }

    /// Where a workflow stands, and its record as `branch/op status`.
    pub(super) fn look(&self, gid: &str) -> (WorkflowTransaction, Vec<String>) {
        let workflows = self.workflows.lock().unwrap();
        let Some(found) = workflows.get(gid) else { return Default::default() };
        let line = |step: &Progress| format!("{}/{} {}", step.branch_id, step.op, step.status);
        (found.transaction.clone(), found.progresses.iter().map(line).collect())
    }

    /// As if somebody else had ended it.
    pub(super) fn end(&self, gid: &str, word: &str) {
        self.workflows.lock().unwrap().get_mut(gid).unwrap().transaction.status = word.into();
    }

    /// The same, as soon as the next step is on record.
    pub(super) fn end_after_record(&self, gid: &str, word: &str) {
        *self.ending.lock().unwrap() = Some((gid.into(), word.into()));
    }

    /// As if it had been begun with another pattern.
    pub(super) fn create(&self, gid: &str, trans_type: &str) {
        let transaction = WorkflowTransaction {
            trans_type: trans_type.into(),
            status: "prepared".into(),
            ..WorkflowTransaction::default()
        };
        self.workflows.lock().unwrap().insert(gid.into(), Prepared { transaction, progresses: Vec::new() });
    }

    fn prepare(&self, body: &[u8]) -> Response {
        let asked: Prepare = serde_json::from_slice(body).unwrap();
        let mut workflows = self.workflows.lock().unwrap();
        let found = workflows.entry(asked.gid.clone()).or_insert_with(|| Prepared {
            transaction: WorkflowTransaction {
                gid: asked.gid,
                trans_type: asked.trans_type,
                status: status::PREPARED.into(),
                custom_data: asked.custom_data,
                ..WorkflowTransaction::default()
            },
            progresses: Vec::new(),
        });
        axum::Json(found.clone()).into_response()
    }

    fn record(&self, body: &[u8]) -> Response {
        let asked: Record = serde_json::from_slice(body).unwrap();
        let mut workflows = self.workflows.lock().unwrap();
        let Some(found) =
            workflows.get_mut(&asked.gid).filter(|found| found.transaction.status == "prepared")
        else {
            return told(StatusCode::CONFLICT, "no trans with that gid FAILURE");
        };
        let same = |known: &Progress| known.branch_id == asked.branch_id && known.op == asked.op;
        if found.progresses.iter().any(same) {
            return told(StatusCode::INTERNAL_SERVER_ERROR, "storage: UniqueKeyConflict");
        }
        let Record { branch_id, op, status, data, .. } = asked;
        found.progresses.push(Progress { branch_id, op, status, bin_data: data.into_bytes() });
        drop(workflows);
        if let Some((gid, word)) = self.ending.lock().unwrap().take() {
            self.end(&gid, &word);
        }
        told(StatusCode::OK, "")
    }

    fn finish(&self, body: &[u8]) -> Response {
        let asked: Finish = serde_json::from_slice(body).unwrap();
        let mut workflows = self.workflows.lock().unwrap();
        let found = &mut workflows.get_mut(&asked.gid).unwrap().transaction;
        if found.status == asked.req_extra.status {
            return told(StatusCode::OK, "");
        }
        if found.status != status::PREPARED {
            return told(StatusCode::INTERNAL_SERVER_ERROR, "storage: NotFound");
        }
        found.status = asked.req_extra.status;
        found.rollback_reason = asked.req_extra.rollback_reason;
        found.result = asked.req_extra.result;
        told(StatusCode::OK, "")
    }
}

async fn answer(State(fake): State<Fake>, uri: Uri, body: Bytes) -> Response {
    let fault = {
        let mut faults = fake.faults.lock().unwrap();
        let position = faults.iter().position(|(path, _)| *path == uri.path());
        position.and_then(|position| faults.remove(position)).map(|(_, fault)| fault)
    };
    if fault == Some(Fault::Die) {
        fake.die().await;
    }
    if fault == Some(Fault::Busy) {
        let mut answer = told(StatusCode::INTERNAL_SERVER_ERROR, "the store does not answer");
        answer.headers_mut().insert("retry-after", 1.into());
        return answer;
    }
    let answer = match uri.path() {
        path::PREPARE => fake.prepare(&body),
        path::RECORD => fake.record(&body),
        _ => fake.finish(&body),
    };
    if fault == Some(Fault::LoseAnswer) {
        // Unwinding ends the connection's task, which closes the connection without an answer.
        std::panic::resume_unwind(Box::new("the answer is lost"));
    }
    answer
}

fn told(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({"message": message}))).into_response()
}

/// Serves a router on a free port, and returns its base URL.
pub(super) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
