//! Faults on demand: a service can be slow, fail, crash or never answer, so that one can see how the coordinator handles it.
//!
//! Faults hit calls of ops only. The endpoints for people, and the switch itself (`POST`, `GET`, `DELETE /faults`), always work.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::ApiError;

const DELAY_MS_MAX: u64 = 3_600_000;
/// The exit code of a process ended by SIGKILL, as shells tell it.
const CRASH_EXIT_CODE: i32 = 137;

/// The moment of a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crash {
    /// The call arrives and has no effect.
    BeforeEffect,
    /// The call takes effect durably, and is not answered.
    AfterEffect,
}

/// The faults of a service. The default is no fault.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Wait this long before each call; at most one hour.
    pub delay_ms: u64,
    /// The share of calls, 0 to 1, that are answered 500: half of them before the effect, half of them after it.
    pub error_rate: f64,
    /// Crash at the next call. The process ends with code 137. A service that shares its process breaks the connection instead.
    pub crash: Option<Crash>,
    /// Neither take effect nor answer until the faults are changed.
    pub hang: bool,
    /// Hit only calls of this path, such as `/stock/try`.
    pub only_path: Option<String>,
    /// Hit only this many calls. Then the faults are off. Calls that the error rate spared count, too.
    pub remaining: Option<u64>,
}

/// The switch of one service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FaultSwitch {
    current: Arc<watch::Sender<Faults>>,
    embedded: bool,
}

impl FaultSwitch {
    pub(crate) fn new(embedded: bool) -> Self {
        Self { current: Arc::new(watch::Sender::new(Faults::default())), embedded }
    }

    /// Sets the faults from now on. Calls that hang because of earlier faults go on.
    pub fn set(&self, faults: Faults) {
        tracing::warn!(?faults, "faults are set");
        self.current.send_replace(faults);
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        self.current.send_replace(Faults::default());
    }

    /// The faults that are set now.
    pub fn get(&self) -> Faults {
        self.current.borrow().clone()
    }

    /// Counts a call of this path, and returns the faults that hit it.
    fn hit(&self, path: &str) -> Option<Faults> {
        let mut hit = None;
        self.current.send_if_modified(|faults| {
            let elsewhere = faults.only_path.as_deref().is_some_and(|only| only != path);
            if *faults != Faults::default() && !elsewhere && faults.remaining != Some(0) {
                hit = Some(faults.clone());
                faults.remaining = faults.remaining.map(|remaining| remaining - 1);
            }
            // Calls that hang wait for a change by a person. Counting down must not wake them.
            false
        });
        hit
    }

    fn crash(&self) -> ! {
        if self.embedded {
            // Ends the connection's task, and with it the connection, without an answer and without a panic's message.
            std::panic::resume_unwind(Box::new("crash on demand"));
        }
        std::process::exit(CRASH_EXIT_CODE);
    }

    /// `POST`, `GET` and `DELETE /faults`.
    pub(crate) fn router(&self) -> Router {
        Router::new().route("/faults", get(show).post(set).delete(clear)).with_state(self.clone())
    }
}

async fn show(State(switch): State<FaultSwitch>) -> Json<Faults> {
    Json(switch.get())
}

async fn set(
    State(switch): State<FaultSwitch>,
    Json(faults): Json<Faults>,
) -> Result<Json<Faults>, ApiError> {
    if !(0.0..=1.0).contains(&faults.error_rate) {
        return Err(ApiError::Invalid("error_rate must be between 0 and 1".into()));
    }
    if faults.delay_ms > DELAY_MS_MAX {
        return Err(ApiError::Invalid(format!("delay_ms must be at most {DELAY_MS_MAX}")));
    }
    switch.set(faults);
    Ok(Json(switch.get()))
}

async fn clear(State(switch): State<FaultSwitch>) -> StatusCode {
    switch.clear();
    StatusCode::NO_CONTENT
}

/// A middleware around the ops of a service.
pub(crate) async fn misbehave(State(switch): State<FaultSwitch>, request: Request, next: Next) -> Response {
    let mut changed = switch.current.subscribe();
    let Some(faults) = switch.hit(request.uri().path()) else { return next.run(request).await };
    if faults.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.delay_ms)).await;
    }
    if faults.hang {
        // An error means that the switch was dropped with the service.
        let _ = changed.wait_for(|now| !now.hang).await;
    }
    if faults.crash == Some(Crash::BeforeEffect) {
        switch.crash();
    }
    let fails = fastrand::f64() < faults.error_rate;
    if fails && fastrand::bool() {
        return failure("an error on demand, before the effect");
    }
    let response = next.run(request).await;
    if faults.crash == Some(Crash::AfterEffect) {
        switch.crash();
    }
    if fails { failure("an error on demand, after the effect") } else { response }
}

fn failure(text: &'static str) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}
