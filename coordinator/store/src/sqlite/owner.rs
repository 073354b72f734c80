//! The owner's row: which coordinator has the file, which process of that name, and since when.
//!
//! The row names the owner to another process that finds the file locked. And it is the second guard, for locks that a
//! network file system has forgotten, so that two processes both believe to have the file: each batch checks, in its own
//! database transaction, that the row is still this process's own. The process that came last has the file, and the other
//! one stops.

use std::path::Path;
use std::sync::Arc;

use sqlx::{Connection as _, Row as _, SqliteConnection};
use trine_protocol::Timestamp;

use super::schema;
use crate::HeartbeatAnswer;

/// This coordinator.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    /// Transactions are owned by name.
    pub(super) name: Arc<str>,
    /// Random: tells this process from others that have had the name.
    pub(super) incarnation: Arc<str>,
}

impl Owner {
    pub(super) fn new(name: String) -> Self {
        Self { name: name.into(), incarnation: format!("{:016x}", fastrand::u64(..)).into() }
    }
}

/// Fails unless this process owns the row, and returns no row: the lane would free a row of SQLite's while SQLite is writing, and
/// the two would wait for each other's lock. Binds: name, incarnation.
///
/// `abs` of the smallest integer has no result in 64 bits, so SQLite reports an integer overflow. Outside of a trigger,
/// SQLite has no statement that fails on purpose.
pub(super) const CHECK_OWNER: &str = "SELECT 1 WHERE CASE \
     WHEN EXISTS (SELECT 1 FROM coordinators WHERE id = ? AND incarnation = ?) THEN 0 ELSE abs(-9223372036854775808) END;";

/// Makes this process the owner of the file.
pub(super) async fn join(connection: &mut SqliteConnection, owner: &Owner) -> Result<(), sqlx::Error> {
    let text = "BEGIN IMMEDIATE; DELETE FROM coordinators; \
         INSERT INTO coordinators (id, incarnation, started_at, heartbeat_at, previous_at) SELECT ?, ?, now, now, now \
         FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now); COMMIT";
    let join = sqlx::query(text).bind(owner.name.clone()).bind(owner.incarnation.clone());
    join.execute(connection).await.map(drop)
}

/// See [`crate::Membership::heartbeat`].
pub(super) async fn heartbeat(
    writer: &super::writer::Writer,
    owner: &Owner,
) -> Result<HeartbeatAnswer, sqlx::Error> {
    let statement = sqlx::query(
        "UPDATE coordinators SET previous_at = heartbeat_at, heartbeat_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) \
         WHERE id = ? AND incarnation = ?",
    );
    let statement = statement.bind(owner.name.clone()).bind(owner.incarnation.clone());
    let beaten = writer.alone(statement).await?;
    Ok(if beaten == 0 { HeartbeatAnswer::Superseded } else { HeartbeatAnswer::Alive })
}

/// Who has the file, for the message of a process that finds it locked. None if that cannot be read.
pub(super) async fn holder(path: &Path) -> Option<String> {
    let mut connection = schema::connect_beside(path).await.ok()?;
    let row = sqlx::query("SELECT id, started_at FROM coordinators ORDER BY heartbeat_at DESC LIMIT 1")
        .fetch_optional(&mut connection)
        .await;
    connection.close().await.ok();
    let row = row.ok()??;
    let (name, since): (String, i64) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
    Some(format!("{name}, since {}", Timestamp::from_millis(since.cast_unsigned())))
}
