//! Options for the tests of other modules: those of a coordinator for which nothing is set.

use std::time::Duration;

use super::{Config, Sources};
use crate::{http, runtime};

impl Config {
    pub(crate) fn defaults() -> Self {
        Self::load(&Sources::default()).unwrap()
    }
}

impl Default for http::Options {
    fn default() -> Self {
        Config::defaults().http_options()
    }
}

impl Default for runtime::Options {
    fn default() -> Self {
        // A lane by itself waits for no call; a process gives calls the time that requests get.
        Self { calls_drain: Duration::ZERO, ..Config::defaults().runtime_options() }
    }
}
