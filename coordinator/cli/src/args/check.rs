//! What `trine check` takes.

use clap::Args;

use super::Sources;

pub(super) const HELP: &str = "\
Exit codes: 0 when all is well, 1 when something is damaged, 3 when the store cannot be opened.

It compares every record with its checksum, every journal with the rules, and index rows and labels with
the journals; of an SQLite file also what SQLite itself finds. Nothing is written, locked or migrated, so it
may run beside coordinators: what one of them changes meanwhile is read twice and not taken for damage.
While SQLite looks at its own file, the write-ahead log grows with what is written.

What to do about findings: docs/errors/TX0021.md.";

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Print the report as JSON instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
}
