//! Connections that no call uses at the moment, and the calls that wait for one.
//!
//! A call takes the connection that was used last. If there is none, it connects, and takes a connection that another call
//! gives back in the meantime. Unused connections are closed after a while. Not here: how many calls a host may have.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use trine_clock::Stopwatch;

use super::connection::Connection;

/// Unused connections are looked through no more often than this.
const SWEEP_EVERY_MIN: Duration = Duration::from_millis(100);

/// The unused connections to all hosts.
pub(super) struct Pool {
    idle_timeout: Duration,
    idle_per_host_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By origin.
    hosts: HashMap<Arc<str>, Host>,
    /// A task looks for connections that nobody has used for too long.
    is_swept: bool,
}

#[derive(Default)]
struct Host {
    /// The connection that was used last stands at the end.
    idle: VecDeque<Idle>,
    line: VecDeque<oneshot::Sender<Connection>>,
}

struct Idle {
    connection: Connection,
    since: Stopwatch,
}

/// The result of [`Pool::take`].
pub(super) enum Taken {
    Idle(Connection),
    /// No connection is unused. The next connection that is given back comes over this channel.
    InLine(oneshot::Receiver<Connection>),
}

impl Pool {
    /// Keeps no connection if it may keep one for no time, or none at a host.
    pub(super) fn new(idle_timeout: Duration, idle_per_host_max: usize) -> Arc<Self> {
        let idle_per_host_max = if idle_timeout.is_zero() { 0 } else { idle_per_host_max };
        Arc::new(Self { idle_timeout, idle_per_host_max, state: Mutex::default() })
    }

    /// An unused connection to a host, or a position in the line for one.
    pub(super) fn take(self: &Arc<Self>, origin: &Arc<str>) -> Taken {
        let mut state = self.lock();
        if let Some(host) = state.hosts.get_mut(origin)
            && let Some(idle) = host.idle.pop_back_if(|idle| idle.since.elapsed() < self.idle_timeout)
        {
            return Taken::Idle(idle.connection);
        }
        let (tell, told) = oneshot::channel();
        let line = &mut state.host(origin).line;
        line.retain(|waiter| !waiter.is_closed());
        line.push_back(tell);
        self.sweep_from_now_on(&mut state);
        Taken::InLine(told)
    }

    /// Gives a connection back after a whole exchange.
    pub(super) fn give(self: &Arc<Self>, origin: &Arc<str>, mut connection: Connection) {
        if self.idle_per_host_max == 0 || !connection.is_free() {
            return connection.close();
        }
        let mut state = self.lock();
        let host = state.host(origin);
        while let Some(waiter) = host.line.pop_front() {
            match waiter.send(connection) {
                Ok(()) => return,
                // The call that waited has ended.
                Err(returned) => connection = returned,
            }
        }
        if host.idle.len() < self.idle_per_host_max {
            host.idle.push_back(Idle { connection, since: Stopwatch::start() });
            self.sweep_from_now_on(&mut state);
        } else {
            drop(state);
            connection.close();
        }
    }

    fn sweep_from_now_on(self: &Arc<Self>, state: &mut State) {
        if !std::mem::replace(&mut state.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout.max(SWEEP_EVERY_MIN)));
        }
    }

    /// Takes out connections that were unused for too long, and forgets hosts without connections and without waiting calls. The flag
    /// says whether a host is left.
    fn expired(&self) -> (Vec<Connection>, bool) {
        let mut state = self.lock();
        let mut expired = Vec::new();
        state.hosts.retain(|_, host| {
            while let Some(idle) = host.idle.pop_front_if(|idle| idle.since.elapsed() >= self.idle_timeout) {
                expired.push(idle.connection);
            }
            host.line.retain(|waiter| !waiter.is_closed());
            !host.idle.is_empty() || !host.line.is_empty()
        });
        state.is_swept = !state.hosts.is_empty();
        (expired, state.is_swept)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one step: a panic elsewhere leaves them right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hosts with an unused connection, or a call in line for one.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.lock().hosts.len()
    }
}

impl State {
    fn host(&mut self, origin: &Arc<str>) -> &mut Host {
        self.hosts.entry(Arc::clone(origin)).or_default()
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("hosts", &self.lock().hosts.len()).finish_non_exhaustive()
    }
}

/// Closes connections that nobody used for long enough, until no host is left.
async fn sweep(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        let (expired, goes_on) = pool.expired();
        expired.into_iter().for_each(Connection::close);
        if !goes_on {
            return;
        }
    }
}
