//! The bytes of a unary call: one message behind a prefix of five bytes each way, and a status at the end. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use percent_encoding::percent_decode;
use tonic::Code;
use trine_protocol::limits::OUTPUT_BYTES_MAX;

/// The prefix of a message: one byte says whether it is compressed, four its length.
const PREFIX_BYTES: usize = 5;
/// Longest reply that is read for the sake of its status, as elsewhere in gRPC; what is kept is much shorter.
pub(crate) const REPLY_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// The status of a call, in its trailers.
const STATUS: &str = "grpc-status";
/// What a status says in words, percent-encoded.
const MESSAGE: &str = "grpc-message";
/// How long the caller will wait.
const TIMEOUT: &str = "grpc-timeout";

/// The request of a call: its metadata and its message.
pub(crate) struct Question {
    pub(crate) metadata: HeaderMap,
    /// The one message, framed.
    pub(crate) body: Bytes,
}

impl Question {
    /// Asks with these bytes as the message.
    pub(crate) fn new(metadata: HeaderMap, message: &[u8]) -> Self {
        Self { metadata, body: frame(message) }
    }

    /// Its metadata and its message, without the prefix.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn parts(&self) -> (&HeaderMap, &[u8]) {
        (&self.metadata, unframed(&self.body))
    }
}

/// A message as it is sent, never compressed.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    // Request bodies, and with them payloads, are bounded far below it.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// Adds the headers that every request of gRPC has.
pub(crate) fn add_headers(headers: &mut HeaderMap, left_ms: u64) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("trine/", env!("CARGO_PKG_VERSION"))));
    if let Ok(timeout) = HeaderValue::from_str(&timeout(left_ms)) {
        headers.insert(TIMEOUT, timeout);
    }
}

/// At most eight digits, then the unit.
fn timeout(left_ms: u64) -> String {
    const DIGITS_MAX: u64 = 99_999_999;
    let left_ms = left_ms.max(1);
    if left_ms <= DIGITS_MAX {
        format!("{left_ms}m")
    } else {
        format!("{}S", (left_ms / 1_000).min(DIGITS_MAX))
    }
}

/// Collects the message of a reply. The bytes of a message that is too long to be kept are counted and dropped.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    prefix: Vec<u8>,
    kept: Vec<u8>,
    /// Bytes of the message so far, kept or not.
    len: usize,
    /// Bytes of the reply so far.
    read: usize,
    more: bool,
}

/// The message of a reply, or why it is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// All of it.
    Whole(Vec<u8>),
    /// Longer than [`OUTPUT_BYTES_MAX`].
    TooLarge,
    /// Shorter than its prefix says.
    BrokenOff,
    /// Another message follows.
    Several,
    /// Compressed, although the request offered no compression.
    Compressed,
}

impl Collector {
    /// Takes the next bytes; false when the reply is longer than is read.
    pub(crate) fn push(&mut self, mut data: &[u8]) -> bool {
        self.read = self.read.saturating_add(data.len());
        if self.read > REPLY_BYTES_MAX {
            return false;
        }
        let missing = PREFIX_BYTES - self.prefix.len();
        let (prefix, rest) = data.split_at(missing.min(data.len()));
        self.prefix.extend_from_slice(prefix);
        data = rest;
        let missing = self.declared().saturating_sub(self.len);
        let (message, rest) = data.split_at(missing.min(data.len()));
        self.len += message.len();
        if self.declared() <= OUTPUT_BYTES_MAX {
            self.kept.extend_from_slice(message);
        }
        self.more |= !rest.is_empty();
        true
    }

    /// The length the prefix announces; none before it is there.
    fn declared(&self) -> usize {
        match self.prefix[..] {
            [_, a, b, c, d] => usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    fn finish(self) -> Message {
        let compressed = self.prefix.first().is_some_and(|flag| *flag != 0);
        let declared = self.declared();
        let broken_off = !self.prefix.is_empty() && (self.prefix.len() < PREFIX_BYTES || self.len < declared);
        if broken_off {
            Message::BrokenOff
        } else if self.more {
            Message::Several
        } else if compressed {
            Message::Compressed
        } else if declared > OUTPUT_BYTES_MAX {
            Message::TooLarge
        } else {
            Message::Whole(self.kept)
        }
    }
}

/// A reply that has a status.
#[derive(Debug)]
pub(crate) struct Reply {
    /// A number that is no status is UNKNOWN, and the words say so.
    pub(crate) status: Code,
    /// In the participant's words.
    pub(crate) words: String,
    pub(crate) message: Message,
    head: HeaderMap,
    trailers: HeaderMap,
}

impl Reply {
    /// None when there is no status. A server that has nothing but a status sends it in the head.
    pub(crate) fn new(head: HeaderMap, trailers: Option<HeaderMap>, message: Collector) -> Option<Self> {
        let trailers = trailers.unwrap_or_default();
        let of = |name: &str| trailers.get(name).or_else(|| head.get(name));
        let stated = of(STATUS)?.to_str().ok()?.trim();
        let number = stated.parse::<u32>().ok()?;
        // Not `Status::from_header_map`: for it a refusal whose message is not UTF-8 is UNKNOWN, which would be repeated for
        // ever, and it panics at details that are not base64.
        let words = of(MESSAGE).map(|words| percent_decode(words.as_bytes()).decode_utf8_lossy());
        let mut words = words.unwrap_or_default().into_owned();
        let status = i32::try_from(number).map_or(Code::Unknown, Code::from_i32);
        if status as u32 != number {
            words.push_str(&format!(" (grpc-status {number}, which there is not)"));
        }
        Some(Self { status, words, message: message.finish(), head, trailers })
    }

    /// A status in words, and no message.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of_status(status: Code, words: &str) -> Self {
        let (head, trailers) = (HeaderMap::new(), HeaderMap::new());
        Self { status, words: words.to_owned(), message: Message::Whole(Vec::new()), head, trailers }
    }

    /// The status as a number, 0 to 16.
    pub(crate) fn status_code(&self) -> u16 {
        self.status as u16
    }

    /// Metadata, from the trailers or else from the head.
    pub(crate) fn metadata(&self, name: &str) -> Option<&HeaderValue> {
        self.trailers.get(name).or_else(|| self.head.get(name))
    }
}

/// What a frame was made of.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn unframed(frame: &[u8]) -> &[u8] {
    &frame[PREFIX_BYTES..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(chunks: &[&[u8]]) -> Message {
        let mut collector = Collector::default();
        assert!(chunks.iter().all(|chunk| collector.push(chunk)));
        collector.finish()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_message_comes_out_as_it_went_in_however_it_is_cut() {
        for message in [&b""[..], b"\x0a\x03A-1", &[7; OUTPUT_BYTES_MAX]] {
            let framed = frame(message);
            assert_eq!(collected(&[&framed]), Message::Whole(message.to_vec()));
            let bytes: Vec<&[u8]> = framed.chunks(1).collect();
            assert_eq!(collected(&bytes), Message::Whole(message.to_vec()));
        }
        assert_eq!(collected(&[]), Message::Whole(Vec::new()));
    }

    #[test]
    fn what_is_no_message_that_can_be_kept_is_none() {
        let two = [&frame(b"a")[..], &frame(b"b")].concat();
        assert_eq!(collected(&[&frame(&[7; OUTPUT_BYTES_MAX + 1])]), Message::TooLarge);
        assert_eq!(collected(&[&two]), Message::Several);
        assert_eq!(collected(&[&[1, 0, 0, 0, 1, 7]]), Message::Compressed);
        let broken_off: [&[u8]; 3] = [&[0, 0, 0], &[0, 0, 0, 0, 2, 7], &[0, 0xff, 0xff, 0xff, 0xff, 7]];
        for bytes in broken_off {
            assert_eq!(collected(&[bytes]), Message::BrokenOff, "{bytes:?}");
        }
    }

    #[test]
    fn an_endless_reply_is_given_up_and_little_of_it_held() {
        let mut collector = Collector::default();
        assert!(collector.push(&[0, 0xff, 0xff, 0xff, 0xff]));
        let chunk = [7; 65_536];
        let taken = (0..1_000).take_while(|_| collector.push(&chunk)).count();
        assert_eq!(taken, REPLY_BYTES_MAX / 65_536 - 1);
        assert!(collector.kept.is_empty());
    }

    #[test]
    fn a_status_stands_in_the_trailers_or_else_in_the_head() {
        let of = |head: &[_], trailers: Option<&[_]>| {
            let reply = Reply::new(headers(head), trailers.map(headers), Collector::default())?;
            Some((reply.status_code(), reply.words))
        };
        let aborted = &[("grpc-status", "10"), ("grpc-message", "only%207 left %C3%A4%2")][..];
        assert_eq!(of(aborted, None), Some((10, "only 7 left ä%2".into())));
        assert_eq!(of(&[], Some(aborted)), Some((10, "only 7 left ä%2".into())));
        assert_eq!(of(&[("grpc-status", "0")], Some(aborted)).map(|(status, _)| status), Some(10));
        assert_eq!(of(&[], None), None);
        assert_eq!(of(&[("grpc-status", "")], None), None);
        assert_eq!(of(&[("grpc-status", "-1")], None), None);
        assert_eq!(of(&[("grpc-status", "ABORTED")], None), None);
        let beyond = of(&[("grpc-status", "17")], None);
        assert_eq!(beyond, Some((2, " (grpc-status 17, which there is not)".into())));
        let (no_utf8, no_base64) = (("grpc-message", "%FF"), ("grpc-status-details-bin", "{"));
        assert_eq!(of(&[("grpc-status", "10"), no_utf8, no_base64], None), Some((10, "\u{fffd}".into())));
    }

    #[test]
    fn a_timeout_has_at_most_eight_digits() {
        assert_eq!(timeout(0), "1m");
        assert_eq!(timeout(10_000), "10000m");
        assert_eq!(timeout(99_999_999), "99999999m");
        assert_eq!(timeout(trine_protocol::limits::DURATION_MS_MAX), "31536000S");
    }
}
