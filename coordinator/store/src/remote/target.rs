//! From the options of a store to the servers it is in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use super::client::Client;
use super::connections::Target;
use super::{CONNECT_TIMEOUT_MS_MAX, hosts};
use crate::{OpenError, Options};

/// The servers that the options name, and what is expected of them.
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

/// Why the store cannot be opened, without a word of the URL that is secret.
pub(super) fn failed(options: &Options, error: &dyn fmt::Display) -> OpenError {
    OpenError::Failed { store: hosts::shown(&options.url), detail: error.to_string() }
}
