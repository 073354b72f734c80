//! Writes registrations of participants to the store, in batches, and puts them into this coordinator's directory.
//!
//! Every instance repeats its registration every few seconds, so thousands of instances would cause hundreds of writes a
//! second. Registrations that arrive during a write go into the next write together. The directory is updated from the
//! written registrations, so no read is needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use trine_protocol::Timestamp;

use trine_dispatch::Directory;
use trine_store::{Registration, Registry, StoreError};

/// Most registrations in one write.
const BATCH_MAX: usize = 500;
/// Most registrations that wait for a write; further ones are refused as busy.
const WAITING_MAX: usize = 10_000;

/// Why an instance is not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The bound of registered instances is reached.
    #[error("{max} instances of participants are registered, which is as many as this coordinator takes")]
    TooMany { max: usize },
    /// Too many registrations wait for the store.
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
        reply: oneshot::Sender<Result<Timestamp, RegisterError>>,
    },
    /// Uses the same queue as `Register`, because order matters: a heartbeat that was sent before the removal must not bring
    /// the instance back.
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
    pub async fn register(&self, registration: Registration) -> Result<Timestamp, RegisterError> {
        let (reply, answer) = oneshot::channel();
        self.wanted.try_send(Wanted::Register { registration, reply }).map_err(|_| RegisterError::Busy)?;
        answer.await.unwrap_or(Err(RegisterError::Busy))
    }

    /// Removes one instance, or all of a name; returns how many.
    pub async fn deregister(&self, name: String, base_url: Option<String>) -> Result<u64, RegisterError> {
        let (reply, answer) = oneshot::channel();
        self.wanted
            .try_send(Wanted::Deregister { name, base_url, reply })
            .map_err(|_| RegisterError::Busy)?;
        Ok(answer.await.map_err(|_| RegisterError::Busy)??)
    }
}

struct Work {
    registry: Arc<dyn Registry>,
    directory: Arc<Directory>,
    instances_max: usize,
}

/// By instance (name and base URL): the newest request, and the senders that wait for the write.
type Batch =
    BTreeMap<(String, String), (Registration, Vec<oneshot::Sender<Result<Timestamp, RegisterError>>>)>;

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
                    // The client may have gone away.
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
        reply: oneshot::Sender<Result<Timestamp, RegisterError>>,
    ) {
        let is_known = self.directory.has(&registration.name, &registration.base_url);
        let key = (registration.name.clone(), registration.base_url.clone());
        // Instances of this batch are not in the directory yet, so the batch counts as well.
        if !is_known
            && !batch.contains_key(&key)
            && self.directory.instances() + batch.len() >= self.instances_max
        {
            let _ = reply.send(Err(RegisterError::TooMany { max: self.instances_max }));
            return;
        }
        let (newest, replies) = batch.entry(key).or_insert_with(|| (registration.clone(), Vec::new()));
        *newest = registration;
        replies.push(reply);
    }

    async fn register(&self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let wanted = batch.values().map(|(registration, _)| registration.clone());
        let written = self.registry.register(wanted.collect()).await;
        for (Registration { name, base_url, ttl_ms, guarded }, replies) in batch.into_values() {
            let told = written.clone().map(|at| {
                let expires_at = at.plus_millis(ttl_ms);
                self.directory.put(&name, &base_url, at, expires_at, guarded);
                expires_at
            });
            for reply in replies {
                let _ = reply.send(told.clone().map_err(RegisterError::from));
            }
        }
    }
}

#[cfg(test)]
mod tests;
