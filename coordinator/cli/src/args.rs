//! What can be typed, and the help. Nothing is done here.

mod check;
mod xa;

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use trine_protocol::duration::HumanDuration;
use trine_protocol::v1::ForceOutcome;
use trine_protocol::{BranchId, Gid, Pattern, Status, Timestamp};

pub(crate) use check::Check;
pub(crate) use xa::{Xa, XaCommand, XaDatabase};

/// Where a coordinator of this machine is by default.
pub(crate) const URL_DEFAULT: &str = "http://127.0.0.1:36789";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  what was asked about is in a bad state: the watched transaction was rolled back, something was not
     replayed, the tour's check failed, the server could not start
  2  the command line or the configuration cannot be used
  3  the coordinator cannot be reached, or cannot answer now: try again
  4  the coordinator refused: the error names its code, title, detail and field
  5  the coordinator knows no such transaction, branch or participant
  6  serve: another process runs under this coordinator's name

All times are UTC. NO_COLOR=1 switches colours off.";

const TX_EXAMPLES: &str = "\
At 3 a.m.:
  trine tx list --parked                     what needs a person, newest first
  trine tx show GID                          where it stands, and what happens next
  trine tx history GID                       every attempt, with its error
  trine tx replay GID                        the cause is fixed: go on
  trine tx replay --all-parked --host inventory
  trine tx force GID --outcome rolled-back --reason \"settled by hand, ticket 4711\"";

const HEALTH_EXAMPLES: &str = "\
Examples:
  trine health                                             the process is alive
  trine health --path /readyz                              and its store takes writes
  trine health --url http://127.0.0.1:7001 --path /health  the order service";

/// Makes an operation that spans several services happen entirely or not at all.
#[derive(Debug, Parser)]
#[command(name = "trine", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a coordinator
    Serve(Serve),
    /// Guided tour: coordinator, order and inventory services in one process
    #[cfg(feature = "demo")]
    Dev(Dev),
    /// List, inspect and operate transactions
    #[command(after_help = TX_EXAMPLES)]
    Tx(Tx),
    /// Services that registered themselves, and where they are
    Participants(Participants),
    /// Coordinators that share the store: who is alive, and what each owns
    Coordinators(Remote),
    /// Branches that a participant's database has prepared (XA), and ending those left behind
    #[command(after_help = xa::EXAMPLES)]
    Xa(Xa),
    /// Ask whether a coordinator is well: exit code 0 when it is, another when it is not
    #[command(after_help = HEALTH_EXAMPLES)]
    Health(Health),
    /// Print the configuration that `serve` would use, secrets redacted
    Config(Config),
    /// Bring the store's schema up to date and exit; `serve` does the same at start
    Migrate(Sources),
    /// Read a whole store and report what is damaged in it; coordinators may go on meanwhile
    #[command(after_help = check::HELP)]
    Check(Check),
    /// Print the API's OpenAPI document
    Openapi,
}

/// Where the configuration comes from; each overrides the one before: file, environment (`TRINE_*`), flags.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Sources {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the journal is kept: sqlite:./trine-data/trine.db, postgres://user:password@host:5432/database,
    /// mysql://user:password@host:3306/database, or memory:. A password is better off in TRINE_STORE_URL
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Address to listen on for gRPC; `off` for none
    #[arg(long, value_name = "ADDR")]
    pub(crate) grpc: Option<String>,
    /// Name of this coordinator among those that share the store
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[cfg(feature = "demo")]
#[derive(Debug, Clone, Args)]
pub(crate) struct Dev {
    /// Run the tour, check that nothing was lost or invented, print the result and exit
    #[arg(long)]
    pub(crate) exit: bool,
    /// Where the databases are kept [default: ./trine-data/dev; with --exit a folder that is deleted afterwards]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:36789; with --exit any free port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<std::net::SocketAddr>,
}

/// Which coordinator to talk to, and in which form to print what it says.
#[derive(Debug, Clone, Args)]
pub(crate) struct Remote {
    /// The coordinator's address
    #[arg(
        long,
        value_name = "URL",
        env = "TRINE_URL",
        default_value = URL_DEFAULT,
        global = true
    )]
    pub(crate) url: String,
    /// Print the API's JSON instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// One question for a health check.
#[derive(Debug, Clone, Args)]
pub(crate) struct Health {
    /// Whom to ask
    #[arg(long, value_name = "URL", env = "TRINE_URL", default_value = URL_DEFAULT)]
    pub(crate) url: String,
    /// What to ask: /healthz (the process answers) or /readyz (its store takes writes, and it is not shutting down)
    #[arg(long, default_value = "/healthz", value_parser = parse_path)]
    pub(crate) path: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub(crate) timeout: HumanDuration,
}

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
    /// The transaction
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
    /// The transaction
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
    /// The transaction
    pub(crate) gid: Gid,
    /// Recorded and shown
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Force {
    /// The transaction
    pub(crate) gid: Gid,
    /// What it is recorded as
    #[arg(long, value_parser = outcome_parser())]
    pub(crate) outcome: ForceOutcome,
    /// Why; recorded for ever
    #[arg(long)]
    pub(crate) reason: String,
    /// Who; recorded
    #[arg(long, value_name = "NAME", env = "USER")]
    pub(crate) by: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = false)]
pub(crate) struct Participants {
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(subcommand)]
    pub(crate) command: Option<ParticipantsCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ParticipantsCommand {
    /// List participants and their instances (what `participants` alone does)
    List,
    /// Forget an instance, or all of a participant; one that still runs registers again
    Remove {
        /// The name that branches use
        name: String,
        /// Only the instance at this address
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) serve: Serve,
    /// Print every key with its default and meaning instead
    #[arg(long)]
    pub(crate) reference: bool,
}

/// A point in time as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// This many milliseconds before now.
    Ago(u64),
    /// Exactly then.
    At(Timestamp),
}

impl When {
    /// The point in time, seen from `now`.
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(millis) => Timestamp::from_millis(now.millis().saturating_sub(millis)),
            Self::At(at) => at,
        }
    }
}

fn parse_when(text: &str) -> Result<When, String> {
    if let Some(at) = Timestamp::parse_rfc3339(text) {
        return Ok(When::At(at));
    }
    let ago = HumanDuration::parse(text.strip_suffix(" ago").unwrap_or(text));
    ago.map(|ago| When::Ago(ago.millis()))
        .map_err(|_| "write how long ago (90s, 1h, 2days) or when (2026-01-31T12:00:00Z)".to_owned())
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("a path begins with /".to_owned()) }
}

fn parse_duration(text: &str) -> Result<HumanDuration, String> {
    HumanDuration::parse(text).map_err(|error| error.to_string())
}

fn parse_label(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Wire words with underscores, which people may also write with a dash.
fn words<T: Clone + Send + Sync + 'static>(
    words: impl IntoIterator<Item = &'static str>,
    parse: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    let values = words.into_iter().map(|word| match DASHED.iter().find(|(wire, _)| *wire == word) {
        Some((wire, dashed)) => PossibleValue::new(*dashed).alias(*wire),
        None => PossibleValue::new(word),
    });
    PossibleValuesParser::new(values).try_map(move |word| {
        parse(&word.replace('-', "_")).ok_or_else(|| format!("{word} is not one of the words"))
    })
}

const DASHED: [(&str, &str); 3] =
    [("rolling_back", "rolling-back"), ("rolled_back", "rolled-back"), ("two_phase", "two-phase")];

fn status_parser() -> impl TypedValueParser<Value = Status> {
    words(Status::ALL.map(Status::as_str), Status::parse)
}

fn pattern_parser() -> impl TypedValueParser<Value = Pattern> {
    words(Pattern::ALL.map(Pattern::as_str), Pattern::parse)
}

fn outcome_parser() -> impl TypedValueParser<Value = ForceOutcome> {
    words(["committed", "rolled_back"], |word| match word {
        "committed" => Some(ForceOutcome::Committed),
        "rolled_back" => Some(ForceOutcome::RolledBack),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Command, ErrorKind> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command).map_err(|error| error.kind())
    }

    fn list(line: &str) -> List {
        match parse(line).unwrap() {
            Command::Tx(Tx { command: TxCommand::List(list), .. }) => list,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_coordinator_is_looked_for_where_it_listens_by_default() {
        use trine_server::config::{Config, Sources};
        let config = Config::load(&Sources::default()).unwrap();
        assert_eq!(URL_DEFAULT, format!("http://{}", config.http.addr));
        #[cfg(feature = "demo")]
        assert!(URL_DEFAULT.ends_with(&format!(":{}", crate::dev::HTTP_PORT)));
    }

    #[test]
    fn help_documents_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        for code in ["  0  done", "  1  ", "  2  ", "  3  ", "  4  ", "  5  "] {
            assert!(help.contains(code), "{code:?} is missing:\n{help}");
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
    fn where_the_coordinator_is_may_stand_anywhere() {
        for line in ["trine tx --url http://h:1 --json show g", "trine tx show g --json --url http://h:1"] {
            let Command::Tx(tx) = parse(line).unwrap() else { panic!("{line}") };
            assert_eq!((tx.remote.url.as_str(), tx.remote.json), ("http://h:1", true));
        }
        assert!(matches!(parse("trine participants --json"), Ok(Command::Participants(_))));
        assert!(matches!(parse("trine participants remove inventory --json"), Ok(Command::Participants(_))));
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

    #[cfg(not(feature = "demo"))]
    #[test]
    fn without_the_demo_there_is_no_dev() {
        assert_eq!(parse("trine dev").unwrap_err(), ErrorKind::InvalidSubcommand);
    }
}
