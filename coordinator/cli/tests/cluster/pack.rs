//! Several coordinators on one store, each a process, with a load balancer in front where a test wants one.

use serde_json::Value;
use tempfile::TempDir;
use trine_testkit::nginx::Nginx;
use trine_testkit::proxy::Proxy;
use trine_testkit::{mariadb, ports, postgres};

use crate::support::{Coordinator, Http};

/// A database that coordinators share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    MariaDb,
}

impl Kind {
    /// A fresh database in a server all tests share.
    pub(crate) fn fresh(self) -> String {
        match self {
            Self::Postgres => postgres::shared().fresh_database(),
            Self::MariaDb => mariadb::shared().fresh_database(),
        }
    }
}

/// A proxy in front of a store, and the URL that leads through it.
pub(crate) fn through_proxy(store: &str) -> (Proxy, String) {
    let (_, rest) = store.rsplit_once(':').expect("a port");
    let (port, _) = rest.split_once('/').expect("a database");
    let proxy = Proxy::start(port.parse().expect("a number"));
    let url = store.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    (proxy, url)
}

/// Coordinators `c0`, `c1` .. on one store.
pub(crate) struct Pack {
    /// Where each finds the store.
    stores: Vec<String>,
    folder: TempDir,
    ports: Vec<u16>,
    running: Vec<Option<Coordinator>>,
    variables: Vec<(String, String)>,
}

impl Pack {
    /// Starts so many on a store. Heartbeats come every second and lapse after three.
    pub(crate) async fn start(store: &str, count: usize) -> Self {
        Self::start_with(store, count, &[]).await
    }

    pub(crate) async fn start_with(store: &str, count: usize, variables: &[(&str, &str)]) -> Self {
        Self::start_on(vec![store.to_owned(); count], variables).await
    }

    /// One coordinator for each way to the store.
    pub(crate) async fn start_on(stores: Vec<String>, variables: &[(&str, &str)]) -> Self {
        let count = stores.len();
        let base = [("TRINE_STORE_HEARTBEAT_EVERY", "1s"), ("TRINE_STORE_LAPSE_AFTER", "3s")];
        let variables = base.iter().chain(variables).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut pack = Self {
            stores,
            folder: tempfile::tempdir().expect("a temporary folder"),
            ports: (0..count).map(|_| ports::free_port()).collect(),
            running: (0..count).map(|_| None).collect(),
            variables: variables.collect(),
        };
        for place in 0..count {
            pack.start_one(place).await;
        }
        pack
    }

    /// Starts one that is not running, where and under the name it always has.
    pub(crate) async fn start_one(&mut self, place: usize) {
        let name = format!("c{place}");
        let mut variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        variables.push(("TRINE_NAME", &name));
        let http = format!("127.0.0.1:{}", self.ports[place]);
        let started = Coordinator::serve(&self.stores[place], &http, self.folder.path(), &variables).await;
        self.running[place] = Some(started);
    }

    pub(crate) async fn kill(&mut self, place: usize) {
        self.running[place].take().expect("it is running").kill().await;
    }

    pub(crate) fn one(&self, place: usize) -> &Coordinator {
        self.running[place].as_ref().expect("it is running")
    }

    pub(crate) fn url(&self, place: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[place])
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        (0..self.ports.len()).map(|place| self.url(place)).collect()
    }

    /// A load balancer in front of all, and its URL. It asks the next one when one does not answer.
    pub(crate) fn balanced(&self) -> (Nginx, String) {
        let port = ports::free_port();
        let servers: String = self
            .ports
            .iter()
            .map(|port| format!("server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;\n"))
            .collect();
        let config = format!(
            "worker_processes 1;\nevents {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n\
             upstream trine {{\n{servers}keepalive 32;\n}}\n\
             server {{\nlisten 127.0.0.1:{port};\nlocation / {{\nproxy_pass http://trine;\nproxy_http_version 1.1;\n\
             proxy_set_header Connection \"\";\nproxy_connect_timeout 1s;\nproxy_read_timeout 60s;\n\
             proxy_next_upstream error timeout non_idempotent http_503;\n}}\n}}\n}}\n"
        );
        (Nginx::start(&config), format!("http://127.0.0.1:{port}"))
    }

    /// What `GET /v1/admin/coordinators` says about one, asked at another.
    pub(crate) async fn seen(&self, http: &Http, asked: usize, about: usize) -> Value {
        let (status, list) = http.get(&format!("{}/v1/admin/coordinators", self.url(asked))).await;
        assert_eq!(status, 200, "{list}");
        let name = format!("c{about}");
        let all = list["coordinators"].as_array().expect("a list");
        all.iter().find(|one| one["name"] == *name).cloned().unwrap_or(Value::Null)
    }

    /// A counter of one's metrics.
    pub(crate) async fn metric(&self, http: &Http, place: usize, name: &str) -> u64 {
        let text = http.text(&format!("{}/metrics", self.url(place))).await;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }
}
