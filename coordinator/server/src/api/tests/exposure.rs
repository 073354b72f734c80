//! Sagas that are `ahead` and sagas that are `exact`, and ends that are decided.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use trine_engine::Call;

use super::{Api, Participant, WAIT};
use trine_dispatch::{Caller, Returned};
use trine_store::memory::Memory;

/// Notes the target and the fence of each call.
#[derive(Debug, Default)]
struct Fences(Mutex<Vec<(String, u64)>>);

impl Caller for Fences {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        self.0.lock().unwrap().push((call.target.as_str().to_owned(), call.fence));
        Participant.call(call)
    }
}

fn saga(gid: &str, options: &str, targets: [&str; 3]) -> String {
    let branch = |(position, target): (usize, &str)| {
        let (at, _) = target.rsplit_once('/').unwrap();
        format!(r#"{{"id":"b{position}","action":"{target}","compensate":"{at}/undo"}}"#)
    };
    let branches: Vec<_> = targets.into_iter().enumerate().map(branch).collect();
    format!(
        r#"{{"gid":"{gid}","pattern":"saga","options":{{{options}}},"branches":[{}]}}"#,
        branches.join(",")
    )
}

async fn register(api: &Api, name: &str, guarded: bool) {
    let instance = format!(r#"{{"name":"{name}","base_url":"http://{name}:1","guarded":{guarded}}}"#);
    assert!(api.post("/v1/participants", &instance).await.starts_with("200"));
}

async fn exposure_of(api: &Api, gid: &str) -> String {
    let view = api.get(&format!("/v1/transactions/{gid}")).await;
    let (_, rest) = view.split_once(r#""exposure":""#).unwrap_or_else(|| panic!("{view}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn no_record_stands_between_the_steps_of_a_saga_whose_participants_are_guarded() {
    let calls = Arc::new(Fences::default());
    let api = Api::start_with(Arc::clone(&calls) as Arc<dyn Caller>);
    register(&api, "stock", true).await;
    for (gid, options, expected) in [("ahead", "", [1, 1, 1]), ("exact", r#""exposure":"exact""#, [1, 2, 3])]
    {
        let named = ["stock:/a", "stock:/b", "stock:/c"];
        let answer = api.post_with("/v1/transactions", &WAIT, &saga(gid, options, named)).await;
        assert!(answer.contains(r#""status":"committed""#), "{answer}");
        assert_eq!(exposure_of(&api, gid).await, gid);
        // The fence is the newest record that was durable when the call left.
        let calls = std::mem::take(&mut *calls.0.lock().unwrap());
        assert_eq!(calls, named.map(str::to_owned).into_iter().zip(expected).collect::<Vec<_>>());
        let history = api.get(&format!("/v1/transactions/{gid}/history")).await;
        assert_eq!(history.matches(r#""event":"#).count(), 5, "every answer is on record: {history}");
    }
}

#[tokio::test]
async fn a_saga_with_a_url_is_exact_unless_it_says_ahead() {
    let api = Api::start();
    register(&api, "stock", true).await;
    register(&api, "bare", false).await;
    let (url, bare) = (["stock:/a", "http://a/b", "stock:/c"], ["stock:/a", "bare:/b", "stock:/c"]);
    for (gid, options, targets, expected) in [
        ("url", "", url, "exact"),
        ("url-auto", r#""exposure":"auto""#, url, "exact"),
        ("url-ahead", r#""exposure":"ahead""#, url, "ahead"),
        ("bare", "", bare, "exact"),
        ("bare-ahead", r#""exposure":"ahead""#, bare, "ahead"),
    ] {
        let answer = api.post_with("/v1/transactions", &WAIT, &saga(gid, options, targets)).await;
        assert!(answer.contains(r#""status":"committed""#), "{answer}");
        assert_eq!(exposure_of(&api, gid).await, expected, "{gid}");
    }
    let tcc = r#"{"pattern":"tcc","options":{"exposure":"ahead"},"branches":[{"id":"a","url":"stock:/a"}]}"#;
    let refused = api.post("/v1/transactions", tcc).await;
    assert!(refused.starts_with("422") && refused.contains(r#""field":"options.exposure""#), "{refused}");
}

#[tokio::test]
async fn a_repeated_creation_is_the_same_transaction_whatever_auto_would_give_now() {
    let api = Api::start();
    register(&api, "stock", true).await;
    let named = ["stock:/a", "stock:/b", "stock:/c"];
    let first = api.post_with("/v1/transactions", &WAIT, &saga("g-1", "", named)).await;
    register(&api, "stock", false).await;
    assert_eq!(api.post_with("/v1/transactions", &WAIT, &saga("g-1", "", named)).await, first);
    let spelt = saga("g-1", r#""exposure":"auto""#, named);
    assert_eq!(api.post_with("/v1/transactions", &WAIT, &spelt).await, first);
    assert_eq!(exposure_of(&api, "g-1").await, "ahead");
    let stated = api.post("/v1/transactions", &saga("g-1", r#""exposure":"ahead""#, named)).await;
    assert!(stated.starts_with("409") && stated.contains("TX0006"), "{stated}");
    api.post_with("/v1/transactions", &WAIT, &saga("g-2", "", named)).await;
    assert_eq!(exposure_of(&api, "g-2").await, "exact");
}

#[tokio::test]
async fn a_history_names_the_branches_that_were_owed_when_the_rollback_began_and_only_these_are_undone() {
    let api = Api::start();
    let refusing = ["http://a/a", "http://a/refuse", "http://a/c"];
    let rolled_back = saga("g-1", r#""exposure":"ahead""#, refusing);
    api.post_with("/v1/transactions", &WAIT, &rolled_back).await;
    let history = api.get("/v1/transactions/g-1/history").await;
    let begun =
        r#""event":"rollback_begun","branch":"b1","cause":"refused","owed":["b0","b1"],"reason":"no stock""#;
    assert!(history.contains(begun), "{history}");
    assert_eq!(history.matches(r#""op":"compensate""#).count(), 2, "{history}");
    let exact = saga("g-2", "", refusing);
    api.post_with("/v1/transactions", &WAIT, &exact).await;
    let history = api.get("/v1/transactions/g-2/history").await;
    assert!(history.contains("rollback_begun") && !history.contains("owed"), "{history}");
}

#[tokio::test]
async fn whoever_goes_on_with_a_saga_that_is_ahead_says_so_first_and_undoes_everything() {
    let memory = Memory::new("a");
    let broken = saga("g-1", r#""exposure":"ahead""#, ["http://a/broken", "http://a/b", "http://a/c"]);
    let creator = Api::start_over(memory.clone(), Arc::new(Participant));
    assert!(creator.post("/v1/transactions", &broken).await.starts_with("202"));
    drop(creator);
    let api = Api::start_over(memory, Arc::new(Participant));
    assert!(api.post("/v1/transactions", &broken).await.starts_with("202"));
    api.follow_until("g-1", "taken_over").await;
    let aborted = api.post_with("/v1/transactions/g-1/abort", &WAIT, "").await;
    assert!(aborted.contains(r#""status":"rolled_back""#), "{aborted}");
    let history = api.get("/v1/transactions/g-1/history").await;
    assert!(!history.contains("owed"), "it does not know what its predecessor called: {history}");
    assert_eq!(history.matches(r#""op":"compensate""#).count(), 3, "{history}");
}

#[tokio::test]
async fn nobody_forces_the_opposite_of_what_was_decided() {
    let api = Api::start();
    let tcc = r#"{"gid":"yes","pattern":"tcc","branches":[
        {"id":"a","try":"http://a/try","confirm":"http://a/broken","cancel":"http://a/cancel"}]}"#;
    let saga = r#"{"gid":"no","pattern":"saga","branches":[
        {"id":"a","action":"http://a/refuse","compensate":"http://a/broken"}]}"#;
    for (gid, document, decided, end, opposite) in [
        ("yes", tcc, "commit_decided", "committed", "rolled_back"),
        ("no", saga, "rollback_begun", "rolled_back", "committed"),
    ] {
        api.post("/v1/transactions", document).await;
        api.follow_until(gid, decided).await;
        let force = async |outcome: &str| {
            let body = format!(r#"{{"outcome":"{outcome}","reason":"ticket 77"}}"#);
            api.post(&format!("/v1/admin/transactions/{gid}/force"), &body).await
        };
        let refused = force(opposite).await;
        assert!(refused.starts_with("409") && refused.contains("TX0008"), "{refused}");
        let forced = force(end).await;
        assert!(forced.contains(&format!(r#""status":"{end}""#)), "{forced}");
    }
}
