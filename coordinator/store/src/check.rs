//! Checks a whole store (`trine check`): compares records with their checksums, journals with the rules of the engine, and
//! index rows and labels with the journals. Nothing is changed.
//!
//! Coordinators may use the store meanwhile, and a transaction that moves between two reads looks inconsistent. So whatever
//! is found is looked at again after a pause, and is reported only if it is found again.
//!
//! What cannot be read is reported, and the rest is read.

use std::time::Duration;

use serde::Serialize;
use trine_engine::{IndexRow, Labels, Transaction};
use trine_protocol::Gid;

use crate::{Inspect, Inspected, Names, PROBE_PREFIX, StoreError};

/// How many names are read at a time.
const CHUNK_LEN: usize = 200;
/// The pause between chunks, so that coordinators are not slowed down.
const CHUNK_PAUSE: Duration = Duration::from_millis(5);
/// The pause before something is looked at again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How many findings are reported one by one. The others are only counted.
const FINDINGS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A record is damaged, or missing between others.
    Record,
    /// The engine refuses the records as a history.
    History,
    /// The index row differs from what the journal says, or is missing.
    Index,
    /// Labels differ from what the journal says.
    Labels,
    /// An index row or labels without a journal.
    Orphan,
    /// The database itself finds its file damaged.
    Database,
}

impl FindingKind {
    /// The word in the output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::History => "history",
            Self::Index => "index",
            Self::Labels => "labels",
            Self::Orphan => "orphan",
            Self::Database => "database",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// None if the finding is about the whole database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<String>,
    pub kind: FindingKind,
    pub detail: String,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// How many names the store has something under.
    pub transactions: u64,
    pub records: u64,
    /// How many of the records were written before there were checksums. They are taken for sound.
    pub records_without_checksum: u64,
    pub findings_total: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
}

impl Report {
    fn take(&mut self, findings: Vec<Finding>) {
        self.findings_total += findings.len() as u64;
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        self.findings.extend(findings.into_iter().take(room));
    }
}

/// Checks everything. `told` is called now and then with the number of names that have been read.
pub async fn check(store: &dyn Inspect, told: impl Fn(u64)) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let database = store.database().await?.into_iter();
    report.take(database.map(|detail| Finding { gid: None, kind: FindingKind::Database, detail }).collect());
    let mut after = String::new();
    let mut failing: Vec<&'static str> = Vec::new();
    loop {
        let Names { names, unreadable } = store.names(after.clone(), CHUNK_LEN).await?;
        // A damaged page may span several chunks. It is reported once.
        let news = unreadable.iter().filter(|(table, _)| !failing.contains(table));
        report.take(news.map(|(table, why)| unlisted(table, &after, names.last(), why)).collect());
        failing = unreadable.iter().map(|(table, _)| *table).collect();
        let Some(last) = names.last().cloned() else { return Ok(report) };
        let mut suspects = Vec::new();
        for name in names {
            let found = store.inspect(name.clone()).await?;
            report.transactions += 1;
            report.records += (found.journal.records.len() + found.journal.damaged.len()) as u64;
            report.records_without_checksum += found.without_checksum;
            let findings = findings(&name, &found);
            if !findings.is_empty() {
                suspects.push((name, findings));
            }
        }
        report.take(found_again(store, suspects).await?);
        told(report.transactions);
        after = last;
        tokio::time::sleep(CHUNK_PAUSE).await;
    }
}

/// The finding for a table that could not be read as far as the names of a chunk go.
fn unlisted(table: &str, after: &str, last: Option<&String>, why: &str) -> Finding {
    let from = if after.is_empty() { "from the beginning".to_owned() } else { format!("after {after:?}") };
    let goes_on = match last {
        Some(last) => format!("it goes on after {last:?}, and with what other tables name"),
        None => "nothing more is found there by any table".to_owned(),
    };
    let detail = format!("table `{table}` cannot be read whole {from}: {why}; {goes_on}");
    Finding { gid: None, kind: FindingKind::Database, detail }
}

/// Those findings that are found a second time.
async fn found_again(
    store: &dyn Inspect,
    suspects: Vec<(String, Vec<Finding>)>,
) -> Result<Vec<Finding>, StoreError> {
    let mut confirmed = Vec::new();
    if !suspects.is_empty() {
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    for (name, before) in suspects {
        let now = findings(&name, &store.inspect(name.clone()).await?);
        confirmed.extend(before.into_iter().filter(|finding| now.contains(finding)));
    }
    Ok(confirmed)
}

/// What is wrong with everything under one name.
fn findings(name: &str, found: &Inspected) -> Vec<Finding> {
    // A probe: a coordinator is proving that it can append, or was killed while it did.
    if found.row.is_none() && name.starts_with(PROBE_PREFIX) {
        return Vec::new();
    }
    let finding = |kind, detail: String| Finding { gid: Some(name.to_owned()), kind, detail };
    let damaged = found.journal.damaged.iter();
    let mut findings: Vec<Finding> = damaged
        .map(|damaged| finding(FindingKind::Record, format!("seq {}: {}", damaged.seq, damaged.detail)))
        .collect();
    let row = found.row_unreadable.iter();
    findings
        .extend(row.map(|why| finding(FindingKind::Index, format!("the index row cannot be read: {why}"))));
    let labels = found.labels_unreadable.iter();
    findings
        .extend(labels.map(|why| finding(FindingKind::Labels, format!("the labels cannot be read: {why}"))));
    if !findings.is_empty() {
        // What it says cannot be compared with anything.
        return findings;
    }
    if found.journal.records.is_empty() {
        let what = match (&found.row, found.labels.is_empty()) {
            (Some(_), _) => "an index row without a journal",
            (None, false) => "labels without a journal",
            (None, true) => return findings,
        };
        return vec![finding(FindingKind::Orphan, what.to_owned())];
    }
    match std::panic::catch_unwind(|| Transaction::fold(&found.journal.records)) {
        Ok(Ok(Some(transaction))) => {
            findings.extend(index(&transaction, found).map(|detail| finding(FindingKind::Index, detail)));
            if transaction.spec().labels != Labels::from(found.labels.clone()) {
                let detail = "the labels are not those it was created with".to_owned();
                findings.push(finding(FindingKind::Labels, detail));
            }
        }
        Ok(Ok(None)) => {}
        Ok(Err(corrupt)) => findings.push(finding(FindingKind::History, corrupt.to_string())),
        Err(_) => findings.push(finding(FindingKind::History, "reading it panicked".to_owned())),
    }
    findings
}

/// How the index row differs from the journal, if it does.
fn index(transaction: &Transaction, found: &Inspected) -> Option<String> {
    let Some(row) = &found.row else {
        return Some("there is no index row: no list and no recovery finds it".into());
    };
    // The earliest time that the row may be due at. How much later it is depends on the configuration.
    let expected = IndexRow::of(transaction, 0);
    let millis = |at: trine_protocol::Timestamp| i64::try_from(at.millis()).unwrap_or(i64::MAX);
    let settled_at = expected.status.is_settled().then(|| millis(expected.updated_at));
    let late = row.due_at.is_some_and(|due_at| expected.due_at.is_none_or(|at| due_at > millis(at)));
    let word = |word: Option<&str>| word.unwrap_or("none").to_owned();
    let time = |at: Option<i64>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    let differences = [
        (
            "pattern",
            row.pattern != expected.pattern.as_str(),
            row.pattern.clone(),
            expected.pattern.to_string(),
        ),
        ("status", row.status != expected.status.as_str(), row.status.clone(), expected.status.to_string()),
        (
            "parked",
            row.parked.as_deref() != expected.parked,
            word(row.parked.as_deref()),
            word(expected.parked),
        ),
        (
            "created_at",
            row.created_at != millis(expected.created_at),
            row.created_at.to_string(),
            millis(expected.created_at).to_string(),
        ),
        // The row has the store's time and the journal the coordinator's, so only the presence is compared.
        (
            "settled_at",
            row.settled_at.is_some() != settled_at.is_some(),
            time(row.settled_at),
            time(settled_at),
        ),
        ("due_at", late, time(row.due_at), time(expected.due_at.map(millis))),
        (
            "hosts",
            row.hosts != expected.hosts.join("\n"),
            row.hosts.replace('\n', " "),
            expected.hosts.join(" "),
        ),
        ("owner", !is_name(&row.owner), row.owner.clone(), "a coordinator's name".to_owned()),
    ];
    let wrong = differences.into_iter().filter(|(_, differs, ..)| *differs);
    let wrong: Vec<String> = wrong
        .map(|(column, _, has, should)| format!("{column} is {has}, and {should} by the journal"))
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// Whether it can be the name of a coordinator at all.
fn is_name(text: &str) -> bool {
    Gid::parse(text).is_ok() || text.chars().all(|c| c.is_ascii_graphic()) && !text.is_empty()
}
