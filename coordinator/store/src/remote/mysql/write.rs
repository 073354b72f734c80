//! Writes a batch by a few statements in one database transaction.
//!
//! How it detects a conflict (law L7):
//! - A record with the same gid and seq exists: the primary key of the journal refuses the insert.
//! - The record before a gid's first record is missing: these records are locked and counted. If retention deletes one at the
//!   same moment, the lock waits for the deletion, and the record is then missing.

use sqlx::mysql::MySqlConnection;
use sqlx::{Executor as _, Row as _};

use super::statements::{BEFORE, Bound, INDEX, JOURNAL, LABELS};
use super::{number, verdict};
use crate::columns::{integer, millis};
use crate::group;
use crate::remote::client::{ClientError, Verdict, WriteFailure};
use crate::writing::Writing;

/// More than the bytes of a row without its texts.
const ROW_BYTES: usize = 200;

/// As plain text, because not every server can prepare this statement.
pub(super) async fn begin(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    connection.execute("BEGIN").await.map(drop)
}

pub(super) async fn commit(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    connection.execute("COMMIT").await.map(drop)
}

/// See [`crate::remote::client::Client::write`].
pub(super) async fn write(
    connection: &mut MySqlConnection,
    writing: &Writing<'_>,
) -> Result<(), WriteFailure> {
    let written = match fill(connection, writing).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let error = ClientError::Unreadable("the record before one of these is missing".into());
            Err(WriteFailure { verdict: Verdict::Conflict, error })
        }
        Err(error) => Err(WriteFailure { verdict: verdict(number(&error)), error: error.into() }),
    };
    if let Err(failure) = written {
        // After a lock timeout the server has undone the last statement alone. The ROLLBACK undoes the others and frees
        // their locks.
        // If the rollback fails, the connection is broken, and the server rolls back.
        return match connection.execute("ROLLBACK").await {
            Ok(_) => Err(failure),
            Err(_) => Err(WriteFailure { verdict: Verdict::Failed, ..failure }),
        };
    }
    commit(connection).await.map_err(|error| {
        let verdict = match verdict(number(&error)) {
            // Galera reports a write set that lost in the place of the commit, and never after one.
            Verdict::Contended => Verdict::Contended,
            Verdict::Conflict | Verdict::Failed | Verdict::Doubtful => Verdict::Doubtful,
        };
        WriteFailure { verdict, error: error.into() }
    })
}

/// BEGIN, and everything before COMMIT. False if a record that must be in the journal is missing.
async fn fill(connection: &mut MySqlConnection, writing: &Writing<'_>) -> Result<bool, sqlx::Error> {
    let Writing { owner, records, rows, labels, before } = writing;
    begin(connection).await?;
    // Encoded first, because the bytes of the rows decide how many of them a statement takes.
    let encoded: Vec<_> = records.iter().map(|record| (*record, group::written(record))).collect();
    let journal = JOURNAL.bound(
        &encoded,
        |(_, written)| ROW_BYTES + written.event.len(),
        |query, (record, written)| {
            query
                .bind(record.gid.as_str().to_owned())
                .bind(integer(record.seq))
                .bind(millis(record.at))
                .bind(written.event.clone())
                .bind(written.checksum)
        },
    );
    // First, so that a conflict ends the database transaction before it locks index rows.
    run(connection, journal).await?;
    let lookups = BEFORE.lookups(before, |query, (gid, seq)| query.bind(gid.as_str().to_owned()).bind(*seq));
    // Counted and not fetched: the batch is refused as a whole, and `append` looks up later which gid it was.
    for (expected, lookup) in lookups {
        let found: i64 = lookup.fetch_one(&mut *connection).await?.try_get(0)?;
        if usize::try_from(found) != Ok(expected) {
            return Ok(false);
        }
    }
    let index = INDEX.bound(
        rows,
        |row| 2 * ROW_BYTES + row.hosts.iter().map(|host| host.len() + 1).sum::<usize>(),
        |query, row| {
            query
                .bind(row.gid.as_str().to_owned())
                .bind(row.pattern.as_str())
                .bind(row.status.as_str())
                .bind(row.parked)
                .bind((*owner).to_owned())
                .bind(row.due_at.map(millis))
                .bind(millis(row.created_at))
                .bind(millis(row.updated_at))
                .bind(row.status.is_settled().then(|| millis(row.updated_at)))
                .bind(row.hosts.join("\n"))
        },
    );
    run(connection, index).await?;
    let labels = LABELS.bound(
        labels,
        |_| 3 * ROW_BYTES,
        |query, (row, key, value)| {
            query
                .bind(row.gid.as_str().to_owned())
                .bind((*key).to_owned())
                .bind((*value).to_owned())
                .bind(millis(row.created_at))
        },
    );
    run(connection, labels).await?;
    Ok(true)
}

async fn run(connection: &mut MySqlConnection, statements: Vec<(usize, Bound)>) -> Result<(), sqlx::Error> {
    for (_, statement) in statements {
        statement.execute(&mut *connection).await?;
    }
    Ok(())
}
