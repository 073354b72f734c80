//! Which message a local transaction belongs to.

use trine_protocol::{Gid, JournalId};

use crate::CheckContext;

/// The message that a local transaction belongs to: its gid, and its journal if the caller knows it. A check that comes from
/// another journal than the recorded one is about another message.
#[derive(Debug, Clone, Copy)]
pub struct LocalMessage<'m> {
    /// The gid of the message.
    pub gid: &'m Gid,
    /// The journal that holds the message, if the caller knows it.
    pub journal: Option<&'m JournalId>,
}

impl<'m> From<&'m Gid> for LocalMessage<'m> {
    fn from(gid: &'m Gid) -> Self {
        Self { gid, journal: None }
    }
}

impl<'m> From<&'m CheckContext> for LocalMessage<'m> {
    fn from(call: &'m CheckContext) -> Self {
        Self { gid: &call.gid, journal: call.journal.as_ref() }
    }
}

#[cfg(feature = "client")]
impl<'m> From<&'m crate::Open<crate::client::kind::Message>> for LocalMessage<'m> {
    fn from(open: &'m crate::Open<crate::client::kind::Message>) -> Self {
        Self { gid: open.gid(), journal: open.journal() }
    }
}
