//! The bench's own requests: a GET without a client library, and what Trine's `/metrics` say of its work.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Counters of a coordinator since its start.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counters {
    /// Durable writes.
    pub(super) batches: f64,
    /// Records in them.
    pub(super) records: f64,
    /// Seconds that the writes took.
    pub(super) writing: f64,
    pub(super) created: f64,
    pub(super) settled: f64,
    pub(super) residents: f64,
}

/// The body of a successful answer.
pub(super) fn get(url: &str) -> Result<String, String> {
    let answer = exchange(url).map_err(|error| format!("GET {url}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("GET {url}: no HTTP answer"))?;
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(format!("GET {url}: {}", head.lines().next().unwrap_or_default())),
    }
}

fn exchange(url: &str) -> std::io::Result<String> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    // In one piece: a server may answer and close after the first.
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Counters {
    pub(super) fn of(coordinator: &str) -> Result<Self, String> {
        Ok(Self::parse(&get(&format!("{coordinator}/metrics"))?))
    }

    fn parse(text: &str) -> Self {
        let sum = |name: &str, label: &str| -> f64 {
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        let reached = |status: &str| sum("trine_transactions_total{", &format!("status=\"{status}\""));
        Self {
            batches: sum("trine_batch_records_count", ""),
            records: sum("trine_batch_records_sum", ""),
            writing: sum("trine_commit_seconds_sum", ""),
            created: reached("created"),
            settled: reached("committed") + reached("rolled_back"),
            residents: sum("trine_residents ", ""),
        }
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            batches: self.batches - before.batches,
            records: self.records - before.records,
            writing: self.writing - before.writing,
            created: self.created - before.created,
            settled: self.settled - before.settled,
            residents: self.residents,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const TEXT: &str = "# TYPE trine_batch_records histogram\n\
        trine_batch_records_sum 30.0\ntrine_batch_records_count 10\ntrine_batch_records_bucket{le=\"1.0\"} 4\n\
        trine_commit_seconds_sum 0.5\ntrine_commit_seconds_count 10\n\
        trine_transactions_total{pattern=\"saga\",status=\"created\"} 5\n\
        trine_transactions_total{pattern=\"tcc\",status=\"created\"} 2\n\
        trine_transactions_total{pattern=\"tcc\",status=\"rolled_back\"} 1\n\
        trine_transactions_total{pattern=\"saga\",status=\"committed\"} 3\ntrine_residents 4\n";

    #[test]
    fn counters_are_summed_over_their_patterns() {
        let counters = Counters::parse(TEXT);
        assert_eq!((counters.batches, counters.records, counters.writing), (10.0, 30.0, 0.5));
        assert_eq!((counters.created, counters.settled, counters.residents), (7.0, 4.0, 4.0));
        let since = counters.since(Counters { batches: 4.0, settled: 1.0, ..Counters::default() });
        assert_eq!((since.batches, since.settled), (6.0, 3.0));
    }

    #[test]
    fn the_body_of_an_answer_is_returned_and_another_status_is_an_error() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nx: y\r\n\r\nbody", Ok("body".to_owned())),
            ("HTTP/1.1 404 Not Found\r\n\r\n", Err("404 Not Found")),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/path", listener.local_addr().unwrap());
            let server = thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let mut request = [0; 1024];
                let count = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..count]).into_owned()
            });
            match expected {
                Ok(body) => assert_eq!(get(&url), Ok(body)),
                Err(words) => assert!(get(&url).unwrap_err().ends_with(words)),
            }
            assert!(server.join().unwrap().starts_with("GET /path HTTP/1.1\r\n"));
        }
    }
}
