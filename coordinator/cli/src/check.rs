//! `trine check`: prints what reading a whole store has found. What is compared with what is in `trine_store::check`.

use std::io::IsTerminal as _;

use super::args::{Check, Serve};
use super::failure::Failure;
use super::human::clean;
use super::output;
use super::serve::load;
use super::table::{Paper, Sheet, Tone, Value};
use trine_store::check::{self, Report};
use trine_store::{self as store, OpenError};

/// Checks the store of the configuration.
pub(crate) async fn run(args: Check) -> Result<(), Failure> {
    let config = load(&Serve { sources: args.sources, ..Serve::default() })?;
    let store = store::inspect(&config.store_options()).await.map_err(|error| not_opened(&error))?;
    let shows_progress = !args.json && std::io::stderr().is_terminal();
    let told = |transactions| {
        if shows_progress {
            eprint!("\r{transactions} transactions read");
        }
    };
    let checked = check::check(&*store, told).await;
    if shows_progress {
        eprintln!();
    }
    let report = checked.map_err(Failure::unreachable)?;
    if args.json {
        let json = serde_json::to_string_pretty(&report);
        output::line(&json.map_err(|error| Failure::bad(format!("cannot write JSON: {error}")))?)?;
    } else {
        output::print(&render(&report, Paper::stdout()))?;
    }
    match report.findings_total {
        0 => Ok(()),
        1 => Err(Failure::bad("1 finding").hint("docs/errors/TX0021.md")),
        more => Err(Failure::bad(format!("{more} findings")).hint("docs/errors/TX0021.md")),
    }
}

/// A store that cannot be opened. Exit code 1 would say that the store is damaged.
fn not_opened(error: &OpenError) -> Failure {
    match error {
        OpenError::Url { .. } => Failure::store(error),
        OpenError::InUse { .. }
        | OpenError::NameInUse { .. }
        | OpenError::Newer { .. }
        | OpenError::Failed { .. } => Failure::unreachable(error),
    }
}

fn render(report: &Report, paper: Paper) -> String {
    let Report { transactions, records, records_without_checksum: old, findings_total, findings } = report;
    let mut text = format!("{transactions} transactions with {records} records were read");
    if *old > 0 {
        text.push_str(&format!("; {old} records have no checksum, for an earlier version wrote them"));
    }
    text.push_str(if *findings_total == 0 { ". Nothing is damaged.\n" } else { ".\n\n" });
    if findings.is_empty() {
        return text;
    }
    let mut sheet = Sheet::new(&["TRANSACTION", "WHAT", "DETAIL"]).wordy(&["DETAIL"]);
    for finding in findings {
        sheet.row([
            clean(finding.gid.as_deref().unwrap_or("-")).into(),
            Value::toned(finding.kind.as_str(), Tone::Bad),
            clean(&finding.detail).into(),
        ]);
    }
    text.push_str(&sheet.render(paper));
    let untold = findings_total - findings.len() as u64;
    if untold > 0 {
        text.push_str(&format!("and {untold} more\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::args::Sources;
    use super::super::failure::Exit;
    use super::*;
    use trine_store::check::{Finding, FindingKind};

    #[tokio::test]
    async fn a_store_that_cannot_be_opened_is_not_called_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let missing = format!("sqlite:{}", folder.path().join("missing.db").display());
        for (url, exit) in [(missing.as_str(), Exit::Unreachable), ("memory:", Exit::Usage)] {
            let sources = Sources { store: Some(url.to_owned()), ..Sources::default() };
            let failure = run(Check { sources, json: false }).await.unwrap_err();
            assert_eq!(failure.exit(), exit, "{failure}");
        }
    }

    #[test]
    fn a_report_says_what_was_read_and_what_is_damaged() {
        let mut report =
            Report { transactions: 3, records: 9, records_without_checksum: 2, ..Report::default() };
        expect![[r"
            3 transactions with 9 records were read; 2 records have no checksum, for an earlier version wrote them. Nothing is damaged.
        "]]
        .assert_eq(&render(&report, Paper::PIPE));
        let detail = "seq 2: not what was written".to_owned();
        report.findings = vec![Finding { gid: Some("order-42".into()), kind: FindingKind::Record, detail }];
        (report.findings_total, report.records_without_checksum) = (3, 0);
        expect![[r"
            3 transactions with 9 records were read.

            TRANSACTION  WHAT    DETAIL
            order-42     record  seq 2: not what was written
            and 2 more
        "]]
        .assert_eq(&render(&report, Paper::PIPE));
    }
}
