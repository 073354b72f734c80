//! Reading a whole store, beside whoever uses it: nothing is joined, locked, migrated or written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{OpenError, Options, Readable, Scheme, StoreFuture, remote, scheme, sqlite};

/// Everything that stands under one gid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspected {
    /// The records, as far as they can be read.
    pub journal: Readable,
    /// Records that were written before there were checksums.
    pub without_checksum: u64,
    /// The index row, as it stands there.
    pub row: Option<IndexColumns>,
    /// Why the index row cannot be read, where it cannot.
    pub row_unreadable: Option<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Why the labels cannot be read, where they cannot.
    pub labels_unreadable: Option<String>,
}

/// Names under which something stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// In order. What is no gid comes as well.
    pub names: Vec<String>,
    /// Tables that could not be read to the end of these names, and why.
    pub unreadable: Vec<(&'static str, String)>,
}

/// An index row, understood or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexColumns {
    /// A word.
    pub pattern: String,
    /// A word.
    pub status: String,
    /// A word.
    pub parked: Option<String>,
    /// The name of a coordinator.
    pub owner: String,
    /// Milliseconds since 1970, as all times here.
    pub due_at: Option<i64>,
    /// When it was created.
    pub created_at: i64,
    /// When it settled.
    pub settled_at: Option<i64>,
    /// One per line.
    pub hosts: String,
}

/// Reads for whoever checks a store. Each read is short. The answer names what is damaged; an error
/// means that the store cannot be reached.
pub trait Inspect: Send + Sync + std::fmt::Debug + 'static {
    /// The next names after this one, at most so many.
    fn names(&self, after: String, limit: usize) -> StoreFuture<Names>;

    /// What stands under a name.
    fn inspect(&self, name: String) -> StoreFuture<Inspected>;

    /// What the database itself finds wrong with its file, where it keeps one that can be asked about; a line each.
    fn database(&self) -> StoreFuture<Vec<String>>;
}

/// Opens a store for reading. Its tables must be those of this version.
pub async fn inspect(options: &Options) -> Result<Arc<dyn Inspect>, OpenError> {
    Ok(match scheme(&options.url)? {
        Scheme::Memory => {
            let (url, detail) = (options.url.clone(), "nothing is kept there".to_owned());
            return Err(OpenError::Url { url, detail });
        }
        Scheme::Sqlite(path) => Arc::new(sqlite::Inspector::open(path).await?),
        Scheme::Postgres => Arc::new(remote::inspect::<remote::Postgres>(options).await?),
        Scheme::MySql => Arc::new(remote::inspect::<remote::MySql>(options).await?),
    })
}

/// The first names of several lists that are each in order, and each end with all there is or have `limit` names.
pub(super) fn merged(lists: Vec<Vec<String>>, limit: usize) -> Vec<String> {
    let names: std::collections::BTreeSet<String> = lists.into_iter().flatten().collect();
    names.into_iter().take(limit).collect()
}

/// Said where the tables are not those of this version.
pub(super) fn not_ours(error: &dyn std::fmt::Display) -> String {
    format!(
        "its tables are not those of this version; `trine migrate` brings older ones up to date ({error})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_anywhere_comes_once_and_none_is_passed_over() {
        let lists = [&["a", "c"][..], &["a", "b"], &["d"]];
        let lists = lists.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(merged(lists.to_vec(), 2), ["a", "b"]);
        assert_eq!(merged(lists.to_vec(), 9), ["a", "b", "c", "d"]);
    }
}
