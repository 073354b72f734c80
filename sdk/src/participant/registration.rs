//! Registers a service with the coordinator by name, and keeps the registration alive.
//!
//! If the coordinator does not answer, the service goes on. The failure is logged once, and the registration is repeated until
//! it succeeds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use trine_protocol::errors::Problem;
use trine_protocol::v1::RegisterParticipant;

use crate::client::{Client, Error};

/// The pause after a failed registration. If a third of the TTL is shorter, that is the pause.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long a shutdown tries to deregister the instance.
const FAREWELL: Duration = Duration::from_secs(2);

/// A service instance to register. Branches may then name `inventory:/stock/reserve` instead of a URL.
///
/// ```no_run
/// # async fn register() -> Result<(), Box<dyn std::error::Error>> {
/// use trine_sdk::{Client, Registration};
///
/// let client = Client::new("http://127.0.0.1:36789")?;
/// let registration = Registration::new(client, "inventory", "http://10.0.0.7:8080").start();
/// registration.registered().await?;
/// // Serve, until the service is asked to stop.
/// registration.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is registered before `start`"]
pub struct Registration {
    client: Client,
    name: String,
    base_url: String,
    ttl: Duration,
    guarded: bool,
}

/// How far a registration has come.
#[derive(Debug, Clone)]
enum RegistrationProgress {
    Pending,
    Registered,
    Refused(Arc<Error>),
}

impl Registration {
    /// An instance of participant `name` (`[A-Za-z0-9._-]{1,64}`) at `base_url`, `http(s)://host[:port][/prefix]`.
    pub fn new(client: Client, name: impl Into<String>, base_url: impl Into<String>) -> Self {
        let ttl = Duration::from_secs(30);
        Self { client, name: name.into(), base_url: base_url.into(), ttl, guarded: false }
    }

    /// How long the instance counts as alive without a heartbeat. The default is 30 s; the coordinator takes 1 s to 1 h. A
    /// heartbeat is sent in every third of this time.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Promises that *every* handler of an op of this instance does its work behind a [barrier](crate::barrier) (or a barrier of
    /// your own that does the same): a duplicate has no effect, a compensation of an action that never ran has no effect, and
    /// an action that arrives after its compensation has no effect. Nobody can check that, so say it only if it is true.
    ///
    /// Sagas whose branches all go to guarded participants run `ahead` unless they say otherwise. Such a saga does not wait
    /// for each step to be durable. After a crash its actions may be called again after later ones took effect, and actions
    /// that never ran may be compensated.
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Registers and sends heartbeats in a background task, until [`RegistrationHandle::shutdown`] or until the handle
    /// is dropped. Must be called within a tokio runtime.
    pub fn start(self) -> RegistrationHandle {
        let (progress, watched) = watch::channel(RegistrationProgress::Pending);
        let task = tokio::spawn(keep_alive(self.clone(), progress));
        RegistrationHandle { registration: self, task, watched }
    }

    async fn beat(&self) -> Result<(), Error> {
        let mut instance = RegisterParticipant {
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            ttl: None,
            ttl_ms: Some(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)),
            guarded: self.guarded,
        };
        // This asks each coordinator once. The caller repeats it.
        let said = self.client.register_participant(&instance, Duration::ZERO).await;
        let is_news = |problem: &Problem| problem.field.as_deref() == Some("guarded");
        match said {
            Err(Error::Refused(problem)) if self.guarded && is_news(&problem) => {
                // A coordinator of an older version does not know the field. To that coordinator nobody is guarded.
                instance.guarded = false;
                self.client.register_participant(&instance, Duration::ZERO).await.map(drop)
            }
            said => said.map(drop),
        }
    }
}

/// A running registration.
#[derive(Debug)]
pub struct RegistrationHandle {
    registration: Registration,
    task: JoinHandle<()>,
    watched: watch::Receiver<RegistrationProgress>,
}

impl RegistrationHandle {
    /// Waits until the first registration succeeds, however long the coordinator does not answer.
    ///
    /// # Errors
    /// If the coordinator refuses the registration, because of a bad name for example. The background task goes on trying.
    pub async fn registered(&self) -> Result<(), Arc<Error>> {
        let mut watched = self.watched.clone();
        let progress = watched.wait_for(|progress| !matches!(progress, RegistrationProgress::Pending)).await;
        match progress.as_deref() {
            Ok(RegistrationProgress::Refused(error)) => Err(Arc::clone(error)),
            // The task ends only with this handle.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Stops the heartbeats and deregisters the instance, so that no more calls come here. If the coordinator does not answer
    /// within two seconds, the registration lapses after the TTL.
    pub async fn shutdown(mut self) {
        self.task.abort();
        // A heartbeat under way must not arrive after the farewell.
        let _ = (&mut self.task).await;
        let Registration { client, name, base_url, .. } = &self.registration;
        let farewell = client.deregister_participant(name, base_url, FAREWELL);
        match tokio::time::timeout(FAREWELL, farewell).await {
            Ok(Ok(())) => tracing::info!(participant = name, base_url, "deregistered"),
            Ok(Err(error)) if error.code() == Some("TX0018") => {}
            Ok(Err(error)) => {
                tracing::warn!(participant = name, %error, "not deregistered; it lapses by itself")
            }
            Err(_) => tracing::warn!(participant = name, "not deregistered in time; it lapses by itself"),
        }
    }
}

impl Drop for RegistrationHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_alive(registration: Registration, progress: watch::Sender<RegistrationProgress>) {
    let Registration { name, base_url, ttl, .. } = &registration;
    let every = (*ttl / 3).max(Duration::from_millis(100));
    let mut away = false;
    loop {
        let pause = match registration.beat().await {
            Ok(()) => {
                if away || !matches!(*progress.borrow(), RegistrationProgress::Registered) {
                    tracing::info!(participant = name, base_url, "registered");
                }
                away = false;
                progress.send_replace(RegistrationProgress::Registered);
                every
            }
            Err(error) if error.is_transient() => {
                if !away {
                    tracing::warn!(participant = name, %error, "the coordinator is away; trying until it is back");
                }
                away = true;
                RETRY_PAUSE.min(every)
            }
            Err(error) => {
                tracing::error!(participant = name, base_url, %error, "the coordinator refuses the registration");
                progress.send_replace(RegistrationProgress::Refused(Arc::new(error)));
                every
            }
        };
        tokio::time::sleep(pause).await;
    }
}
