//! The database servers that a URL names, and new connections to them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::client::{Client, ClientError};
use super::safety::{self, Allowed};
use super::{CONNECT_TIMEOUT_MS_MAX, hosts};
use crate::{OpenError, Options};

/// The servers of one cluster, and what this process knows of them.
#[derive(Debug)]
pub(super) struct Target<A> {
    pub(super) addresses: Vec<A>,
    pub(super) allowed: Allowed,
    /// The file with the password, if the password is not in the URL.
    pub(super) password_file: Option<PathBuf>,
    /// The index of the address that worked last.
    pub(super) last_good: AtomicUsize,
    /// How long one server may take to accept a connection before the next one is tried.
    pub(super) connect_timeout: Duration,
    /// How many connections have been made. A new one may show commits that were never acknowledged.
    pub(super) sessions: AtomicU64,
    /// [`Self::sessions`] at the time of the last settling write: what was visible then is as safe as if it had been
    /// acknowledged. See [`super::connections::Connections::settling`].
    pub(super) settled: AtomicU64,
    /// How often a server was found unfit. Connections that were made before the last time are not used any more.
    pub(super) condemned: AtomicU64,
}

/// The servers that the options name.
pub(super) fn target<C: Client>(options: &Options) -> Result<Arc<Target<C::Address>>, OpenError> {
    let wrong = |detail: String| OpenError::Url { url: hosts::shown(&options.url), detail };
    let urls = hosts::split(&options.url).map_err(wrong)?;
    if let Some(name) = hosts::unknown_parameter(&options.url, C::PARAMETERS) {
        return Err(wrong(format!("it has no parameter {name:?}; known are {}", C::PARAMETERS.join(", "))));
    }
    let addresses = urls.iter().map(|url| C::address(url)).collect::<Result<_, _>>().map_err(wrong)?;
    Ok(Arc::new(Target {
        addresses,
        allowed: options.allow.iter().copied().collect(),
        last_good: AtomicUsize::new(0),
        connect_timeout: Duration::from_millis(options.timeout_ms.min(CONNECT_TIMEOUT_MS_MAX)),
        password_file: options.password_file.clone(),
        sessions: AtomicU64::new(0),
        condemned: AtomicU64::new(0),
        settled: AtomicU64::new(0),
    }))
}

/// Why the store cannot be opened. The password in the URL is not part of the message.
pub(super) fn failed(options: &Options, error: &dyn fmt::Display) -> OpenError {
    OpenError::Failed { store: hosts::shown(&options.url), detail: error.to_string() }
}

/// A connection to the first server that may be written to. The server that worked last is tried first.
pub(super) async fn connect<C: Client>(target: &Target<C::Address>) -> Result<C, ClientError> {
    let password = password(target).await?;
    let first = target.last_good.load(Ordering::Relaxed);
    let mut why = Vec::new();
    for place in 0..target.addresses.len() {
        // `look_elsewhere` counts on without end, so the number may lie beyond the last server.
        let place = (first + place) % target.addresses.len();
        let limit = target.connect_timeout;
        let address = &target.addresses[place];
        let with_password = password.as_ref().map(|password| C::with_password(address, password));
        let address = with_password.as_ref().unwrap_or(address);
        // A limit for each server: one that has vanished must not use up the time of those behind it.
        let attempt = tokio::time::timeout(limit, connect_to::<C>(address, &target.allowed));
        match attempt.await.unwrap_or_else(|_| Err(ClientError::slow(limit))) {
            Ok(client) => {
                // Counted before the connection is used, so that reads on it are settled first.
                target.sessions.fetch_add(1, Ordering::SeqCst);
                target.last_good.store(place, Ordering::Relaxed);
                return Ok(client);
            }
            Err(error) => why.push(error),
        }
    }
    // All servers of a cluster but one are standbys, and say so. The error of the other one is worth telling.
    let position = why.iter().position(|error| !matches!(error, ClientError::Unfit(_))).unwrap_or(0);
    if why.is_empty() { Err(ClientError::Closed) } else { Err(why.swap_remove(position)) }
}

/// Read for each connection, because the password may have been changed.
async fn password<A>(target: &Target<A>) -> Result<Option<String>, ClientError> {
    let Some(file) = &target.password_file else { return Ok(None) };
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|error| ClientError::Password(format!("{}: {error}", file.display())))?;
    // Most tools end a file with a line break, which is no part of the password.
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

async fn connect_to<C: Client>(address: &C::Address, allowed: &Allowed) -> Result<C, ClientError> {
    let mut client = C::connect(address).await?;
    // Each new connection is inspected: behind the same address there may be another server than before.
    let inspection = client.inspect().await?;
    safety::judge(&inspection, allowed)?;
    Ok(client)
}
