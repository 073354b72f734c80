//! How calls are made and repeated.

use std::ops::Deref;
use std::sync::Arc;

use trine_protocol::limits::{
    CALL_TIMEOUT_MS_DEFAULT, CLIENT_ERROR_ATTEMPTS_DEFAULT, CLIENT_ERROR_DELAY_MS, NOT_SENT_PARKS_AFTER_MS,
    ONGOING_DELAY_MS_DEFAULT, RETRY_FACTOR_PERMILLE_DEFAULT, RETRY_INITIAL_MS_DEFAULT,
    RETRY_JITTER_PERMILLE_DEFAULT, RETRY_MAX_INTERVAL_MS_DEFAULT,
};

/// When a call without a usable answer is repeated. Delays grow by `factor`, are capped, and then shortened by a
/// random share of at most `jitter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    pub initial_ms: u64,
    /// How much longer each delay is than the one before, in thousandths, at least 1000.
    pub factor_permille: u32,
    pub max_interval_ms: u64,
    /// The greatest random share that a delay is shortened by, in thousandths, at most 1000.
    pub jitter_permille: u32,
    /// So many unknown answers exhaust the op. None: no number does.
    pub max_attempts: Option<u32>,
    /// So many client errors in a row exhaust the op: answers that no retry helps against.
    pub client_error_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RetryPolicy {
    const DEFAULT: Self = Self {
        initial_ms: RETRY_INITIAL_MS_DEFAULT,
        factor_permille: RETRY_FACTOR_PERMILLE_DEFAULT,
        max_interval_ms: RETRY_MAX_INTERVAL_MS_DEFAULT,
        jitter_permille: RETRY_JITTER_PERMILLE_DEFAULT,
        max_attempts: None,
        client_error_attempts: CLIENT_ERROR_ATTEMPTS_DEFAULT,
    };

    /// Delay after the `errors`-th client error in a row, which is the `failures`-th answer without use (both from 1).
    ///
    /// There are few attempts, so they are spread over a minute: a route or a credential that is being rolled out is there
    /// then. No delay is longer than the policy's longest one, and a policy that is exhausted earlier is left as it is.
    pub fn client_error_delay_ms(&self, failures: u32, errors: u32, random_permille: u32) -> u64 {
        let own_ms = self.delay_ms(failures, random_permille);
        if self.max_attempts.is_some_and(|max| max <= self.client_error_attempts) {
            return own_ms;
        }
        let spread = Self {
            initial_ms: CLIENT_ERROR_DELAY_MS,
            factor_permille: RETRY_FACTOR_PERMILLE_DEFAULT,
            ..*self
        };
        own_ms.max(spread.delay_ms(errors, random_permille))
    }

    /// How long a call may stay unsent after `failures` answers without use: as long as the attempts that are left would
    /// take, and a minute at least. None: for ever.
    pub fn not_sent_ms_max(&self, failures: u32) -> Option<u64> {
        let pauses = self.max_attempts?.saturating_sub(failures.saturating_add(1));
        let mut delay = self.delay_ms(failures.saturating_add(1), 0);
        let mut sum: u64 = 0;
        for left in (1..=pauses).rev() {
            if delay >= self.max_interval_ms || self.factor_permille <= 1_000 {
                sum = sum.saturating_add(delay.saturating_mul(left.into()));
                break;
            }
            sum = sum.saturating_add(delay);
            delay = self.grown(delay);
        }
        Some(sum.max(NOT_SENT_PARKS_AFTER_MS))
    }

    fn grown(&self, delay: u64) -> u64 {
        // Wide, so that nothing saturates; and at least one longer, so that rounding down does not stop the growth.
        let grown = u128::from(delay) * u128::from(self.factor_permille) / 1_000;
        let grown = u64::try_from(grown).unwrap_or(u64::MAX).max(delay.saturating_add(1));
        grown.min(self.max_interval_ms)
    }

    /// Delay after the `failures`-th unknown answer (from 1). `random_permille` is a random number from 0 to 1000.
    pub fn delay_ms(&self, failures: u32, random_permille: u32) -> u64 {
        let mut delay = self.initial_ms.min(self.max_interval_ms);
        for _ in 1..failures {
            if delay == 0 || delay >= self.max_interval_ms || self.factor_permille <= 1_000 {
                break;
            }
            delay = self.grown(delay);
        }
        let share = u128::from(self.jitter_permille.min(1_000)) * u128::from(random_permille.min(1_000));
        let shortened = u128::from(delay) * share / 1_000_000;
        delay - u64::try_from(shortened).unwrap_or(delay)
    }
}

/// What becomes of an op whose attempts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExhausted {
    /// It gets no more automatic attempts until an operator replays it.
    Park,
    /// A forward op rolls the transaction back. Any other op parks.
    RollBack,
}

/// How calls of one branch are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPolicy {
    pub timeout_ms: u64,
    pub retry: RetryPolicy,
    pub on_exhausted: OnExhausted,
    /// Delay after an ongoing answer that does not say when to ask again.
    pub ongoing_ms: u64,
    /// An ongoing answer uses up an attempt and is repeated like an unknown one.
    pub ongoing_counts: bool,
}

impl CallPolicy {
    const DEFAULT: Self = Self {
        timeout_ms: CALL_TIMEOUT_MS_DEFAULT,
        retry: RetryPolicy::DEFAULT,
        on_exhausted: OnExhausted::Park,
        ongoing_ms: ONGOING_DELAY_MS_DEFAULT,
        ongoing_counts: false,
    };
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The policy of a branch, as specs hold it. The default policy takes no memory, and the branches of a transaction share what is
/// stated for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedPolicy(
    /// None: the default policy.
    Option<Arc<Policies>>,
);

#[derive(Debug, PartialEq, Eq)]
struct Policies {
    usual: CallPolicy,
    /// How the calls of the forward op are made, if differently.
    forward: Option<Box<CallPolicy>>,
}

impl SharedPolicy {
    /// `forward` says how the calls of the forward op are made.
    pub fn with_forward(usual: CallPolicy, forward: CallPolicy) -> Self {
        Self(Some(Arc::new(Policies { usual, forward: Some(Box::new(forward)) })))
    }

    /// The policy of the forward op, if it has one of its own.
    pub fn stated_forward(&self) -> Option<&CallPolicy> {
        self.0.as_ref()?.forward.as_deref()
    }

    /// The policy of a branch in a transaction with this policy.
    pub fn for_branch(&self, policy: CallPolicy) -> Self {
        if policy == **self { self.clone() } else { policy.into() }
    }
}

impl From<CallPolicy> for SharedPolicy {
    fn from(usual: CallPolicy) -> Self {
        Self((usual != CallPolicy::DEFAULT).then(|| Arc::new(Policies { usual, forward: None })))
    }
}

impl Deref for SharedPolicy {
    type Target = CallPolicy;

    fn deref(&self) -> &CallPolicy {
        self.0.as_ref().map_or(&CallPolicy::DEFAULT, |policies| &policies.usual)
    }
}
