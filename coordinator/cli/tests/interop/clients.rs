//! The programs, and the databases of their participants. `cargo xtask setup` has brought what they need; nothing is
//! fetched here.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::process::Command;
use trine_testkit::mariadb;
use trine_testkit::postgres::Postgres;

use crate::support::Coordinator;

const REMEDY: &str = "run `cargo xtask setup`, which installs it";
/// Every wait inside has a deadline of its own; this one is for a program that hangs.
const RUN_MAX: Duration = Duration::from_secs(900);

/// A program that runs scenarios with a client.
pub(crate) struct Client {
    command: Vec<PathBuf>,
}

/// URLs of what participants keep their accounts in.
pub(crate) struct Databases {
    mysql: String,
    postgres: String,
}

impl Databases {
    pub(crate) fn fresh() -> Self {
        static XA: OnceLock<Postgres> = OnceLock::new();
        let postgres = XA.get_or_init(|| Postgres::start_with(&[("max_prepared_transactions", "20")]));
        Self { mysql: mariadb::shared().fresh_database(), postgres: postgres.fresh_database() }
    }
}

impl Client {
    pub(crate) fn python() -> Self {
        let source = examples().join("python");
        let venv = target().join("tools/interop-python");
        let wanted = std::fs::read_to_string(source.join("requirements.txt")).expect("it is in the tree");
        let installed = std::fs::read_to_string(venv.join("requirements.txt")).unwrap_or_default();
        assert!(installed == wanted, "dtm's Python client is not in {}; {REMEDY}", venv.display());
        Self { command: vec![venv.join("bin/python"), source.join("interop.py")] }
    }

    /// Compiled once per run of the tests, out of Go's caches.
    pub(crate) fn go() -> Self {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| {
            let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-go");
            let mut build = std::process::Command::new("go");
            build.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".");
            build.envs([("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
            let built = build.current_dir(examples().join("go")).output();
            let built = built.unwrap_or_else(|error| panic!("Go cannot be run ({error}); {REMEDY}"));
            let said = String::from_utf8_lossy(&built.stderr);
            assert!(built.status.success(), "{said}\nif dtm's Go client is what is missing, {REMEDY}");
            program
        });
        Self { command: vec![program.clone()] }
    }

    /// What it can show.
    pub(crate) async fn scenarios(&self) -> Vec<String> {
        let names = Self::end(self.command().arg("--list")).await;
        String::from_utf8_lossy(&names.stdout).lines().map(str::to_owned).collect()
    }

    /// Runs all of them. What it prints, which is a line for each.
    pub(crate) async fn run(&self, coordinator: &Coordinator, grpc: &str, databases: &Databases) -> String {
        let mut command = self.command();
        command.env("TRINE_DTM_HTTP", format!("{}/api/dtmsvr", coordinator.url()));
        command.env("TRINE_DTM_GRPC", grpc);
        command.env("INTEROP_MYSQL", &databases.mysql).env("INTEROP_POSTGRES", &databases.postgres);
        let output = Self::end(&mut command).await;
        let verdicts = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{verdicts}\n{complaints}", output.status);
        verdicts
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null()).kill_on_drop(true);
        // Nobody but us is talked to, and nothing is written beside the sources.
        command.env("NO_PROXY", "*").env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    async fn end(command: &mut Command) -> Output {
        let output = tokio::time::timeout(RUN_MAX, command.output()).await;
        output.expect("it ends in time").expect("it can be run")
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/interop")
}

/// Where cargo, and `cargo xtask setup`, put what they make.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder inside it")
}
