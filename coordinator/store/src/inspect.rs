//! Reads a whole store while coordinators use it. Nothing is joined, locked, migrated or written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{OpenError, Options, Readable, Scheme, StoreFuture, remote, scheme, sqlite};

/// Everything that a store has under one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspected {
    pub journal: Readable,
    /// How many records were written before there were checksums.
    pub without_checksum: u64,
    pub row: Option<IndexColumns>,
    /// Why there is no `row`, if it cannot be read.
    pub row_unreadable: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// Why `labels` are not complete, if some cannot be read.
    pub labels_unreadable: Option<String>,
}

/// Names under which a store has something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// In order. Includes names that are not gids.
    pub names: Vec<String>,
    /// Tables that could not be read as far as these names go, and why.
    pub unreadable: Vec<(&'static str, String)>,
}

/// The columns of an index row, before they were checked. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexColumns {
    pub pattern: String,
    pub status: String,
    pub parked: Option<String>,
    pub owner: String,
    pub due_at: Option<i64>,
    pub created_at: i64,
    pub settled_at: Option<i64>,
    /// One host a line.
    pub hosts: String,
}

/// Reads for [`crate::check`]. Each read is short. The answer says what is damaged; an error means that the store cannot be
/// reached.
pub trait Inspect: Send + Sync + std::fmt::Debug + 'static {
    /// The next names after `after`.
    fn names(&self, after: String, limit: usize) -> StoreFuture<Names>;

    /// Everything under one name.
    fn inspect(&self, name: String) -> StoreFuture<Inspected>;

    /// What the database itself finds wrong with its file, one line each. Empty for a database server.
    fn database(&self) -> StoreFuture<Vec<String>>;
}

/// Opens a store for reading. Its tables must be up to date.
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

/// The first `limit` names of several lists. Each list is in order, and is either complete or has `limit` names.
pub(super) fn merged(lists: Vec<Vec<String>>, limit: usize) -> Vec<String> {
    let names: std::collections::BTreeSet<String> = lists.into_iter().flatten().collect();
    names.into_iter().take(limit).collect()
}

/// The message for a store whose tables are not up to date.
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
