//! What is shipped for running Trine: `docker-compose.yml`, `Dockerfile`, `deploy/nginx.conf`.
//!
//! Where no container can be run, the files are read and held against each other (`files`, by what `compose` finds), nginx
//! is run with its configuration (`nginx`), and so is everything together, as plain processes (`topology`). `page` looks
//! after `docs/operating.md`.

mod compose;
mod files;
mod nginx;
mod page;
mod topology;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the coordinator is in the repository")
        .to_owned()
}

/// A file of the repository.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The shipped nginx configuration with other addresses, and otherwise as it is.
fn nginx_config(listen: u16, coordinators: &[(String, String)]) -> String {
    let shipped = read("deploy/nginx.conf");
    let listens = format!("listen 127.0.0.1:{listen};");
    let config =
        coordinators.iter().fold(shipped.replace("listen 8080;", &listens), |config, (name, addr)| {
            config.replace(&format!("server {name}:36789 "), &format!("server {addr} "))
        });
    assert!(config.contains(&listens) && !config.contains(":36789"), "{config}");
    config
}

/// The servers of each `upstream` of the shipped nginx configuration: name and port.
fn nginx_upstreams() -> Vec<Vec<(String, u16)>> {
    let config = read("deploy/nginx.conf");
    let block = |text: &str| {
        let (block, _) = text.split_once('}').expect("a block ends");
        let servers = block.lines().filter_map(|line| line.trim().strip_prefix("server "));
        let address = |server: &str| {
            let (name, port) = server.split([' ', ';']).next()?.split_once(':')?;
            Some((name.to_owned(), port.parse().ok()?))
        };
        servers.map(|server| address(server).unwrap_or_else(|| panic!("{server}"))).collect()
    };
    config.split("    upstream ").skip(1).map(block).collect()
}
