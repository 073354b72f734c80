//! The identity of a journal as it is made. Where it is kept, each store knows.

use trine_protocol::JournalId;

/// An identity that no other journal has: a UUIDv7, so that people see which of two is older.
pub(super) fn new() -> JournalId {
    let text = uuid::Uuid::now_v7().to_string();
    JournalId::parse(&text).expect("the text of a UUID is within the grammar of ids")
}
