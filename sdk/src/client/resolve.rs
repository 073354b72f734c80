//! Finding an instance of a participant by name, for calls an initiator makes itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use trine_protocol::Target;
use trine_protocol::v1::ParticipantList;

use super::stopwatch::Stopwatch;
use super::transport::Transport;
use super::{Error, get};

/// How long a list of participants is used: shorter than any sensible TTL, longer than a burst of calls.
const LIST_AGE_MAX: Duration = Duration::from_secs(2);

/// Where participants are listed and registered.
pub(crate) const PARTICIPANTS: &str = "/v1/participants";

/// The participants the coordinator knows, as of a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    list: Mutex<Option<(Stopwatch, Arc<ParticipantList>)>>,
    turn: AtomicUsize,
}

impl Directory {
    /// The URL to call for a target: itself, or that of an instance which is alive, each in its turn.
    pub(crate) async fn url(&self, transport: &Transport, target: &Target) -> Result<String, Error> {
        let Some((name, path)) = target.participant() else { return Ok(target.to_string()) };
        let list = match self.fresh() {
            Some(list) => list,
            None => {
                let list: Arc<ParticipantList> = Arc::new(transport.send(&get(PARTICIPANTS.into())).await?);
                *self.list.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Stopwatch::start(), Arc::clone(&list)));
                list
            }
        };
        let alive: Vec<&str> = list
            .participants
            .iter()
            .filter(|participant| participant.name == name)
            .flat_map(|participant| &participant.instances)
            .filter(|instance| instance.alive)
            .map(|instance| instance.base_url.as_str())
            .collect();
        if alive.is_empty() {
            // Do not sit on a list that lacks what was asked for: it may be registering right now.
            *self.list.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Err(Error::NoInstance(name.to_owned()));
        }
        let base = alive[self.turn.fetch_add(1, Ordering::Relaxed) % alive.len()];
        Ok(format!("{}{path}", base.trim_end_matches('/')))
    }

    fn fresh(&self) -> Option<Arc<ParticipantList>> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.as_ref().filter(|(at, _)| at.elapsed() < LIST_AGE_MAX).map(|(_, list)| Arc::clone(list))
    }
}

/// Path of one participant.
pub(crate) fn participant_path(name: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Error::invalid(format!("participant `{name}`"), "allowed are A-Z a-z 0-9 . _ -"));
    }
    Ok(format!("{PARTICIPANTS}/{name}"))
}

/// Path and query under which one instance of a participant is deleted.
pub(crate) fn instance_path(name: &str, base_url: &str) -> Result<String, Error> {
    let path = participant_path(name)?;
    let mut encoder = Url::parse("http://unused/")
        .map_err(|error| Error::InvalidUrl { url: base_url.to_owned(), reason: error.to_string() })?;
    encoder.query_pairs_mut().append_pair("base_url", base_url);
    Ok(format!("{path}?{}", encoder.query().unwrap_or_default()))
}
