//! What the examples run against: `trine dev` on free ports, in a process of its own.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::page::Example;
use crate::support::{Http, program};

/// Longer than any example takes, and any transaction of one.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the examples call the three, and the beginning of the line with which `trine dev` says where each is.
const ADDRESSES: [(&str, &str); 3] = [
    ("http://127.0.0.1:36789", "coordinator "),
    ("http://127.0.0.1:7001", "order service "),
    ("http://127.0.0.1:7002", "inventory service "),
];

/// Fails an example when one of its requests fails, and ends each answer's line.
const PRELUDE: &str = r#"
set -eu
curl() { command curl --no-progress-meter --fail-with-body --max-time 30 "$@"; echo; }
trine() { "$TRINE_PROGRAM" "$@"; }
"#;

/// A running `trine dev`.
pub(super) struct Scene {
    pub(super) http: Http,
    child: Child,
    folder: TempDir,
    /// Where each really is, by what the examples call it.
    addresses: BTreeMap<&'static str, String>,
    /// Variables that examples of the page have set so far.
    variables: String,
}

impl Scene {
    /// Starts it and waits until its tour is over.
    pub(super) async fn set() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = program()
            .args(["dev", "--http", "127.0.0.1:0", "--dir"])
            .env("TRINE_LOG_FILTER", "error")
            .arg(folder.path().join("dev"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("trine is built with the tests");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut addresses = BTreeMap::new();
        let mut said = String::new();
        loop {
            let line = lines.next_line().await.expect("text");
            let line = line.unwrap_or_else(|| panic!("trine dev ended before its tour did:\n{said}"));
            said.push_str(&format!("{line}\n"));
            for (name, begins) in ADDRESSES {
                if let Some((_, url)) =
                    line.strip_prefix(begins).and_then(|rest| rest.split_once("listening on "))
                {
                    let url = url.split_whitespace().next().expect("a URL");
                    addresses.insert(name, url.to_owned());
                }
            }
            if line.starts_with("Running as process") {
                break;
            }
        }
        assert_eq!(addresses.len(), ADDRESSES.len(), "{said}");
        Self { http: Http::new(), child, folder, addresses, variables: String::new() }
    }

    /// Where the coordinator is.
    pub(super) fn url(&self) -> &str {
        &self.addresses[ADDRESSES[0].0]
    }

    /// A text with the real addresses.
    pub(super) fn real(&self, text: &str) -> String {
        let mut real = text.to_owned();
        for (name, url) in &self.addresses {
            real = real.replace(name, url);
        }
        let known = |rest: &str| {
            self.addresses.values().any(|url| url.ends_with(&format!("127.0.0.1:{}", port(rest))))
        };
        for (at, start) in real.match_indices("127.0.0.1:") {
            let rest = &real[at + start.len()..];
            assert!(known(rest), "nobody of `trine dev` listens on 127.0.0.1:{}:\n{text}", port(rest));
        }
        real
    }

    /// Runs an example; what it printed, or why it failed.
    pub(super) async fn run(&mut self, example: &Example) -> Result<String, String> {
        let text = self.real(&example.text).replace("cargo run -- ", "trine ");
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{PRELUDE}{}{text}", self.variables)])
            .env("TRINE_PROGRAM", program().as_std().get_program())
            .env("TRINE_URL", self.url())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output.map_err(|_| "it does not end".to_owned())?.map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let complained = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}\n{printed}{complained}", output.status));
        }
        let is_variable = |line: &&str| {
            let name = line.split_once('=').map_or("", |(name, _)| name);
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        };
        let set = text.lines().filter(is_variable).filter(|line| !line.contains(' '));
        self.variables.extend(set.map(|line| format!("{line}\n")));
        Ok(printed)
    }

    /// How each transaction ended that is none of the tour's: once all have, which they must in time.
    pub(super) async fn ends(&self) -> BTreeMap<String, String> {
        let (status, list) = self.http.get(&format!("{}/v1/transactions?limit=500", self.url())).await;
        assert_eq!((status, &list["next_cursor"]), (200, &Value::Null), "{list}");
        let mut ends = BTreeMap::new();
        for row in list["transactions"].as_array().expect("a list") {
            let gid = row["gid"].as_str().expect("a gid");
            if gid.starts_with("tour-") {
                continue;
            }
            let url = format!("{}/v1/transactions/{gid}", self.url());
            // The stream ends with the transaction.
            let ended = tokio::time::timeout(PATIENCE, self.http.text(&format!("{url}/events"))).await;
            let (_, view) = self.http.get(&url).await;
            assert!(ended.is_ok() && view["settled"] == true, "{gid} does not end: {view:#}");
            ends.insert(gid.to_owned(), view["status"].as_str().expect("a status").to_owned());
        }
        ends
    }

    /// Nothing is held back and every unit is accounted for. Then it is over.
    pub(super) async fn strike(mut self) {
        let [_, (order, _), (inventory, _)] = ADDRESSES;
        let (_, stock) = self.http.get(&self.real(&format!("{inventory}/stock/summary"))).await;
        assert_eq!((&stock["conserved"], &stock["frozen"]), (&true.into(), &0.into()), "{stock}");
        let (_, orders) = self.http.get(&self.real(&format!("{order}/orders/summary"))).await;
        assert_eq!(orders["pending"]["orders"], 0, "{orders}");
        self.child.kill().await.expect("it was running");
    }
}

fn port(rest: &str) -> &str {
    &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())]
}
