//! What an executor that died leaves, and what another makes of its record.

use std::future::pending;

use serde_json::json;
use trine_protocol::v1::WorkflowStep;

use super::fake::STEPS;
use super::*;

/// Where an executor dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// The refusal is on record, and it is not decided what follows.
    BeforeTheDecision,
    /// It is decided to roll back, and nothing is undone.
    BeforeTheUndo,
}

impl Death {
    const BOTH: [Self; 2] = [Self::BeforeTheDecision, Self::BeforeTheUndo];
}

/// Executes until the executor comes to where it dies, and has it die.
async fn execute_and_die(fake: &Fake, register: impl FnOnce(&Workflows)) {
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let workflows = service(fake);
    register(&workflows);
    dying.spawn(async move { execute(&workflows).await });
    fake.dying.acquire().await.unwrap().forget();
    dying.shutdown_background();
}

/// A seat that is refused.
async fn seat(flow: &Workflow, diary: &Diary) -> Result<i32, Failure> {
    step(flow, diary, Err("sold out")).await
}

/// A room; its booking takes for ever, and so does undoing it, if it dies with its executor.
async fn room(flow: &Workflow, diary: &Diary, dies: Option<&Fake>) -> Result<i32, Failure> {
    let (here, undo) = (diary.clone(), diary.clone());
    let fake = dies.cloned();
    flow.branch()
        .on_rollback(async move |step: Step| {
            if let Some(fake) = fake {
                fake.die().await;
            }
            undo.note(step.context().idempotency_key());
            Ok(())
        })
        .run(async move |step: Step| {
            here.note(step.context().idempotency_key());
            if dies.is_some() { pending().await } else { Ok(1) }
        })
        .await
}

/// Seat and room side by side, up to an executor's death.
async fn half_a_trip(fake: &Fake, diary: &Diary, death: Death) {
    if death == Death::BeforeTheDecision {
        fake.fail(STEPS, Fault::Pass);
        fake.fail(STEPS, Fault::Die);
    }
    let (noted, dies) = (diary.clone(), fake.clone());
    execute_and_die(fake, |workflows| {
        workflows.register("sum", move |flow, _| {
            let (diary, fake) = (noted.clone(), dies.clone());
            async move {
                let (seat, room) = tokio::try_join!(seat(&flow, &diary), room(&flow, &diary, Some(&fake)))?;
                Ok(vec![u8::try_from(seat + room)?])
            }
        });
    })
    .await;
    assert_eq!(diary.read(), ["order-42/01/action", "order-42/02/action"], "{death:?}");
    let mut record = vec!["01/action refused".to_owned()];
    if death == Death::BeforeTheUndo {
        record.push("00/decision refused".to_owned());
    }
    assert_eq!(fake.look().steps, record, "{death:?}");
}

#[tokio::test]
async fn a_step_in_flight_beside_a_recorded_refusal_is_undone_by_the_next_executor() {
    for death in Death::BOTH {
        let (fake, diary) = (Fake::start().await, Diary::default());
        half_a_trip(&fake, &diary, death).await;
        let workflows = service(&fake);
        let noted = diary.clone();
        workflows.register("sum", move |flow, _| {
            let diary = noted.clone();
            async move {
                let (seat, room) = tokio::try_join!(seat(&flow, &diary), room(&flow, &diary, None))?;
                Ok(vec![u8::try_from(seat + room)?])
            }
        });
        let end = execute(&workflows).await;
        assert!(
            matches!(&end, Err(WorkflowError::Refused(reason)) if reason == "sold out"),
            "{death:?}: {end:?}"
        );
        // What is decided to be undone is not done first.
        let again = (death == Death::BeforeTheDecision).then_some("order-42/02/action");
        let undone = ["order-42/02/compensate", "order-42/01/compensate"];
        assert_eq!(diary.read(), again.into_iter().chain(undone).collect::<Vec<_>>(), "{death:?}");
        assert_eq!(fake.look().status, Status::RolledBack, "{death:?}");
    }
}

#[tokio::test]
async fn a_step_in_flight_that_the_next_executor_does_not_ask_for_keeps_the_workflow_open() {
    for death in Death::BOTH {
        let (fake, diary) = (Fake::start().await, Diary::default());
        half_a_trip(&fake, &diary, death).await;
        let workflows = service(&fake);
        let noted = diary.clone();
        workflows.register("sum", move |flow, _| {
            let diary = noted.clone();
            async move {
                seat(&flow, &diary).await?;
                room(&flow, &diary, None).await?;
                Ok(Vec::new())
            }
        });
        let end = execute(&workflows).await;
        assert!(
            matches!(&end, Err(WorkflowError::Diverged(what)) if what.contains("step 02")),
            "{death:?}: {end:?}"
        );
        assert_eq!(diary.read(), [""; 0], "{death:?}");
        assert_eq!(fake.look().status, Status::Open, "{death:?}");
    }
}

#[tokio::test]
async fn a_decision_names_what_was_asked_for_since_the_last_step_was_recorded() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    for dies in [true, false] {
        let (noted, dying) = (diary.clone(), fake.clone());
        let register = |workflows: &Workflows| {
            workflows.register("sum", move |flow, _| {
                let (diary, fake) = (noted.clone(), dying.clone());
                async move {
                    let refused = seat(&flow, &diary).await;
                    if dies {
                        tokio::select! {
                            biased;
                            _ = room(&flow, &diary, Some(&fake)) => {}
                            () = std::future::ready(()) => {}
                        }
                    }
                    refused.map(|_| Vec::new())
                }
            });
        };
        if dies {
            execute_and_die(&fake, register).await;
        } else {
            let workflows = service(&fake);
            register(&workflows);
            let end = execute(&workflows).await;
            assert!(
                matches!(&end, Err(WorkflowError::Diverged(what)) if what.contains("step 02")),
                "{end:?}"
            );
        }
    }
    assert_eq!(diary.read(), ["order-42/01/action", "order-42/02/action"]);
    assert_eq!(fake.look().status, Status::Open);
}

#[tokio::test]
async fn a_step_that_is_awaited_after_its_handler_ended_does_nothing() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let late = Arc::new(Mutex::new(Vec::new()));
    let ended = Arc::new(Semaphore::new(0));
    // At first it stays open, with a step on record; then it refuses.
    for refuses in [false, true] {
        let workflows = service(&fake);
        let (noted, spawned, gate) = (diary.clone(), Arc::clone(&late), Arc::clone(&ended));
        workflows.register("sum", move |flow, _| {
            let (diary, spawned, gate) = (noted.clone(), Arc::clone(&spawned), Arc::clone(&gate));
            async move {
                let asked = [1, 2].map(|number| {
                    let (acts, undoes) = (diary.clone(), diary.clone());
                    let undo = async move |step: Step| {
                        undoes.note(step.context().idempotency_key());
                        Ok(())
                    };
                    let action = async move |step: Step| {
                        acts.note(step.context().idempotency_key());
                        Ok(number)
                    };
                    flow.branch().on_rollback(undo).run(action)
                });
                let [recorded, other] = asked;
                if !refuses {
                    recorded.await?;
                    return Err(Failure::unknown("later"));
                }
                for step in [recorded, other] {
                    let gate = Arc::clone(&gate);
                    let step = async move {
                        gate.acquire().await.unwrap().forget();
                        step.await
                    };
                    spawned.lock().unwrap().push(tokio::spawn(step));
                }
                Err(Failure::refused("no"))
            }
        });
        execute(&workflows).await.unwrap_err();
    }
    let expected = ["order-42/01/action", "order-42/02/compensate", "order-42/01/compensate"];
    assert_eq!(diary.read(), expected);
    ended.add_permits(2);
    let steps = std::mem::take(&mut *late.lock().unwrap());
    let mut answers = Vec::new();
    for step in steps {
        answers.push(step.await.expect("no panic"));
    }
    assert!(
        matches!(&answers[..], [Ok(1), Err(Failure::Stopped(WorkflowError::Diverged(_)))]),
        "{answers:?}"
    );
    assert_eq!(diary.read(), [""; 0]);
}

#[tokio::test]
async fn an_end_that_was_forced_against_the_decision_is_an_error_that_says_so() {
    for (refuses, ended, expected) in [
        (true, Status::Committed, "it was decided to roll back, and somebody else has ended it as committed"),
        (
            false,
            Status::RolledBack,
            "it was decided to commit, and somebody else has ended it as rolled back",
        ),
    ] {
        let fake = Fake::start().await;
        let workflows = service(&fake);
        let operator = fake.clone();
        // The last that happens before it is finished: after the decision, with the finisher's record made.
        workflows.register("sum", move |flow, _| {
            let [keeps, undoes] = [operator.clone(), operator.clone()];
            async move {
                let step = flow
                    .branch()
                    .on_commit(async move |_| {
                        keeps.end_after_record(Status::RolledBack);
                        Ok(())
                    })
                    .on_rollback(async move |_| {
                        undoes.end_after_record(Status::Committed);
                        Ok(())
                    });
                step.run(async |_| Ok(1)).await?;
                if refuses { Err(Failure::refused("no")) } else { Ok(b"result".to_vec()) }
            }
        });
        // Whoever asks afterwards is told so, too.
        for _ in 0..2 {
            match execute(&workflows).await {
                Err(error @ WorkflowError::Overruled { .. }) => {
                    assert!(error.has_ended());
                    assert_eq!(error.to_string(), expected);
                }
                other => panic!("{ended}: {other:?}"),
            }
        }
        assert_eq!(fake.look().status, ended);
    }
}

#[tokio::test]
async fn records_of_older_sdks_and_of_other_implementations_are_read() {
    let fake = Fake::start().await;
    let older = json!({"executor": "e", "output": 2}).to_string();
    let steps = json!([
        {"branch": "01", "op": "action", "outcome": "done", "output": {"executor": "e", "output": 1}},
        // Natively, the coordinator shows JSON that nests deeper than 64 levels as a string.
        {"branch": "02", "op": "action", "outcome": "done", "output": older},
        {"branch": "03", "op": "action", "outcome": "done", "output": 3},
        {"branch": "04", "op": "action", "outcome": "done"},
        {"branch": "05", "op": "action", "outcome": "refused", "output": {"executor": "e", "reason": "sold out"}},
        {"branch": "06", "op": "action", "outcome": "refused", "reason": "no room"},
    ]);
    let steps: Vec<WorkflowStep> = serde_json::from_value(steps).unwrap();
    let begins = service(&fake);
    begins.register("sum", |_, _| async { Err(Failure::unknown("later")) });
    execute(&begins).await.unwrap_err();
    fake.record_already(steps);

    let workflows = service(&fake);
    workflows.register("sum", |flow, _| async move {
        let mut read = Vec::new();
        for _ in 1..=6 {
            match flow.branch().run(async |_| Ok(Some(0))).await {
                Err(Failure::Refused(reason)) => read.push(reason),
                answer => read.push(format!("{:?}", answer?)),
            }
        }
        Ok(read.join(", ").into_bytes())
    });
    let read = String::from_utf8(execute(&workflows).await.unwrap()).unwrap();
    assert_eq!(read, "Some(1), Some(2), Some(3), None, sold out, no room");
}

#[tokio::test]
async fn a_reason_is_recorded_as_a_coordinator_takes_it() {
    let fake = Fake::start().await;
    let workflows = service(&fake);
    workflows.register("sum", |flow, _| async move {
        let long = format!("one\ntwo{}", "\u{e9}".repeat(1_000));
        flow.branch().run(async move |_| Err::<(), _>(Failure::refused(long))).await?;
        Ok(Vec::new())
    });
    execute(&workflows).await.unwrap_err();
    let reason = fake.look().reason;
    assert!(reason.starts_with("one two\u{e9}"), "{reason}");
    assert_eq!(reason.len(), 1_023);
}
