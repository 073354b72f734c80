//! The rendered text, as a scraper sees it.

use trine_protocol::OutcomeKind;

use super::*;

fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in\n{text}"))
}

#[test]
fn events_are_counted_under_their_labels() {
    let metrics = Metrics::new();
    metrics.transaction_created(Pattern::Saga);
    metrics.transaction_created(Pattern::Saga);
    metrics.transaction_settled(Pattern::Saga, Status::RolledBack, 0.25);
    metrics.batch_appended(3, 0.002);
    metrics.call_ended(Op::Try, OutcomeKind::Unknown, 10.0);
    metrics.call_not_sent(Op::Try);
    metrics.op_parked(Op::Confirm, ParkCause::ClientError);
    metrics.admission_rejected(AdmissionReason::Busy);
    metrics.store_error("append");
    metrics.lane_panicked();
    metrics.residents(7);
    metrics.inbox_len(5);
    let text = metrics.render();
    for expected in [
        r#"trine_transactions_total{pattern="saga",status="created"} 2"#,
        r#"trine_transactions_total{pattern="saga",status="rolled_back"} 1"#,
        r#"trine_settle_seconds_sum{pattern="saga",outcome="rolled_back"} 0.25"#,
        r#"trine_settle_seconds_count{pattern="saga",outcome="rolled_back"} 1"#,
        "trine_batch_records_sum 3.0",
        "trine_commit_seconds_sum 0.002",
        r#"trine_calls_total{op="try",outcome="unknown"} 1"#,
        r#"trine_calls_total{op="try",outcome="not_sent"} 1"#,
        r#"trine_ops_parked_total{op="confirm",cause="client_error"} 1"#,
        r#"trine_call_seconds_sum{op="try"} 10.0"#,
        r#"trine_admission_rejections_total{reason="busy"} 1"#,
        r#"trine_store_errors_total{kind="append"} 1"#,
        "trine_lane_panics_total 1",
        "trine_residents 7",
        "trine_inbox_commands 5",
    ] {
        assert_eq!(line(&text, expected), expected);
    }
}

#[test]
fn a_census_replaces_the_one_before() {
    let metrics = Metrics::new();
    let now = Timestamp::from_millis(100_000);
    let census = Census {
        unfinished: vec![(Pattern::Tcc, Status::Open, 4), (Pattern::Saga, Status::Running, 2)],
        parked: 1,
        oldest_unfinished: Some(Timestamp::from_millis(87_500)),
    };
    metrics.census(&census, now);
    let text = metrics.render();
    assert!(text.contains(r#"trine_unfinished{pattern="tcc",status="open"} 4"#), "{text}");
    assert!(text.contains("trine_parked 1"), "{text}");
    assert!(text.contains("trine_oldest_unfinished_age_seconds 12.5"), "{text}");

    metrics.census(&Census::default(), now);
    let text = metrics.render();
    assert!(text.contains(r#"trine_unfinished{pattern="tcc",status="open"} 0"#), "{text}");
    assert!(text.contains(r#"trine_unfinished{pattern="saga",status="running"} 0"#), "{text}");
    assert!(text.contains("trine_oldest_unfinished_age_seconds 0"), "{text}");
}

#[test]
fn series_exist_before_the_first_event() {
    let text = Metrics::new().render();
    for expected in [
        r#"trine_transactions_total{pattern="message",status="committed"} 0"#,
        r#"trine_calls_total{op="check",outcome="refused"} 0"#,
        r#"trine_unfinished{pattern="two_phase",status="committing"} 0"#,
        r#"trine_admission_rejections_total{reason="busy"} 0"#,
        r#"trine_ops_parked_total{op="action",cause="conflict"} 0"#,
        "trine_lane_panics_total 0",
    ] {
        assert!(text.contains(expected), "{expected} is missing");
    }
    for outcome in [OutcomeKind::Done, OutcomeKind::Refused, OutcomeKind::Ongoing, OutcomeKind::Unknown] {
        assert!(CALL_RESULTS.contains(&outcome.as_str()));
    }
}

#[test]
fn every_metric_has_the_prefix_a_help_text_and_a_type() {
    let metrics = Metrics::new();
    metrics.http_request(None, "GET", 404, 0.001);
    metrics.store_error("append");
    let text = metrics.render();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|rest| rest.split(' ').next())
        .collect();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        assert!(name.starts_with("trine_"), "{name}");
        assert!(line(&text, &format!("# HELP {name} ")).ends_with('.'), "{name}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn unknown_routes_and_methods_make_no_series() {
    let metrics = Metrics::new();
    metrics.http_request(Some("/v1/transactions/{gid}"), "GET", 200, 0.001);
    for n in 0..1_000 {
        metrics.http_request(Some(&format!("/v1/{n}")), &format!("VERB{n}"), 700 + n, 0.001);
    }
    metrics.http_request(None, "POST", 404, 0.001);
    let text = metrics.render();
    let series = text.lines().filter(|line| line.starts_with("trine_http_request_seconds_count")).count();
    assert!(series <= 102, "{series}");
    let known =
        r#"trine_http_request_seconds_count{route="/v1/transactions/{gid}",method="GET",status="2xx"} 1"#;
    assert!(text.contains(known), "{text}");
    let unmatched = r#"trine_http_request_seconds_count{route="none",method="POST",status="4xx"} 1"#;
    assert!(text.contains(unmatched), "{text}");
}

#[test]
fn clones_count_together_and_new_ones_apart() {
    let metrics = Metrics::new();
    metrics.clone().lane_panicked();
    assert!(metrics.render().contains("trine_lane_panics_total 1"));
    assert!(Metrics::new().render().contains("trine_lane_panics_total 0"));
}
