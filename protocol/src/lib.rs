//! The types that both sides of Trine's wire share: ids, patterns, ops, outcomes, targets, headers, limits,
//! error codes and the documents of the native (v1) API.
//!
//! Everything here is data and its grammar. There is no I/O and no clock. The rules of transactions are in `trine-engine`.
//! Wire documents derive serde; the types of the engine never do.

#![warn(missing_docs)]

mod digest;
pub mod dtm;
pub mod duration;
pub mod errors;
pub mod headers;
mod ids;
pub mod json;
pub mod limits;
mod op;
mod outcome;
mod pattern;
pub mod status_code;
mod target;
mod text;
mod timestamp;
pub mod v1;
mod xid;

pub use digest::{DigestError, PayloadDigest};
pub use ids::{BranchId, Gid, IdError, JournalId};
pub use op::Op;
pub use outcome::OutcomeKind;
pub use pattern::{Pattern, Status};
pub use target::{GrpcMethod, Target, TargetError};
pub use timestamp::Timestamp;
pub use xid::Xid;
