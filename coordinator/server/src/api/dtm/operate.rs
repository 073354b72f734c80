//! What operators ask for: to see, to hurry, to stop by force.

use std::collections::BTreeMap;

use trine_engine::{Command, ForceTo, Rejection, Snapshot, Transaction};
use trine_protocol::dtm::{TransType, status};
use trine_protocol::{Gid, Pattern, Status, Timestamp};

use super::outcome::{CommandError, DtmError, DtmResult, ListPage, unknown};
use super::plan;
use super::service::{Query, Service};
use super::show;
use super::view::{Branch, Global};
use trine_clock as clock;
use trine_store::{Cursor, Filter};

/// Most rows of a page.
const PAGE_ROWS_MAX: usize = 1_000;
/// Most journals in one read, because each may be large.
const JOURNALS_AT_ONCE_MAX: usize = 50;
/// Most rows that one bulk request reads.
const ROWS_LOOKED_AT_MAX: usize = 20_000;

const UNSETTLED: [Status; 4] = [Status::Open, Status::Running, Status::Committing, Status::RollingBack];

impl Service {
    /// Settles a transaction as failed. No participant is called.
    pub(crate) async fn force_stop(&self, gid: &str) -> DtmResult {
        let stopped = |stands: Status| {
            let stands = show::status(stands);
            DtmError::Failure(format!(
                "global transaction force stop error. status: {stands}. error: FAILURE"
            ))
        };
        let reason = "stopped by force, over the API of another dialect".to_owned();
        let command = Command::Force { to: ForceTo::RolledBack, reason, by: None };
        match self.command(&Self::gid(gid)?, command).await {
            Ok(Snapshot { changed: true, .. }) => Ok(()),
            Ok(Snapshot { status, .. })
            | Err(CommandError::Rejected(Rejection::IllegalState { status, .. })) => Err(stopped(status)),
            Err(CommandError::Rejected(Rejection::NotFound)) => Err(unknown(gid)),
            Err(error) => Err(error.into()),
        }
    }

    /// One transaction and its branches.
    pub(crate) async fn query(&self, gid: &str) -> Result<Option<(Global, Vec<Branch>)>, DtmError> {
        let found = self.load(&Self::gid(gid)?).await?;
        Ok(found.map(|(transaction, records)| show::whole(&transaction, &records)))
    }

    /// A page of transactions, newest first.
    pub(crate) async fn all(&self, query: Query) -> Result<ListPage<Global>, DtmError> {
        let Some(filter) = filter(&query) else {
            return Ok(ListPage { items: Vec::new(), next_position: String::new() });
        };
        let cursor = match query.position.as_str() {
            "" => None,
            text => {
                let cursor = Cursor::decode(text);
                Some(cursor.ok_or_else(|| DtmError::Other("position: not one of ours".into()))?)
            }
        };
        let limit = query.limit.clamp(1, PAGE_ROWS_MAX);
        let page = self.bounded(self.store.list(filter, cursor, limit)).await?;
        let gids: Vec<Gid> = page.transactions.into_iter().map(|row| row.gid).collect();
        let found = self.load_all(gids).await?;
        let items = found.iter().map(|transaction| show::global(transaction, &show::terms(transaction)));
        Ok(ListPage { items: items.collect(), next_position: page.next_cursor.unwrap_or_default() })
    }

    /// Makes waiting retries due now, of at most `limit` transactions that would wait longer than `timeout_s`. Returns the number
    /// of transactions, and whether there are more.
    pub(crate) async fn reset_cron_time(
        &self,
        timeout_s: u64,
        limit: usize,
    ) -> Result<(u64, bool), DtmError> {
        let wait_ms = timeout_s.saturating_mul(1_000);
        let filter = Filter { statuses: UNSETTLED.into(), ..Filter::default() };
        let (mut hurried, mut looked_at, mut cursor) = (0_u64, 0, None);
        while looked_at < ROWS_LOOKED_AT_MAX {
            let page = self.bounded(self.store.list(filter.clone(), cursor.take(), PAGE_ROWS_MAX)).await?;
            looked_at += page.transactions.len();
            let gids = page.transactions.into_iter().map(|row| row.gid).collect();
            for transaction in self.load_all(gids).await? {
                let now = clock::now().max(transaction.updated_at());
                if waits_until(&transaction).is_none_or(|until| until <= now.plus_millis(wait_ms)) {
                    continue;
                }
                if hurried >= limit as u64 {
                    return Ok((hurried, true));
                }
                self.hurry(transaction.gid()).await?;
                hurried += 1;
            }
            cursor = page.next_cursor.as_deref().and_then(Cursor::decode);
            if cursor.is_none() {
                return Ok((hurried, false));
            }
        }
        Ok((hurried, true))
    }

    /// The same for one transaction, however long it would wait.
    pub(crate) async fn reset_next_cron_time(&self, gid: &str) -> DtmResult {
        let own = Self::gid(gid)?;
        let Some((transaction, _)) = self.load(&own).await? else { return Err(unknown(gid)) };
        if waits_until(&transaction).is_some() { self.hurry(&own).await } else { Ok(()) }
    }

    /// Makes the waiting retries of a transaction due now.
    pub(super) async fn hurry(&self, gid: &Gid) -> DtmResult {
        match self.command(gid, Command::Replay { branch: None }).await {
            // The transaction has settled meanwhile, so nothing waits.
            Ok(_) | Err(CommandError::Rejected(Rejection::IllegalState { .. } | Rejection::NotFound)) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The transactions in the order of `gids`. Unreadable ones are left out and logged.
    async fn load_all(&self, gids: Vec<Gid>) -> Result<Vec<Transaction>, DtmError> {
        let mut found = BTreeMap::new();
        for chunk in gids.chunks(JOURNALS_AT_ONCE_MAX) {
            self.load_some(chunk, &mut found).await?;
        }
        Ok(gids.iter().filter_map(|gid| found.remove(gid)).collect())
    }

    async fn load_some(&self, gids: &[Gid], found: &mut BTreeMap<Gid, Transaction>) -> DtmResult {
        for loaded in self.bounded(self.store.load(gids.to_vec())).await? {
            let transaction = match &loaded.records {
                Ok(records) => Transaction::fold(records).map_err(|corrupt| corrupt.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match transaction {
                Ok(transaction) => found.extend(transaction.map(|transaction| (loaded.gid, transaction))),
                Err(error) => tracing::error!(gid = %loaded.gid, %error, "a journal cannot be read"),
            }
        }
        Ok(())
    }
}

/// The time of the next attempt of an op that was tried before. The first check of a message's initiator does not count,
/// because the initiator may be about to commit.
fn waits_until(transaction: &Transaction) -> Option<Timestamp> {
    let first_check = transaction.pattern() == Pattern::Message
        && transaction.status() == Status::Open
        && transaction.check().is_some_and(|check| check.attempts == 0);
    if first_check {
        return None;
    }
    transaction.owed().into_iter().filter_map(|owed| owed.due_at).max()
}

/// The filter for the store; none if nothing can match.
fn filter(query: &Query) -> Option<Filter> {
    let statuses = match query.status.as_str() {
        "" => Vec::new(),
        status::PREPARED => vec![Status::Open],
        status::SUBMITTED => vec![Status::Running, Status::Committing],
        status::ABORTING => vec![Status::RollingBack],
        status::SUCCEED => vec![Status::Committed],
        status::FAILED => vec![Status::RolledBack],
        _ => return None,
    };
    let pattern = match query.trans_type.as_str() {
        "" => None,
        word => Some(plan::pattern(TransType::parse(word)?)),
    };
    Some(Filter {
        statuses,
        pattern,
        created_from: query.created_from_ms.map(Timestamp::from_millis),
        created_to: query.created_to_ms.map(Timestamp::from_millis),
        ..Filter::default()
    })
}
