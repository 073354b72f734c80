//! The journal in a database server: PostgreSQL, MySQL or MariaDB, shared by any number of coordinators.
//!
//! - `client`: one connection, with all that differs between the servers; implemented by `postgres` and by `mysql`;
//! - `texts`: the SQL that both servers share;
//! - `target`: the servers of a URL (`hosts`), and new connections to them; `connections`: connections that are kept,
//!   deadlines;
//! - `append`: one batch in one database transaction;
//! - `queries`, `tables`, `retention`, `key_values`, `inspector`: everything else;
//! - `safety`, `galera`, `sessions`: checks that the server, the cluster and the pooler are set up in a safe way.
//!
//! Each lane has a connection of its own. So have the reads of lanes, the reads of requests, lists, housekeeping and
//! heartbeats: none of them waits behind the traffic of another. All methods run their work in a task of its own.

mod append;
mod client;
mod connections;
mod galera;
mod hosts;
mod inspector;
mod key_values;
mod mysql;
mod postgres;
mod queries;
mod retention;
mod safety;
mod sessions;
mod sightings;
mod tables;
mod target;
#[cfg(test)]
mod tests;
mod texts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::MigrateError;
use trine_engine::Batch;
use trine_protocol::v1::{Coordinator, Page};
use trine_protocol::{Gid, JournalId, Timestamp};

use super::detach::detached;
use super::retention::Walk;
use super::watched::Watcher;
use super::{
    AppendError, Appended, Beat, Census, Cursor, Filter, Journal, Journals, Leap, Maintenance, Membership,
    OpenError, Options, Queries, Readable, ReadablePage, Registration, Registrations, Registry, Store,
    StoreError, StoreFuture,
};
use client::{Client, ClientError};
use connections::Connections;
use tables::Identity;
use target::{failed, target};

pub(crate) use client::driver_words;
pub(super) use hosts::check as check_url;
pub(super) use inspector::inspect;
pub(super) use mysql::MySql;
pub(super) use postgres::Postgres;
pub use safety::{Risk, Unfit, Why};

/// The table of applied migrations. Another application may use the same database, and has migrations of its own.
const MIGRATIONS_TABLE: &str = "trine_migrations";
/// Connections on which lanes read journals.
const LOADERS_MAX: usize = 2;
/// Connections on which requests read journals and small tables.
const READERS_MAX: usize = 2;
/// Connections for lists and counts. A list that takes long makes other lists wait, and nothing else.
const LISTERS_MAX: usize = 1;
/// Connections for adoption, registrations, retention, and the question whether writing works.
const HOUSEKEEPERS_MAX: usize = 2;
/// The longest time that one server may take to accept a connection.
const CONNECT_TIMEOUT_MS_MAX: u64 = 5_000;
/// A coordinator that was silent for so long and owns nothing is forgotten.
const FORGOTTEN_AFTER_MS: u64 = 60 * 60 * 1_000;

/// A coordinator's journal in a database server. Clones are the same coordinator.
#[derive(Debug)]
pub(super) struct Remote<C: Client>(Arc<Inner<C>>);

#[derive(Debug)]
struct Inner<C: Client> {
    journal_id: JournalId,
    identity: Arc<Identity>,
    lanes: Vec<Connections<C>>,
    /// For what lanes read, and for finding what they are to drive, so that either both work or neither.
    loaders: Connections<C>,
    /// For what requests read.
    readers: Connections<C>,
    listers: Connections<C>,
    housekeepers: Connections<C>,
    /// For heartbeats, and for `leave` and `give_up`: a coordinator that can do nothing else any more needs those.
    pulse: Connections<C>,
    watcher: Arc<Watcher>,
    walk: Arc<Walk>,
}

/// By purpose, for [`Remote::run`].
impl<C: Client> Inner<C> {
    fn loaders(&self) -> &Connections<C> {
        &self.loaders
    }

    fn readers(&self) -> &Connections<C> {
        &self.readers
    }

    fn listers(&self) -> &Connections<C> {
        &self.listers
    }

    fn housekeepers(&self) -> &Connections<C> {
        &self.housekeepers
    }

    fn pulse(&self) -> &Connections<C> {
        &self.pulse
    }
}

/// Opens the store; see [`super::open`].
pub(super) async fn open<C: Client>(options: &Options) -> Result<Remote<C>, OpenError> {
    let target = target::<C>(options)?;
    let failed = |error: &dyn fmt::Display| failed(options, error);
    let mut client = sessions::first::<C>(&target).await.map_err(|why| failed(&why))?;
    migrate_with(options, &mut client).await?;
    let inspection = client.inspect().await.map_err(|error| failed(&error))?;
    let identity = Identity::new(options, inspection.node.unwrap_or_default());
    galera::check_writers(options, &target, &identity, &mut client).await?;
    let patience = Duration::from_millis(options.name_wait_ms);
    if tables::is_taken(&mut client, &identity.name, patience).await.map_err(|error| failed(&error))? {
        return Err(OpenError::NameInUse { name: identity.name, store: hosts::shown(&options.url) });
    }
    let journal_id = tables::journal_id(&mut client).await.map_err(|error| failed(&error))?;
    tables::join(&mut client, &identity).await.map_err(|error| failed(&error))?;
    client.close().await;
    let timeout = Duration::from_millis(options.timeout_ms);
    // A heartbeat that hangs on a dead connection must end early enough for another one to be in time.
    let soon = timeout.min(Duration::from_millis(options.lapse_after_ms / 2));
    let lanes = (0..options.lanes.max(1)).map(|_| Connections::new(&target, 1, timeout).patient()).collect();
    let name = identity.name.clone();
    Ok(Remote(Arc::new(Inner {
        journal_id,
        identity: Arc::new(identity),
        lanes,
        loaders: Connections::new(&target, LOADERS_MAX, timeout).patient().settling(&name),
        readers: Connections::new(&target, READERS_MAX, timeout).settling(&name),
        listers: Connections::new(&target, LISTERS_MAX, timeout),
        housekeepers: Connections::new(&target, HOUSEKEEPERS_MAX, timeout).judging(),
        pulse: Connections::new(&target, 1, soon).judging(),
        watcher: Arc::default(),
        walk: Arc::default(),
    })))
}

/// See [`super::migrate`].
pub(super) async fn migrate<C: Client>(options: &Options) -> Result<u64, OpenError> {
    let target = target::<C>(options)?;
    let mut client = sessions::first::<C>(&target).await.map_err(|why| failed(options, &why))?;
    let applied = migrate_with(options, &mut client).await;
    client.close().await;
    applied
}

async fn migrate_with<C: Client>(options: &Options, client: &mut C) -> Result<u64, OpenError> {
    client.migrate().await.map_err(|error| match error {
        MigrateError::VersionMissing(migration) => {
            OpenError::Newer { store: hosts::shown(&options.url), migration }
        }
        other => failed(options, &other),
    })
}

impl<C: Client> Remote<C> {
    /// Runs `work` in a task of its own, on a connection of `which`. It may be run twice; see [`Connections::run`].
    fn run<T: Send + 'static>(
        &self,
        which: fn(&Inner<C>) -> &Connections<C>,
        work: impl for<'c> Fn(&'c mut C, Arc<Identity>) -> BoxFuture<'c, Result<T, ClientError>>
        + Send
        + Sync
        + 'static,
    ) -> StoreFuture<T> {
        let inner = Arc::clone(&self.0);
        detached(async move {
            let result = which(&inner).run(|client| work(client, Arc::clone(&inner.identity))).await;
            result.map_err(StoreError::from)
        })
    }
}

impl<C: Client> Store for Remote<C> {
    fn lanes_max(&self) -> usize {
        self.0.lanes.len()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn journal_id(&self) -> JournalId {
        self.0.journal_id.clone()
    }
}

impl<C: Client> Journal for Remote<C> {
    fn append(&self, lane: usize, batch: Arc<Batch>) -> StoreFuture<Appended, AppendError> {
        let inner = Arc::clone(&self.0);
        detached(async move {
            let lane = &inner.lanes[lane % inner.lanes.len()];
            append::append(lane, &inner.identity.name, &batch).await
        })
    }

    fn load(&self, gids: Vec<Gid>) -> StoreFuture<Journals> {
        let gids = Arc::new(gids);
        self.run(Inner::loaders, move |client, me| {
            let gids = Arc::clone(&gids);
            Box::pin(async move { queries::load(client, &me.name, &gids).await })
        })
    }

    fn warm(&self) -> StoreFuture<()> {
        let inner = Arc::clone(&self.0);
        detached(async move {
            let lanes = inner.lanes.iter().chain([&inner.loaders]);
            let warmed = connections::warm_all(lanes, [&inner.readers, &inner.listers]).await;
            warmed.map_err(StoreError::from)
        })
    }

    fn remove_probe(&self, lane: usize, gid: Gid) -> StoreFuture<()> {
        let inner = Arc::clone(&self.0);
        detached(async move {
            let lane = &inner.lanes[lane % inner.lanes.len()];
            let removed = lane.run(|client| {
                let gid = gid.clone();
                Box::pin(
                    async move { client.execute(C::texts().remove_probe, &[(&gid).into()]).await.map(drop) },
                )
            });
            removed.await.map_err(StoreError::from)
        })
    }

    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(Inner::loaders, move |client, me| {
            let after = after.clone();
            Box::pin(
                async move { queries::unfinished(client, &me.name, after.as_ref(), due_by, limit).await },
            )
        })
    }

    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(Inner::loaders, move |client, me| {
            Box::pin(async move { queries::due(client, &me.name, due_by, limit).await })
        })
    }
}

impl<C: Client> Queries for Remote<C> {
    fn readable(&self, gid: Gid, after_seq: u64) -> StoreFuture<Readable> {
        self.run(Inner::readers, move |client, _| {
            let gid = gid.clone();
            Box::pin(async move { queries::readable(client, &gid, after_seq).await })
        })
    }

    fn readable_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<ReadablePage> {
        self.run(Inner::readers, move |client, _| {
            let gid = gid.clone();
            Box::pin(async move { queries::readable_page(client, &gid, after_seq, limit).await })
        })
    }

    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page> {
        let asked = Arc::new((filter, cursor));
        self.run(Inner::listers, move |client, _| {
            let asked = Arc::clone(&asked);
            Box::pin(async move { queries::list(client, &asked.0, asked.1.as_ref(), limit).await })
        })
    }

    fn census(&self) -> StoreFuture<Census> {
        self.run(Inner::listers, |client, _| Box::pin(queries::census(client)))
    }
}

impl<C: Client> Registry for Remote<C> {
    fn register(&self, registrations: Vec<Registration>) -> StoreFuture<Timestamp> {
        let registrations: Arc<[Registration]> = registrations.into();
        self.run(Inner::housekeepers, move |client, _| {
            let registrations = Arc::clone(&registrations);
            Box::pin(async move { tables::register(client, &registrations).await })
        })
    }

    fn is_registered(&self, name: String) -> StoreFuture<bool> {
        self.run(Inner::readers, move |client, _| {
            let name = name.clone();
            Box::pin(async move {
                Ok(!client.query(C::texts().is_registered, &[name.as_str().into()]).await?.is_empty())
            })
        })
    }

    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64> {
        self.run(Inner::housekeepers, move |client, _| {
            let (name, base_url) = (name.clone(), base_url.clone());
            Box::pin(async move { tables::deregister(client, &name, base_url).await })
        })
    }

    fn participants(&self) -> StoreFuture<Registrations> {
        self.run(Inner::readers, |client, _| Box::pin(queries::participants(client)))
    }

    fn sweep_participants(&self, expired_ms: u64) -> StoreFuture<u64> {
        self.run(Inner::housekeepers, move |client, _| {
            Box::pin(tables::sweep_participants(client, expired_ms))
        })
    }
}

impl<C: Client> Membership for Remote<C> {
    fn heartbeat(&self) -> StoreFuture<Beat> {
        self.run(Inner::pulse, |client, me| Box::pin(async move { tables::heartbeat(client, &me).await }))
    }

    fn adopt(&self, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(Inner::housekeepers, move |client, me| {
            Box::pin(async move { tables::adopt(client, &me, limit).await })
        })
    }

    fn leave(&self) -> StoreFuture<()> {
        self.run(Inner::pulse, |client, me| Box::pin(async move { tables::leave(client, &me).await }))
    }

    fn give_up(&self) -> StoreFuture<()> {
        self.run(Inner::pulse, |client, me| Box::pin(async move { tables::give_up(client, &me).await }))
    }

    fn coordinators(&self) -> StoreFuture<Vec<Coordinator>> {
        self.run(Inner::readers, |client, me| {
            Box::pin(async move { queries::coordinators(client, &me).await })
        })
    }

    fn sweep_coordinators(&self) -> StoreFuture<u64> {
        self.run(Inner::housekeepers, |client, _| {
            Box::pin(tables::sweep_coordinators(client, FORGOTTEN_AFTER_MS))
        })
    }
}

impl<C: Client> Maintenance for Remote<C> {
    fn ping(&self) -> StoreFuture<()> {
        self.run(Inner::housekeepers, |client, _| {
            Box::pin(async { client.execute(C::texts().ping, &[]).await.map(drop) })
        })
    }

    fn watch(&self) -> StoreFuture<Option<Leap>> {
        let watcher = Arc::clone(&self.0.watcher);
        self.run(Inner::housekeepers, move |client, _| {
            let watcher = Arc::clone(&watcher);
            Box::pin(async move { retention::watch(client, &watcher).await })
        })
    }

    fn retire(&self, kept_ms: u64, limit: usize) -> StoreFuture<u64> {
        let walk = Arc::clone(&self.0.walk);
        self.run(Inner::housekeepers, move |client, _| {
            let walk = Arc::clone(&walk);
            Box::pin(async move { retention::retire(client, &walk, kept_ms, limit).await })
        })
    }

    fn close(&self) -> StoreFuture<()> {
        let inner = Arc::clone(&self.0);
        detached(async move {
            let others = [&inner.loaders, &inner.readers, &inner.listers, &inner.housekeepers, &inner.pulse];
            for connections in inner.lanes.iter().chain(others) {
                connections.close().await;
            }
            Ok(())
        })
    }
}
