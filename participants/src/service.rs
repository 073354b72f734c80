//! Starts, runs and stops a service. Both services share this code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use trine_sdk::barrier::CleanerHandle;
use trine_sdk::{Client, Registration, RegistrationHandle};

use crate::config::Config;
use crate::database::AnyDatabase;
use crate::error::{ApiError, StartError};
use crate::faults::{FaultSwitch, misbehave};

/// How long a service that stops waits for calls under way.
const DRAIN: Duration = Duration::from_secs(3);

/// Defines the `Service` of a module that has `ops::router` and `api::router`. `tables` is the trait of the databases that can
/// keep the service's tables; `migration` names the tables in `migrations/participants/<name>/<database>/0001_<migration>.sql`.
macro_rules! service {
    ($(#[$doc:meta])* name: $name:literal, migration: $migration:literal, tables: $tables:path,) => {
        use $crate::config::{Config, Location};
        use $crate::database::Database;
        use $crate::error::StartError;
        use $crate::service::{Parts, Running, migration, start};

        $(#[$doc])*
        #[derive(Debug)]
        pub struct Service;

        impl Service {
            /// The name under which the service registers.
            pub const NAME: &'static str = $name;

            /// Starts the service.
            ///
            /// # Errors
            /// [`StartError`]: the database, the address or a coordinator's URL cannot be used.
            pub async fn start(config: Config) -> Result<Running, StartError> {
                let parts = match &config.db {
                    Location::Sqlite(path) => {
                        let steps = migration!($name, "sqlite", $migration);
                        Database::sqlite(path, config.synchronous, steps).await.map(parts)
                    }
                    Location::Postgres(url) => {
                        Database::postgres(url, migration!($name, "postgres", $migration)).await.map(parts)
                    }
                    Location::MySql(url) => {
                        Database::mysql(url, migration!($name, "mysql", $migration)).await.map(parts)
                    }
                };
                let parts = parts.map_err(|reason| StartError::Database {
                    location: config.db.clone(),
                    reason: reason.to_string(),
                })?;
                start(parts, config).await
            }
        }

        fn parts<D: $tables>(database: Database<D>) -> Parts {
            Parts {
                name: Service::NAME,
                ops: ops::router(database.clone()),
                api: api::router(database.clone()),
                database: std::sync::Arc::new(database),
            }
        }
    };
}
pub(crate) use service;

/// The one migration of a service on one kind of database. (The path counts from the file that uses `service`.)
macro_rules! migration {
    ($name:literal, $database:literal, $migration:literal) => {
        &[(
            1,
            $migration,
            include_str!(concat!(
                "../../migrations/participants/",
                $name,
                "/",
                $database,
                "/0001_",
                $migration,
                ".sql"
            )),
        )]
    };
}
pub(crate) use migration;

/// The parts in which the two services differ.
pub(crate) struct Parts {
    /// The name under which the service registers.
    pub(crate) name: &'static str,
    pub(crate) database: Arc<dyn AnyDatabase>,
    /// The ops. Faults hit these routes.
    pub(crate) ops: Router,
    /// The endpoints for people. Faults do not hit these routes.
    pub(crate) api: Router,
}

/// A service that runs. Dropping it stops the service at once. [`Running::shutdown`] lets calls under way finish.
#[derive(Debug)]
#[must_use = "dropping it stops the service"]
pub struct Running {
    name: &'static str,
    addr: SocketAddr,
    faults: FaultSwitch,
    registration: Option<RegistrationHandle>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
    database: Arc<dyn AnyDatabase>,
    _cleaner: CleanerHandle,
}

impl Running {
    /// The name under which the service registers: `order` or `inventory`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The address that the service listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://<addr>`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The switch for the service's faults. `/faults` sets the same switch.
    pub fn faults(&self) -> &FaultSwitch {
        &self.faults
    }

    /// Waits until the service is registered. Returns at once if the service does not register.
    ///
    /// # Errors
    /// If the coordinator refuses the registration, with the coordinator's words.
    pub async fn registered(&self) -> Result<(), String> {
        match &self.registration {
            Some(registration) => registration.registered().await.map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Stops the service: deregisters it, waits up to three seconds for calls under way, and closes its database.
    pub async fn shutdown(mut self) {
        if let Some(registration) = self.registration.take() {
            registration.shutdown().await;
        }
        // Calls that hang on demand would never end by themselves.
        self.faults.clear();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if tokio::time::timeout(DRAIN, &mut self.server).await.is_err() {
            tracing::warn!(service = self.name, "stopped with calls under way");
            self.server.abort();
        }
        self.database.close().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) async fn start(parts: Parts, config: Config) -> Result<Running, StartError> {
    let Parts { name, database, ops, api } = parts;
    let listening =
        TcpListener::bind(config.http).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (addr, listener) = listening.map_err(|source| StartError::Listen { address: config.http, source })?;
    let faults = FaultSwitch::new(config.embedded);
    let router = ops
        .layer(from_fn_with_state(faults.clone(), misbehave))
        .merge(api)
        .merge(faults.router())
        .merge(Router::new().route("/health", get(health)).with_state((name, Arc::clone(&database))));
    let registration = register(name, addr, &config)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(serving.into_future());
    tracing::info!(service = name, %addr, db = %config.db, "listening");
    let _cleaner = database.start_cleaner();
    Ok(Running { name, addr, faults, registration, stop: Some(stop), server, database, _cleaner })
}

fn register(
    name: &str,
    addr: SocketAddr,
    config: &Config,
) -> Result<Option<RegistrationHandle>, trine_sdk::Error> {
    if config.register.is_empty() {
        return Ok(None);
    }
    let builder = config.register.iter().fold(Client::builder(), |builder, url| builder.coordinator(url));
    let base_url = config.advertise.clone().unwrap_or_else(|| format!("http://{addr}"));
    // Every op of both services runs in `Barrier::execute`.
    Ok(Some(Registration::new(builder.build()?, name, base_url).ttl(config.ttl).guarded().start()))
}

async fn health(
    State((name, database)): State<(&'static str, Arc<dyn AnyDatabase>)>,
) -> Result<Json<Value>, ApiError> {
    database.ping().await?;
    Ok(Json(json!({"service": name, "status": "ok"})))
}
