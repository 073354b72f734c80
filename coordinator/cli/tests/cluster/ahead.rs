//! Sagas whose steps leave before the answers of the steps before are durable: three coordinators, killed again and again in the
//! middle of sagas of five, and aborted through whichever coordinator.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ledger::Ledger;
use super::load::{eventually, pause, side_by_side, size};
use super::pack::{Kind, Pack};
use crate::support::Http;

const BRANCHES: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Initiators at work at a time.
const SIDE_BY_SIDE: usize = 16;
/// Ends of sagas between two kills, on average.
const BETWEEN_KILLS: usize = 60;

/// What an initiator knows of its saga.
struct Promise {
    gid: String,
    accepted: bool,
    told: Option<String>,
}

fn saga(gid: &str, ledger: &Ledger) -> Value {
    let url = ledger.url();
    let branch = |id: &&str| json!({"id": id, "action": format!("{url}/enter"), "compensate": format!("{url}/remove")});
    json!({
        "gid": gid, "pattern": "saga",
        "options": {"exposure": "ahead", "retry": {"initial": "20ms", "max_interval": "300ms"}},
        "branches": BRANCHES.iter().map(branch).collect::<Vec<_>>(),
    })
}

/// Every saga is sent until somebody answers for it. Every fifth is aborted meanwhile, through another coordinator.
fn load(
    http: &Http,
    ledger: &Ledger,
    urls: Vec<String>,
    name: String,
    sagas: usize,
    ended: mpsc::UnboundedSender<()>,
) -> JoinHandle<Vec<Promise>> {
    let (http, ledger) = (http.clone(), ledger.clone());
    side_by_side(SIDE_BY_SIDE, sagas, ended, move |number| {
        let (http, urls, gid) = (http.clone(), urls.clone(), format!("{name}-{number}"));
        let body = saga(&gid, &ledger);
        async move {
            let aborting = async {
                if number % 5 == 0 {
                    pause().await;
                    let url = format!("{}/v1/transactions/{gid}/abort", urls[(number + 1) % urls.len()]);
                    http.try_post(&url, &json!({})).await;
                }
            };
            tokio::join!(initiate(&http, &urls, number, &gid, &body), aborting).0
        }
    })
}

async fn initiate(http: &Http, urls: &[String], number: usize, gid: &str, body: &Value) -> Promise {
    let mut promise = Promise { gid: gid.to_owned(), accepted: false, told: None };
    for round in 0..60 {
        let answer = http.create(&urls[(number + round) % urls.len()], body, 20).await;
        if let Ok((status @ (200 | 202), answer)) = answer {
            promise.accepted = true;
            let end = answer["status"].as_str().filter(|end| ["committed", "rolled_back"].contains(end));
            promise.told = end.filter(|_| status == 200).map(str::to_owned);
            break;
        }
        pause().await;
    }
    promise
}

/// What was met, over all sagas.
#[derive(Debug, Default)]
struct Met {
    committed: usize,
    rolled_back: usize,
    taken_over: usize,
    narrowed: usize,
    /// Branches that were called more often than the history has answers.
    repeated: usize,
}

/// Each saga is whole or undone as it was told, and its history says where calls may have been repeated.
async fn check(http: &Http, url: &str, ledger: &Ledger, promises: &[Promise]) -> Met {
    let mut met = Met::default();
    let mut ends = Vec::new();
    for Promise { gid, accepted, told } in promises {
        let at = format!("{url}/v1/transactions/{gid}");
        let mut view = Value::Null;
        eventually(&format!("{gid} settles"), async || {
            let (status, answer) = http.get(&at).await;
            assert!(status != 404 || !accepted, "{gid} was accepted and is gone");
            view = answer;
            status == 404
                || ["committed", "rolled_back"].contains(&view["status"].as_str().unwrap_or_default())
        })
        .await;
        let Some(end) = view["status"].as_str().map(str::to_owned) else { continue };
        assert!(told.as_ref().is_none_or(|told| *told == end), "{gid}: {told:?} was told, {end} it is");
        ends.push((gid, end));
    }
    let entries = ledger.entries().await;
    for (gid, end) in ends {
        let effects = entries.get(gid).cloned().unwrap_or_default();
        let is_whole = effects.len() == BRANCHES.len() && effects.values().all(|times| *times == 1);
        match end.as_str() {
            "committed" => assert!(is_whole, "{gid} is committed, and {effects:?} took effect"),
            _ => assert!(effects.is_empty(), "{gid} is rolled back, and {effects:?} still stand"),
        }
        met.committed += usize::from(end == "committed");
        met.rolled_back += usize::from(end != "committed");
        check_history(http, url, ledger, gid, &mut met).await;
    }
    met
}

async fn check_history(http: &Http, url: &str, ledger: &Ledger, gid: &str, met: &mut Met) {
    let (_, history) = http.get(&format!("{url}/v1/transactions/{gid}/history?limit=1000")).await;
    let events = history["events"].as_array().unwrap_or_else(|| panic!("a history: {history}"));
    let named = |name: &'static str| events.iter().filter(move |event| event["event"] == name);
    let (taken_over, begun) = (named("taken_over").count(), named("rollback_begun").next());
    met.taken_over += taken_over;
    met.narrowed += usize::from(begun.is_some_and(|begun| begun["owed"].is_array()));
    for branch in BRANCHES {
        let answered =
            named("call_answered").filter(|event| event["branch"] == branch && event["op"] == "action");
        if ledger.calls(gid, branch) > answered.count() as u32 {
            met.repeated += 1;
            // A new driver, or a rollback that did not wait for the answer.
            assert!(
                taken_over > 0 || begun.is_some(),
                "{gid}: {branch} was repeated, and the history does not say why"
            );
        }
    }
}

async fn rounds(kind: Kind) {
    let (rounds, sagas) = size(300);
    for seed in 1..=rounds {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (http, ledger) = (Http::new(), Ledger::start(folder.path()).await);
        ledger.misbehave(30, 30);
        let mut pack = Pack::start(&kind.fresh(), 3).await;
        let (ended, mut ends) = mpsc::unbounded_channel();
        let promises = load(&http, &ledger, pack.urls(), format!("ahead-{seed}"), sagas, ended);
        let (mut kills, mut since) = (0, 0);
        let mut until = random.usize(BETWEEN_KILLS / 2..BETWEEN_KILLS);
        while ends.recv().await.is_some() {
            since += 1;
            if since >= until {
                (since, until) = (0, random.usize(BETWEEN_KILLS / 2..BETWEEN_KILLS * 3 / 2));
                let place = random.usize(0..3);
                pack.kill(place).await;
                pack.start_one(place).await;
                kills += 1;
            }
        }
        let promises = promises.await.expect("the load does not panic");
        ledger.misbehave(0, 0);
        let met = check(&http, &pack.url(0), &ledger, &promises).await;
        eprintln!("{kind:?}, seed {seed}: {kills} kills, {met:?}");
        assert!(kills >= 2, "too few kills to show anything");
        assert!(met.committed > sagas / 4 && met.rolled_back > sagas / 20, "one-sided: {met:?}");
        assert!(met.narrowed > 0, "no rollback knew what was called: {met:?}");
        assert!(met.taken_over > 0, "nobody took over: {met:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_of_five_exposed_ahead_is_whole_or_undone_whoever_is_killed_and_its_history_says_what_was_repeated()
 {
    rounds(Kind::Postgres).await;
}
