//! Readers of the journal who wait until the journal has what they may have been told already.

use tokio::sync::oneshot;
use trine_protocol::Gid;

use super::super::door::signal;
use super::Lane;

/// Waits for a record to be durable, and reads the journal then.
#[derive(Debug)]
pub(super) struct Reader {
    gid: Gid,
    seq: u64,
    written: oneshot::Sender<()>,
}

impl Lane {
    pub(super) fn admit_reader(&mut self, gid: Gid, written: oneshot::Sender<()>) {
        match self.guarded(Some(&gid), |shard| shard.handle_reader(&gid)).flatten() {
            Some(seq) => self.readers.push(Reader { gid, seq, written }),
            None => signal(vec![written]),
        }
    }

    pub(super) fn let_readers_go(&mut self) {
        let shard = &self.shard;
        let ready = self.readers.extract_if(.., |reader| shard.has_written(&reader.gid, reader.seq));
        signal(ready.map(|reader| reader.written).collect());
    }
}
