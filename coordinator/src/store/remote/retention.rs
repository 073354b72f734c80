//! Deleting what settled long ago, and noting the time that passes: only what was watched makes anything old.

use super::append::{integer, millis};
use super::client::{Client, ClientError, Row};
use crate::store::Leap;
use crate::store::watched::{self, Note, SPANS_MAX, Span, Watcher};

/// See [`crate::store::Maintenance::watch`]. Every statement is harmless beside another coordinator's: a span that was cut
/// or begun meanwhile is not extended.
pub(super) async fn watch<C: Client>(client: &mut C, watcher: &Watcher) -> Result<Option<Leap>, ClientError> {
    let rows = client.query(C::TEXTS.spans, &[]).await?;
    let spans = rows.iter().map(span).collect::<Result<Vec<_>, _>>()?;
    let clock = client.query(C::TEXTS.clock, &[]).await?;
    let row = clock.first().ok_or_else(|| ClientError::Unreadable("no time".into()))?;
    let plan = watcher.plan(row.int(0)?, spans.first().copied(), row.maybe_int(1)?);
    if let Some(end) = plan.cut_to {
        client.execute(C::TEXTS.drop_spans_after, &[end.into()]).await?;
        client.execute(C::TEXTS.cut_spans, &[end.into()]).await?;
    }
    match plan.note {
        Note::Begin { from } => client.execute(C::TEXTS.begin_span, &[from.into(), plan.now.into()]).await?,
        Note::Extend { from } => {
            client.execute(C::TEXTS.extend_span, &[from.into(), plan.now.into()]).await?
        }
    };
    if let Some(oldest) = spans.get(SPANS_MAX) {
        client.execute(C::TEXTS.drop_spans_until, &[oldest.from.into()]).await?;
    }
    watcher.noted(&plan);
    Ok(plan.leap)
}

/// See [`crate::store::Maintenance::retire`].
pub(super) async fn retire<C: Client>(
    client: &mut C,
    kept_ms: u64,
    limit: usize,
) -> Result<u64, ClientError> {
    let rows = client.query(C::TEXTS.spans, &[]).await?;
    let spans = rows.iter().map(span).collect::<Result<Vec<_>, _>>()?;
    match watched::settled_before(spans, kept_ms) {
        Some(before) => client.retire(millis(before), integer(limit as u64)).await,
        None => Ok(0),
    }
}

fn span(row: &Row) -> Result<Span, ClientError> {
    Ok(Span { from: row.int(0)?, until: row.int(1)? })
}
