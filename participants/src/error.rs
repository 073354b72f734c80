//! The errors of starting a service, of its ops, and of its endpoints for people.

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
        /// The file or URL of the database.
        location: Location,
        /// The error of the driver.
        reason: String,
    },
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The URL of a coordinator cannot be used.
    #[error(transparent)]
    Coordinator(#[from] trine_sdk::Error),
}

/// Why an op has no outcome. To the coordinator the outcome is *unknown*.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Barrier(#[from] BarrierError),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("the output has no JSON form")]
    Output(#[from] serde_json::Error),
    /// The tables contradict the barrier's rows: another program wrote to the database.
    #[error("{0}")]
    Inconsistent(String),
}

/// Why an endpoint for people cannot answer a request.
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
