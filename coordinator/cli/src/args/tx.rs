//! What can be typed after `trine tx`.

use clap::{Args, Subcommand};
use trine_protocol::v1::ForceOutcome;
use trine_protocol::{BranchId, Gid, Pattern, Status};

use super::Remote;
use super::words::{When, outcome_parser, parse_label, parse_when, pattern_parser, status_parser};

pub(super) const EXAMPLES: &str = "\
At 3 a.m.:
  trine tx list --parked                     what needs a person, newest first
  trine tx show GID                          where it stands, and what happens next
  trine tx history GID                       every attempt, with its error
  trine tx replay GID                        the cause is fixed: go on
  trine tx replay --all-parked --host inventory
                                             the same for all; first read: trine tx list --parked --all
  trine tx abort GID --reason \"ticket 4711\"  not decided yet: undo what ran
  trine tx force GID --outcome rolled-back --reason \"settled by hand, ticket 4711\"";

#[derive(Debug, Clone, Args)]
pub(crate) struct Tx {
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(subcommand)]
    pub(crate) command: TxCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TxCommand {
    /// List transactions, newest first
    List(List),
    /// One transaction: its branches, what happens next and when
    Show(One),
    /// Every event of a transaction, with every attempt
    History(One),
    /// Print events as they happen until the transaction is settled (exit code 1 when rolled back)
    Watch(One),
    /// Set parked transactions going again
    Replay(Replay),
    /// Roll a transaction back that is not decided yet
    Abort(Abort),
    /// Settle a transaction by an operator's word; no participant is called any more
    Force(Force),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct One {
    /// The gid of the transaction
    pub(crate) gid: Gid,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// Only these statuses (repeat it, or separate by commas)
    #[arg(long, value_delimiter = ',', value_parser = status_parser())]
    pub(crate) status: Vec<Status>,
    /// Only this pattern
    #[arg(long, value_parser = pattern_parser())]
    pub(crate) pattern: Option<Pattern>,
    /// Only what needs a person (`--parked=false`: only what does not)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) parked: Option<bool>,
    /// Only with this label
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) label: Option<String>,
    /// Only with a branch at this host[:port] or participant
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Only created since then: 1h (ago) or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) since: Option<When>,
    /// Only created before then
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) until: Option<When>,
    /// Rows per page
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Start where a page ended
    #[arg(long, conflicts_with = "all")]
    pub(crate) cursor: Option<String>,
    /// All pages
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Replay {
    /// The gid of the transaction
    #[arg(required_unless_present = "all_parked", conflicts_with = "all_parked")]
    pub(crate) gid: Option<Gid>,
    /// Only this branch
    #[arg(long, conflicts_with = "all_parked")]
    pub(crate) branch: Option<BranchId>,
    /// Every parked transaction that matches the filters below
    #[arg(long)]
    pub(crate) all_parked: bool,
    /// Only this pattern
    #[arg(long, conflicts_with = "gid", value_parser = pattern_parser())]
    pub(crate) pattern: Option<Pattern>,
    /// Only this status
    #[arg(long, conflicts_with = "gid", value_parser = status_parser())]
    pub(crate) status: Option<Status>,
    /// Only with a branch at this host[:port] or participant
    #[arg(long, conflicts_with = "gid", value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Only with this label
    #[arg(long, conflicts_with = "gid", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) label: Option<String>,
    /// At most this many
    #[arg(long, conflicts_with = "gid", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Abort {
    /// The gid of the transaction
    pub(crate) gid: Gid,
    /// The reason; recorded, and shown with the transaction
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Force {
    /// The gid of the transaction
    pub(crate) gid: Gid,
    /// The outcome that is recorded for the transaction. After a decision only the decided one is accepted
    #[arg(long, value_parser = outcome_parser())]
    pub(crate) outcome: ForceOutcome,
    /// Why; recorded and shown until retention deletes the transaction
    #[arg(long)]
    pub(crate) reason: String,
    /// Name of the person who decides this; recorded in the history
    #[arg(long, value_name = "NAME", env = "USER")]
    pub(crate) by: Option<String>,
    /// Do not ask for a confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use trine_protocol::Timestamp;

    use super::super::tests::parse;
    use super::super::{Command, List};
    use super::*;

    fn list(line: &str) -> List {
        match parse(line).unwrap() {
            Command::Tx(Tx { command: TxCommand::List(list), .. }) => list,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn statuses_may_be_repeated_separated_and_written_either_way() {
        let list =
            list("trine tx list --status running,rolling-back --status rolled_back --pattern two-phase");
        assert_eq!(list.status, [Status::Running, Status::RollingBack, Status::RolledBack]);
        assert_eq!(list.pattern, Some(Pattern::TwoPhase));
        assert_eq!(parse("trine tx list --status stuck").unwrap_err(), ErrorKind::InvalidValue);
    }

    #[test]
    fn parked_alone_means_parked() {
        assert_eq!(list("trine tx list --parked").parked, Some(true));
        assert_eq!(list("trine tx list --parked=false").parked, Some(false));
        assert_eq!(list("trine tx list").parked, None);
    }

    #[test]
    fn since_is_how_long_ago_or_when() {
        let now = Timestamp::from_millis(7_200_000);
        let since = |text: &str| list(&format!("trine tx list --since {text}")).since.unwrap().resolve(now);
        assert_eq!(since("1h"), Timestamp::from_millis(3_600_000));
        assert_eq!(since("9h"), Timestamp::from_millis(0));
        assert_eq!(since("1970-01-01T00:00:01Z"), Timestamp::from_millis(1_000));
        assert_eq!(parse("trine tx list --since noon").unwrap_err(), ErrorKind::ValueValidation);
    }

    #[test]
    fn replay_takes_one_gid_or_all_parked() {
        assert_eq!(parse("trine tx replay").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("trine tx replay g --all-parked").unwrap_err(), ErrorKind::ArgumentConflict);
        assert_eq!(parse("trine tx replay g --host h").unwrap_err(), ErrorKind::ArgumentConflict);
        assert_eq!(
            parse("trine tx replay --all-parked --branch b").unwrap_err(),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(parse("trine tx replay --host h").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert!(parse("trine tx replay --all-parked --host inventory --label a=b").is_ok());
    }

    #[test]
    fn force_wants_an_outcome_and_a_reason() {
        assert_eq!(parse("trine tx force g").unwrap_err(), ErrorKind::MissingRequiredArgument);
        let line = "trine tx force g --outcome rolled-back --reason x --by me --yes";
        let Command::Tx(Tx { command: TxCommand::Force(force), .. }) = parse(line).unwrap() else { panic!() };
        assert_eq!((force.outcome, force.by.as_deref()), (ForceOutcome::RolledBack, Some("me")));
    }

    #[test]
    fn a_gid_outside_the_grammar_never_reaches_a_url() {
        assert_eq!(parse("trine tx show a/b").unwrap_err(), ErrorKind::ValueValidation);
    }
}
