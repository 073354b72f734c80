//! Notes the time that passes ([`crate::watched`]), and deletes transactions that settled long ago ([`crate::retention`]).

use super::client::{Client, ClientError, Param};
use super::queries;
use crate::Leap;
use crate::columns::{limited, millis};
use crate::retention::{self, Judged, Walk};
use crate::rows::{self, Columns as _};
use crate::watched::{self, Note, SPANS_MAX, Watcher};

/// See [`crate::Maintenance::watch`]. The statements are not in one database transaction. Another coordinator may run its
/// own in between: a span that was cut or begun meanwhile is not extended, so nobody counts time that was not watched.
pub(super) async fn watch<C: Client>(client: &mut C, watcher: &Watcher) -> Result<Option<Leap>, ClientError> {
    let spans = rows::spans(&client.query(C::texts().spans, &[]).await?);
    let clock = client.query(C::texts().clock, &[]).await?;
    let row = clock.first().ok_or_else(|| ClientError::Unreadable("no time".into()))?;
    let plan = watcher.plan(row.int(0)?, spans.first().copied(), row.maybe_int(1)?);
    // Spans are cut before the note: what the clock went back over must not count twice, even if this process dies in
    // between.
    if let Some(end) = plan.cut_to {
        client.execute(C::texts().drop_spans_after, &[end.into()]).await?;
        client.execute(C::texts().cut_spans, &[end.into()]).await?;
    }
    match plan.note {
        Note::Begin { from } => {
            client.execute(C::texts().begin_span, &[from.into(), plan.now.into()]).await?
        }
        Note::Extend { from } => {
            client.execute(C::texts().extend_span, &[from.into(), plan.now.into()]).await?
        }
    };
    if let Some(oldest) = spans.get(SPANS_MAX) {
        client.execute(C::texts().drop_spans_until, &[oldest.from.into()]).await?;
    }
    // Only now: after an error nothing is remembered, and the next note is compared with the one before.
    watcher.noted(&plan);
    Ok(plan.leap)
}

/// See [`crate::Maintenance::retire`].
pub(super) async fn retire<C: Client>(
    client: &mut C,
    walk: &Walk,
    kept_ms: u64,
    limit: usize,
) -> Result<u64, ClientError> {
    // Read at each call: a leap that was noticed meanwhile makes transactions younger, and deleting cannot be undone.
    let spans = rows::spans(&client.query(C::texts().spans, &[]).await?);
    let Some(before) = watched::settled_before(spans, kept_ms) else { return Ok(0) };
    loop {
        let after = walk.after();
        let values = [
            millis(before).into(),
            after.settled_at.into(),
            after.gid.as_str().into(),
            limited(limit).into(),
        ];
        let candidates = rows::candidates(&client.query(C::texts().settled, &values).await?);
        let Some(last) = candidates.last().cloned() else {
            walk.ended();
            return Ok(0);
        };
        let mut judged = Judged::default();
        for some in candidates.chunks(retention::READ_AT_ONCE) {
            // The owner is not compared: the journal alone says whether the transaction is settled.
            judged.add(some, queries::load(client, "", &retention::gids(some)).await?);
        }
        // The index row said settled, and the journal was read since: `retire` deletes only if the row is still the same.
        let deleted = if judged.settled.is_empty() { 0 } else { client.retire(&judged.settled).await? };
        let mut put_right = 0;
        for (candidate, row) in &judged.unfinished {
            let values = [
                candidate.gid.as_str().into(),
                candidate.settled_at.into(),
                row.status.as_str().into(),
                Param::MaybeText(row.parked.map(str::to_owned)),
                Param::MaybeInt(row.due_at.map(millis)),
                millis(row.updated_at).into(),
            ];
            put_right += client.execute(C::texts().reopen, &values).await?;
        }
        judged.put_right(put_right);
        // Damaged journals are walked past. Otherwise they would fill each chunk and nothing behind them would be deleted.
        walk.went_on(last, judged.damaged);
        if deleted > 0 {
            return Ok(deleted);
        }
    }
}
