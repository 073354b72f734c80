//! A TCP proxy that misbehaves on demand: it cuts and refuses connections, swallows and delays bytes, and loses acknowledgements.
//!
//! It knows no protocol, only the chunks in which bytes arrive. Database clients write a request at once, so a chunk towards the
//! server is a request.

mod connection;
mod faults;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait;
use connection::Connections;
use faults::{Faults, Wanted};

/// What happens to the request that a trap waits for. Either way its connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// It reaches the server and is executed; the answer does not reach the client.
    EatAnswer,
    /// It does not reach the server.
    CutBefore,
}

/// A proxy from a free port of 127.0.0.1 to another port there. Dropping it closes all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    faults: Arc<Faults>,
    connections: Arc<Connections>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy to a port on 127.0.0.1. Nobody has to listen there yet.
    #[must_use]
    pub fn start(upstream_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.unwrap_or_else(|error| panic!("the proxy cannot listen: {error}"));
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let faults = Arc::new(Faults::new(upstream_port));
        let connections = Arc::new(Connections::default());
        let (theirs, served) = (Arc::clone(&faults), Arc::clone(&connections));
        let acceptor = std::thread::spawn(move || accept(&listener, &theirs, &served));
        Self { port, faults, connections, acceptor: Some(acceptor) }
    }

    /// The port to connect to, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections to another port on 127.0.0.1. Present ones stay where they are.
    pub fn set_upstream(&self, port: u16) {
        self.faults.set_upstream(port);
    }

    /// Closes all present connections, whatever is under way in them.
    pub fn cut(&self) {
        self.connections.close_all();
    }

    /// While `true`, new connections are closed at once.
    pub fn refuse(&self, refuse: bool) {
        self.faults.set_refuse(refuse);
    }

    /// While `true`, bytes are read and not forwarded, in both directions. A connection that lost bytes, or was opened meanwhile,
    /// forwards nothing afterwards either, because its protocol is out of step.
    pub fn black_hole(&self, black_hole: bool) {
        self.faults.set_black_hole(black_hole);
    }

    /// Holds every chunk towards the server for this long. Zero ends it.
    pub fn delay(&self, delay: Duration) {
        self.faults.set_delay(delay);
    }

    /// Sets a trap for the next chunk towards the server with these bytes in it: it is executed, its answer is lost and
    /// the connection closed. By then the server has ended its side, so what the chunk asked for is done.
    ///
    /// Drivers prepare: the text of a statement may pass when it is parsed, and executing it passes an id only. Wait for
    /// a text that is executed as such (`COMMIT`), or use `trap`.
    pub fn eat_answer_to(&self, pattern: &[u8]) {
        self.faults.add(Trap::EatAnswer, Wanted::Bytes(pattern.to_vec()));
    }

    /// Sets a trap for the next chunk towards the server with these bytes in it: the server does not see it, and the
    /// connection is closed.
    pub fn cut_before(&self, pattern: &[u8]) {
        self.faults.add(Trap::CutBefore, Wanted::Bytes(pattern.to_vec()));
    }

    /// Sets a trap for the first chunk towards the server that `is_wanted` says yes to. It is asked about the chunks of
    /// all connections in turn.
    pub fn trap(&self, trap: Trap, is_wanted: impl FnMut(&[u8]) -> bool + Send + 'static) {
        self.faults.add(trap, Wanted::Chunk(Box::new(is_wanted)));
    }

    /// Sets a trap for the chunk towards the server that comes after `count` others, counted over all connections.
    pub fn trap_after(&self, trap: Trap, count: usize) {
        let mut left = count;
        let is_wanted = move |_: &[u8]| {
            let now = left == 0;
            left = left.saturating_sub(1);
            now
        };
        self.trap(trap, is_wanted);
    }

    /// Removes the traps that have not fired.
    pub fn clear_traps(&self) {
        self.faults.clear();
    }

    /// How many traps have fired. One counts before its client notices.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.faults.hits()
    }

    /// Waits until `count` traps have fired; `false` if that takes longer than `limit`.
    #[must_use]
    pub fn wait_for_hits(&self, count: usize, limit: Duration) -> bool {
        wait::until(limit, || self.hits() >= count)
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.faults.close();
        // Wakes the acceptor, which waits for a connection.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(acceptor) = self.acceptor.take() {
            // The thread returns nothing.
            let _ = acceptor.join();
        }
        self.connections.close_all();
    }
}

fn accept(listener: &TcpListener, faults: &Arc<Faults>, connections: &Arc<Connections>) {
    for client in listener.incoming() {
        if faults.is_closed() {
            return;
        }
        match client {
            Ok(client) if !faults.refuses() => connection::serve(client, faults, connections),
            // Dropping the stream closes it.
            Ok(_) | Err(_) => {}
        }
    }
}
