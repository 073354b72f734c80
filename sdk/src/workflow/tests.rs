//! Executions against a coordinator that is a map: what is run, what is recorded, and how it ends.

mod callback;
mod executors;
mod fake;
mod handlers;
mod participants;
mod resume;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use fake::{Fake, Fault};
use tokio::sync::Semaphore;
use trine_protocol::Status;

use super::*;

/// What happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    /// What happened since this was asked last.
    fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn gid() -> Gid {
    Gid::parse("order-42").unwrap()
}

/// A service that has just started.
fn service(fake: &Fake) -> Workflows {
    let client = Client::builder()
        .coordinator(&fake.url)
        .backoff(Duration::from_millis(1), Duration::from_millis(2))
        .retry_for(Duration::from_secs(5))
        .build()
        .unwrap();
    Workflows::of(&client, "http://127.0.0.1:1/workflows").unwrap()
}

/// A step that says what it does, with an undo that does so, too.
async fn step(flow: &Workflow, diary: &Diary, does: Result<i32, &str>) -> Result<i32, Failure> {
    let (here, undo) = (diary.clone(), diary.clone());
    flow.branch()
        .on_rollback(async move |step: Step| {
            undo.note(step.context().idempotency_key());
            Ok(())
        })
        .run(async move |step: Step| {
            here.note(step.context().idempotency_key());
            does.map_err(|word| match word {
                "unknown" => Failure::unknown("the line is dead"),
                "panic" => panic!("a crash"),
                reason => Failure::refused(reason),
            })
        })
        .await
}

async fn execute(workflows: &Workflows) -> Result<Vec<u8>, WorkflowError> {
    workflows.execute("sum", &gid(), "input").await
}

#[tokio::test]
async fn steps_run_in_order_are_recorded_and_give_a_result_that_is_kept() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let noted = diary.clone();
    workflows.register("sum", move |flow, input| {
        let diary = noted.clone();
        async move {
            assert_eq!(input, b"input");
            let sum = step(&flow, &diary, Ok(1)).await? + step(&flow, &diary, Ok(2)).await?;
            Ok(vec![0xff, u8::try_from(sum)?])
        }
    });
    assert_eq!(execute(&workflows).await.unwrap(), [0xff, 3]);
    assert_eq!(diary.read(), ["order-42/01/action", "order-42/02/action"]);
    let seen = fake.look();
    assert_eq!((seen.status, seen.result.as_str()), (Status::Committed, "2 bytes: /wM="));
    assert_eq!(seen.steps, ["01/action done", "02/action done", "00/decision done"]);
    // It has ended: nothing is run for the same answer.
    assert_eq!(execute(&workflows).await.unwrap(), [0xff, 3]);
    assert_eq!(diary.read(), [""; 0]);
}

#[tokio::test]
async fn after_a_crash_recorded_steps_are_not_done_again_and_their_answers_are_the_same() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    for (second, expected) in [
        ("panic", vec!["order-42/01/action", "order-42/02/action"]),
        ("ok", vec!["order-42/02/action", "order-42/03/action"]),
    ] {
        let workflows = service(&fake);
        let noted = diary.clone();
        workflows.register("sum", move |flow, _| {
            let diary = noted.clone();
            async move {
                // If it were run again it would be another number.
                let first = step(&flow, &diary, Ok(if second == "ok" { 100 } else { 1 })).await?;
                let second = step(&flow, &diary, if second == "ok" { Ok(2) } else { Err(second) }).await?;
                let third = step(&flow, &diary, Ok(3)).await?;
                Ok((first + second + third).to_string().into_bytes())
            }
        });
        match (second, execute(&workflows).await) {
            ("panic", Err(WorkflowError::Interrupted)) => {
                assert_eq!(fake.look().status, Status::Open);
            }
            ("ok", Ok(sum)) => assert_eq!(sum, b"6"),
            other => panic!("{other:?}"),
        }
        assert_eq!(diary.read(), expected);
    }
}

#[tokio::test]
async fn a_refusal_undoes_what_was_asked_for_in_reverse_and_ends_the_workflow() {
    let (fake, diary, workflows) = refusing().await;
    match execute(&workflows).await {
        Err(error @ WorkflowError::Refused(_)) => {
            assert!(error.has_ended());
            assert_eq!(error.to_string(), "refused: sold out");
        }
        other => panic!("{other:?}"),
    }
    let undone = ["order-42/03/compensate", "order-42/02/compensate", "order-42/01/compensate"];
    let done = ["order-42/01/action", "order-42/02/action", "order-42/03/action"];
    assert_eq!(diary.read(), [done, undone].concat());
    let seen = fake.look();
    assert_eq!((seen.status, seen.reason.as_str()), (Status::RolledBack, "sold out"));
    assert_eq!(
        seen.steps[2..],
        [
            "03/action refused",
            "00/decision refused",
            "03/rollback done",
            "02/rollback done",
            "01/rollback done"
        ]
    );
    assert!(matches!(execute(&workflows).await, Err(WorkflowError::Refused(reason)) if reason == "sold out"));
    assert_eq!(diary.read(), [""; 0]);
}

/// Two steps that are done, and one that is refused.
async fn refusing() -> (Fake, Diary, Workflows) {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let noted = diary.clone();
    workflows.register("sum", move |flow, _| {
        let diary = noted.clone();
        async move {
            step(&flow, &diary, Ok(1)).await?;
            step(&flow, &diary, Ok(2)).await?;
            step(&flow, &diary, Err("sold out")).await?;
            step(&flow, &diary, Ok(4)).await?;
            Ok(Vec::new())
        }
    });
    (fake, diary, workflows)
}

#[tokio::test]
async fn a_rollback_that_was_begun_is_gone_on_with_though_the_handler_would_not_refuse_any_more() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    for refuses in [true, false] {
        let workflows = service(&fake);
        let noted = diary.clone();
        workflows.register("sum", move |flow, _| {
            let (diary, undo) = (noted.clone(), noted.clone());
            async move {
                let undo = async move |_: Step| {
                    undo.note(format!("undo {refuses}"));
                    if refuses { Err(Failure::unknown("the line is dead")) } else { Ok(()) }
                };
                flow.branch().on_rollback(undo).run(async |_| Ok(1)).await?;
                step(&flow, &diary, Ok(2)).await?;
                if refuses {
                    return Err(Failure::refused("not today"));
                }
                step(&flow, &diary, Ok(3)).await?;
                Ok(b"done".to_vec())
            }
        });
        let end = execute(&workflows).await;
        let told = diary.read();
        if refuses {
            assert!(
                matches!(&end, Err(WorkflowError::Unknown { step, .. }) if step == "01/compensate"),
                "{end:?}"
            );
            assert_eq!(told, ["order-42/02/action", "order-42/02/compensate", "undo true"]);
        } else {
            assert!(matches!(&end, Err(WorkflowError::Refused(reason)) if reason == "not today"), "{end:?}");
            assert_eq!(told, ["order-42/03/compensate", "undo false"]);
        }
    }
    assert_eq!(fake.look().status, Status::RolledBack);
}

#[test]
fn a_callback_is_a_url() {
    for url in ["", "ftp://a/b", "http://a/b?c=d", "http://a/b#c", "http://me@a/b"] {
        assert!(matches!(Workflows::new("http://a", url), Err(WorkflowError::Coordinator(_))), "{url}");
    }
}
