//! The headers of a call: transaction, branch, op, attempt and fence.
//!
//! Parsing is strict: the coordinator sends every one of these headers, so a call without one of them is not the coordinator's.

use trine_protocol::{BranchId, Gid, JournalId, Op, Pattern, PayloadDigest, headers};

/// Why the headers of a call cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A header that every call carries is missing, or is not ASCII text.
    #[error("header {0} is missing or not text")]
    Missing(&'static str),
    /// A header's value does not follow its grammar.
    #[error("header {name}: {reason}")]
    Invalid {
        /// The header.
        name: &'static str,
        /// The error in its value.
        reason: String,
    },
}

/// A call of an op of a branch. With the feature `participant` it is also an axum extractor, which rejects an ill-formed call
/// with 400 and a problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchContext {
    /// The gid of the transaction.
    pub gid: Gid,
    /// The branch.
    pub branch: BranchId,
    /// The op that the call asks for.
    pub op: Op,
    /// The pattern of the transaction.
    pub pattern: Pattern,
    /// The number of this attempt at the op. The first is 1.
    pub attempt: u32,
    /// The journal's sequence number when the coordinator made the call. It never falls within one gid. It is 0 if the initiator
    /// of an open transaction makes the call.
    pub fence: u64,
    /// The journal that the call comes from. Coordinators of earlier versions do not send it.
    pub journal: Option<JournalId>,
    /// The digest of the branch's payload in the journal: the same for every op. Coordinators of earlier versions do not send it.
    pub payload_digest: Option<PayloadDigest>,
}

/// A check: the coordinator asks the initiator of a message whether its local transaction committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckContext {
    /// The gid of the transaction.
    pub gid: Gid,
    /// The number of this attempt. The first is 1.
    pub attempt: u32,
    /// The journal's sequence number when the coordinator made the call.
    pub fence: u64,
    /// The journal that the call comes from, if the coordinator sent it.
    pub journal: Option<JournalId>,
}

/// A call of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Branch(BranchContext),
    Check(CheckContext),
}

impl BranchContext {
    /// The first attempt at `op`, as a test or an initiator makes it. The pattern follows from the op.
    ///
    /// ```
    /// use trine_sdk::{BranchContext, BranchId, Gid, Op, Pattern};
    ///
    /// let call = BranchContext::new(Gid::parse("order-1")?, BranchId::parse("stock")?, Op::Try);
    /// assert_eq!((call.pattern, call.attempt), (Pattern::Tcc, 1));
    /// assert_eq!(call.idempotency_key(), "order-1/stock/try");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(gid: Gid, branch: BranchId, op: Op) -> Self {
        let pattern = pattern_of(op);
        Self { gid, branch, op, pattern, attempt: 1, fence: 0, journal: None, payload_digest: None }
    }

    /// The journal and the payload's digest of the call.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "redis"))]
    pub(crate) fn origin(&self) -> crate::Origin {
        crate::Origin {
            journal: self.journal.as_ref().map(ToString::to_string),
            payload_digest: self.payload_digest.as_ref().map(ToString::to_string),
        }
    }

    /// `<gid>/<branch>/<op>`: the same for every attempt.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}/{}", self.gid, self.branch, self.op)
    }

    /// Reads the headers of a call. `get` finds a header by its lower-case name.
    ///
    /// # Errors
    /// If a header is missing or ill-formed, if the op does not belong to the pattern, or if the op is a check.
    pub fn from_headers<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, HeaderError> {
        match Call::from_headers(get)? {
            Call::Branch(context) => Ok(context),
            Call::Check(_) => Err(invalid(headers::OP, "a check is not for a branch")),
        }
    }
}

impl Call {
    pub(crate) fn from_headers<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, HeaderError> {
        let need = |name| get(name).ok_or(HeaderError::Missing(name));
        let gid = Gid::parse(need(headers::GID)?).map_err(|error| invalid(headers::GID, error))?;
        let op = Op::parse(need(headers::OP)?).ok_or_else(|| invalid(headers::OP, "no such op"))?;
        let pattern = Pattern::parse(need(headers::PATTERN)?)
            .ok_or_else(|| invalid(headers::PATTERN, "no such pattern"))?;
        if pattern != pattern_of(op) {
            return Err(invalid(headers::OP, format_args!("pattern {pattern} has no op {op}")));
        }
        let attempt = need(headers::ATTEMPT)?.parse().map_err(|error| invalid(headers::ATTEMPT, error))?;
        if attempt == 0 {
            return Err(invalid(headers::ATTEMPT, "attempts are counted from 1"));
        }
        let fence = need(headers::FENCE)?.parse().map_err(|error| invalid(headers::FENCE, error))?;
        let journal = get(headers::JOURNAL).map(JournalId::parse).transpose();
        let journal = journal.map_err(|error| invalid(headers::JOURNAL, error))?;
        if op == Op::Check {
            return Ok(Self::Check(CheckContext { gid, attempt, fence, journal }));
        }
        let digest = get(headers::PAYLOAD_DIGEST).map(PayloadDigest::parse).transpose();
        let payload_digest = digest.map_err(|error| invalid(headers::PAYLOAD_DIGEST, error))?.flatten();
        let branch =
            BranchId::parse(need(headers::BRANCH)?).map_err(|error| invalid(headers::BRANCH, error))?;
        Ok(Self::Branch(BranchContext { gid, branch, op, pattern, attempt, fence, journal, payload_digest }))
    }

    #[cfg(feature = "participant")]
    pub(crate) fn op(&self) -> Op {
        match self {
            Self::Branch(context) => context.op,
            Self::Check(_) => Op::Check,
        }
    }

    /// The branch as text, for logs; a check has none.
    #[cfg(feature = "participant")]
    pub(crate) fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch(context) => Some(context.branch.as_str()),
            Self::Check(_) => None,
        }
    }

    #[cfg(feature = "participant")]
    pub(crate) fn gid(&self) -> &Gid {
        match self {
            Self::Branch(context) => &context.gid,
            Self::Check(context) => &context.gid,
        }
    }
}

fn invalid(name: &'static str, reason: impl std::fmt::Display) -> HeaderError {
    HeaderError::Invalid { name, reason: reason.to_string() }
}

/// The one pattern an op belongs to.
fn pattern_of(op: Op) -> Pattern {
    match op {
        Op::Action | Op::Compensate => Pattern::Saga,
        Op::Try | Op::Confirm | Op::Cancel => Pattern::Tcc,
        Op::Prepare | Op::Commit | Op::Rollback => Pattern::TwoPhase,
        Op::Deliver | Op::Check => Pattern::Message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: [(&str, &str); 6] = [
        (headers::GID, "order-42"),
        (headers::BRANCH, "stock"),
        (headers::OP, "try"),
        (headers::PATTERN, "tcc"),
        (headers::ATTEMPT, "3"),
        (headers::FENCE, "17"),
    ];

    /// The call above with one header replaced, or left out when `value` is `None`.
    fn parse_with(name: &str, value: Option<&'static str>) -> Result<Call, HeaderError> {
        Call::from_headers(|asked| match CALL.iter().find(|(known, _)| *known == asked) {
            Some(_) if asked == name => value,
            found => found.map(|(_, value)| *value),
        })
    }

    #[test]
    fn a_call_says_what_it_is() {
        let Ok(Call::Branch(context)) = parse_with("", None) else { panic!("not read") };
        assert_eq!((context.gid.as_str(), context.branch.as_str()), ("order-42", "stock"));
        assert_eq!(
            (context.op, context.pattern, context.attempt, context.fence),
            (Op::Try, Pattern::Tcc, 3, 17)
        );
        assert_eq!(context.idempotency_key(), "order-42/stock/try");
    }

    #[test]
    fn where_a_call_comes_from_may_be_unsaid_and_must_be_readable() {
        let digest = PayloadDigest::of(b"null");
        let said = |journal: Option<&'static str>, payload: Option<&str>| {
            Call::from_headers(|asked| match asked {
                headers::JOURNAL => journal,
                headers::PAYLOAD_DIGEST => payload,
                _ => CALL.iter().find(|(known, _)| *known == asked).map(|(_, value)| *value),
            })
        };
        let Ok(Call::Branch(context)) = said(Some("j-1"), Some(digest.as_str())) else { panic!("not read") };
        assert_eq!(context.journal.as_ref().map(JournalId::as_str), Some("j-1"));
        assert_eq!(context.payload_digest, Some(digest));
        let Ok(Call::Branch(context)) = said(None, None) else { panic!("not read") };
        assert_eq!((context.journal, context.payload_digest), (None, None));
        for (journal, payload, name) in
            [(Some("a b"), None, headers::JOURNAL), (None, Some("7"), headers::PAYLOAD_DIGEST)]
        {
            let Err(HeaderError::Invalid { name: found, .. }) = said(journal, payload) else {
                panic!("{name}")
            };
            assert_eq!(found, name);
        }
    }

    #[test]
    fn every_header_is_needed() {
        for (name, _) in CALL {
            assert_eq!(parse_with(name, None), Err(HeaderError::Missing(name)));
        }
    }

    #[test]
    fn ill_formed_headers_are_named() {
        let bad = [
            (headers::GID, "a b"),
            (headers::BRANCH, ""),
            (headers::OP, "undo"),
            (headers::OP, "action"),
            (headers::PATTERN, "xa"),
            (headers::ATTEMPT, "0"),
            (headers::ATTEMPT, "-1"),
            (headers::FENCE, "high"),
        ];
        for (name, value) in bad {
            match parse_with(name, Some(value)) {
                Err(HeaderError::Invalid { name: found, .. }) => assert_eq!(found, name),
                other => panic!("{name}: {value}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_op_belongs_to_the_pattern_the_protocol_gives_it() {
        // A workflow has none of its own: to a participant its steps are those of a saga or a tcc.
        for pattern in Pattern::ALL.into_iter().filter(|pattern| *pattern != Pattern::Workflow) {
            let ops = [Some(Op::forward(pattern)), Op::on_commit(pattern), Op::on_rollback(pattern)];
            assert!(ops.into_iter().flatten().all(|op| pattern_of(op) == pattern), "{pattern}");
        }
    }
}
