//! `trine xa`: lists the branches that a participant's database has prepared, and ends those that are orphaned.
//!
//! A branch ends as its transaction was decided. If the coordinator does not know the transaction, the branch is rolled back:
//! the transaction was never decided to commit (presumed abort). Branches of a transaction that the coordinator still drives
//! are left alone.

use std::collections::BTreeMap;

use serde_json::json;
use trine_protocol::{Gid, Status};
use trine_sdk::Client;

use super::args::{Xa, XaCommand, XaDatabase};
use super::client::{ask, connect};
use super::failure::{Exit, Failure};
use super::human::span;
use super::output;
use super::table::{Paper, Sheet, Tone, Value};
use trine_store::xa::{Database, End, Prepared, XaError};

/// What is to become of a prepared branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The coordinator decides, or is about to end it.
    Leave,
    /// It was prepared not long ago: its transaction may be about to be registered.
    TooYoung,
    /// Its name does not say which transaction it belongs to.
    Nameless,
    /// Orphaned.
    End(End),
}

/// Does what one `trine xa` asks.
pub(crate) async fn run(args: Xa) -> Result<(), Failure> {
    match args.command {
        XaCommand::List(database) => look(&database, u64::MAX).await.map(drop),
        XaCommand::Resolve { database, older_than, apply } => {
            let orphans = look(&database, older_than.millis()).await?;
            if apply {
                return resolve(&database, orphans).await;
            }
            if !orphans.is_empty() && !database.remote.json {
                output::line("nothing was changed; --apply does it")?;
            }
            Ok(())
        }
    }
}

async fn open(database: &XaDatabase) -> Result<Database, Failure> {
    Database::open(&database.db).await.map_err(|error| trouble(&error))
}

fn trouble(error: &XaError) -> Failure {
    let message = format!("--db: {error}");
    match error {
        XaError::Url(_) => Failure::usage(message),
        XaError::Said(_) => Failure::unreachable(message),
    }
}

/// Lists what is prepared, and returns what is orphaned.
async fn look(database: &XaDatabase, older_than_ms: u64) -> Result<Vec<(Prepared, End)>, Failure> {
    let found = open(database).await?.prepared().await;
    let found = found.map_err(|error| trouble(&error))?;
    let statuses = statuses(&connect(&database.remote.url)?, &found).await?;
    let rows: Vec<(Prepared, Option<Status>, Verdict)> = found
        .into_iter()
        .map(|branch| {
            let status = branch.gid.as_ref().and_then(|gid| statuses.get(gid).copied().flatten());
            let verdict = verdict(&branch, status, older_than_ms);
            (branch, status, verdict)
        })
        .collect();
    output::print(&if database.remote.json { as_json(&rows) } else { table(&rows, Paper::stdout()) })?;
    let orphan = |(branch, _, verdict)| match verdict {
        Verdict::End(end) => Some((branch, end)),
        Verdict::Leave | Verdict::TooYoung | Verdict::Nameless => None,
    };
    Ok(rows.into_iter().filter_map(orphan).collect())
}

/// Where each transaction stands; none: the coordinator does not know it.
async fn statuses(client: &Client, found: &[Prepared]) -> Result<BTreeMap<Gid, Option<Status>>, Failure> {
    let mut statuses = BTreeMap::new();
    for gid in found.iter().filter_map(|branch| branch.gid.clone()) {
        if statuses.contains_key(&gid) {
            continue;
        }
        let status = match ask(client, client.get(&gid)).await {
            Ok(view) => Some(view.status),
            Err(failure) if failure.exit() == Exit::NotFound => None,
            Err(failure) => return Err(failure),
        };
        statuses.insert(gid, status);
    }
    Ok(statuses)
}

fn verdict(branch: &Prepared, status: Option<Status>, older_than_ms: u64) -> Verdict {
    if branch.gid.is_none() {
        return Verdict::Nameless;
    }
    let end = match status {
        Some(Status::Open | Status::Running | Status::Committing | Status::RollingBack) => {
            return Verdict::Leave;
        }
        Some(Status::Committed) => End::Commit,
        Some(Status::RolledBack) | None => End::Rollback,
    };
    // An age nobody knows is no age.
    if branch.age_ms.unwrap_or(0) < older_than_ms && older_than_ms != u64::MAX {
        return Verdict::TooYoung;
    }
    Verdict::End(end)
}

async fn resolve(database: &XaDatabase, orphans: Vec<(Prepared, End)>) -> Result<(), Failure> {
    let mut connection = open(database).await?;
    let client = connect(&database.remote.url)?;
    let mut failed = 0;
    for (branch, end) in orphans {
        // It may have been decided since it was listed.
        let status = statuses(&client, std::slice::from_ref(&branch)).await?.into_values().next().flatten();
        if verdict(&branch, status, 0) != Verdict::End(end) {
            continue;
        }
        let said = match connection.end(&branch.xid, end).await {
            Ok(true) => match end {
                End::Commit => "committed".to_owned(),
                End::Rollback => "rolled back".to_owned(),
            },
            Ok(false) => "was no longer prepared".to_owned(),
            Err(error) => {
                failed += 1;
                format!("is still prepared: {error}")
            }
        };
        if !database.remote.json {
            output::line(&format!("{}: {said}", branch.xid))?;
        }
    }
    if failed > 0 { Err(Failure::bad(format!("{failed} could not be ended"))) } else { Ok(()) }
}

/// The words for a verdict, and their colour.
fn words(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Leave => ("leave: the coordinator ends it", Tone::Plain),
        Verdict::TooYoung => ("leave: too young", Tone::Uneasy),
        Verdict::Nameless => ("leave: no table trine_xa to name it", Tone::Bad),
        Verdict::End(End::Commit) => ("orphan: commit", Tone::Bad),
        Verdict::End(End::Rollback) => ("orphan: roll back", Tone::Bad),
    }
}

fn as_json(rows: &[(Prepared, Option<Status>, Verdict)]) -> String {
    let row = |(branch, status, verdict): &(Prepared, Option<Status>, Verdict)| {
        json!({
            "xid": branch.xid.to_string(),
            "gid": branch.gid,
            "branch": branch.branch,
            "age_ms": branch.age_ms,
            "status": status,
            "resolution": match verdict {
                Verdict::Leave | Verdict::TooYoung | Verdict::Nameless => "leave",
                Verdict::End(End::Commit) => "commit",
                Verdict::End(End::Rollback) => "rollback",
            },
        })
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    format!("{:#}\n", json!({ "prepared": rows }))
}

fn table(rows: &[(Prepared, Option<Status>, Verdict)], paper: Paper) -> String {
    if rows.is_empty() {
        return "no branch is prepared there\n".to_owned();
    }
    let mut sheet = Sheet::new(&["TRANSACTION", "BRANCH", "AGE", "STATUS", "RESOLUTION"]);
    for (branch, status, verdict) in rows {
        let (words, tone) = words(*verdict);
        sheet.row([
            branch.gid.as_ref().map_or(branch.xid.gtrid(), Gid::as_str).into(),
            branch.branch.as_ref().map_or(branch.xid.bqual(), |branch| branch.as_str()).into(),
            branch.age_ms.map_or("unknown".to_owned(), span).into(),
            status.map_or("unknown", Status::as_str).into(),
            Value::toned(words, tone),
        ]);
    }
    sheet.render(paper)
}

#[cfg(test)]
mod tests {
    use trine_protocol::{BranchId, Xid};

    use super::*;

    fn prepared(age_ms: Option<u64>) -> Prepared {
        let (gid, branch) = (Gid::parse("order-1").unwrap(), BranchId::parse("stock").unwrap());
        Prepared { xid: Xid::new(&gid, &branch), gid: Some(gid), branch: Some(branch), age_ms }
    }

    #[test]
    fn only_what_nobody_will_end_is_ended_and_the_unknown_is_presumed_aborted() {
        let old = prepared(Some(60_000));
        for (status, expected) in [
            (Some(Status::Open), Verdict::Leave),
            (Some(Status::Running), Verdict::Leave),
            (Some(Status::Committing), Verdict::Leave),
            (Some(Status::RollingBack), Verdict::Leave),
            (Some(Status::Committed), Verdict::End(End::Commit)),
            (Some(Status::RolledBack), Verdict::End(End::Rollback)),
            (None, Verdict::End(End::Rollback)),
        ] {
            assert_eq!(verdict(&old, status, 60_000), expected, "{status:?}");
        }
    }

    #[test]
    fn the_young_and_the_nameless_are_left_alone() {
        assert_eq!(verdict(&prepared(Some(59_999)), None, 60_000), Verdict::TooYoung);
        assert_eq!(verdict(&prepared(None), None, 60_000), Verdict::TooYoung);
        let nameless = Prepared { gid: None, ..prepared(Some(u64::MAX)) };
        assert_eq!(verdict(&nameless, None, 0), Verdict::Nameless);
    }

    #[test]
    fn the_list_says_what_would_be_done() {
        let rows = [
            (prepared(Some(90_000)), None, Verdict::End(End::Rollback)),
            (prepared(Some(1_000)), Some(Status::Committing), Verdict::Leave),
        ];
        expect_test::expect![[r#"
            TRANSACTION  BRANCH  AGE     STATUS      RESOLUTION
            order-1      stock   1m 30s  unknown     orphan: roll back
            order-1      stock   1.0s    committing  leave: the coordinator ends it
        "#]]
        .assert_eq(&table(&rows, Paper::PIPE));
    }
}
