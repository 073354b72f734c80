//! `docs/operating.md`: what it names exists.

use std::collections::BTreeSet;

use super::{read, root};
use crate::support::{Coordinator, Http, trine};

/// Words in backticks.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| !line.starts_with("```")).flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_page_names_keys_risks_and_metrics_that_exist() {
    let page = read("docs/operating.md");
    let (code, reference) = trine(&["config", "--reference"]).await;
    assert_eq!(code, Some(0));
    let sections = ["store.", "http.", "runtime.", "dispatch.", "jobs.", "retention.", "log."];
    let keys = quoted(&page).filter(|word| sections.iter().any(|section| word.starts_with(section)));
    let mut named = 0;
    for key in keys.map(|word| word.split(' ').next().unwrap_or(word)) {
        named += 1;
        assert!(reference.contains(&format!("| `{key}` |")), "there is no key {key}");
    }
    assert!(named > 10, "{named}");

    let risks = reference.split(". Of ").nth(1).and_then(|rest| rest.split(" |").next()).expect("the risks");
    for risk in risks.split(", ") {
        assert!(page.contains(&format!(" | `{risk}` | ")), "{risk} is not in the table");
    }

    let folder = tempfile::tempdir().expect("a temporary folder");
    let coordinator = Coordinator::start(&folder.path().join("trine.db")).await;
    // A family without a series is not shown, so there has to be a request before; no store fails here.
    let http = Http::new();
    http.get(&format!("{}/healthz", coordinator.url())).await;
    let metrics =
        http.text(&format!("{}/metrics", coordinator.url())).await + "# TYPE trine_store_errors counter";
    let known: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let words = quoted(&page).filter(|word| word.starts_with("trine_"));
    for name in words.map(|word| word.split('{').next().unwrap_or(word)) {
        assert!(known.contains(name.trim_end_matches("_total")), "there is no metric {name}");
    }
}

#[test]
fn the_links_of_the_operators_page_lead_somewhere() {
    let page = read("docs/operating.md");
    let headings: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| format!("#{}", heading.to_lowercase().replace(' ', "-")))
        .collect();
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets {
        let exists = headings.contains(target) || root().join("docs").join(target).exists();
        assert!(exists, "{target}");
    }
}
