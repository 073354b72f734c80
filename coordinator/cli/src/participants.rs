//! `trine participants`: who registered, where they are, and forgetting one.

use trine_protocol::Timestamp;
use trine_protocol::v1::ParticipantList;
use trine_sdk::Client;

use super::args::{Participants, ParticipantsCommand};
use super::client::{connect, read, text};
use super::failure::Failure;
use super::human::{date_time, span};
use super::output;
use super::table::{Paper, Sheet, Tone, Value};
use super::tx::print_json;
use trine_clock as clock;

/// Does what one `trine participants` asks.
pub(crate) async fn run(args: Participants) -> Result<(), Failure> {
    let client = connect(&args.remote.url)?;
    match args.command.unwrap_or(ParticipantsCommand::List) {
        ParticipantsCommand::List => list(&client, args.remote.json).await,
        ParticipantsCommand::Remove { name, base_url } => {
            remove(&client, &name, base_url, args.remote.json).await
        }
    }
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let body = text(client, client.participants()).await?;
    if json {
        return print_json(&body);
    }
    let list: ParticipantList = read(client, &body)?;
    output::print(&table(&list, clock::now(), Paper::stdout()))
}

async fn remove(client: &Client, name: &str, base_url: Option<String>, json: bool) -> Result<(), Failure> {
    // The name becomes part of a path, so it has to be one; the coordinator's grammar for names is the same.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        return Err(Failure::usage("a participant's name has letters, digits, `.`, `_` and `-` only"));
    }
    let body = text(client, client.forget_participant(name, base_url.as_deref())).await?;
    if json && !body.is_empty() {
        return print_json(&body);
    }
    output::line(&match base_url {
        Some(url) => format!("forgot the instance of {name} at {url}"),
        None => format!("forgot {name}"),
    })
}

fn table(list: &ParticipantList, now: Timestamp, paper: Paper) -> String {
    if list.participants.is_empty() {
        return "no participant has registered\n".to_owned();
    }
    let mut sheet = Sheet::new(&["NAME", "INSTANCE", "STATE", "HEARTBEAT", "GUARDED", "SINCE (UTC)"]);
    for participant in &list.participants {
        for instance in &participant.instances {
            let (state, tone, heartbeat) = if instance.alive {
                let left = span(instance.expires_at.millis_since(now));
                ("alive", Tone::Good, format!("due within {left}"))
            } else {
                let late = span(now.millis_since(instance.expires_at));
                ("lapsed", Tone::Bad, format!("overdue for {late}"))
            };
            sheet.row([
                participant.name.as_str().into(),
                instance.base_url.as_str().into(),
                Value::toned(state, tone),
                heartbeat.into(),
                if instance.guarded { "yes" } else { "no" }.into(),
                date_time(instance.registered_at).into(),
            ]);
        }
    }
    sheet.render(paper)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn instances_that_lapsed_are_told_apart() {
        let list: ParticipantList =
            serde_json::from_value(json!({ "participants": [{ "name": "inventory", "instances": [
            {"base_url": "http://10.0.0.1:7002", "registered_at": "2026-01-31T11:00:00Z",
             "expires_at": "2026-01-31T12:00:20Z", "alive": true, "guarded": true},
            {"base_url": "http://10.0.0.2:7002", "registered_at": "2026-01-31T11:00:00Z",
             "expires_at": "2026-01-31T11:50:00Z", "alive": false}]}]}))
            .unwrap();
        let now = Timestamp::parse_rfc3339("2026-01-31T12:00:00Z").unwrap();
        expect![[r"
            NAME       INSTANCE              STATE   HEARTBEAT         GUARDED  SINCE (UTC)
            inventory  http://10.0.0.1:7002  alive   due within 20.0s  yes      2026-01-31 11:00:00
            inventory  http://10.0.0.2:7002  lapsed  overdue for 10m   no       2026-01-31 11:00:00
        "]]
        .assert_eq(&table(&list, now, Paper::PIPE));
    }
}
