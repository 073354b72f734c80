//! Other servers that speak the dtm dialect: one that somebody runs, or dtmrs, which is installed from crates.io.

use std::net::TcpListener;

use super::Bench;
use super::options::Peer;
use super::servers::Store;
use super::subject::{Kind, Subject};
use crate::process::Process;
use crate::run::{self, cargo};
use crate::server::Server;

pub(super) const DTMRS: &str = "dtmrs";
const DTMRS_VERSION: &str = "0.13.0";

/// The peer and its name. dtmrs gets a database of its own, of the same kind and on the same server as Trine's.
pub(super) fn start(bench: &Bench, peer: &Peer, store: &Store) -> Result<(String, Subject), String> {
    match peer {
        Peer::At { name, url } => {
            let subject = Subject { kind: Kind::Peer, url: url.clone(), server: None, database: None };
            Ok((name.clone(), subject))
        }
        Peer::Dtmrs => Ok((DTMRS.to_owned(), start_dtmrs(bench, store)?)),
    }
}

fn start_dtmrs(bench: &Bench, store: &Store) -> Result<Subject, String> {
    if let Store::Url(url) = store {
        return Err(format!(
            "dtmrs needs a database of its own, and there is only {url}; start it and name it: --peer dtmrs=URL"
        ));
    }
    let folder = bench.target.join("tools/dtmrs");
    let program = folder.join("bin/dtmrs");
    if !program.is_file() {
        eprintln!("installing dtmrs {DTMRS_VERSION}; this takes some minutes");
        let install = ["install", "--locked", DTMRS, "--version", DTMRS_VERSION, "--root"];
        run::run(cargo(&bench.root, install).arg(&folder))?;
    }
    let (database_url, database) = bench.database(store, DTMRS)?;
    let address = free_address()?;
    let environment =
        [("DTMRS_DB", database_url.as_str()), ("DTMRS_ADDR", address.as_str()), ("RUST_LOG", "warn")];
    let process = Process::serve_at(DTMRS, &program, &address, &environment, bench.scratch.path())?;
    let url = format!("http://{address}");
    let server = Server { process, url: url.clone() };
    Ok(Subject { kind: Kind::Peer, url, server: Some(server), database })
}

/// dtmrs cannot be told to take any free port. Nobody else is given this one soon.
fn free_address() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.to_string()).map_err(|error| format!("no free port: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_free() {
        let address = free_address().unwrap();
        assert!(TcpListener::bind(&address).is_ok(), "{address}");
    }
}
