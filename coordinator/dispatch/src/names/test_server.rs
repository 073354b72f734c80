//! A name server over UDP on this machine, as well or unwell as a test wants it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

/// What it says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// This machine, for so many seconds.
    Here(u32),
    /// There is no such name.
    Missing,
    /// It has failed.
    Failure,
    /// Nothing.
    Nothing,
}

/// A running name server.
#[derive(Debug)]
pub(crate) struct NameServer {
    pub(crate) addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

const TYPE_A: [u8; 2] = [0, 1];
const HEADER_BYTES: usize = 12;

impl NameServer {
    pub(crate) async fn start(says: impl Fn(&str) -> Says + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let tell = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 1_500];
            while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                let (name, question) = question(&buffer[..len]);
                let kind = &question[question.len() - 4..question.len() - 2];
                if kind == TYPE_A {
                    tell.lock().unwrap().push(name.clone());
                }
                if let Some(reply) = reply(&buffer[..2], question, kind == TYPE_A, says(&name)) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        Self { addr, asked }
    }

    /// How often it was asked for addresses.
    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// How often it was asked for the addresses of a name.
    pub(crate) fn asked_for(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|one| *one == name).count()
    }
}

/// The name that is asked for, and the whole question as it stands in a message.
fn question(message: &[u8]) -> (String, &[u8]) {
    let (mut at, mut labels) = (HEADER_BYTES, Vec::new());
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), &message[HEADER_BYTES..at + 5])
}

fn reply(id: &[u8], question: &[u8], is_a: bool, says: Says) -> Option<Vec<u8>> {
    let (code, ttl) = match says {
        Says::Here(ttl) => (0, Some(ttl).filter(|_| is_a)),
        Says::Missing => (3, None),
        Says::Failure => (2, None),
        Says::Nothing => return None,
    };
    let mut reply = id.to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(ttl.is_some()), 0, 0, 0, 0]);
    reply.extend(question);
    if let Some(ttl) = ttl {
        reply.extend([0xc0, 0x0c, 0, 1, 0, 1]);
        reply.extend(ttl.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(reply)
}
