//! The coordinator and the services of the tour, all in one process: starting them, registering the services, and stopping
//! them. Not here: the steps of the tour (`tour`).

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trine_participants::{Running, inventory, order};
use trine_sdk::Client;

use super::{HTTP_PORT, left_over, local};
use crate::args::URL_DEFAULT;
use crate::client::{ask, connect, install_crypto, text};
use crate::failure::Failure;
use crate::output;
use trine_clock::{self as clock, Stopwatch};
use trine_server::config::{Config, Flag, Sources};
use trine_server::server::Server;
use trine_server::telemetry;

const ORDER_PORT: u16 = 7001;
const INVENTORY_PORT: u16 = 7002;
const TTL: Duration = Duration::from_secs(15);
const LOG_VARIABLE: &str = "TRINE_LOG_FILTER";
/// The tour itself announces the failures that it causes, so the services log errors alone.
const LOG_DEFAULT: &str = "warn,trine_participants=error";

/// Everything that runs, and how to talk to it.
pub(super) struct Scene {
    server: Server,
    order: Running,
    inventory: Running,
    /// The coordinator.
    pub(super) client: Client,
    /// The order service, for people.
    pub(super) orders: Client,
    /// The inventory service, for people.
    pub(super) stock: Client,
    /// Part of every gid of this run.
    pub(super) run: String,
    /// The folder was made for this run, so the databases hold nothing but the tour.
    pub(super) fresh: bool,
    dir: Option<String>,
    /// Any port was asked for, so no port is taken.
    any: bool,
    /// The coordinator is not where the README says, and nobody asked for that.
    moved: bool,
}

impl Scene {
    /// Starts coordinator and services on the databases in `folder`. `any`: on any ports, not on those that the README names.
    pub(super) async fn set(
        folder: &Path,
        http: SocketAddr,
        any: bool,
        exit: bool,
        dir: Option<&Path>,
    ) -> Result<Self, Failure> {
        install_crypto();
        let store = format!("sqlite:{}", folder.join("coordinator.db").display());
        let config = config(&store, http)?;
        telemetry::init(&config.log_options()).map_err(Failure::usage)?;
        // Read before anything runs: what the last run left is what its journal says now.
        let left_over = left_over::read(&store).await?;
        let restarted = Stopwatch::start();
        let server = Server::start(config).await.map_err(|error| {
            Failure::bad(error).hint("another address with --http 127.0.0.1:0, another folder with --dir")
        })?;
        let url = format!("http://{}", server.addr());
        let service = |name: &str, port| {
            let mut config = trine_participants::Config::embedded(folder.join(format!("{name}.db")));
            config.register = vec![url.clone()];
            // After a kill -9 the old addresses are soon forgotten.
            config.ttl = TTL;
            config.http = local(port, any);
            config
        };
        let order = order::Service::start(service("order", ORDER_PORT)).await.map_err(Failure::bad)?;
        let inventory = inventory::Service::start(service("inventory", INVENTORY_PORT)).await;
        let inventory = inventory.map_err(Failure::bad)?;
        let scene = Self {
            client: connect(&url)?,
            orders: connect(&order.base_url())?,
            stock: connect(&inventory.base_url())?,
            run: run_name(clock::now().millis() / 1_000),
            fresh: exit && dir.is_none(),
            dir: dir.map(|dir| dir.display().to_string()),
            any,
            moved: http.port() == 0 && !any,
            server,
            order,
            inventory,
        };
        scene.introduce(folder).await?;
        left_over::follow(&scene.client, |command| scene.trine(command), &left_over, restarted).await?;
        Ok(scene)
    }

    /// Waits until both services are known, and says who is where.
    async fn introduce(&self, folder: &Path) -> Result<(), Failure> {
        for service in [&self.order, &self.inventory] {
            service
                .registered()
                .await
                .map_err(|error| Failure::bad(format!("{}: {error}", service.name())))?;
        }
        self.forget_former().await?;
        output::line(&format!(
            "coordinator        listening on {}   (browse {0}/docs){}",
            self.client.address(),
            if self.moved {
                format!("   ({HTTP_PORT} is taken: use this address in what you paste)")
            } else {
                String::new()
            }
        ))?;
        for (service, port) in [(&self.order, ORDER_PORT), (&self.inventory, INVENTORY_PORT)] {
            let moved = if self.any || service.addr().port() == port {
                String::new()
            } else {
                format!("   ({port} is taken)")
            };
            let name = format!("{} service", service.name());
            output::line(&format!("{name:<18} listening on {}{moved}", service.base_url()))?;
        }
        output::line(&format!("databases          {}", folder.display()))
    }

    /// Takes away registrations of a run that was killed: its addresses answer nobody any more.
    async fn forget_former(&self) -> Result<(), Failure> {
        let list = ask(&self.client, self.client.participants()).await?;
        for service in [&self.order, &self.inventory] {
            let instances = list.participants.iter().filter(|participant| participant.name == service.name());
            for instance in instances.flat_map(|participant| &participant.instances) {
                if instance.base_url.trim_end_matches('/') != service.base_url() {
                    let forget = self.client.forget_participant(service.name(), Some(&instance.base_url));
                    text(&self.client, forget).await?;
                }
            }
        }
        Ok(())
    }

    /// A `trine` command line that can be pasted.
    pub(super) fn trine(&self, command: &str) -> String {
        // Under cargo nothing is installed.
        let program = if std::env::var_os("CARGO").is_some() { "cargo run -q --" } else { "trine" };
        let url = match self.client.address() {
            URL_DEFAULT => String::new(),
            other if command.starts_with("tx") => format!(" --url {other}"),
            _ => format!(" --http {}", self.server.addr()),
        };
        let dir = match &self.dir {
            Some(dir) if command.starts_with("dev") => format!(" --dir '{dir}'"),
            _ => String::new(),
        };
        format!("{program} {command}{url}{dir}")
    }

    /// Cancelled, it lets [`Self::strike`] wait for no call any more.
    pub(super) fn hurry(&self) -> CancellationToken {
        self.server.hurry()
    }

    /// Stops everything: the services first, so that they can remove their registrations at the coordinator.
    pub(super) async fn strike(self) {
        let Self { server, order, inventory, .. } = self;
        tokio::join!(order.shutdown(), inventory.shutdown());
        server.stop().await;
    }
}

/// A file or a variable of a real coordinator must not change the tour; how much is logged is up to the reader.
fn config(store: &str, http: SocketAddr) -> Result<Config, Failure> {
    let filter = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| LOG_DEFAULT.to_owned());
    let flag = |flag, key, value: &str| Flag { flag, key, value: value.to_owned() };
    let flags = vec![
        flag("--dir", "store.url", store),
        flag("--http", "http.addr", &http.to_string()),
        flag("dev", "grpc.addr", "off"),
        flag(LOG_VARIABLE, "log.filter", &filter),
        flag("dev", "log.format", "pretty"),
    ];
    Config::load(&Sources { flags, ..Sources::default() }).map_err(Failure::usage)
}

/// Seconds since 1970 in letters and digits: short, and different from run to run.
fn run_name(mut seconds: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut name = Vec::new();
    while seconds > 0 {
        name.push(DIGITS[(seconds % 36) as usize]);
        seconds /= 36;
    }
    name.reverse();
    String::from_utf8_lossy(&name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_short_names_that_differ() {
        assert_eq!(run_name(1_790_000_000), "tlpwu8");
        assert_ne!(run_name(1_790_000_000), run_name(1_790_000_001));
    }
}
