//! `trine tx list`: one page, or all of them.

use serde::Deserialize;
use serde_json::value::RawValue;
use trine_protocol::Timestamp;
use trine_protocol::v1::{Page, TransactionSummary};
use trine_sdk::Client;
use trine_sdk::client::List as Listing;

use super::show::parked_because;
use crate::args::List;
use crate::client::{read, text};
use crate::failure::Failure;
use crate::human::{ago, date_time, span};
use crate::output;
use crate::table::{Paper, Sheet, Tone, Value};
use trine_clock as clock;

/// Rows per request of `--all`: the most that the API gives.
const PAGE_ALL: u32 = 500;

/// A page whose rows stay as the coordinator wrote them.
#[derive(Debug, Deserialize)]
struct RawPage {
    transactions: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Prints what matches.
pub(super) async fn run(client: &Client, args: &List, json: bool) -> Result<(), Failure> {
    if args.all {
        return all(client, args, json).await;
    }
    let body = text(client, listing(client, args, args.cursor.as_deref(), clock::now()).page()).await?;
    if json {
        return super::print_json(&body);
    }
    let page: Page = read(client, &body)?;
    output::print(&table(&page.transactions, clock::now(), Paper::stdout()))?;
    match page.next_cursor {
        Some(cursor) => output::line(&format!("\nmore: --cursor {cursor}, or --all")),
        None => Ok(()),
    }
}

/// Follows the cursors. Rows are held until the end, because the widths of the columns depend on all rows.
async fn all(client: &Client, args: &List, json: bool) -> Result<(), Failure> {
    let now = clock::now();
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let body = text(client, listing(client, args, cursor.as_deref(), now).page()).await?;
        let page: RawPage = read(client, &body)?;
        rows.extend(page.transactions);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if json {
        let array = serde_json::to_string(&rows);
        return output::line(&array.map_err(|error| Failure::bad(format!("cannot write JSON: {error}")))?);
    }
    let rows: Result<Vec<TransactionSummary>, Failure> =
        rows.iter().map(|row| read(client, row.get())).collect();
    output::print(&table(&rows?, clock::now(), Paper::stdout()))
}

/// What the flags ask for.
fn listing(client: &Client, args: &List, cursor: Option<&str>, now: Timestamp) -> Listing {
    let mut list = args.status.iter().fold(client.list(), |list, status| list.status(*status));
    if let Some(pattern) = args.pattern {
        list = list.pattern(pattern);
    }
    if let Some(parked) = args.parked {
        list = list.parked(parked);
    }
    if let Some((key, value)) = args.label.as_deref().and_then(|label| label.split_once('=')) {
        list = list.label(key, value);
    }
    if let Some(host) = &args.host {
        list = list.host(host);
    }
    if let Some(since) = args.since {
        list = list.created_from(since.resolve(now));
    }
    if let Some(until) = args.until {
        list = list.created_to(until.resolve(now));
    }
    if let Some(cursor) = cursor {
        list = list.cursor(cursor);
    }
    list.limit(if args.all { PAGE_ALL } else { args.limit })
}

fn table(rows: &[TransactionSummary], now: Timestamp, paper: Paper) -> String {
    if rows.is_empty() {
        return "no transactions match\n".to_owned();
    }
    let mut sheet =
        Sheet::new(&["GID", "PATTERN", "STATUS", "CREATED (UTC)", "AGE", "TOOK", "LAST EVENT", "PARKED"])
            .wordy(&["PARKED"])
            .spare(&["CREATED (UTC)"]);
    for row in rows {
        let took = row.settled_at.map(|at| span(at.millis_since(row.created_at)));
        // A settled transaction's last event says nothing new; of the others it tells which ones do not move.
        let last = if row.settled_at.is_some() { String::new() } else { ago(row.updated_at, now) };
        sheet.row([
            row.gid.as_str().into(),
            row.pattern.as_str().into(),
            Value::toned(row.status.as_str(), row.status),
            date_time(row.created_at).into(),
            span(now.millis_since(row.created_at)).into(),
            took.unwrap_or_default().into(),
            last.into(),
            Value::toned(row.parked.as_deref().map(parked_because).unwrap_or_default(), Tone::Bad),
        ]);
    }
    sheet.render(paper)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use expect_test::expect;

    use super::*;
    use crate::Cli;
    use crate::args::{Command, Tx, TxCommand};

    fn asked(line: &str) -> String {
        let Command::Tx(Tx { command: TxCommand::List(list), .. }) = Cli::parse_from(line.split(' ')).command
        else {
            panic!("{line}")
        };
        let client = crate::client::connect("http://h").unwrap();
        let now = Timestamp::from_millis(7_200_000);
        let page = listing(&client, &list, list.cursor.as_deref(), now).page();
        let (_, query) = page.path().split_once('?').unwrap();
        query
            .split('&')
            .map(|pair| format!("{pair}\n"))
            .collect::<String>()
            .replace("%3D", "=")
            .replace("%3A", ":")
    }

    #[test]
    fn every_filter_becomes_a_parameter() {
        expect![[r#"
            status=running
            status=rolling_back
            pattern=tcc
            parked=true
            label=customer=7
            host=inventory
            created_from=1970-01-01T01:00:00.000Z
            created_to=1970-01-01T01:30:00.000Z
            limit=7
            cursor=5_x
        "#]]
        .assert_eq(&asked(
            "trine tx list --status running,rolling-back --pattern tcc --parked --label customer=7 \
             --host inventory --since 1h --until 30m --limit 7 --cursor 5_x",
        ));
        assert_eq!(asked("trine tx list"), "limit=50\n");
        assert_eq!(asked("trine tx list --all"), "limit=500\n");
    }

    #[test]
    fn a_list_shows_what_does_not_move_and_why() {
        let rows: Vec<TransactionSummary> = serde_json::from_value(serde_json::json!([
            { "gid": "order-42", "pattern": "saga", "status": "running", "parked": "exhausted",
              "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:10:00Z" },
            { "gid": "order-41", "pattern": "tcc", "status": "committed", "created_at": "2026-01-31T11:00:00Z",
              "updated_at": "2026-01-31T11:00:01Z", "settled_at": "2026-01-31T11:00:00.034Z" }
        ]))
        .unwrap();
        let now = Timestamp::parse_rfc3339("2026-01-31T12:30:00Z").unwrap();
        expect![[r"
            GID       PATTERN  STATUS     CREATED (UTC)        AGE     TOOK  LAST EVENT  PARKED
            order-42  saga     running    2026-01-31 12:00:00  30m           20m ago     all attempts used up
            order-41  tcc      committed  2026-01-31 11:00:00  1h 30m  34ms
        "]]
        .assert_eq(&table(&rows, now, Paper::PIPE));
        assert_eq!(table(&[], now, Paper::PIPE), "no transactions match\n");
    }
}
