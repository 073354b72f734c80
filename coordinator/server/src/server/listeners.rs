//! The listening sockets of a coordinator with their routers: HTTP, gRPC, and health alone.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{StartError, grpc_router, health_router, router};
use crate::config::Config;
use crate::descriptors::{self, Share};
use crate::http::{self, Budget, Routers, Wire};
use crate::{api, jobs};

type Bound = (TcpListener, SocketAddr);

/// All listening sockets. Nothing is accepted before [`Listeners::serve`].
pub(super) struct Listeners {
    pub(super) http: Bound,
    pub(super) grpc: Option<Bound>,
    pub(super) health: Option<Bound>,
}

impl Listeners {
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let http = listen("--http", &config.http.addr).await?;
        let grpc = match config.grpc.listens() {
            Some(addr) => Some(listen("--grpc (or none with `off`)", addr).await?),
            None => None,
        };
        let health = match config.http.health_listens() {
            Some(addr) => Some(listen("TRINE_HTTP_HEALTH_ADDR (or none with `off`)", addr).await?),
            None => None,
        };
        Ok(Self { http, grpc, health })
    }

    /// The limits of connections and calls: the configured ones, reduced to the available file descriptors.
    pub(super) fn share(&self, config: &Config) -> Share {
        let limit = descriptors::raise();
        let calls = config.dispatch_options();
        let wanted = Share {
            connections_max: config.http.connections_max,
            reserved_max: http::RESERVED_MAX,
            outgoing_max: calls.connections_max,
            lookups_max: calls.lookups_max,
        };
        let listening = descriptors::Listening {
            listeners: 1 + usize::from(self.grpc.is_some()),
            with_seats: 1 + usize::from(self.health.is_some()),
        };
        let share = descriptors::share(limit.raised, wanted, listening);
        say(limit, wanted, share);
        share
    }

    /// Serves each socket in a task of its own, until `shutdown` is cancelled and its requests have ended.
    pub(super) fn serve(
        self,
        config: &Config,
        share: Share,
        context: &jobs::Context,
        shutdown: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let Share { connections_max, reserved_max, .. } = share;
        let options = http::Options { connections_max, reserved_max, ..config.http_options() };
        let budget = Budget::new(config.http.bodies_bytes_max);
        let health = health_router(context, shutdown, &budget);
        let seats = |health| api::health::with_seats(health, options.reserved_max);
        let reserved = api::reserved(seats(health.clone()), context.metrics.clone());
        let start = |(listener, _): Bound, all, reserved, options| {
            let routers = Routers { all, reserved };
            tokio::spawn(http::serve(listener, routers, options, budget.clone(), shutdown.clone()))
        };
        let routed = router(config, context, shutdown, health.clone());
        let mut listening = vec![start(self.http, routed, Some(reserved), options)];
        if let Some(bound) = self.grpc {
            let options = http::Options { wire: Wire::Http2, ..options };
            listening.push(start(bound, grpc_router(config, context), None, options));
        }
        if let Some(bound) = self.health {
            // No ordinary connections, only seats: a connection that sends no request gives way to another one.
            let options = http::Options { connections_max: 0, ..options };
            let health = api::compose([seats(health)]);
            listening.push(start(bound, health.clone(), Some(health), options));
        }
        listening
    }
}

async fn listen(flag: &'static str, addr: &str) -> Result<Bound, StartError> {
    let failed = |error| StartError::Listen { flag, addr: addr.to_owned(), error };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

fn say(limit: descriptors::Limit, wanted: Share, share: Share) {
    let (was, descriptors) = (limit.found, limit.raised);
    let Share { connections_max, reserved_max, outgoing_max, lookups_max } = share;
    if connections_max < wanted.connections_max {
        tracing::warn!(
            descriptors,
            was,
            connections_max,
            configured = wanted.connections_max,
            reserved_max,
            outgoing_max,
            lookups_max,
            "the limit of file descriptors (ulimit -n) is low: fewer connections are taken on each listener"
        );
    } else {
        tracing::info!(
            descriptors,
            was,
            connections_max,
            reserved_max,
            outgoing_max,
            lookups_max,
            "file descriptors"
        );
    }
}
