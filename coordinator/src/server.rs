//! The composition root: builds every part from the configuration, starts them in order, stops them in order.

use std::net::SocketAddr;

use crate::config::Config;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Store(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {error}")]
    Listen {
        /// The address.
        addr: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A job's schedule cannot be used.
    #[error("the jobs cannot be scheduled: {0}")]
    Jobs(String),
}

/// A running coordinator.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
}

impl Server {
    /// Starts everything and listens. Prints nothing.
    pub async fn start(_config: Config) -> Result<Self, StartError> {
        Err(StartError::Jobs("not yet".into()))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops as SIGTERM does: see DESIGN section 7.
    pub async fn stop(self) {}
}
