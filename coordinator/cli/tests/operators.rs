//! What an operator's program asks through the SDK's client, of a coordinator in a process of its own.

use std::time::Duration;

use trine_sdk::v1::ForceOutcome;
use trine_sdk::{BranchId, Client, Gid, Pattern, RetryPolicy, Saga, SagaBranch, Status};

use crate::support::Coordinator;

/// A coordinator, and a client of it.
async fn start() -> (tempfile::TempDir, Coordinator, Client) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let coordinator = Coordinator::start(&folder.path().join("trine.db")).await;
    let client = Client::new(coordinator.url()).expect("its address is a URL");
    (folder, coordinator, client)
}

/// Sagas whose one branch nobody answers: each is parked after one attempt.
async fn parked(client: &Client, count: usize) -> Vec<Gid> {
    let mut gids = Vec::new();
    for number in 0..count {
        let saga = Saga::new()
            .gid(format!("parked-{number}"))
            .label("customer", "7 & 8")
            .retry(RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() })
            // Nobody listens on port 1.
            .branch(
                SagaBranch::new("stock").action("http://127.0.0.1:1/x").compensate("http://127.0.0.1:1/y"),
            );
        let answer = client.submit_and_wait(&saga, Duration::from_secs(30)).await.expect("it is accepted");
        assert!(answer.parked, "{answer:?}");
        gids.push(answer.gid);
    }
    gids
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_transactions_are_listed_page_by_page_and_row_by_row() {
    let (_folder, coordinator, client) = start().await;
    assert_eq!(client.address(), coordinator.url());
    let gids = parked(&client, 3).await;
    let list = client.list().parked(true).pattern(Pattern::Saga).label("customer", "7 & 8").limit(2);
    let first = list.page().await.unwrap();
    assert_eq!(first.transactions.len(), 2);
    let second = list.clone().cursor(first.next_cursor.unwrap()).page().await.unwrap();
    assert_eq!((second.transactions.len(), second.next_cursor), (1, None));
    let mut rows = list.rows();
    let mut found = Vec::new();
    while let Some(row) = rows.next().await.unwrap() {
        assert!(row.parked.is_some());
        found.push(row.gid);
    }
    found.sort();
    assert_eq!(found, gids);
    for none in
        [client.list().parked(false), client.list().status(Status::Committed), client.list().host("x")]
    {
        assert_eq!(none.page().await.unwrap().transactions, []);
    }
    let text = client.list().host("127.0.0.1:1").limit(1).page().json().await.unwrap();
    assert!(text.starts_with(r#"{"transactions":[{"gid":"parked-"#), "{text}");
    let refused = client.list().limit(501).page().await.unwrap_err();
    assert_eq!(refused.code(), Some("TX0019"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sets_going_what_is_parked_and_the_history_has_both_attempts() {
    let (_folder, _coordinator, client) = start().await;
    let gid = parked(&client, 1).await.remove(0);
    let before = client.history(&gid).await.unwrap().events;
    let mut pages = client.history(&gid).limit(2).pages();
    let mut paged = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        assert!(page.events.len() <= 2);
        paged.extend(page.events.into_iter().map(|event| event.seq));
    }
    assert_eq!(paged, before.iter().map(|event| event.seq).collect::<Vec<_>>());
    let rest = client.history(&gid).after(1).await.unwrap().events;
    assert_eq!(rest.len(), before.len() - 1);

    let nobody = client.replay(&gid).branch(BranchId::parse("nobody").unwrap()).await.unwrap_err();
    assert_eq!(nobody.code(), Some("TX0017"));
    assert_eq!(client.replay(&gid).await.unwrap().gid, gid);
    let unknown = client.replay(&Gid::parse("unknown").unwrap()).await.unwrap_err();
    assert_eq!(unknown.code(), Some("TX0009"));
    let events = client.history(&gid).await.unwrap().events;
    assert!(events[before.len()..].iter().any(|event| event.event == "replayed"), "{events:?}");

    let none = client.replay_parked().pattern(Pattern::Tcc).limit(5).await.unwrap();
    assert_eq!((none.matched, none.failed), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_gives_every_event_once_until_somebody_forces_the_end() {
    let (_folder, _coordinator, client) = start().await;
    let gid = parked(&client, 1).await.remove(0);
    let mut watch = client.watch(&gid);
    let mut seqs = vec![watch.next().await.unwrap().expect("it was created").seq];
    assert!(watch.settled().is_none());
    let answer = client.force(&gid, ForceOutcome::RolledBack, "by hand").by("anna").await.unwrap();
    assert_eq!(answer.status, Status::RolledBack);
    let mut last = String::new();
    while let Some(event) = watch.next().await.unwrap() {
        seqs.push(event.seq);
        last = event.event;
    }
    assert_eq!(last, "forced");
    let view = watch.settled().expect("it is settled").clone();
    assert_eq!((view.status, view.seq), (Status::RolledBack, seqs.len() as u64));
    assert!(seqs.iter().copied().eq(1..=view.seq), "{seqs:?}");
    assert_eq!(watch.next().await.unwrap().map(|event| event.seq), None);

    let mut late = client.watch(&gid).after(view.seq);
    assert_eq!(late.next_json().await.unwrap(), None);
    let mut text = client.watch(&gid).after(view.seq - 1);
    let event = text.next_json().await.unwrap().expect("the last event");
    assert!(event.contains(r#""by":"anna""#), "{event}");
    let again = client.force(&gid, ForceOutcome::Committed, "other").await.unwrap_err();
    assert_eq!(again.code(), Some("TX0008"));
    let unknown = client.watch(&Gid::parse("unknown").unwrap()).next().await.unwrap_err();
    assert_eq!(unknown.code(), Some("TX0009"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_at_the_next_coordinator_where_the_stream_broke_off() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = folder.path().join("trine.db");
    let coordinator = Coordinator::start(&db).await;
    let client = Client::new(coordinator.url()).unwrap();
    let gid = parked(&client, 1).await.remove(0);
    let address = coordinator.addr().to_owned();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let impatient =
        Client::builder().coordinator(coordinator.url()).retry_for(Duration::ZERO).build().unwrap();
    let mut watch = impatient.watch(&gid).on_break(move |error| tell.send(error.to_string()).unwrap());
    let first = watch.next().await.unwrap().expect("it was created").seq;
    let watching = tokio::spawn(async move {
        let mut seqs = vec![first];
        while let Some(event) = watch.next().await.unwrap() {
            seqs.push(event.seq);
        }
        seqs
    });
    coordinator.kill().await;
    told.recv().await.expect("it says that nobody answers");
    let store = format!("sqlite:{}", db.display());
    let _again = Coordinator::serve(&store, &address, folder.path(), &[]).await;
    client.force(&gid, ForceOutcome::Committed, "by hand").await.unwrap();
    let seqs = watching.await.expect("it ends");
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn participants_and_coordinators_are_listed_and_an_instance_is_forgotten() {
    let (_folder, _coordinator, client) = start().await;
    let instance = trine_sdk::v1::RegisterParticipant {
        name: "inventory".into(),
        base_url: "http://10.0.0.7:7002/a".into(),
        ttl: None,
        ttl_ms: None,
        guarded: true,
    };
    client.register_participant(&instance, Duration::from_secs(5)).await.unwrap();
    let list = client.participants().await.unwrap().participants;
    assert_eq!((&list[0].instances[0].base_url, list[0].instances[0].guarded), (&instance.base_url, true));
    client.forget_participant("inventory", Some(&instance.base_url)).await.unwrap();
    let gone = client.forget_participant("inventory", None).await.unwrap_err();
    assert_eq!(gone.code(), Some("TX0018"));
    assert!(client.forget_participant("a/b", None).await.unwrap_err().code().is_none());
    let coordinators = client.coordinators().await.unwrap().coordinators;
    assert_eq!((coordinators.len(), coordinators[0].alive), (1, true));
    let ready = client.request::<()>(trine_sdk::client::Method::GET, "/readyz").json().await;
    assert!(ready.is_ok(), "{ready:?}");
}
