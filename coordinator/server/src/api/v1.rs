//! The native dialect: the routes, and one file for each group of calls.
//!
//! Only `from_wire` turns wire documents into engine types, and only `to_wire` turns engine types into wire documents.

pub(super) mod admin;
mod digest;
mod events;
pub(super) mod from_wire;
mod history;
pub(super) mod list;
mod options;
mod participants;
pub(crate) mod to_wire;
mod transactions;
mod workflows;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

/// Every route of the native API with its description.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new()
        .routes(routes!(transactions::create, list::list_transactions))
        .routes(routes!(transactions::show))
        .routes(routes!(transactions::register_branch))
        .routes(routes!(transactions::commit))
        .routes(routes!(transactions::abort))
        .routes(routes!(workflows::start))
        .routes(routes!(workflows::record))
        .routes(routes!(workflows::finish))
        .routes(routes!(history::history))
        .routes(routes!(events::events))
        .routes(routes!(participants::register, participants::list_participants))
        .routes(routes!(participants::deregister))
}
