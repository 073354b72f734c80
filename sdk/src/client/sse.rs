//! Reads a stream of Server-Sent Events, whatever pieces it arrives in. No connection is held here.
//!
//! The crate `eventsource-stream` would lose the limit on the size of an event: it buffers a line without end.

use std::fmt;

/// The longest event that is kept: far above what a history event can be.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// Its `id`, empty when it has none.
    pub(crate) id: String,
    /// Its `event`, empty when it has none.
    pub(crate) event: String,
    /// Its `data` lines, joined by line feeds.
    pub(crate) data: String,
}

/// An event longer than anybody sends on purpose.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event has more than {EVENT_BYTES_MAX} bytes")
    }
}

/// Collects bytes until an event is complete.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    // A line may end in CR, LF or both; after a CR the LF belongs to it.
    after_cr: bool,
    message: Message,
    has_data: bool,
}

impl Parser {
    /// Takes the next bytes and returns the events they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut complete = Vec::new();
        for &byte in bytes {
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => complete.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.message.data.len() > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
        }
        Ok(complete)
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let has_data = std::mem::take(&mut self.has_data);
            let message = std::mem::take(&mut self.message);
            return has_data.then_some(message);
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            "id" => value.clone_into(&mut self.message.id),
            "event" => value.clone_into(&mut self.message.event),
            // An empty field is a comment: the server's way to say that it is still there.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": hello\n\nid: 1\nevent: created\ndata: {\"a\":\ndata: \"é\"}\n\nretry: 5\nid: 2\n\ndata:x\r\n\r\n";

    fn expected() -> Vec<Message> {
        let first = Message { id: "1".into(), event: "created".into(), data: "{\"a\":\n\"é\"}".into() };
        vec![first, Message { data: "x".into(), ..Message::default() }]
    }

    #[test]
    fn events_are_the_same_whatever_pieces_they_come_in() {
        for size in [1, 2, 3, 7, STREAM.len()] {
            let mut parser = Parser::default();
            let found: Vec<_> =
                STREAM.as_bytes().chunks(size).flat_map(|piece| parser.feed(piece).unwrap()).collect();
            assert_eq!(found, expected(), "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_that_is_not_complete_is_not_told() {
        assert_eq!(Parser::default().feed(b"data: half\n").unwrap(), []);
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&vec![b'x'; EVENT_BYTES_MAX + 1]), Err(TooLong));
    }
}
