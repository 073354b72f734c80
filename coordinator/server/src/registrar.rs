//! Registrations of participants on their way to the store, and to this coordinator's directory.
//!
//! Every instance repeats its registration every few seconds, so thousands of instances are hundreds of writes a second.
//! What comes in while a write is under way goes into the next one, as records of transactions do, and what is written is
//! told to the directory: nothing is read again because of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use trine_protocol::Timestamp;

use trine_dispatch::Directory;
use trine_store::{Registration, Registry, StoreError};

/// Registrations of one write.
const BATCH_MAX: usize = 500;
/// Registrations that wait for the next ones.
const WAITING_MAX: usize = 10_000;

/// Why an instance is not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As many are registered as may be.
    #[error("{max} instances of participants are registered, which is as many as this coordinator takes")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// Too many wait for the store.
    #[error("too many registrations wait for the store")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The way in for registrations. Cheap to clone; its task ends with the last clone.
#[derive(Debug, Clone)]
pub struct Registrar {
    wanted: mpsc::Sender<Wanted>,
}

#[derive(Debug)]
enum Wanted {
    Register {
        registration: Registration,
        reply: oneshot::Sender<Result<Timestamp, Refused>>,
    },
    /// In the same queue: an instance that takes its leave must not be brought back by a heartbeat that it sent before.
    Deregister {
        name: String,
        base_url: Option<String>,
        reply: oneshot::Sender<Result<u64, StoreError>>,
    },
}

impl Registrar {
    /// Starts the task that writes. Must be called inside a tokio runtime.
    pub fn start(registry: Arc<dyn Registry>, directory: Arc<Directory>, instances_max: usize) -> Self {
        let (wanted, queue) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Work { registry, directory, instances_max }.run(queue));
        Self { wanted }
    }

    /// Registers an instance, or extends its life; returns until when it lives, by the store's clock.
    pub async fn register(&self, registration: Registration) -> Result<Timestamp, Refused> {
        let (reply, answer) = oneshot::channel();
        self.wanted.try_send(Wanted::Register { registration, reply }).map_err(|_| Refused::Busy)?;
        answer.await.unwrap_or(Err(Refused::Busy))
    }

    /// Removes one instance, or all of a name; returns how many.
    pub async fn deregister(&self, name: String, base_url: Option<String>) -> Result<u64, Refused> {
        let (reply, answer) = oneshot::channel();
        self.wanted.try_send(Wanted::Deregister { name, base_url, reply }).map_err(|_| Refused::Busy)?;
        Ok(answer.await.map_err(|_| Refused::Busy)??)
    }
}

struct Work {
    registry: Arc<dyn Registry>,
    directory: Arc<Directory>,
    instances_max: usize,
}

/// Those who want the same instance registered, and the registration that was asked for last.
type Batch = BTreeMap<(String, String), (u64, Vec<oneshot::Sender<Result<Timestamp, Refused>>>)>;

impl Work {
    async fn run(self, mut queue: mpsc::Receiver<Wanted>) {
        let mut next = queue.recv().await;
        while let Some(wanted) = next.take() {
            match wanted {
                Wanted::Register { registration, reply } => {
                    let mut batch = Batch::new();
                    self.collect(&mut batch, registration, reply);
                    while batch.len() < BATCH_MAX {
                        match queue.try_recv() {
                            Ok(Wanted::Register { registration, reply }) => {
                                self.collect(&mut batch, registration, reply);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.register(batch).await;
                }
                Wanted::Deregister { name, base_url, reply } => {
                    let removed = self.registry.deregister(name.clone(), base_url.clone()).await;
                    if removed.is_ok() {
                        self.directory.remove(&name, base_url.as_deref());
                    }
                    // Whoever asked may have left.
                    let _ = reply.send(removed);
                }
            }
            if next.is_none() {
                next = queue.recv().await;
            }
        }
    }

    fn collect(
        &self,
        batch: &mut Batch,
        registration: Registration,
        reply: oneshot::Sender<Result<Timestamp, Refused>>,
    ) {
        let Registration { name, base_url, ttl_ms } = registration;
        let is_known = self.directory.has(&name, &base_url);
        let key = (name, base_url);
        // Those of the batch may all be new.
        if !is_known
            && !batch.contains_key(&key)
            && self.directory.instances() + batch.len() >= self.instances_max
        {
            let _ = reply.send(Err(Refused::TooMany { max: self.instances_max }));
            return;
        }
        let (ttl, replies) = batch.entry(key).or_default();
        *ttl = ttl_ms;
        replies.push(reply);
    }

    async fn register(&self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let wanted = batch.iter().map(|((name, base_url), (ttl_ms, _))| Registration {
            name: name.clone(),
            base_url: base_url.clone(),
            ttl_ms: *ttl_ms,
        });
        let written = self.registry.register(wanted.collect()).await;
        for ((name, base_url), (ttl_ms, replies)) in batch {
            let told = written.clone().map(|at| {
                let expires_at = at.plus_millis(ttl_ms);
                self.directory.put(&name, &base_url, at, expires_at);
                expires_at
            });
            for reply in replies {
                let _ = reply.send(told.clone().map_err(Refused::from));
            }
        }
    }
}

#[cfg(test)]
mod tests;
