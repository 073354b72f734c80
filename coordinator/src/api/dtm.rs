//! The dtm dialect: its clients work against Trine unmodified. HTTP and JSON-RPC, gRPC beside it.
//!
//! [`service`] is what both ask for, in domain types and without a wire: it turns requests into commands for the lanes,
//! and what the engine knows into the dialect's words (`view`). No rule of any pattern is here.

mod decode;
pub(crate) mod service;
pub(crate) mod view;
