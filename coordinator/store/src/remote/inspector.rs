//! Reads a whole database while coordinators use it; see [`crate::Inspect`].

use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, ClientError};
use super::connections::Connections;
use super::texts::Text;
use super::{hosts, target};
use crate::columns::limited;
use crate::detach::detached;
use crate::group;
use crate::inspect::{Inspected, merged, not_ours};
use crate::rows::{self, Columns as _};
use crate::{Inspect, Names, OpenError, Options, Readable, StoreError, StoreFuture};

/// Has one connection.
#[derive(Debug)]
pub(crate) struct Inspector<C: Client>(Arc<Connections<C>>);

/// See [`crate::inspect()`].
pub(crate) async fn inspect<C: Client>(options: &Options) -> Result<Inspector<C>, OpenError> {
    let target = target::target::<C>(options)?;
    let failed = |detail: String| OpenError::Failed { store: hosts::shown(&options.url), detail };
    let connected = target::connect::<C>(&target).await;
    let mut client = connected.map_err(|error| failed(error.to_string()))?;
    // Reads no row. It fails where the tables are missing or older, so that the operator is told to migrate and not of
    // an unknown column.
    let asked = client.query(Text::verbatim("SELECT checksum FROM journal LIMIT 0"), &[]).await;
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
                    let texts = C::texts();
                    for text in [texts.journal_names, texts.index_names, texts.label_names] {
                        let rows =
                            client.query(text, &[after.as_str().into(), limited(limit).into()]).await?;
                        lists
                            // A name that cannot be read is left out, so that one damaged row does not hide all other
                            // names.
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
    // Three statements, at three moments: a coordinator may write or delete in between. So the check looks at whatever
    // seems wrong a second time.
    let mut found = Inspected::default();
    let records = client.query(C::texts().records, &[name.into(), 0_i64.into(), i64::MAX.into()]).await?;
    found.without_checksum = records.iter().filter(|row| matches!(row.maybe_int(5), Ok(None))).count() as u64;
    found.journal = match trine_protocol::Gid::parse(name) {
        Ok(gid) => Readable::after(0, records.iter().map(|row| rows::record(&gid, row))),
        Err(error) => group::nameless(records.len(), &error),
    };
    let row = client.query(C::texts().index_row, &[name.into()]).await?;
    found.row = row.first().map(rows::index_columns);
    for row in client.query(C::texts().labels, &[name.into()]).await? {
        found.labels.insert(row.text(0)?.to_owned(), row.text(1)?.to_owned());
    }
    Ok(found)
}
