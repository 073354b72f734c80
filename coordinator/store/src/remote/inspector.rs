//! Reading a whole database beside the coordinators that use it: see [`crate::Inspect`].

use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, ClientError, Row};
use super::connections::{self, Connections};
use super::{hosts, queries, rows};
use crate::detach::detached;
use crate::group;
use crate::inspect::{IndexColumns, Inspected, merged, not_ours};
use crate::{Inspect, Names, OpenError, Options, Readable, StoreError, StoreFuture};

/// One connection that is used for nothing else.
#[derive(Debug)]
pub(crate) struct Inspector<C: Client>(Arc<Connections<C>>);

/// See [`crate::inspect()`].
pub(crate) async fn inspect<C: Client>(options: &Options) -> Result<Inspector<C>, OpenError> {
    let target = super::target::<C>(options)?;
    let failed = |detail: String| OpenError::Failed { store: hosts::shown(&options.url), detail };
    let connected = connections::connect::<C>(&target).await;
    let mut client = connected.map_err(|error| failed(error.to_string()))?;
    let asked = client.query("SELECT checksum FROM journal LIMIT 0", &[]).await;
    asked.map_err(|error| failed(not_ours(&error)))?;
    client.close().await;
    let timeout = Duration::from_millis(options.timeout_ms);
    Ok(Inspector(Arc::new(Connections::new(&target, 1, timeout).patient())))
}

impl<C: Client> Inspect for Inspector<C> {
    fn names(&self, after: String, limit: usize) -> StoreFuture<Names> {
        let connections = Arc::clone(&self.0);
        detached(async move {
            let read = connections.run(|client| {
                let after = after.clone();
                Box::pin(async move {
                    let mut lists = Vec::new();
                    for text in C::TEXTS.names {
                        let rows = client.query(text, &[after.as_str().into(), rows::count(limit)]).await?;
                        lists
                            .push(rows.iter().filter_map(|row| Some(row.text(0).ok()?.to_owned())).collect());
                    }
                    Ok(Names { names: merged(lists, limit), ..Names::default() })
                })
            });
            read.await.map_err(StoreError::from)
        })
    }

    fn inspect(&self, name: String) -> StoreFuture<Inspected> {
        let connections = Arc::clone(&self.0);
        detached(async move {
            let read = connections.run(|client| {
                let name = name.clone();
                Box::pin(async move { inspected(client, &name).await })
            });
            read.await.map_err(StoreError::from)
        })
    }

    /// A server looks after its own files.
    fn database(&self) -> StoreFuture<Vec<String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

async fn inspected<C: Client>(client: &mut C, name: &str) -> Result<Inspected, ClientError> {
    let mut found = Inspected::default();
    let rows = client.query(C::TEXTS.records, &[name.into(), 0_i64.into()]).await?;
    found.without_checksum = rows.iter().filter(|row| matches!(row.maybe_int(5), Ok(None))).count() as u64;
    found.journal = match trine_protocol::Gid::parse(name) {
        Ok(gid) => Readable::after(0, rows.iter().map(|row| queries::record(&gid, row))),
        Err(error) => group::nameless(rows.len(), &error),
    };
    let rows = client.query(C::TEXTS.index_row, &[name.into()]).await?;
    found.row = rows.first().map(|row| columns(row).unwrap_or_default());
    for row in client.query(C::TEXTS.labels, &[name.into()]).await? {
        found.labels.insert(row.text(0)?.to_owned(), row.text(1)?.to_owned());
    }
    Ok(found)
}

/// A value of another kind is as wrong as any other: what is found then differs from what the journal says.
fn columns(row: &Row) -> Result<IndexColumns, ClientError> {
    Ok(IndexColumns {
        pattern: row.text(0)?.to_owned(),
        status: row.text(1)?.to_owned(),
        parked: row.maybe_text(2)?.map(str::to_owned),
        owner: row.text(3)?.to_owned(),
        due_at: row.maybe_int(4)?,
        created_at: row.int(5)?,
        settled_at: row.maybe_int(6)?,
        hosts: row.text(7)?.to_owned(),
    })
}
