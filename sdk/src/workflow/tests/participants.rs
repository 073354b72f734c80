//! Steps at participants and behind barriers: what serves sagas and tcc serves workflows.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqlitePoolOptions;

use super::fake::serve;
use super::*;
use crate::barrier::SqliteBarrier;
use crate::{BranchContext, Outcome, Participant};

/// A shop with a number of things, and a barrier.
#[derive(Clone)]
struct Shop {
    pool: sqlx::SqlitePool,
    barrier: SqliteBarrier,
}

impl Shop {
    async fn open() -> Self {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql("CREATE TABLE things (free INTEGER, sold INTEGER); INSERT INTO things VALUES (3, 0)")
            .execute(&pool)
            .await
            .unwrap();
        let barrier = SqliteBarrier::new(pool.clone());
        barrier.install().await.unwrap();
        Self { pool, barrier }
    }

    async fn things(&self) -> (i64, i64) {
        sqlx::query_as("SELECT free, sold FROM things").fetch_one(&self.pool).await.unwrap()
    }

    async fn guarded(&self, call: &BranchContext, free: i64, sold: i64) -> Result<Outcome, Failure> {
        let body = async move |connection: &mut SqliteConnection| {
            let changed =
                sqlx::query("UPDATE things SET free = free + ?, sold = sold + ? WHERE free + ? >= 0")
                    .bind(free)
                    .bind(sold)
                    .bind(free)
                    .execute(connection)
                    .await?;
            match changed.rows_affected() {
                0 => Ok(Outcome::refused("sold out")),
                _ => Ok::<_, Failure>(Outcome::done(&free.abs())?),
            }
        };
        self.barrier.execute(call, body).await
    }

    fn router(&self) -> Router {
        let answer = |free: i64, sold: i64| {
            move |shop: Self, call: BranchContext, count: i64| async move {
                let outcome = shop.guarded(&call, free * count, sold * count).await;
                outcome.map_err(|failure| std::io::Error::other(failure.to_string()))
            }
        };
        Participant::new(self.clone())
            .action("/things", answer(-1, 1))
            .compensate("/things", answer(1, -1))
            .try_("/things", answer(-1, 0))
            .confirm("/things", answer(0, 1))
            .cancel("/things", answer(1, 0))
            .into_router()
    }
}

#[tokio::test]
async fn participants_of_sagas_serve_workflows_and_are_undone() {
    let (fake, shop) = (Fake::start().await, Shop::open().await);
    let (workflows, url) = (service(&fake), serve(shop.router()).await + "/things");
    workflows.register_json("buy", move |flow, counts: Vec<i64>| {
        let url = url.clone();
        async move {
            let mut bought = 0;
            for count in counts {
                let (at, undo) = (url.clone(), url.clone());
                bought += flow
                    .branch()
                    .on_rollback(async move |step: Step| step.tell(undo, &count).await)
                    .call::<_, i64>(at, count)
                    .await?;
            }
            Ok(bought)
        }
    });
    let end = workflows.execute_json::<_, i64>("buy", &Gid::parse("too-many").unwrap(), &[1, 1, 2]).await;
    assert!(matches!(&end, Err(WorkflowError::Refused(reason)) if reason == "sold out"), "{end:?}");
    assert_eq!(shop.things().await, (3, 0));
    assert_eq!(workflows.execute_json::<_, i64>("buy", &gid(), &[1, 2]).await.unwrap(), 3);
    assert_eq!(shop.things().await, (0, 3));
}

#[tokio::test]
async fn a_branch_with_a_commit_is_a_try_that_is_confirmed_or_cancelled() {
    let (fake, shop) = (Fake::start().await, Shop::open().await);
    let (workflows, url) = (service(&fake), serve(shop.router()).await + "/things");
    workflows.register_json("buy", move |flow, (count, refuses): (i64, bool)| {
        let url = url.clone();
        async move {
            let (keep, undo) = (url.clone(), url.clone());
            let reserved: i64 = flow
                .branch()
                .on_commit(async move |step: Step| step.tell(keep, &count).await)
                .on_rollback(async move |step: Step| step.tell(undo, &count).await)
                .call(url, count)
                .await?;
            if refuses { Err(Failure::refused("changed my mind")) } else { Ok(reserved) }
        }
    });
    let first = workflows.execute_json::<_, i64>("buy", &gid(), &(2, true)).await;
    assert!(matches!(first, Err(WorkflowError::Refused(_))), "{first:?}");
    assert_eq!(shop.things().await, (3, 0));
    let second = workflows.execute_json::<_, i64>("buy", &Gid::parse("second").unwrap(), &(2, false)).await;
    assert_eq!((second.unwrap(), shop.things().await), (2, (1, 2)));
}

#[tokio::test]
async fn a_step_behind_a_barrier_of_ones_own_has_one_effect_though_it_runs_twice() {
    let (fake, shop) = (Fake::start().await, Shop::open().await);
    for crashes in [true, false] {
        let (workflows, open) = (service(&fake), shop.clone());
        workflows.register_json("buy", move |flow, count: i64| {
            let shop = open.clone();
            async move {
                flow.branch()
                    .run(async move |step: Step| {
                        let bought = settle(shop.guarded(step.context(), -count, count).await?)?;
                        assert!(!crashes, "after the effect, and before it is on record");
                        Ok(bought)
                    })
                    .await
            }
        });
        match workflows.execute_json::<_, i64>("buy", &gid(), &2).await {
            Ok(bought) => assert_eq!((bought, crashes), (2, false)),
            Err(WorkflowError::Interrupted) => assert!(crashes),
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(shop.things().await, (1, 2));
    }
}
