//! The dtm dialect: its clients work against Trine unmodified. HTTP and JSON-RPC, gRPC beside it.
//!
//! [`service`] is what all of them ask for, in domain types and without a wire: initiators (`initiate`), workflows'
//! executors (`workflows`) and operators (`operate`). It turns requests into specs (`plan`) and commands for the lanes, and
//! what the engine knows into the dialect's words (`show`, `view`). Topics
//! (`topics`) are kept in the key-value table (`entries`). No rule of any pattern is here.

mod entries;
mod initiate;
mod operate;
mod plan;
pub(crate) mod service;
mod show;
mod topics;
pub(crate) mod view;
mod workflows;
