//! Names of the HTTP headers the native dialect uses, lower case as HTTP/2 wants them.

/// The global transaction a call belongs to.
pub const GID: &str = "trine-gid";
/// The branch a call is for; absent on a check.
pub const BRANCH: &str = "trine-branch";
/// What is asked; see [`crate::Op`].
pub const OP: &str = "trine-op";
/// The pattern of the transaction.
pub const PATTERN: &str = "trine-pattern";
/// Number of this attempt at the op, from 1.
pub const ATTEMPT: &str = "trine-attempt";
/// Journal sequence number of the state that owed the call; never falls within one gid.
pub const FENCE: &str = "trine-fence";
/// `<gid>/<branch>/<op>`: the same for every attempt.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Which journal a call comes from: see [`crate::JournalId`]. A coordinator's answers name it, too.
pub const JOURNAL: &str = "trine-journal";
/// Digest of the payload that the journal holds for the branch: the same for every attempt at every op. See
/// [`crate::PayloadDigest`].
pub const PAYLOAD_DIGEST: &str = "trine-payload-digest";
/// In the answer to a call that a participant does not take, because it has the gid and branch on record from somebody
/// else: [`CONFLICT_JOURNAL`] or [`CONFLICT_PAYLOAD`]. It goes with status 412 over HTTP, and with ALREADY_EXISTS, as
/// metadata, over gRPC.
pub const CONFLICT: &str = "trine-conflict";
/// The value of [`CONFLICT`] for a call from another journal.
pub const CONFLICT_JOURNAL: &str = "journal";
/// The value of [`CONFLICT`] for a call with another payload.
pub const CONFLICT_PAYLOAD: &str = "payload";
/// A participant's vote in its answer to `prepare`.
pub const VOTE: &str = "trine-vote";
/// The value of [`VOTE`] that leaves a branch out of phase two.
pub const VOTE_READ_ONLY: &str = "read-only";
