//! The parts that both programs share: the options, the log, and stopping on a signal.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use crate::{Config, Location, Running, StartError, Synchronous};

/// The options of both services. Each can also be given as an environment variable.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:7001 (order), 127.0.0.1:7002 (inventory)]
    #[arg(long, env = "PARTICIPANT_HTTP", value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where the tables are: postgres://.., mysql://.., or an SQLite file, which is created when missing [default:
    /// trine-data/order.db, trine-data/inventory.db]
    #[arg(long, env = "PARTICIPANT_DB", value_name = "URL or PATH", hide_env_values = true)]
    db: Option<Location>,
    /// Register with this coordinator; several are tried in turn
    #[arg(long, env = "PARTICIPANT_REGISTER", value_name = "URL", value_delimiter = ',')]
    register: Vec<String>,
    /// The base URL to register, when it is not http://ADDR
    #[arg(long, env = "PARTICIPANT_ADVERTISE", value_name = "URL")]
    advertise: Option<String>,
    /// Seconds a registration lasts without a heartbeat
    #[arg(long, env = "PARTICIPANT_TTL_SECS", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    ttl_secs: u64,
    /// How much commits wait for the disk; SQLite only
    #[arg(long, env = "PARTICIPANT_SYNCHRONOUS", value_enum, default_value_t = Synchronous::Full)]
    synchronous: Synchronous,
}

impl Flags {
    fn into_config(self, name: &str, port: u16) -> Config {
        Config {
            http: self.http.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            db: self.db.unwrap_or_else(|| Location::Sqlite(format!("trine-data/{name}.db").into())),
            synchronous: self.synchronous,
            register: self.register,
            advertise: self.advertise,
            ttl: Duration::from_secs(self.ttl_secs),
            embedded: false,
        }
    }
}

/// Runs a service until SIGTERM or Ctrl-C. Prints `listening on http://<addr>` on standard output. The log goes to standard
/// error.
pub async fn run<F, R>(flags: Flags, name: &str, port: u16, start: F) -> ExitCode
where
    F: FnOnce(Config) -> R,
    R: Future<Output = Result<Running, StartError>>,
{
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let signals = match signals() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("error: cannot listen for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let running = match start(flags.into_config(name, port)).await {
        Ok(running) => running,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("listening on {}", running.base_url());
    signals.await;
    running.shutdown().await;
    ExitCode::SUCCESS
}

/// A future that ends when the process gets SIGTERM or SIGINT.
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
