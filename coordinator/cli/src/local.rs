//! Commands that need no running coordinator: `config`, `migrate`, `openapi`.

use super::args::{Config, Serve, Sources};
use super::failure::Failure;
use super::output;
use super::serve::load;
use trine_server::config;
use trine_server::server;
use trine_store as store;

/// Prints what `serve` would use, or what can be set at all.
pub(crate) fn config(args: &Config) -> Result<(), Failure> {
    if args.reference {
        return output::print(&config::reference_markdown());
    }
    output::print(&load(&args.serve)?.effective_toml())
}

/// Brings the store's tables up to date.
pub(crate) async fn migrate(sources: Sources) -> Result<(), Failure> {
    let config = load(&Serve { sources, ..Serve::default() })?;
    let url = &config.store.url;
    let applied = store::migrate(&config.store_options()).await.map_err(|error| Failure::store(&error))?;
    output::line(&match applied {
        0 => format!("{url} is up to date"),
        1 => format!("{url}: 1 migration applied"),
        more => format!("{url}: {more} migrations applied"),
    })
}

/// Prints the API's description.
pub(crate) fn openapi() -> Result<(), Failure> {
    let document = serde_json::to_string_pretty(&server::openapi());
    output::line(&document.map_err(|error| Failure::bad(format!("cannot write JSON: {error}")))?)
}
