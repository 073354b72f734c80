//! Nothing outlives its handle or its process, however that ends.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use trine_testkit::mariadb::MariaDb;
use trine_testkit::nginx::Nginx;
use trine_testkit::postgres::{self, Postgres};
use trine_testkit::process;
use trine_testkit::redis::Redis;
use trine_testkit::wait;

const LIMIT: Duration = Duration::from_secs(30);
/// Tells the test below that it is the process to be killed.
const VICTIM: &str = "TRINE_TESTKIT_VICTIM";

/// Processes that work in the folder or name it in their command.
fn processes_of(folder: &Path) -> Vec<PathBuf> {
    let name = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let belongs = |process: &PathBuf| {
        let works_there = std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        works_there || String::from_utf8_lossy(&command).contains(name)
    };
    processes.filter(belongs).collect()
}

/// Starts one of each and says where they are, then waits to be killed.
fn be_the_victim() {
    let (mariadb, redis) = (MariaDb::start(), Redis::start());
    let nginx = Nginx::start("events {}\nhttp {\n}\n");
    let postgres = postgres::shared();
    for folder in [postgres.folder(), mariadb.folder(), redis.folder(), nginx.folder()] {
        println!("folder {}", folder.display());
    }
    // What is stopped has to go as well.
    postgres.pause();
    redis.pause();
    println!("ready");
    // Ends without an answer when the test does.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn nothing_outlives_a_process_that_is_killed() {
    if std::env::var_os(VICTIM).is_some() {
        be_the_victim();
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_outlives_a_process_that_is_killed", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| line != "ready").collect();
    let folders =
        said.iter().filter_map(|line| line.split_once("folder ")).map(|(_, path)| PathBuf::from(path));
    let folders: Vec<PathBuf> = folders.collect();
    assert_eq!(folders.len(), 4, "{said:?}");
    for folder in &folders {
        assert!(folder.is_dir() && !processes_of(folder).is_empty(), "{}", folder.display());
    }
    process::kill_9(victim.id());
    victim.wait().unwrap();
    for folder in &folders {
        let gone = wait::until(LIMIT, || !folder.exists() && processes_of(folder).is_empty());
        assert!(gone, "{}: {:?}", folder.display(), processes_of(folder));
    }
}

#[test]
fn a_dropped_server_is_gone_when_drop_returns() {
    let server = Postgres::start();
    let folder = server.folder().to_owned();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| server.try_execute("postgres", "SELECT pg_sleep(60)"));
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        assert!(wait::until(LIMIT, || server.execute("postgres", sleeping) == "1"));
        server.kill();
        assert!(sleeper.join().unwrap().is_err());
    });
    // The keeper is still there.
    assert!(processes_of(&folder).len() <= 1, "{:?}", processes_of(&folder));
    assert!(folder.is_dir());
    drop(server);
    assert!(!folder.exists());
}
