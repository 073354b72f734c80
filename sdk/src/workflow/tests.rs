//! Executions against a coordinator that is a map: what is run, what is recorded, and how it ends.

mod callback;
mod fake;
mod participants;
mod resume;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use fake::{Fake, Fault};
use tokio::sync::Semaphore;
use trine_protocol::dtm::workflow::path;

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
    let (standing, record) = fake.look("order-42");
    assert_eq!((standing.status.as_str(), standing.result), ("succeed", vec![0xff, 3]));
    assert_eq!(record, ["01/action succeed", "02/action succeed", "00/decision succeed"]);
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
                assert_eq!(fake.look("order-42").0.status, "prepared");
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
    let (standing, record) = fake.look("order-42");
    assert_eq!((standing.status.as_str(), standing.rollback_reason.as_str()), ("failed", "sold out"));
    assert_eq!(
        record[2..],
        [
            "03/action failed",
            "00/decision failed",
            "03/rollback succeed",
            "02/rollback succeed",
            "01/rollback succeed"
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
    assert_eq!(fake.look("order-42").0.status, "failed");
}

#[tokio::test]
async fn an_unknown_step_ends_the_execution_whatever_the_handler_makes_of_it() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    for swallows in [true, false] {
        let workflows = service(&fake);
        let noted = diary.clone();
        workflows.register("sum", move |flow, _| {
            let diary = noted.clone();
            async move {
                step(&flow, &diary, Ok(1)).await?;
                let second = step(&flow, &diary, Err("unknown")).await;
                if !swallows {
                    second?;
                }
                assert!(matches!(step(&flow, &diary, Ok(3)).await, Err(Failure::Stopped(_))));
                Err(Failure::refused("never mind"))
            }
        });
        match execute(&workflows).await {
            Err(WorkflowError::Unknown { step, reason }) => {
                assert_eq!((step.as_str(), reason.as_str()), ("02/action", "the line is dead"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(diary.read(), ["order-42/01/action", "order-42/02/action", "order-42/02/action"]);
    let (standing, record) = fake.look("order-42");
    assert_eq!((standing.status.as_str(), record), ("prepared", vec!["01/action succeed".to_owned()]));
}

#[tokio::test]
async fn an_executor_that_finds_its_step_recorded_by_another_stops() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let start = |name: &'static str, waits: bool| {
        let (workflows, noted) = (service(&fake), diary.clone());
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        workflows.register("sum", move |flow, _| {
            let (diary, begun, go_on) = (noted.clone(), Arc::clone(&begun), Arc::clone(&go_on));
            async move {
                flow.branch()
                    .on_rollback(async |_| panic!("undone"))
                    .run(async move |_| {
                        begun.add_permits(1);
                        if waits {
                            go_on.acquire().await.unwrap().forget();
                        }
                        Ok(())
                    })
                    .await?;
                diary.note(name);
                Ok(Vec::new())
            }
        });
        workflows
    };
    let slow = start("slow", true);
    let slow = tokio::spawn(async move { execute(&slow).await });
    begun.acquire().await.unwrap().forget();
    execute(&start("fast", false)).await.unwrap();
    go_on.add_permits(1);
    // What it would have recorded is the very same, and it has ended at that.
    assert!(matches!(slow.await.unwrap(), Err(WorkflowError::Superseded)));
    assert_eq!(diary.read(), ["fast"]);
}

#[tokio::test]
async fn a_record_by_another_executor_is_told_from_ones_own_while_the_workflow_goes_on() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let (other, noted) = (service(&fake), diary.clone());
    // It gets as far as the first step, and no further.
    other.register("sum", |flow, _| async move {
        flow.branch().run(async |_| Ok(1)).await?;
        Err(Failure::unknown("later"))
    });
    workflows.register("sum", move |flow, _| {
        let (other, diary) = (other.clone(), noted.clone());
        async move {
            let overtaken = async move |_: Step| {
                execute(&other).await.unwrap_err();
                Ok(1)
            };
            flow.branch().run(overtaken).await?;
            step(&flow, &diary, Ok(2)).await?;
            Ok(Vec::new())
        }
    });
    assert!(matches!(execute(&workflows).await, Err(WorkflowError::Superseded)));
    assert_eq!(diary.read(), [""; 0]);
    assert_eq!(fake.look("order-42").0.status, "prepared");
}

#[tokio::test]
async fn of_two_executors_that_disagree_only_one_decides() {
    let fake = Fake::start().await;
    let gates = || (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let ((stepped, end), (undoing, undo)) = (gates(), gates());
    let start = |refuses: bool| {
        let workflows = service(&fake);
        let (stepped, end) = (Arc::clone(&stepped), Arc::clone(&end));
        let (undoing, undo) = (Arc::clone(&undoing), Arc::clone(&undo));
        workflows.register("sum", move |flow, _| {
            let (stepped, end) = (Arc::clone(&stepped), Arc::clone(&end));
            let (undoing, undo) = (Arc::clone(&undoing), Arc::clone(&undo));
            async move {
                let undone = async move |_: Step| {
                    undoing.add_permits(1);
                    undo.acquire().await?.forget();
                    Ok(())
                };
                flow.branch().on_rollback(undone).run(async |_| Ok(1)).await?;
                if refuses {
                    return Err(Failure::refused("no patience"));
                }
                stepped.add_permits(1);
                end.acquire().await?.forget();
                Ok(Vec::new())
            }
        });
        tokio::spawn(async move { execute(&workflows).await })
    };
    let patient = start(false);
    stepped.acquire().await.unwrap().forget();
    let hasty = start(true);
    undoing.acquire().await.unwrap().forget();
    // The one undoes, and the other, which began before that was decided, is content.
    end.add_permits(1);
    assert!(matches!(patient.await.unwrap(), Err(WorkflowError::Superseded)));
    undo.add_permits(1);
    assert!(matches!(hasty.await.unwrap(), Err(WorkflowError::Refused(_))));
    assert_eq!(fake.look("order-42").0.status, "failed");
}

#[tokio::test]
async fn lost_answers_and_busy_coordinators_change_nothing() {
    for fault in [Fault::LoseAnswer, Fault::Busy] {
        let (fake, diary, workflows) = refusing().await;
        for path in [path::PREPARE, path::RECORD, path::RECORD, path::RECORD, path::FINISH] {
            fake.fail(path, fault);
        }
        let end = execute(&workflows).await;
        assert!(matches!(&end, Err(WorkflowError::Refused(_))), "{fault:?}: {end:?}");
        assert_eq!(diary.read().len(), 6, "{fault:?}");
        assert_eq!(fake.look("order-42").1.len(), 7, "{fault:?}");
    }
}

#[tokio::test]
async fn a_workflow_that_somebody_else_ended_is_not_finished_nor_undone() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let (ends, noted) = (fake.clone(), diary.clone());
    workflows.register("sum", move |flow, _| {
        let (ends, diary) = (ends.clone(), noted.clone());
        async move {
            step(&flow, &diary, Ok(1)).await?;
            ends.end("order-42", "failed");
            step(&flow, &diary, Ok(2)).await?;
            Ok(Vec::new())
        }
    });
    assert!(matches!(execute(&workflows).await, Err(WorkflowError::Superseded)));
    assert_eq!(diary.read(), ["order-42/01/action", "order-42/02/action"]);
}

#[tokio::test]
async fn a_handler_that_forgets_a_recorded_step_finishes_nothing() {
    let fake = Fake::start().await;
    for forgets in [false, true] {
        let workflows = service(&fake);
        workflows.register("sum", move |flow, _| async move {
            if !forgets {
                flow.branch().run(async |_| Ok(1)).await?;
                return Err(Failure::unknown("later"));
            }
            Ok(Vec::new())
        });
        match execute(&workflows).await {
            Err(WorkflowError::Unknown { step, .. }) => {
                assert_eq!((step.as_str(), forgets), ("the handler", false))
            }
            Err(WorkflowError::Diverged(what)) => assert!(forgets && what.contains("step 01"), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fake.look("order-42").0.status, "prepared");
}

#[tokio::test]
async fn a_refusal_that_the_handler_copes_with_is_an_answer_and_the_step_is_undone_all_the_same() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let noted = diary.clone();
    workflows.register("sum", move |flow, _| {
        let diary = noted.clone();
        async move {
            match step(&flow, &diary, Err("sold out")).await {
                Err(Failure::Refused(_)) => step(&flow, &diary, Ok(2)).await?,
                other => other?,
            };
            Ok(Vec::new())
        }
    });
    execute(&workflows).await.unwrap();
    // A late duplicate of the refused step might succeed.
    assert_eq!(diary.read(), ["order-42/01/action", "order-42/02/action", "order-42/01/compensate"]);
    let (standing, record) = fake.look("order-42");
    assert_eq!(
        (standing.status.as_str(), &record[2..]),
        ("succeed", &["00/decision succeed".to_owned(), "01/rollback succeed".to_owned()][..])
    );
}

#[tokio::test]
async fn a_step_that_was_dropped_half_way_is_undone_and_never_ignored() {
    for refuses in [true, false] {
        let (fake, diary) = (Fake::start().await, Diary::default());
        let workflows = service(&fake);
        let noted = diary.clone();
        workflows.register("sum", move |flow, _| {
            let undo = noted.clone();
            async move {
                let dropped = flow
                    .branch()
                    .on_rollback(async move |step: Step| {
                        undo.note(step.context().idempotency_key());
                        Ok(())
                    })
                    .run(async |_| std::future::pending::<Result<(), Failure>>().await);
                drop(dropped);
                if refuses { Err(Failure::refused("no")) } else { Ok(Vec::new()) }
            }
        });
        match execute(&workflows).await {
            Err(WorkflowError::Refused(_)) => assert_eq!(diary.read(), ["order-42/01/compensate"]),
            Err(WorkflowError::Unknown { step, .. }) => assert_eq!((step.as_str(), refuses), ("01", false)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn steps_side_by_side_are_numbered_as_they_were_asked_for() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let noted = diary.clone();
    workflows.register("sum", move |flow, _| {
        let (commits, flow) = (noted.clone(), &flow.clone());
        let branch = move |value: i32| {
            let diary = commits.clone();
            let keep = async move |step: Step| {
                diary.note(step.context().idempotency_key());
                Ok(())
            };
            flow.branch().on_commit(keep).run(async move |_| Ok(value))
        };
        let (first, second) = (branch(1), branch(2));
        async move {
            let (second, first) = tokio::try_join!(second, first)?;
            Ok(format!("{first} {second}").into_bytes())
        }
    });
    assert_eq!(execute(&workflows).await.unwrap(), b"1 2");
    assert_eq!(diary.read(), ["order-42/01/confirm", "order-42/02/confirm"]);
    assert!(fake.look("order-42").1.contains(&"00/decision succeed".to_owned()));
}

#[tokio::test]
async fn the_same_gid_is_not_another_workflow() {
    let (fake, _, workflows) = refusing().await;
    workflows.register("other", |_, _| async { Ok(Vec::new()) });
    execute(&workflows).await.unwrap_err();
    fake.create("saga", "saga");
    let saga = Gid::parse("saga").unwrap();
    for (name, gid, input) in [("other", &gid(), "input"), ("sum", &gid(), "else"), ("sum", &saga, "input")] {
        let end = workflows.execute(name, gid, input).await;
        assert!(matches!(end, Err(WorkflowError::Conflict { .. })), "{name} {gid} {input}: {end:?}");
    }
    let end = workflows.execute("unheard of", &gid(), "").await;
    assert!(matches!(end, Err(WorkflowError::NotRegistered(name)) if name == "unheard of"));
}

#[tokio::test]
async fn a_workflow_with_too_many_branches_is_refused_and_undone() {
    let fake = Fake::start().await;
    let workflows = service(&fake);
    workflows.register("sum", |flow, _| async move {
        for _ in 0..WORKFLOW_BRANCHES_MAX {
            drop(flow.branch());
        }
        flow.branch().run(async |_| Ok(())).await?;
        Ok(Vec::new())
    });
    assert!(matches!(execute(&workflows).await, Err(WorkflowError::Refused(_))));
}

#[test]
fn a_callback_is_a_url() {
    for url in ["", "ftp://a/b", "http://a/b?c=d"] {
        assert!(matches!(Workflows::new("http://a", url), Err(WorkflowError::Coordinator(_))), "{url}");
    }
}
