//! One batch, one database transaction; what conflicts is left out whole (law L7).
//!
//! The plain insert comes first, because conflicts are rare: the primary key and the trigger of the journal find them.
//! Then everything is rolled back, the conflicting gids are looked up, and the rest is appended in a database
//! transaction that begins before looking, so nothing can come between.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Row, SqliteConnection};
use trine_engine::{Batch, IndexRow, Record};
use trine_protocol::{Gid, Timestamp};

use super::statements::{self, Bound};
use super::writer::Writer;
use crate::store::group::{self, Run};
use crate::store::{AppendError, Appended, codec};

/// SQLite's extended codes for a primary key that exists, a unique value that exists, and what a trigger raises.
const CONFLICT_CODES: [&str; 3] = ["1555", "2067", "1811"];

/// How one attempt went wrong.
enum Refusal {
    /// Nothing was begun. The connection may be the reason, and is of no more use.
    NotBegun(sqlx::Error),
    /// Some gids are further along, or not as far, as the batch believes. Rolled back.
    Conflict(sqlx::Error),
    /// Rolled back.
    Failed(sqlx::Error),
    /// Nobody knows; the connection is of no more use.
    Doubtful(sqlx::Error),
}

/// See [`crate::store::Journal::append`].
pub(super) async fn append(writer: &Writer, owner: &str, batch: &Batch) -> Result<Appended, AppendError> {
    let unchecked = statements(batch, owner, &BTreeSet::new());
    let mut session = match writer.session().await {
        Ok(session) => session,
        Err(error) => return Err(AppendError::Failed(error.to_string())),
    };
    let mut conflicts = BTreeSet::new();
    let mut outcome = attempt(&mut session.connection, unchecked).await;
    if let Err(Refusal::Conflict(_)) = outcome {
        outcome = append_checked(&mut session.connection, batch, owner, &mut conflicts).await;
    }
    match outcome {
        Ok(()) => {
            session.end(Ok(())).ok();
            Ok(Appended { conflicts: conflicts.into_iter().collect() })
        }
        // A conflict in the second attempt: the batch contradicts itself.
        Err(Refusal::Conflict(error) | Refusal::Failed(error)) => {
            let text = error.to_string();
            session.end::<()>(Err(error)).ok();
            Err(AppendError::Failed(text))
        }
        Err(Refusal::NotBegun(error)) => {
            session.abandon();
            Err(AppendError::Failed(error.to_string()))
        }
        Err(Refusal::Doubtful(error)) => {
            session.abandon();
            Err(AppendError::Doubtful(error.to_string()))
        }
    }
}

async fn attempt(connection: &mut SqliteConnection, statements: Vec<Bound>) -> Result<(), Refusal> {
    begin(connection).await?;
    finish(connection, statements).await
}

/// Looks conflicts up and appends the rest.
async fn append_checked(
    connection: &mut SqliteConnection,
    batch: &Batch,
    owner: &str,
    conflicts: &mut BTreeSet<Gid>,
) -> Result<(), Refusal> {
    begin(connection).await?;
    match conflicting(connection, &group::runs(batch)).await {
        Ok(found) => *conflicts = found,
        Err(error) => return Err(roll_back(connection, error).await),
    }
    finish(connection, statements(batch, owner, conflicts)).await
}

async fn begin(connection: &mut SqliteConnection) -> Result<(), Refusal> {
    match sqlx::query("BEGIN IMMEDIATE").execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::NotBegun(error)),
    }
}

async fn finish(connection: &mut SqliteConnection, statements: Vec<Bound>) -> Result<(), Refusal> {
    for statement in statements {
        if let Err(error) = statement.execute(&mut *connection).await {
            return Err(roll_back(connection, error).await);
        }
    }
    match sqlx::query("COMMIT").execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::Doubtful(error)),
    }
}

async fn roll_back(connection: &mut SqliteConnection, cause: sqlx::Error) -> Refusal {
    let code = cause.as_database_error().and_then(|error| error.code());
    let conflict = code.is_some_and(|code| CONFLICT_CODES.contains(&&*code));
    match sqlx::query("ROLLBACK").execute(connection).await {
        Ok(_) if conflict => Refusal::Conflict(cause),
        Ok(_) => Refusal::Failed(cause),
        Err(_) => Refusal::Doubtful(cause),
    }
}

/// Gids whose journal does not end where the batch goes on.
async fn conflicting(
    connection: &mut SqliteConnection,
    runs: &BTreeMap<&Gid, Run>,
) -> Result<BTreeSet<Gid>, sqlx::Error> {
    let gids = super::queries::json(runs.keys().copied());
    let rows = sqlx::query(
        "SELECT asked.value, (SELECT max(seq) FROM journal WHERE gid = asked.value) FROM json_each(?) AS asked",
    )
    .bind(gids)
    .fetch_all(connection)
    .await?;
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        let seq: Option<i64> = row.try_get(1)?;
        last.insert(row.try_get(0)?, seq.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0));
    }
    let conflicts =
        runs.iter().filter(|(gid, run)| !run.continues(last.get(gid.as_str()).copied().unwrap_or(0)));
    Ok(conflicts.map(|(gid, _)| (*gid).clone()).collect())
}

/// Everything a batch writes, but for what belongs to `without`.
fn statements(batch: &Batch, owner: &str, without: &BTreeSet<Gid>) -> Vec<Bound> {
    let records: Vec<&Record> =
        batch.records.iter().filter(|record| !without.contains(&record.gid)).collect();
    let rows: Vec<&IndexRow> = batch.rows.iter().filter(|row| !without.contains(&row.gid)).collect();
    let created: BTreeSet<&Gid> =
        records.iter().filter(|record| record.seq == 1).map(|record| &record.gid).collect();
    let labels: Vec<(&IndexRow, &String, &String)> = rows
        .iter()
        .filter(|row| !row.spec.labels.is_empty() && created.contains(&row.gid))
        .flat_map(|row| row.spec.labels.iter().map(|(key, value)| (*row, key, value)))
        .collect();
    let mut bound = statements::JOURNAL.of(&records, |statement, record| {
        statement
            .bind(record.gid.as_str())
            .bind(integer(record.seq))
            .bind(millis(record.at))
            .bind(codec::encode(&record.event))
    });
    bound.extend(statements::INDEX.of(&rows, |statement, row| bind_row(statement, row, owner)));
    bound.extend(statements::LABELS.of(&labels, |statement, (row, key, value)| {
        statement.bind(row.gid.as_str()).bind(key.as_str()).bind(value.as_str()).bind(millis(row.created_at))
    }));
    bound
}

fn bind_row(statement: Bound, row: &IndexRow, owner: &str) -> Bound {
    let settled_at = row.status.is_settled().then_some(row.updated_at);
    statement
        .bind(row.gid.as_str())
        .bind(row.pattern.as_str())
        .bind(row.status.as_str())
        .bind(row.parked)
        .bind(owner)
        .bind(row.due_at.map(millis))
        .bind(millis(row.created_at))
        .bind(millis(row.updated_at))
        .bind(settled_at.map(millis))
        .bind(row.hosts.join("\n"))
}

/// SQLite's integers are signed. A seq never gets that far, and a time ends in the year 9999.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// As it stands in the tables.
pub(super) fn millis(at: Timestamp) -> i64 {
    integer(at.millis())
}
