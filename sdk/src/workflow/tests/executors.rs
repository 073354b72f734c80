//! Several executors of one workflow, lost answers, and ends that somebody else has made.

use super::fake::{FINISH, START, STEPS};
use super::*;

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
    assert_eq!(fake.look().status, Status::Open);
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
    assert_eq!(fake.look().status, Status::RolledBack);
}

#[tokio::test]
async fn lost_answers_and_busy_coordinators_change_nothing() {
    for fault in [Fault::LoseAnswer, Fault::Busy] {
        let (fake, diary, workflows) = refusing().await;
        for path in [START, STEPS, STEPS, STEPS, FINISH] {
            fake.fail(path, fault);
        }
        let end = execute(&workflows).await;
        assert!(matches!(&end, Err(WorkflowError::Refused(_))), "{fault:?}: {end:?}");
        assert_eq!(diary.read().len(), 6, "{fault:?}");
        assert_eq!(fake.look().steps.len(), 7, "{fault:?}");
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
            ends.end(Status::RolledBack);
            step(&flow, &diary, Ok(2)).await?;
            Ok(Vec::new())
        }
    });
    assert!(matches!(execute(&workflows).await, Err(WorkflowError::Superseded)));
    assert_eq!(diary.read(), ["order-42/01/action", "order-42/02/action"]);
}

#[tokio::test]
async fn an_executor_whose_step_got_through_before_somebody_else_ended_the_workflow_stops() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let noted = diary.clone();
    workflows.register("sum", move |flow, _| {
        let diary = noted.clone();
        async move {
            step(&flow, &diary, Ok(1)).await?;
            Ok(Vec::new())
        }
    });
    // The answer is lost, so the step is recorded again, and by then the workflow has ended.
    fake.fail(STEPS, Fault::LoseAnswer);
    fake.end_after_record(Status::RolledBack);
    assert!(matches!(execute(&workflows).await, Err(WorkflowError::Superseded)));
    assert_eq!(diary.read(), ["order-42/01/action"]);
    assert_eq!(fake.look().steps, ["01/action done"]);
}

#[tokio::test]
async fn the_same_gid_is_not_another_workflow() {
    let (fake, _, workflows) = refusing().await;
    workflows.register("other", |_, _| async { Ok(Vec::new()) });
    execute(&workflows).await.unwrap_err();
    let saga = Gid::parse("saga").unwrap();
    fake.create_saga(&saga);
    for (name, gid, input) in [("other", &gid(), "input"), ("sum", &gid(), "else"), ("sum", &saga, "input")] {
        let end = workflows.execute(name, gid, input).await;
        assert!(matches!(end, Err(WorkflowError::Conflict { .. })), "{name} {gid} {input}: {end:?}");
    }
    let end = workflows.execute("unheard of", &gid(), "").await;
    assert!(matches!(end, Err(WorkflowError::NotRegistered(name)) if name == "unheard of"));
}
