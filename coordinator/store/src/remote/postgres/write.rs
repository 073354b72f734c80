//! The one statement that writes a batch. Records, index rows and labels are bound as arrays, so the text is always the
//! same.
//!
//! How it detects a conflict (law L7):
//! - A record with the same gid and seq exists: the primary key of the journal refuses the insert.
//! - The record before a gid's first record is missing: `before` locks these records and counts them. If retention deletes
//!   one
//!   at the same moment, the lock waits for the deletion, and the record is then missing. A wrong count makes the statement
//!   divide by zero, which nothing else in the statement can cause.
//!
//! `settled_at` is at least the database's time now. A coordinator's clock may be behind, and a transaction keeps its own
//! time when a clock leaps ahead; retention must not find a transaction old that has just settled.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use crate::columns::{integer, millis};
use crate::group::{self, Written};
use crate::writing::Writing;

// KEY SHARE is the weakest lock that a deletion has to wait for. Two coordinators that append to the same gid do not
// wait for each other's `before`.
const WRITE: &str = "WITH \
     before AS (SELECT 1 FROM unnest($1::text[], $2::bigint[]) AS b(gid, seq) \
         JOIN journal AS j ON j.gid = b.gid AND j.seq = b.seq FOR KEY SHARE OF j), \
     records AS (INSERT INTO journal (gid, seq, at, event, checksum) \
         SELECT * FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::text[], $22::bigint[])), \
     rows AS (INSERT INTO transactions (gid, pattern, status, parked, owner, due_at, created_at, updated_at, settled_at, hosts) \
         SELECT r.gid, r.pattern, r.status, r.parked, $8, r.due_at, r.created_at, r.updated_at, \
             CASE WHEN r.settled_at < n.now THEN n.now ELSE r.settled_at END, r.hosts \
         FROM unnest($9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::bigint[], \
             $16::bigint[], $17::text[]) \
             AS r(gid, pattern, status, parked, due_at, created_at, updated_at, settled_at, hosts), \
             (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now) AS n \
         ON CONFLICT (gid) DO UPDATE SET status = excluded.status, parked = excluded.parked, owner = excluded.owner, \
             due_at = excluded.due_at, updated_at = excluded.updated_at, settled_at = excluded.settled_at, \
             hosts = excluded.hosts), \
     labels AS (INSERT INTO transaction_labels (gid, key, value, created_at) \
         SELECT * FROM unnest($18::text[], $19::text[], $20::text[], $21::bigint[]) \
         ON CONFLICT (gid, key) DO UPDATE SET value = excluded.value, created_at = excluded.created_at) \
     SELECT 1 / CASE WHEN (SELECT count(*) FROM before) = $3 THEN 1 ELSE 0 END";

/// The statement with everything bound.
pub(super) fn bound(writing: &Writing<'_>) -> Query<'static, sqlx::Postgres, PgArguments> {
    let Writing { owner, records, rows, labels, before } = writing;
    fn column<'a, T, V>(of: &'a [T], value: impl Fn(&'a T) -> V) -> Vec<V> {
        of.iter().map(value).collect()
    }
    let (events, checksums): (Vec<String>, Vec<i64>) = records
        .iter()
        .map(|record| group::written(record))
        .map(|Written { event, checksum }| (event, checksum))
        .unzip();
    sqlx::query(WRITE)
        .bind(column(before, |(gid, _)| gid.as_str()))
        .bind(column(before, |(_, seq)| *seq))
        .bind(i64::try_from(before.len()).unwrap_or(i64::MAX))
        .bind(column(records, |record| record.gid.as_str()))
        .bind(column(records, |record| integer(record.seq)))
        .bind(column(records, |record| millis(record.at)))
        .bind(events)
        .bind((*owner).to_owned())
        .bind(column(rows, |row| row.gid.as_str()))
        .bind(column(rows, |row| row.pattern.as_str()))
        .bind(column(rows, |row| row.status.as_str()))
        .bind(column(rows, |row| row.parked))
        .bind(column(rows, |row| row.due_at.map(millis)))
        .bind(column(rows, |row| millis(row.created_at)))
        .bind(column(rows, |row| millis(row.updated_at)))
        .bind(column(rows, |row| row.status.is_settled().then(|| millis(row.updated_at))))
        .bind(column(rows, |row| row.hosts.join("\n")))
        .bind(column(labels, |(row, _, _)| row.gid.as_str()))
        .bind(column(labels, |(_, key, _)| *key))
        .bind(column(labels, |(_, _, value)| *value))
        .bind(column(labels, |(row, _, _)| millis(row.created_at)))
        // Bound by the numbers in the text: $22 is the last.
        .bind(checksums)
}
