//! `trine coordinators`: who shares the store, who is alive, and what each owns.

use trine_protocol::v1::CoordinatorList;

use super::args::Remote;
use super::client::{connect, read, text};
use super::failure::Failure;
use super::human::date_time;
use super::output;
use super::table::{Paper, Sheet, Tone, Value};
use super::tx::print_json;

/// Prints the list.
pub(crate) async fn run(remote: Remote) -> Result<(), Failure> {
    let client = connect(&remote.url)?;
    let body = text(&client, client.coordinators()).await?;
    if remote.json {
        return print_json(&body);
    }
    let list: CoordinatorList = read(&client, &body)?;
    output::print(&table(&list, Paper::stdout()))
}

fn table(list: &CoordinatorList, paper: Paper) -> String {
    let mut sheet = Sheet::new(&["NAME", "STATE", "UNFINISHED", "HEARTBEAT (UTC)", "SINCE (UTC)"]);
    for coordinator in &list.coordinators {
        let stopped = coordinator.heartbeat_at.millis() == 0;
        let (state, tone) = match (coordinator.alive, coordinator.gave_up, stopped) {
            (true, _, _) => ("alive", Tone::Good),
            (false, true, _) => ("gave up", Tone::Bad),
            (false, false, true) => ("stopped", Tone::Plain),
            (false, false, false) => ("lapsed", Tone::Bad),
        };
        let heartbeat = if stopped { "-".to_owned() } else { date_time(coordinator.heartbeat_at) };
        sheet.row([
            coordinator.name.as_str().into(),
            Value::toned(state, tone),
            coordinator.unfinished.to_string().into(),
            heartbeat.into(),
            date_time(coordinator.started_at).into(),
        ]);
    }
    sheet.render(paper)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn one_that_stopped_is_told_from_one_that_gave_up_and_one_that_is_missing() {
        let row = |name: &str, alive: bool, beat: &str, unfinished: u32| {
            json!({"name": name, "alive": alive, "started_at": "2026-01-31T11:00:00Z", "heartbeat_at": beat,
                "unfinished": unfinished})
        };
        let mut rows = [
            row("four", false, "2026-01-31T12:00:01Z", 1),
            row("one", true, "2026-01-31T12:00:00Z", 7),
            row("three", false, "1970-01-01T00:00:00Z", 0),
            row("two", false, "2026-01-31T11:50:00Z", 12),
        ];
        rows[0]["gave_up"] = json!(true);
        let list: CoordinatorList = serde_json::from_value(json!({ "coordinators": rows })).unwrap();
        expect![[r#"
            NAME   STATE    UNFINISHED  HEARTBEAT (UTC)      SINCE (UTC)
            four   gave up  1           2026-01-31 12:00:01  2026-01-31 11:00:00
            one    alive    7           2026-01-31 12:00:00  2026-01-31 11:00:00
            three  stopped  0           -                    2026-01-31 11:00:00
            two    lapsed   12          2026-01-31 11:50:00  2026-01-31 11:00:00
        "#]]
        .assert_eq(&table(&list, Paper::PIPE));
    }
}
