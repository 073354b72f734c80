//! The names of branches as XA transactions in a participant's database.
//!
//! MySQL names an XA transaction by a format number and two parts of at most 64 bytes. PostgreSQL names a prepared transaction
//! by one text of less than 200 bytes. Gid and branch id are the two parts. An id of more than 64 characters is replaced by `~`
//! and 62 hexadecimal digits of its SHA-256. No id contains `~`, so no id can equal the digest of another one. The
//! participant keeps the whole ids in its table `trine_xa`.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{BranchId, Gid};

/// Longest part, in bytes: MySQL's limit.
const PART_BYTES_MAX: usize = 64;
/// Hexadecimal digits of the digest: 248 bits, so that the part with its `~` still fits.
const DIGEST_HEX: usize = 62;
const MARK: char = '~';
const PREFIX: &str = "trine:";

/// The name of one branch as an XA transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid {
    gtrid: String,
    bqual: String,
}

impl Xid {
    /// The format number of Trine's XA transactions on MySQL: the letters `TRIN`.
    pub const FORMAT_ID: i64 = 0x5452_494e;

    /// The name of a branch. Different branches have different names.
    pub fn new(gid: &Gid, branch: &BranchId) -> Self {
        Self { gtrid: part(gid.as_str()), bqual: part(branch.as_str()) }
    }

    /// MySQL's first part: the gid, or its digest. ASCII without quotes.
    pub fn gtrid(&self) -> &str {
        &self.gtrid
    }

    /// MySQL's second part: the branch id, or its digest. ASCII without quotes.
    pub fn bqual(&self) -> &str {
        &self.bqual
    }

    /// PostgreSQL's name: `trine:<gtrid>/<bqual>`. At most 135 bytes, ASCII without quotes.
    pub fn to_postgres(&self) -> String {
        format!("{PREFIX}{}/{}", self.gtrid, self.bqual)
    }

    /// Reads a `gid` of `pg_prepared_xacts`; `None` when it is not one of Trine's.
    pub fn from_postgres(name: &str) -> Option<Self> {
        let (gtrid, bqual) = name.strip_prefix(PREFIX)?.split_once('/')?;
        Self::of_parts(gtrid, bqual)
    }

    /// MySQL's name as SQL, for `XA START` and the like: two hexadecimal literals and the format number.
    pub fn to_mysql(&self) -> String {
        format!("X'{}',X'{}',{}", hex(self.gtrid.as_bytes()), hex(self.bqual.as_bytes()), Self::FORMAT_ID)
    }

    /// Reads a row of `XA RECOVER`, whose `data` is both parts joined; `None` if it is not one of Trine's.
    pub fn from_mysql(format_id: i64, gtrid_length: usize, data: &[u8]) -> Option<Self> {
        if format_id != Self::FORMAT_ID {
            return None;
        }
        let (gtrid, bqual) = data.split_at_checked(gtrid_length)?;
        Self::of_parts(std::str::from_utf8(gtrid).ok()?, std::str::from_utf8(bqual).ok()?)
    }

    /// The gid, if the name contains it and not its digest.
    pub fn gid(&self) -> Option<Gid> {
        Gid::parse(&self.gtrid).ok()
    }

    /// The branch id, if the name contains it and not its digest.
    pub fn branch(&self) -> Option<BranchId> {
        BranchId::parse(&self.bqual).ok()
    }

    fn of_parts(gtrid: &str, bqual: &str) -> Option<Self> {
        let named = is_part(gtrid) && is_part(bqual);
        named.then(|| Self { gtrid: gtrid.to_owned(), bqual: bqual.to_owned() })
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.gtrid, self.bqual)
    }
}

fn part(id: &str) -> String {
    if id.len() <= PART_BYTES_MAX {
        return id.to_owned();
    }
    let mut digest = hex(&Sha256::digest(id.as_bytes()));
    digest.truncate(DIGEST_HEX);
    format!("{MARK}{digest}")
}

fn is_part(text: &str) -> bool {
    match text.strip_prefix(MARK) {
        Some(digest) => {
            digest.len() == DIGEST_HEX
                && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        }
        None => text.len() <= PART_BYTES_MAX && Gid::parse(text).is_ok(),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn xid(gid: &str, branch: &str) -> Xid {
        Xid::new(&Gid::parse(gid).unwrap(), &BranchId::parse(branch).unwrap())
    }

    #[test]
    fn a_name_reads_as_the_ids_it_is_made_of() {
        let name = xid("order-1", "ledger:a");
        assert_eq!(name.to_postgres(), "trine:order-1/ledger:a");
        assert_eq!(name.to_mysql(), "X'6f726465722d31',X'6c65646765723a61',1414678862");
        assert_eq!((name.gid().unwrap().as_str(), name.branch().unwrap().as_str()), ("order-1", "ledger:a"));
    }

    #[test]
    fn names_are_read_back() {
        for gid in ["g".to_owned(), "x".repeat(64), "x".repeat(65), "x".repeat(128)] {
            let name = xid(&gid, "b:1");
            assert_eq!(Xid::from_postgres(&name.to_postgres()), Some(name.clone()));
            let data = format!("{}{}", name.gtrid(), name.bqual());
            let read = Xid::from_mysql(Xid::FORMAT_ID, name.gtrid().len(), data.as_bytes());
            assert_eq!(read, Some(name.clone()));
            assert_eq!(name.gid().is_some(), gid.len() <= 64);
        }
    }

    #[test]
    fn the_longest_ids_fit() {
        let name = xid(&"x".repeat(128), &"y".repeat(128));
        assert!(name.gtrid().len() <= 64 && name.bqual().len() <= 64 && name.to_postgres().len() < 200);
        let name = xid(&"x".repeat(64), &"y".repeat(64));
        assert!(name.to_postgres().len() < 200);
    }

    #[test]
    fn different_branches_have_different_names() {
        let ids: Vec<String> = ["a", "A", "a:b", "a.b", "b", "ab"]
            .into_iter()
            .map(String::from)
            .chain(["x".repeat(64), "x".repeat(65), "x".repeat(66), format!("{}y", "x".repeat(64))])
            .collect();
        let (mut postgres, mut mysql) = (BTreeSet::new(), BTreeSet::new());
        for gid in &ids {
            for branch in &ids {
                let name = xid(gid, branch);
                assert!(postgres.insert(name.to_postgres()), "{gid} {branch}");
                assert!(mysql.insert(name.to_mysql()), "{gid} {branch}");
            }
        }
    }

    #[test]
    fn names_of_others_are_not_taken_for_ours() {
        for name in [
            "",
            "trine:",
            "trine:a",
            "trine:/b",
            "trine:a/",
            "trine:a/b/c",
            "a/b",
            "trine:~ab/c",
            "trine:a'/b",
        ] {
            assert_eq!(Xid::from_postgres(name), None, "{name}");
        }
        assert_eq!(Xid::from_mysql(1, 1, b"ab"), None);
        assert_eq!(Xid::from_mysql(Xid::FORMAT_ID, 3, b"ab"), None);
        assert_eq!(Xid::from_mysql(Xid::FORMAT_ID, 1, b"a"), None);
        assert_eq!(Xid::from_mysql(Xid::FORMAT_ID, 1, b"a\xff"), None);
    }
}
