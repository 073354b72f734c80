//! One connection through a proxy: two threads that copy, one per direction.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Trap;
use super::faults::Faults;

const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Bytes of earlier chunks that are kept, to find patterns that straddle chunks.
const BEFORE_BYTES_MAX: usize = 1024;
/// How long a server that has answered may take to close its side.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// The connections that are open.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    client: TcpStream,
    /// `None` if the connection leads nowhere.
    server: Option<TcpStream>,
    /// The next answer must not reach the client.
    eats: AtomicBool,
    /// It lost bytes, so nothing may follow them.
    lost: AtomicBool,
}

impl Connections {
    pub(super) fn close_all(&self) {
        for connection in self.open().values() {
            connection.close();
        }
    }

    pub(super) fn count(&self) -> usize {
        self.open().len()
    }

    fn add(&self, client: TcpStream, server: Option<TcpStream>) -> Arc<Connection> {
        let mut open = self.open();
        let id = open.keys().max().map_or(0, |id| id + 1);
        let lost = AtomicBool::new(server.is_none());
        let connection = Arc::new(Connection { id, client, server, eats: AtomicBool::new(false), lost });
        open.insert(id, Arc::clone(&connection));
        connection
    }

    fn end(&self, connection: &Connection) {
        connection.close();
        self.open().remove(&connection.id);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Closes both sides. An error means that a side is closed already.
    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        if let Some(server) = &self.server {
            let _ = server.shutdown(Shutdown::Both);
        }
    }

    /// Whether bytes that have arrived are to be thrown away.
    fn loses(&self, faults: &Faults) -> bool {
        if faults.is_black_hole() {
            self.lost.store(true, Ordering::SeqCst);
        }
        self.lost.load(Ordering::SeqCst)
    }
}

/// Serves a client in threads of its own.
pub(super) fn serve(client: TcpStream, faults: &Arc<Faults>, connections: &Arc<Connections>) {
    let server = if faults.is_black_hole() {
        None
    } else {
        // If the server does not listen, dropping `client` closes its connection.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, faults.upstream())) else { return };
        Some(server)
    };
    for stream in [Some(&client), server.as_ref()].into_iter().flatten() {
        // Forward chunks without delay. If this fails, they are only later.
        let _ = stream.set_nodelay(true);
    }
    let connection = connections.add(client, server);
    if connection.server.is_some() {
        let (mine, faults) = (Arc::clone(&connection), Arc::clone(faults));
        let connections = Arc::clone(connections);
        std::thread::spawn(move || {
            answers(&mine, &faults);
            connections.end(&mine);
        });
    }
    let (faults, connections) = (Arc::clone(faults), Arc::clone(connections));
    std::thread::spawn(move || {
        let ended = requests(&connection, &faults);
        match (&connection.server, ended) {
            // The client may still be reading.
            (Some(server), Ended::ByClient) => drop(server.shutdown(Shutdown::Write)),
            (None, Ended::ByClient) | (_, Ended::ByUs) => connections.end(&connection),
        }
    });
}

enum Ended {
    ByClient,
    ByUs,
}

/// Copies from the client to the server.
fn requests(connection: &Connection, faults: &Faults) -> Ended {
    let (mut client, mut before) = (&connection.client, Vec::new());
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    loop {
        let chunk = match client.read(&mut buffer) {
            Ok(0) => return Ended::ByClient,
            Ok(count) => &buffer[..count],
            Err(_) => return Ended::ByUs,
        };
        // The delay is a fault that a test asked for, not synchronisation.
        std::thread::sleep(faults.delay());
        if connection.loses(faults) {
            continue;
        }
        let Some(mut server) = connection.server.as_ref() else { continue };
        match faults.spring(&before, chunk) {
            Some(Trap::CutBefore) => {
                faults.count_hit();
                return Ended::ByUs;
            }
            // Set before the request is forwarded, because the answer may come at once.
            Some(Trap::EatAnswer) => connection.eats.store(true, Ordering::SeqCst),
            None => {}
        }
        if server.write_all(chunk).is_err() {
            return Ended::ByUs;
        }
        before.extend_from_slice(chunk);
        before.drain(..before.len().saturating_sub(BEFORE_BYTES_MAX));
    }
}

/// Copies from the server to the client.
fn answers(connection: &Connection, faults: &Faults) {
    let Some(mut server) = connection.server.as_ref() else { return };
    let mut client = &connection.client;
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    loop {
        let chunk = match server.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => &buffer[..count],
        };
        if connection.eats.load(Ordering::SeqCst) {
            drain(server, &mut buffer);
            faults.count_hit();
            return;
        }
        if !connection.loses(faults) && client.write_all(chunk).is_err() {
            return;
        }
    }
}

/// Swallows the rest of an answer until the server closes. The first chunk of an answer may come before the whole request is
/// executed; a server that closes after its client is done has executed it.
fn drain(mut server: &TcpStream, buffer: &mut [u8]) {
    // These calls fail only on a connection that is gone, and then nothing is left to swallow.
    let _ = server.shutdown(Shutdown::Write);
    let _ = server.set_read_timeout(Some(DRAIN_MAX));
    while server.read(buffer).is_ok_and(|count| count > 0) {}
}
