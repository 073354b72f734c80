//! nginx: serves, reloads, crashes and comes back.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use trine_testkit::nginx::Nginx;
use trine_testkit::ports;

fn config(port: u16, text: &str) -> String {
    format!(
        "events {{}}\nhttp {{\n    server {{\n        listen 127.0.0.1:{port};\n        return 200 {text};\n    }}\n}}\n"
    )
}

/// The body of the answer, or `None` if nobody listens.
fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn nginx_serves_and_reloads_and_comes_back() {
    let port = ports::free_port();
    let nginx = Nginx::start(&config(port, "one"));
    assert_eq!(get(port).as_deref(), Some("one"));
    nginx.reload(&config(port, "two"));
    for _ in 0..20 {
        assert_eq!(get(port).as_deref(), Some("two"));
    }
    nginx.kill();
    assert_eq!(get(port), None);
    nginx.start_again();
    assert_eq!(get(port).as_deref(), Some("two"));
    nginx.stop();
    assert_eq!(get(port), None);
}

#[test]
#[should_panic(expected = "nginx did not start")]
fn a_wrong_configuration_is_shown_with_what_nginx_says() {
    let _nginx = Nginx::start("events {}\nhttp { nonsense; }\n");
}

#[test]
fn no_port_is_given_twice() {
    let mut ports: Vec<u16> = (0..50).map(|_| ports::free_port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 50);
}
