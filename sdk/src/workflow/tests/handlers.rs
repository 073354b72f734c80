//! What handlers may do with their branches, and what they may not.

use super::*;

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
    let seen = fake.look();
    assert_eq!((seen.status, seen.steps), (Status::Open, vec!["01/action done".to_owned()]));
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
    assert_eq!(fake.look().status, Status::Open);
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
    let seen = fake.look();
    assert_eq!(seen.status, Status::Committed);
    assert_eq!(seen.steps[2..], ["00/decision done", "01/rollback done"]);
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
    assert!(fake.look().steps.contains(&"00/decision done".to_owned()));
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

/// The coordinator takes no JSON that nests deep. A step that has run has to be recorded all the same, or it would run again.
#[tokio::test]
async fn outputs_inputs_and_results_that_nest_deep_are_recorded_and_read_back() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let deep: serde_json::Value =
        serde_json::from_str(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap();
    for attempt in 0..2 {
        let workflows = service(&fake);
        let noted = diary.clone();
        workflows.register_json("deep", move |flow, input: serde_json::Value| {
            let diary = noted.clone();
            async move {
                let output: serde_json::Value = flow
                    .branch()
                    .run(async move |step: Step| {
                        diary.note(step.context().idempotency_key());
                        Ok(input)
                    })
                    .await?;
                if attempt == 0 { Err(Failure::unknown("later")) } else { Ok(output) }
            }
        });
        let end = workflows.execute_json::<_, serde_json::Value>("deep", &gid(), &deep).await;
        assert_eq!(end.ok(), (attempt == 1).then(|| deep.clone()));
    }
    assert_eq!(diary.read(), ["order-42/01/action"]);
}
