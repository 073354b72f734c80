//! `cargo xtask fuzz`: schemathesis reads `/openapi.json` of a running server and sends valid and invalid requests. No answer may be
//! a 5xx, and the server must still run at the end.
//!
//! Generated transactions name generated hosts, and the coordinator calls them. So server and fuzzer run in a network namespace
//! of their own, which has only a loopback device.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, command};
use crate::server::{self, Build, Scratch, Server};
use crate::setup;

/// Internal option: the program runs in its own network namespace already.
const ALONE: &str = "--alone";
const REQUEST_TIMEOUT_SECONDS: &str = "60";

/// The command's options.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Requests per operation and phase
    #[arg(long, default_value_t = 50)]
    examples: u32,
    /// Seed of the generated requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Fuzz this `trine` binary instead of building one
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    #[arg(long, hide = true)]
    alone: bool,
}

/// Prepares everything that needs the network, then starts itself again without network.
pub(crate) fn fuzz(root: &Path, options: &Options) -> Result<(), String> {
    let target = run::target_directory(root)?;
    if options.alone {
        return attack(root, &target, options);
    }
    setup::schemathesis(root)?;
    let server = server::trine(root, &target, options.server.as_deref(), Build::Debug)?;
    let program = std::env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
    if !run::succeeds(&mut in_own_network(Path::new("true"))) {
        return Err("this machine cannot make a network without a way out (it needs `unshare` and `ip`); \
                    fuzzing here would send requests to generated host names"
            .to_owned());
    }
    let mut again = in_own_network(&program);
    again.current_dir(root).args(again_args(options, &server));
    run::run(&mut again)
}

/// The arguments of this command for the run without network.
fn again_args(options: &Options, server: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["fuzz".into(), ALONE.into()];
    args.extend(["--examples".into(), options.examples.to_string().into()]);
    args.extend(["--seed".into(), options.seed.to_string().into()]);
    args.extend(["--server".into(), server.into()]);
    args
}

/// A command that runs `program` in a network namespace with only a loopback device.
fn in_own_network(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--net", "sh", "-c", r#"ip link set lo up && exec "$0" "$@""#])
        .arg(program);
    command
}

fn attack(root: &Path, target: &Path, options: &Options) -> Result<(), String> {
    let schemathesis = setup::schemathesis(root)?;
    let program = server::trine(root, target, options.server.as_deref(), Build::Debug)?;
    let scratch = Scratch::new(target, "fuzz")?;
    let mut server = Server::start_trine(&program, scratch.path())?;
    let (examples, seed) = (options.examples.to_string(), options.seed.to_string());
    let schema = format!("{}/openapi.json", server.url);
    let mut attack = command(root, &schemathesis.to_string_lossy(), ["run", &schema]);
    attack.current_dir(scratch.path()).args(["--checks", "not_a_server_error", "--continue-on-failure"]);
    attack.args(["--max-examples", &examples, "--seed", &seed, "--request-timeout", REQUEST_TIMEOUT_SECONDS]);
    // A live stream ends with its transaction, but these transactions call hosts that do not exist and never end.
    attack.args(["--exclude-path-regex", "/events$"]);
    let verdict = run::run(&mut attack);
    server.process.ensure_running()?;
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_run_gets_all_options_of_the_outer_one() {
        let options = Options { examples: 7, seed: 9, server: None, alone: false };
        let args = again_args(&options, Path::new("/x/trine"));
        assert_eq!(args.join(" ".as_ref()), "fuzz --alone --examples 7 --seed 9 --server /x/trine");
    }

    #[test]
    fn the_program_in_its_own_network_gets_its_arguments() {
        let mut command = in_own_network(Path::new("prog"));
        command.arg("a b");
        assert!(run::show(&command).ends_with(r#"exec "$0" "$@"' prog 'a b'"#), "{}", run::show(&command));
    }
}
