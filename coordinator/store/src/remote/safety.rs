//! The settings of a database server that safety depends on. A server with an unsafe setting is not used, unless the
//! operator has allowed that risk by name.
//!
//! The settings are read when a connection is made, because a standby that was promoted may be set up differently, and at
//! every heartbeat, because settings may change while a connection lasts.

use std::fmt;

/// A risk that can be allowed by name, in `store.allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// PostgreSQL: `fsync = off`.
    Fsync,
    /// PostgreSQL: `full_page_writes = off`.
    FullPageWrites,
    /// PostgreSQL: `synchronous_commit = off`.
    SynchronousCommit,
    /// MySQL: `innodb_flush_log_at_trx_commit` is not 1.
    FlushLog,
    /// MySQL: `innodb_doublewrite = OFF`.
    Doublewrite,
    /// MySQL: there is a binary log and `sync_binlog` is not 1.
    SyncBinlog,
    /// Galera: coordinators write to different nodes.
    GaleraMultiWriter,
}

impl Risk {
    pub const ALL: [Self; 7] = [
        Self::Fsync,
        Self::FullPageWrites,
        Self::SynchronousCommit,
        Self::FlushLog,
        Self::Doublewrite,
        Self::SyncBinlog,
        Self::GaleraMultiWriter,
    ];

    /// The name in `store.allow`: that of the setting, where there is one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::FullPageWrites => "full_page_writes",
            Self::SynchronousCommit => "synchronous_commit",
            Self::FlushLog => "innodb_flush_log_at_trx_commit",
            Self::Doublewrite => "innodb_doublewrite",
            Self::SyncBinlog => "sync_binlog",
            Self::GaleraMultiWriter => "galera_multi_writer",
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::Fsync | Self::SynchronousCommit => {
                "transactions that were answered may be lost when the database server crashes"
            }
            Self::FullPageWrites | Self::Doublewrite => "a crash of its machine may damage the database",
            Self::FlushLog | Self::SyncBinlog => {
                "transactions that were answered may be lost when the machine of the database server crashes"
            }
            Self::GaleraMultiWriter => {
                "reads may be older than what was answered, and writers undo each other's work all the time"
            }
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.as_str() == name)
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a store that answers is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Unfit {
    pub why: Why,
    /// For operators: which setting, and what to do.
    pub detail: String,
}

/// What is wrong with a store. Unlike [`Unfit::detail`], this may be told to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The server takes no writes: it is a standby, or was demoted.
    ReadOnly,
    /// What the server acknowledges may be lost.
    Unsafe,
    /// The database file is damaged where it had to be read.
    Damaged,
    Unusable,
}

/// The risks that the operator has allowed.
pub(super) type Allowed = std::collections::BTreeSet<Risk>;

/// What a server says of its settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inspection {
    /// Set if the server is a standby or read-only. Nothing allows writing to such a server.
    pub(super) read_only: Option<String>,
    /// Each with the setting as found.
    pub(super) risks: Vec<(Risk, String)>,
    /// The node of a Galera cluster.
    pub(super) node: Option<String>,
    /// Anything else that makes the server useless, such as a packet size that is too small. Nothing allows that.
    pub(super) unfit: Option<String>,
}

/// Whether a server may be used.
pub(super) fn judge(inspection: &Inspection, allowed: &Allowed) -> Result<(), Unfit> {
    // Before the risks: nothing allows these two, so an operator who allows a risk would meet them next.
    for (why, found) in [(Why::ReadOnly, &inspection.read_only), (Why::Unusable, &inspection.unfit)] {
        if let Some(detail) = found {
            return Err(Unfit { why, detail: detail.clone() });
        }
    }
    // All at once: told of one at a time, an operator would restart the coordinator for each of them.
    let refused: Vec<String> = inspection
        .risks
        .iter()
        .filter(|(risk, _)| !allowed.contains(risk))
        .map(|(risk, found)| refusal(*risk, found))
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Unfit { why: Why::Unsafe, detail: refused.join("; ") }) }
}

/// The sentence that refuses a risk.
pub(super) fn refusal(risk: Risk, found: &str) -> String {
    format!("{found}: {}; change it, or accept that with store.allow = \"{risk}\"", risk.consequence())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_risk_is_refused_by_name_until_it_is_allowed_by_that_name() {
        for risk in Risk::ALL {
            assert_eq!(Risk::parse(risk.as_str()), Some(risk));
            let found = Inspection { risks: vec![(risk, "x = off".into())], ..Inspection::default() };
            let refused = judge(&found, &Allowed::new()).unwrap_err();
            assert!(refused.detail.contains(&format!("store.allow = \"{risk}\"")), "{refused}");
            assert_eq!(judge(&found, &Allowed::from([risk])), Ok(()));
        }
    }

    #[test]
    fn nothing_allows_writing_to_a_standby() {
        let found = Inspection { read_only: Some("it is a standby".into()), ..Inspection::default() };
        let unfit = Unfit { why: Why::ReadOnly, detail: "it is a standby".into() };
        assert_eq!(judge(&found, &Risk::ALL.into_iter().collect()), Err(unfit));
    }
}
