//! Calls that belong to another transaction than the one on record, although gid and branch are the same.

use std::fmt;

use trine_protocol::{Op, headers};

/// A call whose gid and branch are on record with another journal or another payload. The call has no effect, and is not
/// answered from the record: the record belongs to another transaction.
///
/// A handler may return this error, or any error that has it among its sources: [`Participant`](crate::Participant) then answers
/// 412 with `Trine-Conflict`, and the coordinator parks the branch at once. `docs/operating.md` says what to do then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{op} of {gid}/{branch} comes {differs} {asked}, and on record here it is {differs} {recorded}: they are two transactions with one gid"
)]
#[non_exhaustive]
pub struct Conflict {
    /// The gid of the transaction.
    pub gid: String,
    /// The branch; empty for the initiator of a message.
    pub branch: String,
    /// The op that was asked for.
    pub op: Op,
    /// Whether the journal or the payload differs.
    pub differs: Differs,
    /// The journal, or the digest of the payload, in the call.
    pub asked: String,
    /// The journal, or the digest of the payload, on record.
    pub recorded: String,
}

/// What differs between a call and the record of its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differs {
    /// The journal. The call comes from another installation, or from a store that was created again.
    Journal,
    /// The payload. The gid was used twice.
    Payload,
}

impl Differs {
    /// The value of the header `Trine-Conflict`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Journal => headers::CONFLICT_JOURNAL,
            Self::Payload => headers::CONFLICT_PAYLOAD,
        }
    }
}

/// The words in front of the journal or the payload in a message.
impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journal => "from journal",
            Self::Payload => "with payload",
        })
    }
}

/// Where a call comes from. The barrier keeps the origin of a branch's first call. A part is `None` if the call does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The journal of the coordinator that made the call.
    pub journal: Option<String>,
    /// The digest of the branch's payload.
    pub payload_digest: Option<String>,
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
impl Origin {
    /// Whether both parts are missing, as in calls of older coordinators and of initiators that do not know their journal.
    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The first part that differs from the record, with its value in the call and on record. A missing part does not differ.
    pub(crate) fn differs_from<'a>(&'a self, recorded: &'a Self) -> Option<(Differs, &'a str, &'a str)> {
        let pairs = [
            (Differs::Journal, &self.journal, &recorded.journal),
            (Differs::Payload, &self.payload_digest, &recorded.payload_digest),
        ];
        pairs.into_iter().find_map(|(differs, asked, recorded)| {
            let (asked, recorded) = (asked.as_deref()?, recorded.as_deref()?);
            (asked != recorded).then_some((differs, asked, recorded))
        })
    }

    /// Refuses a call that belongs to another transaction than the one on record.
    pub(crate) fn check(&self, recorded: &Self, gid: &str, branch: &str, op: Op) -> Result<(), Conflict> {
        let Some((differs, asked, recorded)) = self.differs_from(recorded) else { return Ok(()) };
        let (gid, branch) = (gid.to_owned(), branch.to_owned());
        let (asked, recorded) = (asked.to_owned(), recorded.to_owned());
        Err(Conflict { gid, branch, op, differs, asked, recorded })
    }

    /// Whether it has a part that the record does not have.
    pub(crate) fn adds_to(&self, recorded: &Self) -> bool {
        (self.journal.is_some() && recorded.journal.is_none())
            || (self.payload_digest.is_some() && recorded.payload_digest.is_none())
    }
}

#[cfg(test)]
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod tests {
    use super::*;

    fn origin(journal: Option<&str>, payload: Option<&str>) -> Origin {
        Origin { journal: journal.map(str::to_owned), payload_digest: payload.map(str::to_owned) }
    }

    #[test]
    fn what_is_not_known_does_not_differ() {
        let check = |asked: &Origin, recorded: &Origin| {
            asked.check(recorded, "g", "b", Op::Action).map_err(|conflict| conflict.differs)
        };
        let full = origin(Some("one"), Some("x"));
        for other in [origin(None, None), origin(Some("one"), None), origin(None, Some("x")), full.clone()] {
            assert_eq!(check(&full, &other), Ok(()));
            assert_eq!(check(&other, &full), Ok(()));
        }
        assert_eq!(check(&full, &origin(Some("two"), None)), Err(Differs::Journal));
        assert_eq!(check(&full, &origin(Some("two"), Some("y"))), Err(Differs::Journal));
        assert_eq!(check(&full, &origin(None, Some("y"))), Err(Differs::Payload));
        assert!(full.adds_to(&origin(Some("one"), None)) && !origin(Some("one"), None).adds_to(&full));
    }

    #[test]
    fn a_conflict_names_both_sides() {
        let conflict = origin(Some("two"), None).check(&origin(Some("one"), None), "g-1", "stock", Op::Try);
        let words = "try of g-1/stock comes from journal two, and on record here it is from journal one: \
                     they are two transactions with one gid";
        assert_eq!(conflict.unwrap_err().to_string(), words);
    }
}
