//! Why a service does not start, why an op fails, and what people are told by the other endpoints.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use trine_sdk::barrier::BarrierError;

use crate::config::Location;

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database cannot be opened or brought up to date.
    #[error("the database {location} cannot be used: {reason}")]
    Database {
        /// Where it is.
        location: Location,
        /// What the driver says.
        reason: String,
    },
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where it should have listened.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The URL of a coordinator cannot be used.
    #[error(transparent)]
    Coordinator(#[from] trine_sdk::Error),
}

/// Why an op has no outcome; to the coordinator it is *unknown*.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Barrier(#[from] BarrierError),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("the output has no JSON form")]
    Output(#[from] serde_json::Error),
    /// The books contradict the barrier: something else wrote to the database.
    #[error("{0}")]
    Inconsistent(String),
}

/// What an endpoint for people answers when it cannot do what was asked.
#[derive(Debug)]
pub(crate) enum ApiError {
    NotFound(String),
    Invalid(String),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, title, detail) = match self {
            Self::NotFound(detail) => (StatusCode::NOT_FOUND, "Not found", detail),
            Self::Invalid(detail) => (StatusCode::UNPROCESSABLE_ENTITY, "The request cannot be used", detail),
            Self::Database(error) => {
                tracing::error!(%error, "the database failed");
                let detail = "the service's log has the details".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "Internal error", detail)
            }
        };
        let document = serde_json::json!({
            "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail,
        });
        let mut response = (status, axum::Json(document)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
