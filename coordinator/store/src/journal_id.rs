//! Makes the id of a new journal. Each store keeps it in its own way.

use trine_protocol::JournalId;

/// A UUIDv7: no other journal has it, and people can see which of two journals is older.
pub(super) fn new() -> JournalId {
    let text = uuid::Uuid::now_v7().to_string();
    JournalId::parse(&text).expect("the text of a UUID is within the grammar of ids")
}
