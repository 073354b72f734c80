//! Writes a batch in one database transaction: as one text with all statements, or as one statement after the other.
//!
//! One text is one round trip. The server executes its statements in order, and none after one that failed. It answers each,
//! so the number of answers says how far it came.
//!
//! How a conflict is detected (law L7):
//! - A record with the same gid and seq exists: the primary key of the journal refuses the insert.
//! - The record before a gid's first record is missing: see [`BEFORE`].

use futures_util::TryStreamExt as _;
use sqlx::Executor as _;
use sqlx::mysql::MySqlConnection;

use super::statements::{BEFORE, INDEX, JOURNAL, LABELS, Rows, vouched};
use super::{number, verdict};
use crate::columns::{integer, millis};
use crate::group::{self, Written};
use crate::remote::client::{ClientError, Verdict, WriteFailure};
use crate::writing::Writing;

/// A batch with more bytes is written by one statement after the other. With two digits for each byte, its text is still
/// smaller than the smallest packet size that is accepted.
const TOGETHER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// As plain text, because not every server can prepare this statement.
pub(super) async fn begin(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    connection.execute("BEGIN").await.map(drop)
}

pub(super) async fn commit(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    connection.execute("COMMIT").await.map(drop)
}

/// See [`crate::remote::client::Client::write`]. `together`: as one text, unless the batch is too large for that.
pub(super) async fn write(
    connection: &mut MySqlConnection,
    together: bool,
    writing: &Writing<'_>,
) -> Result<(), WriteFailure> {
    let rows = all(writing);
    if together && rows.iter().map(Rows::weight).sum::<usize>() <= TOGETHER_BYTES_MAX {
        return write_together(connection, &rows).await;
    }
    if let Err(error) = fill(connection, &rows).await {
        return Err(roll_back(connection, error).await);
    }
    commit(connection).await.map_err(at_commit)
}

async fn write_together(connection: &mut MySqlConnection, rows: &[Rows<'_>]) -> Result<(), WriteFailure> {
    let weight: usize = rows.iter().map(Rows::weight).sum();
    let mut text = Vec::with_capacity(2 * weight);
    text.extend_from_slice(b"BEGIN;");
    // BEGIN and the statements: that many answers come before the one to COMMIT.
    let before_commit = 1 + rows.iter().map(|rows| rows.spell(&mut text)).sum::<usize>();
    text.extend_from_slice(b"COMMIT");
    let text = String::from_utf8(text).expect("constants, numbers and hexadecimal digits");
    let mut answered = 0;
    let mut answers = sqlx::raw_sql(vouched(text)).execute_many(&mut *connection);
    let ended = loop {
        match answers.try_next().await {
            Ok(Some(_)) => answered += 1,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(answers);
    match ended {
        Ok(()) if answered > before_commit => Ok(()),
        Ok(()) => {
            let error =
                ClientError::Unreadable(format!("{answered} answers instead of {}", before_commit + 1));
            Err(WriteFailure { verdict: Verdict::Doubtful, error })
        }
        Err(error) if answered < before_commit && number(&error).is_some() => {
            Err(roll_back(connection, error).await)
        }
        // Without the server's word, nobody knows how far it came.
        Err(error) => Err(at_commit(error)),
    }
}

/// Undoes the database transaction that this error ended.
async fn roll_back(connection: &mut MySqlConnection, error: sqlx::Error) -> WriteFailure {
    let verdict = verdict(number(&error));
    // After a lock timeout the server has undone the last statement alone. The ROLLBACK undoes the others and frees their
    // locks. If the rollback fails, the connection is broken, and the server rolls back.
    let undone = connection.execute("ROLLBACK").await;
    WriteFailure { verdict: undone.map_or(Verdict::Failed, |_| verdict), error: error.into() }
}

/// What an error in the place of the answer to COMMIT means.
fn at_commit(error: sqlx::Error) -> WriteFailure {
    let verdict = match verdict(number(&error)) {
        // Galera reports a write set that lost in the place of the commit, and never after one.
        Verdict::Contended => Verdict::Contended,
        Verdict::Conflict | Verdict::Failed | Verdict::Doubtful => Verdict::Doubtful,
    };
    WriteFailure { verdict, error: error.into() }
}

/// BEGIN, and everything before COMMIT.
async fn fill(connection: &mut MySqlConnection, rows: &[Rows<'_>]) -> Result<(), sqlx::Error> {
    begin(connection).await?;
    for statement in rows.iter().flat_map(Rows::bound) {
        statement.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Everything that the batch writes, in this order.
fn all<'a>(writing: &'a Writing<'_>) -> [Rows<'a>; 4] {
    let Writing { owner, records, rows, labels, before } = writing;
    let journal = records.iter().map(|record| {
        let Written { event, checksum } = group::written(record);
        let (seq, at) = (integer(record.seq), millis(record.at));
        [record.gid.as_str().into(), seq.into(), at.into(), event.into(), checksum.into()]
    });
    let before = before.iter().map(|(gid, seq)| [gid.as_str().into(), (*seq).into()]);
    let index = rows.iter().map(|row| {
        [
            row.gid.as_str().into(),
            row.pattern.as_str().into(),
            row.status.as_str().into(),
            row.parked.into(),
            (*owner).into(),
            row.due_at.map(millis).into(),
            millis(row.created_at).into(),
            millis(row.updated_at).into(),
            row.status.is_settled().then(|| millis(row.updated_at)).into(),
            row.hosts.join("\n").into(),
        ]
    });
    let labels = labels.iter().map(|(row, key, value)| {
        [row.gid.as_str().into(), (*key).into(), (*value).into(), millis(row.created_at).into()]
    });
    // The journal first, so that a conflict ends the database transaction before it locks index rows.
    [JOURNAL.of(journal), BEFORE.of(before), INDEX.of(index), LABELS.of(labels)]
}
