//! The bound on open connections to participants, in use or kept, over all hosts. Each connection takes a file descriptor, and
//! clients, the store and health need descriptors as well.
//!
//! The last quarter is for hosts that have few connections. A call that gets no connection does not wait here: it is held back.
//! Not here: connecting, and how many calls a host may have.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Unreached;
use super::hosts;

/// All connections to participants. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_host: HashMap<String, usize>,
}

/// A permit for one connection. Given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    open: Arc<Mutex<Open>>,
    host: String,
}

/// A connection that gives its permit back when it is closed.
#[derive(Debug)]
pub(super) struct Counted<T> {
    io: T,
    _permit: Permit,
}

impl Sockets {
    pub(super) fn new(max: usize) -> Self {
        Self { max, open: Arc::default() }
    }

    /// A permit for one more connection to a host.
    pub(super) fn take(&self, host: &str) -> Result<Permit, Unreached> {
        let mut open = lock(&self.open);
        let own = open.by_host.get(host).copied().unwrap_or(0);
        if open.all >= self.max || hosts::is_kept_for_others(open.all, self.max, own) {
            return Err(Unreached::Held(format!(
                "no connection to {host}: as many connections to participants are open as the limit of file descriptors \
                 allows (ulimit -n)"
            )));
        }
        open.all += 1;
        open.by_host.insert(host.to_owned(), own + 1);
        Ok(Permit { open: Arc::clone(&self.open), host: host.to_owned() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.all -= 1;
        if let Some(own) = open.by_host.get_mut(&self.host) {
            *own -= 1;
            if *own == 0 {
                open.by_host.remove(&self.host);
            }
        }
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    // Both counts change in one step: a panic elsewhere leaves them right.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Counted<T> {
    pub(super) fn new(io: T, permit: Permit) -> Self {
        Self { io, _permit: permit }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_many_connections_leaves_the_last_quarter_to_others() {
        let sockets = Sockets::new(8);
        let mut open: Vec<_> = (0..6).map(|_| sockets.take("hung:1").unwrap()).collect();
        assert!(matches!(sockets.take("hung:1"), Err(Unreached::Held(_))));
        let others = (sockets.take("stock:1").unwrap(), sockets.take("pay:1").unwrap());
        let Err(Unreached::Held(words)) = sockets.take("late:1") else { panic!("one too many") };
        assert!(words.starts_with("no connection to late:1: as many connections"), "{words}");
        drop(others);
        open.clear();
        assert!(lock(&sockets.open).by_host.is_empty() && lock(&sockets.open).all == 0);
    }
}
