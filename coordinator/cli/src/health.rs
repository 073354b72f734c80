//! `trine health`: one question to a health endpoint, answered by the exit code. For the health checks of containers,
//! whose images hold no other program that could ask.

use trine_sdk::client::Method;

use super::args::Health;
use super::client::{connect, text};
use super::failure::Failure;
use super::output;

/// Asks once. Only an answer 2xx that is complete in time is healthy.
pub(crate) async fn run(args: Health) -> Result<(), Failure> {
    let client = connect(&args.url)?;
    let asked = format!("{}{}", client.address(), args.path);
    let within = std::time::Duration::from_millis(args.timeout.millis());
    match tokio::time::timeout(within, text(&client, client.request::<()>(Method::GET, &args.path))).await {
        Ok(answered) => answered?,
        Err(_) => {
            return Err(Failure::unreachable(format!("{asked} gave no answer within {}", args.timeout)));
        }
    };
    output::line(&format!("{asked} is healthy"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use trine_protocol::duration::HumanDuration;

    use super::super::Exit;
    use super::*;

    /// A server that answers one request with `words` and then holds the connection open.
    fn answering(words: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            stream.write_all(words.as_bytes()).unwrap();
            let _ = stream.read(&mut request);
        });
        url
    }

    async fn ask(url: String, timeout: &str) -> Result<(), Exit> {
        let timeout = HumanDuration::parse(timeout).unwrap();
        run(Health { url, path: "/healthz".into(), timeout }).await.map_err(|failure| failure.exit())
    }

    #[tokio::test]
    async fn only_a_good_answer_in_time_is_healthy() {
        let good = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(ask(answering(good), "60s").await, Ok(()));
        let bad = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(ask(answering(bad), "60s").await, Err(Exit::Unreachable));
        assert_eq!(ask(answering(""), "50ms").await, Err(Exit::Unreachable));
        assert_eq!(ask("http://".into(), "50ms").await, Err(Exit::Usage));
    }
}
