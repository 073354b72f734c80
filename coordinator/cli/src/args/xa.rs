//! What can be typed after `trine xa`.

use clap::{Args, Subcommand};
use trine_protocol::duration::HumanDuration;

use super::Remote;

pub(super) const EXAMPLES: &str = "\
The coordinator (--url) must be one of those that drive these transactions: what it does not know is taken for
aborted. A transaction that was settled by force and deleted by retention is not known any more, either.

  trine xa list --db postgres://user:password@host/ledger
  trine xa resolve --db postgres://user:password@host/ledger            what would be done
  trine xa resolve --db postgres://user:password@host/ledger --apply    doing it";

#[derive(Debug, Clone, Args)]
pub(crate) struct Xa {
    #[command(subcommand)]
    pub(crate) command: XaCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum XaCommand {
    /// Prepared branches with their age, their transaction, and what would become of them
    List(XaDatabase),
    /// The same for orphans: committed or rolled back as their transaction was; rolled back if the coordinator does
    /// not know it (presumed abort). Changes nothing without --apply
    Resolve {
        #[command(flatten)]
        database: XaDatabase,
        /// Leave alone what was prepared more recently
        #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = HumanDuration::parse)]
        older_than: HumanDuration,
        /// Do it
        #[arg(long)]
        apply: bool,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct XaDatabase {
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// The participant's database, postgres://user:password@host/database or mysql://..
    #[arg(long, value_name = "URL", env = "TRINE_XA_DB", hide_env_values = true)]
    pub(crate) db: String,
}
