//! A coordinator as far as workflows see one: three calls over a map, and faults on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use trine_protocol::errors::{Code, Problem};
use trine_protocol::v1::{
    Answer, CauseView, FinishWorkflow, StartWorkflow, StepOutcome, WorkflowOutcome, WorkflowStep,
    WorkflowView,
};
use trine_protocol::{Gid, Pattern, Status, json};

/// The path of the start call.
pub(super) const START: &str = "/v1/workflows/order-42";
/// The path of the call that records a step.
pub(super) const STEPS: &str = "/v1/workflows/order-42/steps";
/// The path of the finish call.
pub(super) const FINISH: &str = "/v1/workflows/order-42/finish";

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is carried out, and the connection closed without an answer.
    LoseAnswer,
    /// It is not carried out, and to be repeated.
    Busy,
    /// None.
    Pass,
    /// It is neither carried out nor answered: the executor that asks is to die of it.
    Die,
}

/// What is known of a gid: the identity of the workflow, and how far it is.
struct Known {
    /// Name and input; none for a transaction that is no workflow.
    identity: Option<String>,
    view: WorkflowView,
}

/// What a test sees of a workflow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: Status,
    /// The result as the finish call had it: JSON, or a JSON string of base64.
    pub(super) result: String,
    pub(super) reason: String,
    /// Each step as `branch/op outcome`.
    pub(super) steps: Vec<String>,
}

#[derive(Clone)]
pub(super) struct Fake {
    workflows: Arc<Mutex<HashMap<Gid, Known>>>,
    faults: Arc<Mutex<VecDeque<(&'static str, Fault)>>>,
    ending: Arc<Mutex<Option<(Gid, Status)>>>,
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
            .route("/v1/workflows/{gid}", post(answer))
            .route("/v1/workflows/{gid}/{call}", post(answer))
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

    /// How far a workflow is; none if it was not begun.
    pub(super) fn find(&self, gid: &Gid) -> Option<Seen> {
        let workflows = self.workflows.lock().unwrap();
        let view = &workflows.get(gid)?.view;
        let json = view.result.as_ref().map(|json| json.get().to_owned());
        let result = json.or(view.result_base64.as_ref().map(|bytes| format!("{bytes:?}: {bytes}")));
        let line = |step: &WorkflowStep| {
            let outcome = if step.outcome == StepOutcome::Done { "done" } else { "refused" };
            format!("{}/{} {outcome}", step.branch, step.op)
        };
        Some(Seen {
            status: view.status,
            result: result.unwrap_or_default(),
            reason: view.cause.as_ref().and_then(|cause| cause.reason.clone()).unwrap_or_default(),
            steps: view.steps.iter().map(line).collect(),
        })
    }

    /// How far the workflow of most tests is.
    pub(super) fn look(&self) -> Seen {
        self.find(&super::gid()).expect("it was begun")
    }

    /// As if somebody else had ended the workflow of most tests.
    pub(super) fn end(&self, status: Status) {
        self.end_of(&super::gid(), status);
    }

    fn end_of(&self, gid: &Gid, status: Status) {
        self.workflows.lock().unwrap().get_mut(gid).unwrap().view.status = status;
    }

    /// The same, as soon as the next step is on record.
    pub(super) fn end_after_record(&self, status: Status) {
        *self.ending.lock().unwrap() = Some((super::gid(), status));
    }

    /// As if the gid belonged to a saga.
    pub(super) fn create_saga(&self, gid: &Gid) {
        let saga = Known { identity: None, view: begun(gid) };
        self.workflows.lock().unwrap().insert(gid.clone(), saga);
    }

    /// As if another executor of the workflow of most tests had recorded these steps.
    pub(super) fn record_already(&self, steps: Vec<WorkflowStep>) {
        self.workflows.lock().unwrap().get_mut(&super::gid()).unwrap().view.steps = steps;
    }

    fn start_workflow(&self, gid: Gid, asked: &StartWorkflow) -> Response {
        let identity = Some(identity(asked));
        let mut workflows = self.workflows.lock().unwrap();
        let found = workflows
            .entry(gid.clone())
            .or_insert_with(|| Known { identity: identity.clone(), view: begun(&gid) });
        if found.identity != identity {
            return refused(Code::GidConflict);
        }
        axum::Json(found.view.clone()).into_response()
    }

    fn record(&self, gid: &Gid, step: WorkflowStep) -> Response {
        let mut workflows = self.workflows.lock().unwrap();
        let Some(Known { view, .. }) = workflows.get_mut(gid) else {
            return refused(Code::TransactionNotFound);
        };
        let text = |step: &WorkflowStep| serde_json::to_string(step).unwrap();
        match view.steps.iter().find(|known| known.branch == step.branch && known.op == step.op) {
            Some(known) if text(known) == text(&step) => return answered(view),
            Some(_) => return refused(Code::BranchConflict),
            None if view.status != Status::Open => return refused(Code::IllegalState),
            None => view.steps.push(step),
        }
        let answer = answered(view);
        drop(workflows);
        if let Some((gid, status)) = self.ending.lock().unwrap().take() {
            self.end_of(&gid, status);
        }
        answer
    }

    fn finish(&self, gid: &Gid, asked: FinishWorkflow) -> Response {
        let status = match asked.outcome {
            WorkflowOutcome::Committed => Status::Committed,
            WorkflowOutcome::RolledBack => Status::RolledBack,
        };
        let mut workflows = self.workflows.lock().unwrap();
        let view = &mut workflows.get_mut(gid).unwrap().view;
        if view.status == status {
            return answered(view);
        }
        if view.status != Status::Open {
            return refused(Code::IllegalState);
        }
        view.status = status;
        (view.result, view.result_base64) = (asked.result, asked.result_base64);
        let reason = asked.reason;
        view.cause =
            reason.map(|reason| CauseView { kind: "aborted".into(), branch: None, reason: Some(reason) });
        answered(view)
    }
}

fn begun(gid: &Gid) -> WorkflowView {
    WorkflowView {
        gid: gid.clone(),
        status: Status::Open,
        settled: false,
        steps: Vec::new(),
        result: None,
        result_base64: None,
        cause: None,
    }
}

fn identity(asked: &StartWorkflow) -> String {
    let input = asked.input.as_ref().map(|input| input.get());
    format!("{}: {input:?}, {:?}", asked.name, asked.input_base64.as_ref().map(ToString::to_string))
}

async fn answer(State(fake): State<Fake>, Path(path): Path<Vec<String>>, uri: Uri, body: Bytes) -> Response {
    let fault = {
        let mut faults = fake.faults.lock().unwrap();
        let position = faults.iter().position(|(path, _)| *path == uri.path());
        position.and_then(|position| faults.remove(position)).map(|(_, fault)| fault)
    };
    if fault == Some(Fault::Die) {
        fake.die().await;
    }
    if fault == Some(Fault::Busy) {
        let mut answer = refused(Code::Busy);
        answer.headers_mut().insert("retry-after", 1.into());
        return answer;
    }
    let gid = Gid::parse(&path[0]).unwrap();
    // One level is the document itself.
    if json::depth(std::str::from_utf8(&body).unwrap()) > json::DEPTH_MAX + 1 {
        return refused(Code::InvalidField);
    }
    let answer = match path.get(1).map(String::as_str) {
        None => fake.start_workflow(gid, &serde_json::from_slice(&body).unwrap()),
        Some("steps") => fake.record(&gid, serde_json::from_slice(&body).unwrap()),
        Some(_) => fake.finish(&gid, serde_json::from_slice(&body).unwrap()),
    };
    if fault == Some(Fault::LoseAnswer) {
        // Unwinding ends the connection's task, which closes the connection without an answer.
        std::panic::resume_unwind(Box::new("the answer is lost"));
    }
    answer
}

fn answered(view: &WorkflowView) -> Response {
    axum::Json(Answer {
        gid: view.gid.clone(),
        pattern: Pattern::Workflow,
        status: view.status,
        settled: view.status.is_settled(),
        parked: false,
        cause: view.cause.clone(),
        waiting_on: None,
    })
    .into_response()
}

fn refused(code: Code) -> Response {
    let status = StatusCode::from_u16(code.http_status()).unwrap();
    (status, axum::Json(Problem::new(code, "no"))).into_response()
}

/// Serves a router on a free port, and returns its base URL.
pub(super) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
