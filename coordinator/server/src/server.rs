//! The composition root: builds every part from the configuration, and starts and stops them in order.
//!
//! The only module that knows every part. The parts make the decisions.

mod listeners;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::Observed;
use crate::config::Config;
use crate::jobs::{self, Jobs};
use crate::metrics::Metrics;
use crate::ownership::Liveness;
use crate::registrar::Registrar;
use crate::runtime::Lanes;
use crate::{api, callers, http, ownership, recovery};
use listeners::Listeners;
use trine_clock::Clock;
use trine_dispatch::{self as dispatch, Directory, Dispatcher};
use trine_store::{self as store, OpenError, Store};

/// How long `/readyz` waits for the store.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer than `http.drain_timeout` a stop may take, even if the store does not answer.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Longest time for a stop after the second SIGTERM.
const STOP_WITHIN_HURRIED: Duration = Duration::from_secs(4);
/// After the second SIGTERM: time for the last answers to be sent.
const ANSWER_WITHIN_HURRIED: Duration = Duration::from_millis(500);

/// The text of `/readyz` for a coordinator that is cut off.
const CUT_OFF: &str = "lapsed: others take over what this coordinator owns, because its heartbeats do not arrive or its \
     lanes cannot write; its log says why, and it goes on by itself when they can";

/// Why the server did not start. The text is for operators.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store does not answer.
    #[error("the store was opened but does not answer: {0}")]
    StoreSilent(#[from] store::StoreError),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {addr}: {error}; another program, perhaps another coordinator, listens there, or the port is \
         the local end of an outgoing connection (`ss -tan` shows both; docs/operating.md says how to reserve a port): \
         choose another address with {flag}"
    )]
    Listen {
        /// The flag of the address.
        flag: &'static str,
        addr: String,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// A job's schedule cannot be used.
    #[error("the jobs cannot be scheduled: {0}")]
    Jobs(#[from] tokio_cron_scheduler::JobSchedulerError),
}

#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    grpc_addr: Option<SocketAddr>,
    health_addr: Option<SocketAddr>,
    store: Arc<dyn Store>,
    liveness: Arc<Liveness>,
    lanes: Lanes,
    jobs: Jobs,
    drain: Duration,
    shutdown: CancellationToken,
    /// Cancelled when all lanes have ended.
    at_rest: CancellationToken,
    listening: Vec<JoinHandle<()>>,
    recovering: JoinHandle<()>,
    pulse: JoinHandle<()>,
}

impl Server {
    /// Opens the store, starts the lanes and recovery, and listens. Prints nothing.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_by(config, Clock::system()).await
    }

    /// The same with another clock.
    pub async fn start_by(config: Config, clock: Clock) -> Result<Self, StartError> {
        let options = config.store_options();
        let (store, listeners) = open_and_bind(&config, &options).await?;
        let (addr, grpc_addr) = (listeners.http.1, listeners.grpc.as_ref().map(|(_, addr)| *addr));
        let health_addr = listeners.health.as_ref().map(|(_, addr)| *addr);
        let share = listeners.share(&config);
        let liveness = Arc::new(Liveness::new(options.lapse_after_ms));

        let metrics = Metrics::new();
        let directory = Arc::new(Directory::new());
        let (connections_max, lookups_max) = (share.outgoing_max, share.lookups_max);
        let calls = dispatch::Options { connections_max, lookups_max, ..config.dispatch_options() };
        let dispatcher = Dispatcher::new(calls, Arc::clone(&directory), store.journal_id());
        let caller = callers::chain(dispatcher, metrics.clone(), Arc::clone(&liveness));
        let lanes = Lanes::start(&store, &caller, &metrics, &clock, config.runtime_options());
        let context = jobs::Context {
            store: Arc::clone(&store),
            handle: lanes.handle().clone(),
            liveness: Arc::clone(&liveness),
            directory,
            metrics,
            clock,
            retention_ms: config.retention_ms(),
        };
        // Before the first call and the first deadline: calls to names need the directory, and deadlines need the comparison of
        // the clocks, which the first heartbeat makes.
        jobs::refresh_directory(context.clone()).await;
        jobs::heartbeat(context.clone()).await;
        let shutdown = CancellationToken::new();
        let recovering = tokio::spawn(recover(context.clone(), shutdown.clone()));
        let at_rest = CancellationToken::new();
        let stops = (shutdown.clone(), at_rest.clone());
        let pulse = tokio::spawn(pulse(config.heartbeat_every(), context.clone(), stops));
        let jobs = Jobs::start(&config.schedules(), &context).await?;
        let listening = listeners.serve(&config, share, &context, &shutdown);
        let journal = store.journal_id();
        tracing::info!(
            %addr,
            grpc = grpc_addr.map(tracing::field::display),
            health = health_addr.map(tracing::field::display),
            name = options.owner,
            %journal,
            "listening"
        );
        Ok(Self {
            addr,
            grpc_addr,
            health_addr,
            store,
            liveness,
            lanes,
            jobs,
            drain: Duration::from_millis(config.http.drain_timeout.millis()),
            shutdown,
            at_rest,
            listening,
            recovering,
            pulse,
        })
    }

    /// The address of the HTTP listener, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the gRPC listener, if there is one.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc_addr
    }

    /// The address of the listener for health alone, if there is one.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health_addr
    }

    /// Resolves when another process has taken this coordinator's name. Then this process must stop.
    pub async fn superseded(&self) {
        self.liveness.superseded().await;
    }

    /// Cancel this to make a stop wait for no call and no client any more.
    pub fn hurry(&self) -> CancellationToken {
        self.lanes.hurry().clone()
    }

    /// Stops the coordinator: accepts no more requests, writes what was accepted, answers waiting clients, waits for calls under
    /// way, and closes the store. Owed calls are dropped: the next owner makes them. Ends at the latest a few seconds after
    /// `http.drain_timeout`, even if the store does not answer.
    pub async fn stop(self) {
        let (hurry, longest) = (self.hurry(), self.drain.saturating_add(STOP_WITHIN));
        let too_long = async {
            tokio::select! {
                () = tokio::time::sleep(longest) => {}
                () = after(&hurry, STOP_WITHIN_HURRIED) => {}
            }
        };
        tokio::select! {
            () = self.stop_in_order() => tracing::info!("stopped"),
            () = too_long => tracing::error!(
                "the store or a client delayed the stop for too long; the process ends now. The other coordinators notice \
                 the missing heartbeat"
            ),
        }
    }

    async fn stop_in_order(self) {
        tracing::info!("stopping");
        self.shutdown.cancel();
        self.jobs.stop().await;
        let hurry = self.lanes.hurry().clone();
        // Heartbeats go on until the lanes have ended. Otherwise another coordinator would adopt, and repeat the calls for
        // which the lanes still wait.
        self.lanes.stop().await;
        self.at_rest.cancel();
        // The lanes have ended, so all requests have their answers.
        let tasks = async {
            for task in [self.recovering, self.pulse].into_iter().chain(self.listening) {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a task ended with an error");
                }
            }
        };
        tokio::select! {
            () = tasks => {}
            () = after(&hurry, ANSWER_WITHIN_HURRIED) => {}
        }
        take_leave(&*self.store).await;
    }
}

/// Opens the store first and then the ports, so that an error of the store is reported before an error of a port.
async fn open_and_bind(
    config: &Config,
    options: &store::Options,
) -> Result<(Arc<dyn Store>, Listeners), StartError> {
    let store = store::open(options).await?;
    let bound = async {
        store.heartbeat().await?;
        Listeners::bind(config).await
    };
    match bound.await {
        Ok(listeners) => Ok((store, listeners)),
        Err(error) => {
            // The store knows this coordinator by now. Sign off, so that the others need not wait for its lapse.
            take_leave(&*store).await;
            Err(error)
        }
    }
}

/// Signs off, so that the others adopt at once, and closes the store.
async fn take_leave(store: &dyn Store) {
    if let Err(error) = store.leave().await {
        tracing::debug!(%error, "the others will notice by the missing heartbeat");
    }
    if let Err(error) = store.close().await {
        tracing::warn!(%error, "the store did not close cleanly; the next start recovers it");
    }
}

/// Resolves `wait` after `token` was cancelled.
async fn after(token: &CancellationToken, wait: Duration) {
    token.cancelled().await;
    tokio::time::sleep(wait).await;
}

/// The OpenAPI document of all routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::openapi()
}

/// Runs heartbeats, adoption and the other periodic work in separate loops, so that none waits for another's store call. A
/// stopping coordinator adopts nothing any more, but sends heartbeats until its lanes have ended.
async fn pulse(
    period: Duration,
    context: jobs::Context,
    (shutdown, at_rest): (CancellationToken, CancellationToken),
) {
    let beats = ownership::every(period, at_rest.clone(), || jobs::heartbeat(context.clone()));
    let looks = ownership::every(period, shutdown.clone(), || jobs::look_around(context.clone()));
    let fit = ownership::every(period, shutdown.clone(), || jobs::keep_fit(context.clone()));
    let watch = ownership::every(store::WATCH_EVERY, shutdown, || jobs::watch(context.clone()));
    let metrics = context.metrics.clone();
    let clock = context.clock.clone().watch_over(move |by_ms| metrics.clock_set(by_ms), at_rest);
    futures_util::future::join5(beats, looks, watch, fit, clock).await;
}

async fn recover(context: jobs::Context, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        _ = recovery::recover(&*context.store, &context.handle, &context.metrics) => {}
    }
}

fn router(config: &Config, context: &jobs::Context, shutdown: &CancellationToken, health: Router) -> Router {
    let state = Arc::new(api::ApiState {
        handle: context.handle.clone(),
        queries: context.store.clone(),
        registrar: Registrar::start(
            context.store.clone(),
            Arc::clone(&context.directory),
            config.dispatch.instances_max,
        ),
        registry: context.store.clone(),
        membership: context.store.clone(),
        directory: Arc::clone(&context.directory),
        limits: api::Limits { body_bytes_max: config.http.body_bytes_max, ..api::Limits::default() },
        shutdown: shutdown.clone(),
    });
    let (native, admin) = (api::router(state.clone()), api::admin_router(state));
    let dialect = api::dtm::router(front(config, context));
    let counted = Observed { metrics: context.metrics.clone(), counts_refusals: true, journal: None };
    let journal = HeaderValue::from_str(context.store.journal_id().as_str()).ok();
    let named = Observed { journal, ..counted.clone() };
    // The last layer of a router sees a request first. Authentication will be such a layer, one for each router. A
    // `route_layer` does not see requests for unknown paths.
    api::compose([
        named.clone().around(native),
        counted.around(admin),
        named.around(dialect),
        health,
        api::docs_router(),
    ])
}

/// The router for health, with metrics.
fn health_router(context: &jobs::Context, shutdown: &CancellationToken, budget: &http::Budget) -> Router {
    let (metrics, budget) = (context.metrics.clone(), budget.clone());
    let damaged = context.handle.damaged().clone();
    let (handle, liveness) = (context.handle.clone(), Arc::clone(&context.liveness));
    let (vitals, store) = (Arc::clone(context.handle.vitals()), Arc::clone(&context.store));
    let health = api::health::Health {
        store: context.store.clone(),
        prove: Arc::new(move || vitals.prove(&store)),
        ready_timeout: READY_TIMEOUT,
        why_not_ready: Arc::new(move || {
            let cut_off = liveness.is_cut_off().then(|| CUT_OFF.to_owned());
            handle.why_not_ready().or(cut_off)
        }),
        damaged: Arc::new(move || damaged.len()),
        metrics: Arc::new(move || {
            metrics.bodies(budget.used_bytes(), budget.refused());
            metrics.render()
        }),
        shutdown: shutdown.clone(),
    };
    let observed = Observed { metrics: context.metrics.clone(), counts_refusals: false, journal: None };
    observed.around(api::health::router(health))
}

fn grpc_router(config: &Config, context: &jobs::Context) -> Router {
    let observed = Observed { metrics: context.metrics.clone(), counts_refusals: true, journal: None };
    observed.around(api::dtm::grpc_router(front(config, context)))
}

fn front(config: &Config, context: &jobs::Context) -> api::dtm::Front {
    let metrics = context.metrics.clone();
    api::dtm::Front::new(
        context.handle.clone(),
        context.store.clone(),
        api::Limits::default().store_timeout,
        config.http.body_bytes_max,
        Arc::new(move || metrics.render()),
    )
}
