//! The proxy, between plain sockets and a server that answers each line with the same line.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trine_testkit::proxy::{Proxy, Trap};
use trine_testkit::wait;

const LIMIT: Duration = Duration::from_secs(10);
/// Long enough to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(200);

/// Answers each line with `mark` and the line, and remembers it. Lives as long as the process.
struct Echo {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    fn start(mark: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let seen_there = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, seen) = (stream.unwrap(), Arc::clone(&seen_there));
                std::thread::spawn(move || {
                    for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                        seen.lock().unwrap().push(line.clone());
                        let _ = stream.write_all(format!("{mark}{line}\n").as_bytes());
                    }
                });
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// The answer to a line, or `None` if the connection ended.
fn ask(stream: &mut TcpStream, line: &str) -> Option<String> {
    stream.write_all(format!("{line}\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return None,
            Ok(_) if byte[0] == b'\n' => return Some(String::from_utf8(answer).unwrap()),
            Ok(_) => answer.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
    }
}

fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let silent = stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    silent
}

#[test]
fn a_trap_for_an_answer_lets_the_request_through_and_loses_its_answer() {
    let server = Echo::start("");
    let proxy = Proxy::start(server.port);
    let (mut stream, mut other) = (connect(&proxy), connect(&proxy));
    assert_eq!(ask(&mut stream, "BEGIN").as_deref(), Some("BEGIN"));
    proxy.eat_answer_to(b"COMMIT");
    assert_eq!(ask(&mut stream, "INSERT").as_deref(), Some("INSERT"));
    assert_eq!(proxy.hits(), 0);
    assert_eq!(ask(&mut stream, "COMMIT"), None);
    assert_eq!(proxy.hits(), 1);
    assert_eq!(server.seen(), ["BEGIN", "INSERT", "COMMIT"]);
    assert_eq!(ask(&mut other, "COMMIT").as_deref(), Some("COMMIT"), "a trap fires once");
}

#[test]
fn a_trap_before_a_request_keeps_it_from_the_server() {
    let server = Echo::start("");
    let proxy = Proxy::start(server.port);
    proxy.cut_before(b"COMMIT");
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, "INSERT").as_deref(), Some("INSERT"));
    assert_eq!(ask(&mut stream, "COMMIT"), None);
    assert!(proxy.wait_for_hits(1, LIMIT));
    assert_eq!(ask(&mut connect(&proxy), "COMMIT").as_deref(), Some("COMMIT"));
    assert_eq!(server.seen(), ["INSERT", "COMMIT"]);
}

#[test]
fn a_trap_may_look_at_bytes_or_count_requests() {
    let server = Echo::start("");
    let proxy = Proxy::start(server.port);
    proxy.trap(Trap::CutBefore, |chunk| chunk.first() == Some(&0x17));
    proxy.trap_after(Trap::EatAnswer, 2);
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, "1").as_deref(), Some("1"));
    assert_eq!(ask(&mut stream, "2").as_deref(), Some("2"));
    assert_eq!(ask(&mut stream, "3"), None);
    assert_eq!(ask(&mut connect(&proxy), "\x17"), None);
    assert_eq!(proxy.hits(), 2);
    proxy.cut_before(b"5");
    proxy.clear_traps();
    assert_eq!(ask(&mut connect(&proxy), "5").as_deref(), Some("5"));
    assert_eq!(server.seen(), ["1", "2", "3", "5"]);
}

#[test]
fn connections_are_cut_and_refused_and_led_elsewhere() {
    let (first, second) = (Echo::start("first "), Echo::start("second "));
    let proxy = Proxy::start(first.port);
    let mut old = connect(&proxy);
    assert_eq!(ask(&mut old, "a").as_deref(), Some("first a"));
    proxy.set_upstream(second.port);
    assert_eq!(ask(&mut old, "b").as_deref(), Some("first b"));
    assert_eq!(ask(&mut connect(&proxy), "c").as_deref(), Some("second c"));
    proxy.cut();
    assert_eq!(ask(&mut old, "d"), None);
    assert!(wait::until(LIMIT, || proxy.connections() == 0));
    proxy.refuse(true);
    assert_eq!(ask(&mut connect(&proxy), "e"), None);
    proxy.refuse(false);
    assert_eq!(ask(&mut connect(&proxy), "f").as_deref(), Some("second f"));
    drop(first);
    proxy.set_upstream(1);
    assert_eq!(ask(&mut connect(&proxy), "g"), None, "nobody listens there");
}

#[test]
fn a_black_hole_takes_everything_and_gives_nothing() {
    let server = Echo::start("");
    let proxy = Proxy::start(server.port);
    let (mut used, mut idle) = (connect(&proxy), connect(&proxy));
    assert_eq!(ask(&mut used, "a").as_deref(), Some("a"));
    assert_eq!(ask(&mut idle, "b").as_deref(), Some("b"));
    proxy.black_hole(true);
    let mut new = connect(&proxy);
    for stream in [&mut used, &mut new] {
        stream.write_all(b"lost\n").unwrap();
        assert!(is_silent(stream));
    }
    proxy.black_hole(false);
    assert_eq!(ask(&mut idle, "c").as_deref(), Some("c"));
    used.write_all(b"after\n").unwrap();
    assert!(is_silent(&mut used));
    assert_eq!(server.seen(), ["a", "b", "c"]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a duration is measured")]
fn a_delay_holds_requests() {
    let server = Echo::start("");
    let proxy = Proxy::start(server.port);
    let mut stream = connect(&proxy);
    proxy.delay(SILENCE);
    let begun = Instant::now();
    assert_eq!(ask(&mut stream, "a").as_deref(), Some("a"));
    assert!(begun.elapsed() >= SILENCE);
    proxy.delay(Duration::ZERO);
    assert_eq!(ask(&mut stream, "b").as_deref(), Some("b"));
}

#[test]
fn a_dropped_proxy_closes_its_connections_and_listens_no_more() {
    let server = Echo::start("");
    let proxy = Proxy::start(server.port);
    let port = proxy.port();
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, "a").as_deref(), Some("a"));
    drop(proxy);
    assert_eq!(ask(&mut stream, "b"), None);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}
