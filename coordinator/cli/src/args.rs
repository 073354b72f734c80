//! What can be typed, and the help. Nothing is done here.

mod check;
mod tx;
mod words;
mod xa;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use trine_protocol::duration::HumanDuration;

use words::{parse_duration, parse_path};

pub(crate) use check::Check;
pub(crate) use tx::{Abort, Force, List, Replay, Tx, TxCommand};
pub(crate) use xa::{Xa, XaCommand, XaDatabase};

/// Where a coordinator of this machine is by default.
pub(crate) const URL_DEFAULT: &str = "http://127.0.0.1:36789";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  what was asked about is in a bad state: the watched transaction was rolled back, something was not
     replayed, the tour's check failed, a store is damaged, the server could not start
  2  the command line or the configuration cannot be used
  3  the coordinator cannot be reached, or cannot answer now: try again;
     check: the store cannot be opened
  4  the coordinator refused: the error names its code, title, detail and field
  5  the coordinator knows no such transaction, branch or participant
  6  serve: another process runs under this coordinator's name

All times are UTC. NO_COLOR=1 switches colours off.";

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
    #[command(after_help = tx::EXAMPLES)]
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    pub(super) fn parse(line: &str) -> Result<Command, ErrorKind> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command).map_err(|error| error.kind())
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
    fn where_the_coordinator_is_may_stand_anywhere() {
        for line in ["trine tx --url http://h:1 --json show g", "trine tx show g --json --url http://h:1"] {
            let Command::Tx(tx) = parse(line).unwrap() else { panic!("{line}") };
            assert_eq!((tx.remote.url.as_str(), tx.remote.json), ("http://h:1", true));
        }
        assert!(matches!(parse("trine participants --json"), Ok(Command::Participants(_))));
        assert!(matches!(parse("trine participants remove inventory --json"), Ok(Command::Participants(_))));
    }

    #[cfg(not(feature = "demo"))]
    #[test]
    fn without_the_demo_there_is_no_dev() {
        assert_eq!(parse("trine dev").unwrap_err(), ErrorKind::InvalidSubcommand);
    }
}
