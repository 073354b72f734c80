//! Appending a batch in one database transaction (law L7).
//!
//! Conflicts are rare, so the whole batch is inserted first. The primary key of the journal refuses a record that exists,
//! and a trigger refuses a record whose predecessor is missing. Then everything is rolled back, and a second database
//! transaction looks up the gids in conflict and inserts the rest. Nobody can append between the look-up and the insert,
//! because both are in that one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlx::SqliteConnection;
use trine_engine::{Batch, IndexRow};
use trine_protocol::Gid;

use super::owner::{self, Owner};
use super::statements::{self, Bound, INDEX, JOURNAL, LABELS};
use super::words;
use super::writer::Writer;
use crate::columns::{integer, millis};
use crate::group::{self, Run, Written};
use crate::writing::Writing;
use crate::{AppendError, Appended, rows};

/// SQLite's extended codes: a primary key exists, a unique value exists, a trigger has raised an error.
const CONFLICT_CODES: [i32; 3] = [1555, 2067, 1811];

/// SQLite's code: another connection holds a lock.
const BUSY: i32 = 5;
/// SQLite's code: the disk has failed. Extended codes say in which operation.
const IO_ERROR: i32 = 10;

/// Why one attempt did not append.
enum AppendFailure {
    /// The database transaction was not begun. The connection may be the reason and must be closed.
    NotBegun(sqlx::Error),
    /// Rolled back. A journal does not end where the batch goes on.
    Conflict(sqlx::Error),
    /// Rolled back.
    Failed(sqlx::Error),
    /// The batch may have been committed. The connection must be closed.
    Doubtful(sqlx::Error),
}

/// See [`crate::Journal::append`].
pub(super) async fn append(writer: &Writer, owner: &Owner, batch: &Batch) -> Result<Appended, AppendError> {
    // Encoded before the session begins, so that other writers wait for SQLite alone.
    let unchecked = command("BEGIN IMMEDIATE;", batch, owner, &BTreeSet::new());
    let mut session = match writer.session().await {
        Ok(session) => session,
        Err(error) => return Err(AppendError::Failed(words::of(&error))),
    };
    let mut conflicts = BTreeSet::new();
    let mut outcome = commit(&mut session.connection, unchecked).await;
    // In the same session, so that no other write of this process comes in between.
    if let Err(AppendFailure::Conflict(_)) = outcome {
        outcome = append_checked(&mut session.connection, batch, owner, &mut conflicts).await;
    }
    match outcome {
        Ok(()) => {
            session.end(Ok(())).ok();
            Ok(Appended { conflicts: conflicts.into_iter().collect() })
        }
        // A conflict in the second attempt is not with the journal: the batch contradicts itself.
        Err(AppendFailure::Conflict(error) | AppendFailure::Failed(error)) => {
            // Rolled back, so the connection is in a known state and is kept for the next session.
            let text = words::of(&error);
            session.end::<()>(Err(error)).ok();
            Err(AppendError::Failed(text))
        }
        // If the connection is inside a database transaction that was left open, only closing it ends that transaction.
        Err(AppendFailure::NotBegun(error)) => {
            session.abandon();
            Err(AppendError::Failed(words::of(&error)))
        }
        Err(AppendFailure::Doubtful(error)) => {
            session.abandon();
            Err(AppendError::Doubtful(words::of(&error)))
        }
    }
}

/// Looks up the gids in conflict and appends the rest.
async fn append_checked(
    connection: &mut SqliteConnection,
    batch: &Batch,
    owner: &Owner,
    conflicts: &mut BTreeSet<Gid>,
) -> Result<(), AppendFailure> {
    if let Err(error) = sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await {
        return Err(AppendFailure::NotBegun(error));
    }
    // Within the database transaction: a record that came after the look-up would be a second conflict, which nobody
    // looks up.
    match conflicting(connection, &group::runs(batch)).await {
        Ok(found) => *conflicts = found,
        Err(error) => return Err(roll_back(connection, error).await),
    }
    commit(connection, command("", batch, owner, conflicts)).await
}

/// Runs a command that ends with COMMIT.
async fn commit(connection: &mut SqliteConnection, command: Bound) -> Result<(), AppendFailure> {
    match command.execute(&mut *connection).await {
        Ok(_) => Ok(()),
        Err(error) => Err(roll_back(connection, error).await),
    }
}

async fn roll_back(connection: &mut SqliteConnection, cause: sqlx::Error) -> AppendFailure {
    let code = cause.as_database_error().and_then(|error| error.code()?.parse().ok());
    // Also where SQLite has rolled back by itself: this one fails then, and the outcome counts as doubtful.
    let rolled_back = sqlx::query("ROLLBACK").execute(connection).await.is_ok();
    verdict(code, rolled_back)(cause)
}

/// What an error means. If the rollback succeeds, there was something to roll back, so nothing had been committed. The
/// exception is a disk that fails: after a failed write or fsync only reading tells what is on the disk.
fn verdict(code: Option<i32>, rolled_back: bool) -> fn(sqlx::Error) -> AppendFailure {
    let primary = code.map(|code| code & 0xff);
    match (code, rolled_back) {
        _ if primary == Some(IO_ERROR) => AppendFailure::Doubtful,
        (Some(code), true) if CONFLICT_CODES.contains(&code) => AppendFailure::Conflict,
        (_, true) => AppendFailure::Failed,
        // Only BEGIN IMMEDIATE can find the file locked. From then on no other connection writes.
        (_, false) if primary == Some(BUSY) => AppendFailure::NotBegun,
        (_, false) => AppendFailure::Doubtful,
    }
}

/// The gids whose journal does not end where the batch goes on.
async fn conflicting(
    connection: &mut SqliteConnection,
    runs: &BTreeMap<&Gid, Run>,
) -> Result<BTreeSet<Gid>, sqlx::Error> {
    let ends = sqlx::query(
        "SELECT asked.value, (SELECT max(seq) FROM journal WHERE gid = asked.value) FROM json_each(?) AS asked",
    );
    let ends = ends.bind(super::rows::json(runs.keys().copied())).fetch_all(connection).await?;
    rows::conflicts(runs, &ends)
}

/// One command from `begin` to COMMIT that writes the batch, but for the gids in `without`.
fn command(begin: &str, batch: &Batch, owner: &Owner, without: &BTreeSet<Gid>) -> Bound {
    let Writing { records, rows, labels, .. } = Writing::new(batch, &owner.name, without);
    let mut text = begin.to_owned();
    // Fails the command if another process owns the file. Inside the database transaction, so that of two processes that both
    // believe to have the file only one writes.
    text.push_str(owner::CHECK_OWNER);
    JOURNAL.write(records.len(), &mut text);
    INDEX.write(rows.len(), &mut text);
    LABELS.write(labels.len(), &mut text);
    // In the same command: when a statement fails, none of those behind it runs, and so not the COMMIT either.
    text.push_str("COMMIT");
    let command =
        statements::command(text).bind(Arc::clone(&owner.name)).bind(Arc::clone(&owner.incarnation));
    let bound = JOURNAL.bind(&records, command, |statement, record| {
        let Written { event, checksum } = group::written(record);
        let statement =
            statement.bind(Arc::<str>::from(&record.gid)).bind(integer(record.seq)).bind(millis(record.at));
        statement.bind(event).bind(checksum)
    });
    let bound = INDEX.bind(&rows, bound, |statement, row| bind_row(statement, row, &owner.name));
    LABELS.bind(&labels, bound, |statement, (row, key, value)| {
        statement.bind(Arc::<str>::from(&row.gid)).bind(*key).bind(*value).bind(millis(row.created_at))
    })
}

fn bind_row(statement: Bound, row: &IndexRow, owner: &Arc<str>) -> Bound {
    let settled_at = row.status.is_settled().then_some(row.updated_at);
    statement
        .bind(Arc::<str>::from(&row.gid))
        .bind(row.pattern.as_str())
        .bind(row.status.as_str())
        .bind(row.parked)
        .bind(Arc::clone(owner))
        .bind(row.due_at.map(millis))
        .bind(millis(row.created_at))
        .bind(millis(row.updated_at))
        .bind(settled_at.map(millis))
        .bind(row.hosts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rollback_on_a_sound_disk_proves_that_nothing_was_committed() {
        let fsync_failed = IO_ERROR | (4 << 8);
        for (code, rolled_back, expected) in [
            (Some(13), true, "failed"),
            (Some(13), false, "doubtful"),
            (Some(fsync_failed), true, "doubtful"),
            (Some(fsync_failed), false, "doubtful"),
            (Some(1555), true, "conflict"),
            (Some(1555), false, "doubtful"),
            (Some(BUSY), false, "not begun"),
            (None, false, "doubtful"),
        ] {
            let found = match verdict(code, rolled_back)(sqlx::Error::WorkerCrashed) {
                AppendFailure::NotBegun(_) => "not begun",
                AppendFailure::Conflict(_) => "conflict",
                AppendFailure::Failed(_) => "failed",
                AppendFailure::Doubtful(_) => "doubtful",
            };
            assert_eq!(found, expected, "{code:?}, rolled back: {rolled_back}");
        }
    }
}
