//! `trine serve`: reads the configuration, starts the server, says where it listens, and stops it when told. Not here: the parts
//! of the server (`trine_server::server`).

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args::{Serve, Sources};
use super::client::install_crypto;
use super::failure::Failure;
use super::output;
use trine_server::config::{self, Config, Flag, Problem};
use trine_server::server::{Server, StartError};
use trine_server::telemetry;

/// What shells report for a program that ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Runs a coordinator until a signal says stop.
pub(crate) async fn run(args: Serve) -> Result<(), Failure> {
    let config = load(&args)?;
    telemetry::init(&config.log_options()).map_err(Failure::usage)?;
    install_crypto();
    // Listened for before anything starts: a signal during a long start is not lost.
    let signals = Signals::listen()?;
    let server = Server::start(config).await.map_err(|error| match &error {
        StartError::Store(error) => Failure::store(error),
        _ => Failure::bad(error),
    })?;
    let mut lines = format!("listening on http://{}", server.addr());
    if let Some(addr) = server.grpc_addr() {
        lines.push_str(&format!("\nlistening for gRPC on {addr}"));
    }
    // Beside the work: whoever holds the other end may read nothing.
    drop(tokio::task::spawn_blocking(move || {
        if output::line(&lines).is_err() {
            tracing::debug!("nobody reads standard output");
        }
    }));
    let superseded = tokio::select! {
        name = signals.stop(server.hurry()) => {
            tracing::info!(
                signal = name,
                "stopping; a second signal waits for no call any more, and a third one exits at once"
            );
            false
        }
        () = server.superseded() => true,
    };
    server.stop().await;
    if superseded {
        let failure = Failure::name_taken("another process has started under this coordinator's name");
        return Err(failure.hint("give each coordinator a --name of its own"));
    }
    Ok(())
}

/// The effective configuration: file, environment, flags.
pub(crate) fn load(args: &Serve) -> Result<Config, Failure> {
    let Sources { config, store } = &args.sources;
    let given = [
        ("--store", "store.url", store),
        ("--http", "http.addr", &args.http),
        ("--grpc", "grpc.addr", &args.grpc),
        ("--name", "name", &args.name),
    ];
    let flags = given.into_iter().filter_map(|(flag, key, value)| {
        value.as_ref().map(|value| Flag { flag, key, value: value.clone() })
    });
    let sources = config::Sources::read(config.as_deref(), flags.collect());
    sources.and_then(|sources| Config::load(&sources)).map_err(|error| {
        let unreadable = error.problems().iter().all(|problem| matches!(problem, Problem::File { .. }));
        let failure = Failure::usage(error);
        if unreadable { failure } else { failure.hint("`trine config --reference` lists every key") }
    })
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::bad(format!("no signals: {error}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the first signal and returns its name. The second cancels `hurry`: answers that are known are still recorded,
    /// so that no attempt is made twice under one number. The third ends the process on the spot, which is as safe as a crash.
    pub(crate) async fn stop(mut self, hurry: CancellationToken) -> &'static str {
        let name = self.next().await;
        tokio::spawn(async move {
            let second = self.next().await;
            tracing::warn!(signal = second, "stopping at once; calls under way are recorded as unknown");
            hurry.cancel();
            self.next().await;
            std::process::exit(INTERRUPTED);
        });
        name
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
