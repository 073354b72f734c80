//! Bounds that are part of the protocol. Configurable bounds are in the coordinator's configuration.

/// Longest gid or branch id, in bytes (ids are ASCII).
pub const ID_BYTES_MAX: usize = 128;
/// Most branches one transaction may have.
pub const BRANCHES_MAX: usize = 1_000;
/// Most edges (`after` entries) of one branch.
pub const AFTER_MAX: usize = 100;
/// Largest request body the API reads by default.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest target (URL or `name:/path`).
pub const TARGET_BYTES_MAX: usize = 2_048;
/// Most labels of one transaction.
pub const LABELS_MAX: usize = 16;
/// Longest label key.
pub const LABEL_KEY_BYTES_MAX: usize = 64;
/// Longest label value.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Largest part of a participant's answer that is kept as a branch's output.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Longest reason or error text that is kept.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// Longest error text that is kept with an op. The history has the whole text.
pub const LAST_ERROR_BYTES_MAX: usize = 512;
/// Longest duration any option takes: one year.
pub const DURATION_MS_MAX: u64 = 365 * 24 * 60 * 60 * 1_000;
/// Longest `Prefer: wait`.
pub const WAIT_MS_MAX: u64 = 300_000;

/// How long one call may take by default.
pub const CALL_TIMEOUT_MS_DEFAULT: u64 = 10_000;
/// First retry delay by default.
pub const RETRY_INITIAL_MS_DEFAULT: u64 = 200;
/// Longest retry delay by default.
pub const RETRY_MAX_INTERVAL_MS_DEFAULT: u64 = 30_000;
/// Growth of the retry delay by default, in thousandths.
pub const RETRY_FACTOR_PERMILLE_DEFAULT: u32 = 2_000;
/// Share of the delay that is random by default, in thousandths.
pub const RETRY_JITTER_PERMILLE_DEFAULT: u32 = 500;
/// Default number of answers in a row that no retry mends, after which an op is exhausted.
pub const CLIENT_ERROR_ATTEMPTS_DEFAULT: u32 = 5;
/// First delay after such an answer. The delay doubles, so the default number of attempts takes about a minute.
pub const CLIENT_ERROR_DELAY_MS: u64 = 6_000;
/// After this time, the fact that a call cannot be sent is recorded.
pub const NOT_SENT_TOLD_AFTER_MS: u64 = 10_000;
/// Where attempts are limited, a call that cannot be sent is given up after the time that the attempts would have taken, and
/// never sooner than this.
pub const NOT_SENT_PARKS_AFTER_MS: u64 = 60_000;
/// The delay after an `ongoing` answer that states none.
pub const ONGOING_DELAY_MS_DEFAULT: u64 = 1_000;
/// Shortest delay after an `ongoing` answer.
pub const ONGOING_DELAY_MS_MIN: u64 = 100;
/// The delay of an op that stays `ongoing` grows to a sixteenth of the time for which it has been ongoing, but not beyond this.
pub const ONGOING_PATIENCE_MS_MAX: u64 = 60_000;
/// Longest delay that a participant can ask for.
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
/// How long an open tcc or two_phase transaction waits for its initiator by default.
pub const OPEN_DEADLINE_MS_DEFAULT: u64 = 60_000;
/// How long an open message waits before its initiator is asked, by default.
pub const CHECK_AFTER_MS_DEFAULT: u64 = 10_000;
