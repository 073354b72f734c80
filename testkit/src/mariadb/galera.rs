//! Three MariaDB servers that certify each other's transactions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{MariaDb, PACKAGE, client, command, greets, kind};
use crate::ports::Reserved;
use crate::server::Server;
use crate::{process, wait};

const NODES: usize = 3;
const LIMIT: Duration = Duration::from_secs(90);

/// A cluster of three nodes, numbered from 0, each of which takes writes.
#[derive(Debug)]
pub struct Galera {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    server: MariaDb,
    // Reserved as long as the node lives.
    _ports: Ports,
}

/// The ports of a node beside the one for clients.
#[derive(Debug)]
struct Ports {
    group: Reserved,
    incremental: Reserved,
    snapshot: Reserved,
}

impl Galera {
    /// Starts the first node, then the others, which copy its data; returns when all are in step.
    #[must_use]
    pub fn start() -> Self {
        let ports: Vec<Ports> = (0..NODES).map(|_| Ports::pick()).collect();
        let members: Vec<String> = ports.iter().map(|node| address(&node.group)).collect();
        let cluster = format!("gcomm://{}", members.join(","));
        let mut nodes = Vec::new();
        for (number, ports) in ports.into_iter().enumerate() {
            let settings = settings(number, &ports, &cluster);
            let settings: Vec<(&str, &str)> =
                settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let server = Server::prepare(&kind(in_step), |folder, port| command(folder, port, &settings));
            let more = if number == 0 { vec!["--wsrep-new-cluster".to_owned()] } else { Vec::new() };
            let pid = server.spawn(&more);
            if let Err(log) = server.wait_until_ready(pid) {
                // The cause of a failed start may be in the log of the first node.
                let first =
                    nodes.first().map(|node: &Node| node.server.server.log_tail()).unwrap_or_default();
                panic!(
                    "node {number} did not join; its log ends with:\n{log}\nthe first node's with:\n{first}"
                );
            }
            nodes.push(Node { server: MariaDb::of(server), _ports: ports });
        }
        let galera = Self { nodes };
        galera.wait_for_size(NODES);
        galera
    }

    /// One of the servers.
    #[must_use]
    pub fn node(&self, node: usize) -> &MariaDb {
        &self.nodes[node].server
    }

    /// The URL of a database at one of the nodes.
    #[must_use]
    pub fn url(&self, node: usize, database: &str) -> String {
        self.node(node).url(database)
    }

    /// Creates an empty database and returns its name, when all running nodes have it.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        // Always count at the first node, even if another node creates the database.
        let name = self.nodes[0].server.next_name();
        let first = self.running().next().expect("a cluster without a running node makes no databases");
        first.execute("", &format!("CREATE DATABASE {name}"));
        for server in self.running() {
            server.execute("", "SET SESSION wsrep_sync_wait = 1; SELECT 1");
        }
        name
    }

    /// Kills a node, as a crash of its machine. The others refuse statements until they have agreed that it is gone:
    /// `wait_for_size` waits for that.
    pub fn kill(&self, node: usize) {
        self.node(node).kill();
    }

    /// Starts a node again, which fetches what it missed from the others. At least one of them has to run.
    pub fn start_again(&self, node: usize) {
        self.node(node).start_again();
    }

    /// Returns when every running node counts `size` members and takes statements.
    pub fn wait_for_size(&self, size: usize) {
        let agreed = wait::until(LIMIT, || {
            let mut running = self.running();
            running.all(|server| status(server.port()).is_some_and(|status| status.is_member_of(size)))
        });
        assert!(agreed, "the cluster did not come to {size} members in {LIMIT:?}");
    }

    fn running(&self) -> impl Iterator<Item = &MariaDb> {
        self.nodes.iter().map(|node| &node.server).filter(|server| server.server.is_running())
    }
}

impl Ports {
    fn pick() -> Self {
        Self { group: Reserved::pick(), incremental: Reserved::pick(), snapshot: Reserved::pick() }
    }
}

/// The state of a node.
struct Status {
    ready: bool,
    synced: bool,
    size: usize,
}

impl Status {
    fn is_member_of(&self, size: usize) -> bool {
        self.ready && self.synced && self.size == size
    }
}

fn status(port: u16) -> Option<Status> {
    let sql = "SHOW STATUS WHERE variable_name IN ('wsrep_ready', 'wsrep_local_state_comment', 'wsrep_cluster_size')";
    let rows = process::run(&mut client(port), sql).ok()?;
    let value = |name: &str| rows.lines().find_map(|row| row.strip_prefix(name)?.strip_prefix('\t'));
    Some(Status {
        ready: value("wsrep_ready")? == "ON",
        synced: value("wsrep_local_state_comment")? == "Synced",
        size: value("wsrep_cluster_size")?.parse().ok()?,
    })
}

fn in_step(server: &Server, pid: u32) -> bool {
    greets(server, pid) && status(server.port()).is_some_and(|status| status.ready && status.synced)
}

fn settings(number: usize, ports: &Ports, cluster: &str) -> Vec<(&'static str, String)> {
    let (group, incremental) = (address(&ports.group), address(&ports.incremental));
    let provider_options = [
        format!("gmcast.listen_addr=tcp://{group}"),
        format!("base_port={}", ports.group.port()),
        format!("ist.recv_addr={incremental}"),
        // Large enough for the writes that a node misses during a test. The default is written in full at every start.
        "gcache.size=32M".to_owned(),
        // A node that was killed is given up after two seconds instead of five.
        "evs.keepalive_period=PT0.5S".to_owned(),
        "evs.inactive_check_period=PT0.5S".to_owned(),
        "evs.suspect_timeout=PT2S".to_owned(),
        "evs.inactive_timeout=PT5S".to_owned(),
    ];
    vec![
        ("wsrep-on", "ON".to_owned()),
        ("wsrep-provider", provider().display().to_string()),
        ("wsrep-provider-options", provider_options.join(";")),
        ("wsrep-cluster-name", format!("trine-{}", std::process::id())),
        ("wsrep-cluster-address", cluster.to_owned()),
        ("wsrep-node-name", format!("node-{number}")),
        ("wsrep-node-address", group),
        ("wsrep-sst-method", "rsync".to_owned()),
        ("wsrep-sst-receive-address", address(&ports.snapshot)),
        ("binlog-format", "ROW".to_owned()),
        ("default-storage-engine", "InnoDB".to_owned()),
        ("innodb-autoinc-lock-mode", "2".to_owned()),
    ]
}

fn address(port: &Reserved) -> String {
    format!("127.0.0.1:{}", port.port())
}

fn provider() -> PathBuf {
    // The script that copies the data of one node to another uses it.
    process::program("rsync", "rsync");
    process::program("wsrep_sst_rsync", PACKAGE);
    let folders = ["/usr/lib/galera", "/usr/lib64/galera-4"].map(Path::new);
    let found = folders.map(|folder| folder.join("libgalera_smm.so")).into_iter().find(|file| file.is_file());
    found.unwrap_or_else(|| process::missing("libgalera_smm.so", "galera-4"))
}
