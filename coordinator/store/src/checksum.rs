//! The checksum of a record, by which damage is noticed.
//!
//! The checksum covers gid, seq and time as well as the event, so that a record that was moved is noticed, too. It is a
//! CRC-32: made for flipped bits and torn pages, of which it misses one in four thousand million, and cheap to compute. It
//! is not a signature: everybody who can write to the database can write a matching checksum.
//!
//! Records that were written before there were checksums have none. They are taken for sound.

use trine_protocol::{Gid, Timestamp};

/// The checksum as it is written into the tables: 32 bits, never negative.
pub(super) fn of(gid: &Gid, seq: u64, at: Timestamp, event: &[u8]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(&at.millis().to_le_bytes());
    hasher.update(gid.as_str().as_bytes());
    // No gid contains a zero byte, so this marks where the gid ends and the event begins.
    hasher.update(&[0]);
    hasher.update(event);
    i64::from(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(gid: &str, seq: u64, at: u64, event: &str) -> i64 {
        of(&Gid::parse(gid).unwrap(), seq, Timestamp::from_millis(at), event.as_bytes())
    }

    #[test]
    fn it_is_the_same_for_ever() {
        assert_eq!(sum("pay-1", 3, 1_790_000_000_000, r#"{"v":1,"event":"started"}"#), PINNED);
    }

    /// Rows in databases have checksums: if the value changed, every journal would look damaged.
    const PINNED: i64 = 2_002_087_555;

    #[test]
    fn every_part_counts() {
        let sums = [
            sum("a", 1, 1, "x"),
            sum("b", 1, 1, "x"),
            sum("a", 2, 1, "x"),
            sum("a", 1, 2, "x"),
            sum("a", 1, 1, "y"),
            sum("ax", 1, 1, ""),
            sum("a", 1, 1, ""),
        ];
        assert_eq!(sums.into_iter().collect::<std::collections::BTreeSet<_>>().len(), sums.len());
    }
}
