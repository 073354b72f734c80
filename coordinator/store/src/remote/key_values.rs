//! Key-value entries. Each call is one statement, so a change is made whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use trine_protocol::Timestamp;

use super::client::{Client, ClientError, Param, Verdict};
use super::texts::Text;
use super::{Inner, Remote};
use crate::columns::{integer, limited, millis};
use crate::{Change, Entry, Key, KeyValues, Revision, StoreError, StoreFuture, Value, rows};

/// How often a statement is tried that is undone because others write at the same time.
const TRIES_MAX: u32 = 5;

impl<C: Client> Remote<C> {
    /// Runs a text that changes one row, or none because the entry is not what was expected.
    fn change(&self, text: Text, values: Vec<Param>) -> StoreFuture<Change> {
        let values = Arc::new(values);
        let begun = Arc::new(AtomicBool::new(false));
        let changed = self.run(Inner::housekeepers, move |client, _| {
            let values = Arc::clone(&values);
            // `Connections::run` runs this again after a dead connection, and only the second run knows that there was
            // a first.
            let again = begun.swap(true, Ordering::SeqCst);
            Box::pin(async move {
                Ok(match change(client, text, &values).await? {
                    // The connection broke in the first run. That run may have made the change, and the second run then
                    // finds that the entry has changed.
                    Change::Lost if again => Err(StoreError::Unavailable(
                        "the connection broke, and nobody knows whether the change was made".into(),
                    )),
                    changed => Ok(changed),
                })
            })
        });
        Box::pin(async move { changed.await? })
    }
}

async fn change<C: Client>(client: &mut C, text: Text, values: &[Param]) -> Result<Change, ClientError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let error = match client.execute(text, values).await {
            Ok(0) => return Ok(Change::Lost),
            Ok(_) => return Ok(Change::Done),
            Err(error) => error,
        };
        match C::undone(&error) {
            // MySQL refuses to create a key that exists with an error, where PostgreSQL changes no row.
            Some(Verdict::Conflict) => return Ok(Change::Lost),
            // Surely undone, so another try cannot make the change twice.
            Some(Verdict::Contended) if tries < TRIES_MAX => {}
            _ => return Err(error),
        }
    }
}

impl<C: Client> KeyValues for Remote<C> {
    fn entry(&self, category: Key, key: Key) -> StoreFuture<Option<Entry>> {
        self.run(Inner::readers, move |client, _| {
            let values = [category.as_str().into(), key.as_str().into()];
            Box::pin(async move {
                let found = client.query(C::texts().entry, &values).await?;
                found.first().map(rows::entry).transpose()
            })
        })
    }

    fn entries(&self, category: Key, after: Option<Key>, limit: usize) -> StoreFuture<Vec<Entry>> {
        self.run(Inner::readers, move |client, _| {
            // No key is empty.
            let after = after.as_ref().map_or("", Key::as_str);
            let values = [category.as_str().into(), after.into(), limited(limit).into()];
            Box::pin(async move {
                client.query(C::texts().entries, &values).await?.iter().map(rows::entry).collect()
            })
        })
    }

    fn put(
        &self,
        category: Key,
        key: Key,
        value: Value,
        expected: Option<Revision>,
        now: Timestamp,
    ) -> StoreFuture<Change> {
        let mut values = vec![category.as_str().into(), key.as_str().into()];
        values.extend([value.as_str().into(), millis(now).into()]);
        let Some(Revision { version, created_at }) = expected else {
            return self.change(C::texts().create_entry, values);
        };
        // The version alone does not tell entries apart: an entry that was deleted and created again counts from 1
        // again.
        values.extend([integer(version).into(), millis(created_at).into()]);
        self.change(C::texts().change_entry, values)
    }

    fn delete(&self, category: Key, key: Key, expected: Option<Revision>) -> StoreFuture<Change> {
        let expected = expected.unwrap_or(Revision::ANY);
        let (version, created_at) = (integer(expected.version).into(), millis(expected.created_at).into());
        let values = vec![category.as_str().into(), key.as_str().into(), version, created_at];
        self.change(C::texts().delete_entry, values)
    }
}
