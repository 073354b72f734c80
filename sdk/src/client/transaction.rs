//! Transactions as an initiator writes them, one type per pattern.

use std::marker::PhantomData;
use std::time::Duration;

use trine_protocol::v1::{CreateTransaction, Exposure, OnExhausted, Options, Order};
use trine_protocol::{Gid, Target};

use super::branch::{Branch, RetryPolicy, millis};
use super::kind::{self, PatternKind};
use super::{Error, new_gid};

/// A transaction of pattern `P` to be. Use it by the names [`Saga`], [`Tcc`], [`TwoPhase`] and [`Message`].
///
/// It has its gid from the beginning (a UUIDv7 unless you choose one), so submitting it twice is submitting it once.
/// A mistake made while building it comes back from the call that would send it.
#[derive(Debug)]
#[must_use = "a transaction does nothing until it is submitted or opened"]
pub struct Transaction<P> {
    document: CreateTransaction,
    mistake: Option<Error>,
    pattern: PhantomData<P>,
}

/// Actions in sequence or as a graph; compensated in reverse when one is refused.
///
/// ```
/// use std::time::Duration;
/// use trine_sdk::{Saga, SagaBranch};
///
/// #[derive(serde::Serialize)]
/// struct Item { sku: &'static str, quantity: u32 }
///
/// let item = Item { sku: "A-1", quantity: 2 };
/// let saga = Saga::new()
///     .gid("order-42")
///     .label("customer", "7")
///     .deadline(Duration::from_secs(30))
///     .branch(
///         SagaBranch::new("stock")
///             .action("inventory:/stock/reserve")
///             .compensate("inventory:/stock/release")
///             .payload(&item),
///     )
///     .branch(
///         SagaBranch::new("order")
///             .action("order:/orders/create")
///             .compensate("order:/orders/cancel")
///             .payload(&item)
///             .after(["stock"]),
///     );
/// assert_eq!(saga.document()?.branches.len(), 2);
/// # Ok::<(), trine_sdk::Error>(())
/// ```
pub type Saga = Transaction<kind::Saga>;
/// Try everywhere, then confirm everywhere or cancel everywhere.
pub type Tcc = Transaction<kind::Tcc>;
/// Prepare everywhere (votes), then commit everywhere or roll back everywhere.
pub type TwoPhase = Transaction<kind::TwoPhase>;
/// A two-phase message: delivered to every target once the initiator's local transaction has committed.
pub type Message = Transaction<kind::Message>;

impl<P: PatternKind> Default for Transaction<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: PatternKind> Transaction<P> {
    /// A transaction without branches, with a fresh gid.
    pub fn new() -> Self {
        let document = CreateTransaction {
            gid: Some(new_gid()),
            pattern: P::PATTERN,
            open: false,
            labels: Default::default(),
            options: Options::default(),
            check: None,
            branches: Vec::new(),
        };
        Self { document, mistake: None, pattern: PhantomData }
    }

    /// Chooses the gid, `[A-Za-z0-9._:-]{1,128}`. Derive it from what the operation is about (an order number) and a
    /// repetition of the whole operation, even by another process, is the same transaction.
    pub fn gid(mut self, gid: impl AsRef<str>) -> Self {
        match Gid::parse(gid.as_ref()) {
            Ok(gid) => self.document.gid = Some(gid),
            Err(error) => self.note(Error::invalid(format!("gid `{}`", gid.as_ref()), error)),
        }
        self
    }

    /// The gid it has.
    ///
    /// # Errors
    /// The first mistake that was made while building the transaction.
    pub fn chosen_gid(&self) -> Result<Gid, Error> {
        self.document().map(|document| document.gid.unwrap_or_else(new_gid))
    }

    /// Something to find it by; at most 16.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.document.labels.insert(key.into(), value.into());
        self
    }

    /// Adds a branch.
    pub fn branch(mut self, branch: Branch<P>) -> Self {
        match branch.into_document() {
            Ok(branch) => self.document.branches.push(branch),
            Err(error) => self.note(error),
        }
        self
    }

    /// How long one call may take (default 10 s).
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.document.options.call_timeout_ms = Some(millis(timeout));
        self
    }

    /// When and how often calls are repeated.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.document.options.retry = Some(policy.into_document());
        self
    }

    /// What happens when [`RetryPolicy::max_attempts`] are used up (default: park).
    pub fn on_exhausted(mut self, what: OnExhausted) -> Self {
        self.document.options.on_exhausted = Some(what);
        self
    }

    /// Waits this long before the first call. Not for open transactions.
    pub fn start_delay(mut self, delay: Duration) -> Self {
        self.document.options.start_delay_ms = Some(millis(delay));
        self
    }

    /// The transaction as the API takes it.
    ///
    /// # Errors
    /// The first mistake that was made while building it.
    pub fn document(&self) -> Result<CreateTransaction, Error> {
        match &self.mistake {
            None => Ok(self.document.clone()),
            Some(Error::InvalidTransaction { what, reason }) => Err(Error::invalid(what.clone(), reason)),
            Some(other) => Err(Error::invalid("transaction", other)),
        }
    }

    fn note(&mut self, mistake: Error) {
        self.mistake.get_or_insert(mistake);
    }

    fn with_deadline(mut self, deadline: Duration) -> Self {
        self.document.options.deadline_ms = Some(millis(deadline));
        self
    }
}

impl Saga {
    /// How long going forward may take before it is rolled back (default: for ever).
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with_deadline(deadline)
    }

    /// How branches follow each other when none says `after` (default: one by one).
    pub fn order(mut self, order: Order) -> Self {
        self.document.options.order = Some(order);
        self
    }

    /// Whether a step may be called before the answers of the steps before it are durable. The default is
    /// [`Exposure::Auto`]: yes, if every target names a participant that registered as guarded (`Registration::guarded`).
    pub fn exposure(mut self, exposure: Exposure) -> Self {
        self.document.options.exposure = Some(exposure);
        self
    }
}

impl Tcc {
    /// How long trying may take before it is rolled back (default: for ever; 60 s when open).
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with_deadline(deadline)
    }
}

impl TwoPhase {
    /// How long preparing may take before it is rolled back (default: for ever; 60 s when open).
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with_deadline(deadline)
    }
}

impl Message {
    /// Open messages: asked for the outcome of the initiator's local transaction when nothing is heard of it.
    pub fn check(mut self, target: impl AsRef<str>) -> Self {
        match Target::parse(target.as_ref()) {
            Ok(target) => self.document.check = Some(target),
            Err(error) => self.note(Error::invalid(format!("check `{}`", target.as_ref()), error)),
        }
        self
    }

    /// Open messages: how long to wait for the initiator before asking it (default 10 s).
    pub fn check_after(mut self, delay: Duration) -> Self {
        self.document.options.check_after_ms = Some(millis(delay));
        self
    }

    /// How deliveries follow each other when none says `after` (default: all at once).
    pub fn order(mut self, order: Order) -> Self {
        self.document.options.order = Some(order);
        self
    }
}
