//! pgbouncer in front of a PostgreSQL server.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use crate::owner::Owner;
use crate::process;
use crate::server::{Kind, Server, words};

const PACKAGE: &str = "pgbouncer";
/// pgbouncer does not run as root.
const OWNER: Owner = Owner("postgres");

/// A pooler with one database behind it; everybody may connect to that.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
}

impl PgBouncer {
    /// Starts a pooler in front of the server on this port. `pool_mode`: `session`, `transaction` or `statement`.
    #[must_use]
    pub fn start(server_port: u16, pool_mode: &str) -> Self {
        let server = Server::launch(&kind(), |folder, port| {
            write_config(folder, port, server_port, pool_mode);
            let program = process::program("pgbouncer", PACKAGE).display().to_string();
            let config = folder.join("pgbouncer.ini").display().to_string();
            [OWNER.command(), words(&[&program, &config])].concat()
        });
        Self { server }
    }

    /// The port, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }
}

fn kind() -> Kind {
    Kind {
        name: "pgbouncer",
        owner: OWNER.other(),
        end: None,
        prepare: |_| {},
        ready: |server, _pid| TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).is_ok(),
        port_taken: "Address already in use",
    }
}

fn write_config(folder: &Path, port: u16, server_port: u16, pool_mode: &str) {
    // No password is needed, neither here nor at the server. With `any`, the server's user must be named.
    let config = format!(
        "[databases]\n* = host=127.0.0.1 port={server_port} user=user\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = any\npool_mode = {pool_mode}\n"
    );
    let file = folder.join("pgbouncer.ini");
    std::fs::write(&file, config).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
}
