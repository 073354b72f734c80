//! Small writes: registrations, adoption, probes, and whether writing works. The store's time is this process's clock.

use trine_protocol::{Gid, Timestamp};

use super::owner::{self, Owner};
use super::writer::Writer;
use crate::columns::{limited, millis};
use crate::{Registration, rows, sql};
use trine_clock as clock;

pub(super) const ADOPT: &str = "UPDATE transactions SET owner = ?1 WHERE gid IN \
     (SELECT gid FROM transactions WHERE settled_at IS NULL AND owner <> ?1 \
      AND EXISTS (SELECT 1 FROM coordinators WHERE id = ?1 AND incarnation = ?3) LIMIT ?2) RETURNING gid";

/// A probe that is older was left behind: no proof that a write works takes so long.
const PROBE_MS_MAX: u64 = 60 * 60 * 1_000;

/// See [`crate::Registry::register`].
pub(super) async fn register(
    writer: &Writer,
    registrations: &[Registration],
) -> Result<Timestamp, sqlx::Error> {
    let now = clock::now();
    let rows = registrations.iter().map(|one| {
        let (expires_at, guarded_until) = one.until(millis(now));
        serde_json::json!([one.name, one.base_url, expires_at, guarded_until])
    });
    // Without `WHERE true` the parser takes ON CONFLICT for the condition of a join.
    let statement = sqlx::query(
        "INSERT INTO participants (name, base_url, registered_at, expires_at, guarded_until) \
         SELECT value ->> 0, value ->> 1, ?2, value ->> 2, value ->> 3 FROM json_each(?1) WHERE true \
         ON CONFLICT (name, base_url) DO UPDATE SET expires_at = excluded.expires_at, guarded_until = excluded.guarded_until",
    );
    let rows = serde_json::Value::Array(rows.collect()).to_string();
    writer.alone(statement.bind(rows).bind(millis(now))).await.map(|_| now)
}

/// See [`crate::Registry::deregister`].
pub(super) async fn deregister(
    writer: &Writer,
    name: String,
    base_url: Option<String>,
) -> Result<u64, sqlx::Error> {
    let statement = sqlx::query(sql::DEREGISTER);
    writer.alone(statement.bind(name).bind(base_url)).await
}

/// See [`crate::Registry::sweep_participants`].
pub(super) async fn sweep_participants(writer: &Writer, expired_ms: u64) -> Result<u64, sqlx::Error> {
    let before = Timestamp::from_millis(clock::now().millis().saturating_sub(expired_ms));
    let statement = sqlx::query(
        "DELETE FROM participants WHERE expires_at < ? AND base_url <> (SELECT other.base_url FROM participants AS other \
         WHERE other.name = participants.name ORDER BY other.expires_at DESC, other.base_url DESC LIMIT 1)",
    );
    writer.alone(statement.bind(millis(before))).await
}

/// See [`crate::Membership::adopt`]. This process has the file, so every other owner is gone.
pub(super) async fn adopt(writer: &Writer, owner: &Owner, limit: usize) -> Result<Vec<Gid>, sqlx::Error> {
    let mut session = writer.session().await?;
    let adopt =
        sqlx::query(ADOPT).bind(owner.name.clone()).bind(limited(limit)).bind(owner.incarnation.clone());
    let claimed = adopt.fetch_all(&mut session.connection).await;
    let rows = session.end(claimed)?;
    Ok(rows::gids(&rows))
}

/// See [`crate::Journal::remove_probe`].
pub(super) async fn remove_probe(writer: &Writer, gid: Gid) -> Result<(), sqlx::Error> {
    writer.alone(sqlx::query(sql::REMOVE_PROBE).bind(gid.as_str().to_owned())).await.map(drop)
}

/// Removes probes of a process that was killed before it removed them.
pub(super) async fn sweep_probes(writer: &Writer) -> Result<u64, sqlx::Error> {
    let statement = sqlx::query(
        "DELETE FROM journal WHERE gid > 'trine-probe:' AND gid < 'trine-probe;' AND at < ?1 \
         AND NOT EXISTS (SELECT 1 FROM transactions WHERE transactions.gid = journal.gid)",
    );
    let old = clock::now().millis().saturating_sub(PROBE_MS_MAX);
    writer.alone(statement.bind(millis(Timestamp::from_millis(old)))).await
}

/// See [`crate::Maintenance::ping`]. While the last write has succeeded, this writes nothing. After a write has failed, only
/// another write tells whether writing works again.
pub(super) async fn ping(writer: &Writer, owner: &Owner) -> Result<(), sqlx::Error> {
    if writer.is_in_trouble() {
        return owner::heartbeat(writer, owner).await.map(drop);
    }
    let mut session = writer.session().await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut session.connection).await?;
    sqlx::query("ROLLBACK").execute(&mut session.connection).await?;
    session.end(Ok(()))
}
