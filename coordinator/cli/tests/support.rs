//! Starts what the tests need: coordinators as processes, services in this one, all on free ports and in temporary
//! folders. Nothing here waits by time: it waits for a line, an answer or an exit.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use trine_participants::{Config, Location, Running, Synchronous, inventory, order};

/// A coordinator in a process of its own. Dropping it kills it with -9.
pub(crate) struct Coordinator {
    child: Child,
    url: String,
}

impl Coordinator {
    /// Starts `trine serve` on a file and waits until it listens.
    pub(crate) async fn start(db: &Path) -> Self {
        Self::start_with(db, &[]).await
    }

    /// The same, with variables in its environment.
    pub(crate) async fn start_with(db: &Path, variables: &[(&str, &str)]) -> Self {
        let folder = db.parent().expect("a file is in a folder");
        Self::serve(&format!("sqlite:{}", db.display()), "127.0.0.1:0", folder, variables).await
    }

    /// Starts `trine serve` on any store.
    pub(crate) async fn serve(store: &str, http: &str, folder: &Path, variables: &[(&str, &str)]) -> Self {
        Self::launch(folder, &["serve", "--http", http, "--store", store], variables).await
    }

    /// Starts `trine serve` on a file, with so many file descriptors and no more.
    pub(crate) async fn start_limited(db: &Path, descriptors: usize) -> Self {
        let mut program = limited(descriptors);
        program.args(["serve", "--store", &format!("sqlite:{}", db.display())]);
        Self::listening(program, db.parent().expect("a file is in a folder"), &[]).await
    }

    /// Starts `trine serve` on a file; nobody reads its log.
    pub(crate) async fn start_unread(db: &Path, variables: &[(&str, &str)]) -> Self {
        let mut program = program();
        program.args(["serve", "--store", &format!("sqlite:{}", db.display())]).stderr(Stdio::piped());
        Self::listening(program, db.parent().expect("a file is in a folder"), variables).await
    }

    /// Starts `trine` with arguments that make it serve, and waits until it listens.
    pub(crate) async fn launch(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut program = program();
        program.args(arguments);
        Self::listening(program, folder, variables).await
    }

    async fn listening(mut program: Command, folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = program
            .env("TRINE_LOG_FILTER", "error")
            .envs(variables.iter().copied())
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("trine is built with the tests");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let url = loop {
            let line =
                lines.next_line().await.expect("stdout is text").expect("trine ended before it listened");
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.trim().to_owned();
            }
        };
        Self { child, url }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it is running")
    }

    /// Where it listens, without the scheme.
    pub(crate) fn addr(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it was running");
    }

    /// `kill -TERM`, and its exit code.
    pub(crate) async fn terminate(self) -> Option<i32> {
        self.send_term().await;
        self.ended().await
    }

    /// `kill -TERM`.
    pub(crate) async fn send_term(&self) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill is there");
        assert!(sent.success());
    }

    /// Its exit code, once it has ended.
    pub(crate) async fn ended(mut self) -> Option<i32> {
        self.child.wait().await.expect("it ends").code()
    }
}

const TRINE: &str = env!("CARGO_BIN_EXE_trine");

/// `trine`, to be given arguments and started: the one way in which these tests start it (tidy sees to that).
///
/// The default ports may be somebody's who works on this machine. So where the arguments name no address, it listens on
/// free ports, and a command that asks a coordinator finds nobody.
pub(crate) fn program() -> Command {
    alone(Command::new(TRINE))
}

/// The same with so many file descriptors and no more.
fn limited(descriptors: usize) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {descriptors} && exec \"$@\""), "sh", TRINE]);
    alone(shell)
}

fn alone(mut command: Command) -> Command {
    for name in ["TRINE_HTTP_ADDR", "TRINE_GRPC_ADDR"] {
        command.env(name, "127.0.0.1:0");
    }
    // Nobody can listen on port 0.
    command.env("TRINE_URL", "http://127.0.0.1:0").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `trine` to its end: its exit code, and what it printed on either output.
pub(crate) async fn trine(arguments: &[&str]) -> (Option<i32>, String) {
    let output = program().args(arguments).output().await;
    let output = output.expect("trine is built with the tests");
    let words = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&words).into_owned())
}

/// The order and inventory services.
pub(crate) struct Shop {
    pub(crate) order: Running,
    pub(crate) inventory: Running,
}

impl Shop {
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_in(folder.join("order.db").into(), folder.join("inventory.db").into(), &[]).await
    }

    /// The same in other databases, registered by name with these coordinators.
    pub(crate) async fn start_in(order: Location, inventory: Location, coordinators: &[String]) -> Self {
        let config = |database: Location| {
            let mut config = Config::embedded(database);
            config.synchronous = Synchronous::Off;
            config.register = coordinators.to_vec();
            config
        };
        let order = order::Service::start(config(order)).await.expect("the order service starts");
        let inventory = inventory::Service::start(config(inventory)).await.expect("the inventory starts");
        for service in [&order, &inventory] {
            service.registered().await.expect("it is registered, or need not be");
        }
        Self { order, inventory }
    }

    pub(crate) async fn stock(&self, http: &Http, sku: &str, quantity: i64) {
        let (status, _) = http
            .post(&format!("{}/stock", self.inventory.base_url()), &json!({"sku": sku, "quantity": quantity}))
            .await;
        assert_eq!(status, 201);
    }

    /// Every unit is accounted for, nothing is held back, and what was sold is what confirmed orders say. Returns
    /// what was sold.
    pub(crate) async fn assert_conserved(&self, http: &Http) -> i64 {
        let (_, stock) = http.get(&format!("{}/stock/summary", self.inventory.base_url())).await;
        let (_, orders) = http.get(&format!("{}/orders/summary", self.order.base_url())).await;
        assert_eq!(stock["conserved"], true, "{stock}");
        assert_eq!(stock["frozen"], 0, "{stock}");
        assert_eq!(orders["pending"]["orders"], 0, "{orders}");
        assert_eq!(orders["confirmed"]["quantity"], stock["sold"], "{orders} {stock}");
        stock["sold"].as_i64().expect("sold is a number")
    }
}

/// A client that says what it got.
#[derive(Clone)]
pub(crate) struct Http(reqwest::Client);

impl Http {
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(reqwest::Client::builder().no_proxy().build().expect("a plain client"))
    }

    /// Status and JSON body (null when there is none).
    pub(crate) async fn get(&self, url: &str) -> (u16, Value) {
        self.send(self.0.get(url)).await.unwrap_or_else(|error| panic!("GET {url}: {error}"))
    }

    /// The whole body as text, once it has ended.
    pub(crate) async fn text(&self, url: &str) -> String {
        let response = self.0.get(url).send().await.unwrap_or_else(|error| panic!("GET {url}: {error}"));
        response.text().await.unwrap_or_else(|error| panic!("GET {url}: {error}"))
    }

    /// An answer whose body is read by the caller.
    pub(crate) async fn stream(&self, url: &str) -> reqwest::Response {
        self.0.get(url).send().await.unwrap_or_else(|error| panic!("GET {url}: {error}"))
    }

    /// Posts nothing, with a preference; the answer as it is.
    pub(crate) async fn raw(&self, url: &str, prefer: Option<&str>) -> reqwest::Response {
        let mut request = self.0.post(url);
        if let Some(prefer) = prefer {
            request = request.header("prefer", prefer);
        }
        request.send().await.unwrap_or_else(|error| panic!("POST {url}: {error}"))
    }

    pub(crate) async fn post(&self, url: &str, body: &Value) -> (u16, Value) {
        self.send(self.0.post(url).json(body)).await.unwrap_or_else(|error| panic!("POST {url}: {error}"))
    }

    /// The same, with a preference.
    pub(crate) async fn post_with(&self, url: &str, prefer: &str, body: &Value) -> (u16, Value) {
        let request = self.0.post(url).header("prefer", prefer).json(body);
        self.send(request).await.unwrap_or_else(|error| panic!("POST {url}: {error}"))
    }

    /// The same, or none when nobody answers.
    pub(crate) async fn try_post(&self, url: &str, body: &Value) -> Option<(u16, Value)> {
        self.send(self.0.post(url).json(body)).await.ok()
    }

    /// Creates a transaction and waits for it to settle, for at most `wait` seconds. An error when nobody answers.
    pub(crate) async fn create(
        &self,
        url: &str,
        body: &Value,
        wait: u32,
    ) -> Result<(u16, Value), reqwest::Error> {
        let request = self.0.post(format!("{url}/v1/transactions")).header("Prefer", format!("wait={wait}"));
        self.send(request.json(body)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

/// A transaction over both services: an order and its stock, by a pattern.
pub(crate) fn purchase(shop: &Shop, pattern: &str, gid: &str, sku: &str, quantity: u32) -> Value {
    let payload = json!({"sku": sku, "quantity": quantity});
    json!({
        "gid": gid,
        "pattern": pattern,
        "options": {"retry": {"initial": "20ms", "max_interval": "200ms"}, "call_timeout": "5s"},
        "branches": [
            {"id": "stock", "url": format!("{}/stock/branch", shop.inventory.base_url()), "payload": payload},
            {"id": "order", "url": format!("{}/orders/branch", shop.order.base_url()), "payload": payload},
        ],
    })
}
