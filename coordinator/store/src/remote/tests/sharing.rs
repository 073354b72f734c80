//! Tests of several coordinators on one database: which are alive, which has a name, which adopts.

use std::collections::BTreeSet;

use trine_protocol::Status;

use super::{Database, KINDS, heartbeat};
use crate::suite::Subject;
use crate::suite::fixture::{Tx, append, at, create, gid};
use crate::{HeartbeatAnswer, OpenError, Options, open};

#[tokio::test]
async fn a_heartbeat_that_was_late_says_so_once() {
    for kind in KINDS {
        let database = kind();
        let store = database.open("a").await;
        assert_eq!(heartbeat(&*store).await, Ok(HeartbeatAnswer::Alive));
        database.lapse("a").await;
        assert_eq!(heartbeat(&*store).await, Ok(HeartbeatAnswer::Lapsed));
        assert_eq!(heartbeat(&*store).await, Ok(HeartbeatAnswer::Alive));
        database.execute("DELETE FROM coordinators");
        assert_eq!(heartbeat(&*store).await, Ok(HeartbeatAnswer::Lapsed));
        assert_eq!(heartbeat(&*store).await, Ok(HeartbeatAnswer::Alive));
    }
}

#[tokio::test]
async fn whoever_starts_under_a_name_supersedes_the_one_that_had_it() {
    for kind in KINDS {
        let database = kind();
        let first = database.open("a").await;
        create(&*first, &[&Tx::new("tx")]).await;
        let second = database.open("a").await;
        assert_eq!(heartbeat(&*first).await, Ok(HeartbeatAnswer::Superseded));
        assert_eq!(heartbeat(&*second).await, Ok(HeartbeatAnswer::Alive));
        assert_eq!(second.unfinished(None, at(0), 9).await, Ok(vec![gid("tx")]));
        // The name belongs to another process by now, so leaving must not take anything from that process.
        first.leave().await.unwrap();
        assert_eq!(heartbeat(&*second).await, Ok(HeartbeatAnswer::Alive));
    }
}

#[tokio::test]
async fn a_name_is_not_taken_from_who_beats_and_is_from_who_left_or_fell_silent() {
    for kind in KINDS {
        let database = kind();
        let first = database.open("a").await;
        let patient = Options { name_wait_ms: 60_000, ..database.options("a") };
        let beats = async {
            loop {
                assert_eq!(heartbeat(&*first).await, Ok(HeartbeatAnswer::Alive));
            }
        };
        let refused = tokio::select! {
            refused = open(&patient) => refused.unwrap_err(),
            () = beats => unreachable!("a heart goes on"),
        };
        assert!(matches!(&refused, OpenError::NameInUse { name, .. } if name == "a"), "{refused}");
        assert_eq!(heartbeat(&*first).await, Ok(HeartbeatAnswer::Alive), "nothing was taken from it");

        first.leave().await.unwrap();
        let second = open(&patient).await.unwrap();
        assert_eq!(heartbeat(&*second).await, Ok(HeartbeatAnswer::Alive));

        let third = open(&Options { name_wait_ms: 50, ..patient.clone() }).await.unwrap();
        assert_eq!(heartbeat(&*second).await, Ok(HeartbeatAnswer::Superseded), "it was silent for too long");
        database.lapse("a").await;
        open(&patient).await.unwrap();
        assert_eq!(heartbeat(&*third).await, Ok(HeartbeatAnswer::Superseded));
    }
}

#[tokio::test]
async fn what_a_coordinator_leaves_is_adopted_at_once() {
    for kind in KINDS {
        let database = kind();
        let (one, two) = (database.open("one").await, database.open("two").await);
        create(&*one, &[&Tx::new("tx")]).await;
        assert_eq!(two.adopt(9).await, Ok(Vec::new()));
        one.leave().await.unwrap();
        assert_eq!(two.adopt(9).await, Ok(vec![gid("tx")]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adopters_that_claim_side_by_side_share_and_repeat_nothing() {
    for kind in KINDS {
        let database = kind();
        let gone = database.open("gone").await;
        let txs: Vec<Tx> = (0..300).map(|i| Tx::new(&format!("tx-{i:03}"))).collect();
        create(&*gone, &txs.iter().collect::<Vec<_>>()).await;
        gone.leave().await.unwrap();
        let adopters = ["one", "two", "three"].map(|name| {
            let options = database.options(name);
            tokio::spawn(async move {
                let store = crate::open(&options).await.unwrap();
                let mut claimed = Vec::new();
                // One that meets only rows the others are just claiming comes back empty: it asks again.
                for _ in 0..60 {
                    claimed.extend(store.adopt(10).await.unwrap());
                }
                claimed
            })
        });
        let mut all = Vec::new();
        for adopter in adopters {
            all.extend(adopter.await.unwrap());
        }
        let distinct: BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (300, 300));
    }
}

#[tokio::test]
async fn coordinators_are_listed_with_what_they_own() {
    for kind in KINDS {
        let database = kind();
        let (one, two) = (database.open("one").await, database.open("two").await);
        create(&*one, &[&Tx::new("a"), &Tx::new("b"), &Tx::new("c").status(Status::Committed, 1)]).await;
        append(&*two, Tx::new("b").batch([2])).await;
        database.lapse("one").await;
        let found = two.coordinators().await.unwrap();
        let found: Vec<_> = found.iter().map(|c| (c.name.as_str(), c.alive, c.unfinished)).collect();
        assert_eq!(found, [("one", false, 1), ("two", true, 1)]);
        one.leave().await.unwrap();
        assert_eq!(two.coordinators().await.unwrap()[0].heartbeat_at.millis(), 0);
    }
}

/// What a clock that leaps by so much does to rows that were written before.
fn leap(database: &Database, by_ms: i64) {
    database.execute(&format!(
        "UPDATE coordinators SET previous_at = previous_at - ({by_ms}), heartbeat_at = heartbeat_at - ({by_ms})"
    ));
}

#[tokio::test]
async fn when_the_databases_clock_leaps_ahead_nobody_adopts_from_the_living_and_nobody_lapses() {
    for kind in KINDS {
        let database = kind();
        let (one, two) = (database.open("one").await, database.open("two").await);
        create(&*one, &[&Tx::new("tx")]).await;
        leap(&database, 60_000);
        for _ in 0..3 {
            assert_eq!(two.adopt(9).await, Ok(Vec::new()), "it is alive");
        }
        let seen = two.coordinators().await.unwrap();
        assert!(seen.iter().any(|other| other.name == "one" && other.alive), "{seen:?}");
        assert_eq!(heartbeat(&*one).await, Ok(HeartbeatAnswer::Alive), "nobody has adopted");
        assert_eq!(two.adopt(9).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn a_dead_coordinator_is_adopted_from_although_its_heartbeat_lies_in_the_future() {
    for kind in KINDS {
        let database = kind();
        let dead = database.open("dead").await;
        create(&*dead, &[&Tx::new("tx")]).await;
        let impatient = |name| Options { lapse_after_ms: 100, ..database.options(name) };
        let (one, two) = (open(&impatient("one")).await.unwrap(), database.open("two").await);
        leap(&database, -600_000);
        let adopted = async {
            loop {
                let adopted = one.adopt(9).await.unwrap();
                if !adopted.is_empty() {
                    return adopted;
                }
            }
        };
        let adopted = tokio::time::timeout(std::time::Duration::from_secs(60), adopted).await;
        assert_eq!(adopted.unwrap(), [gid("tx")]);
        // A coordinator that has not noted this heartbeat goes by the row.
        let seen = two.coordinators().await.unwrap();
        assert!(seen.iter().any(|other| other.name == "dead" && !other.alive && !other.gave_up), "{seen:?}");
        create(&*dead, &[&Tx::new("late")]).await;
        assert_eq!(two.adopt(9).await, Ok(vec![gid("late")]));
        // It was paused, and not dead: whatever the clock says, it learns at once that others have adopted.
        assert_eq!(heartbeat(&*dead).await, Ok(HeartbeatAnswer::Lapsed));
        assert_eq!(heartbeat(&*dead).await, Ok(HeartbeatAnswer::Alive));
        create(&*dead, &[&Tx::new("again")]).await;
        assert_eq!(two.adopt(9).await, Ok(Vec::new()), "a heartbeat takes the word back");
    }
}

#[tokio::test]
async fn of_two_heartbeats_none_is_like_the_other() {
    for kind in KINDS {
        let database = kind();
        let store = database.open("a").await;
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            assert!(seen.insert(store.heartbeat().await.unwrap().at), "others look whether it changes");
        }
    }
}

#[tokio::test]
async fn who_gave_up_is_told_from_who_stopped_and_is_adopted_from() {
    for kind in KINDS {
        let database = kind();
        let (one, two) = (database.open("one").await, database.open("two").await);
        create(&*one, &[&Tx::new("tx")]).await;
        one.give_up().await.unwrap();
        let seen = two.coordinators().await.unwrap();
        let state = (seen[0].alive, seen[0].gave_up, seen[0].heartbeat_at.millis() > 1_000);
        assert_eq!(state, (false, true, true), "{seen:?}");
        assert_eq!(two.adopt(9).await, Ok(vec![gid("tx")]));
        two.sweep_coordinators().await.unwrap();
        assert_eq!(heartbeat(&*one).await, Ok(HeartbeatAnswer::Lapsed), "it can work again");
        assert_eq!(heartbeat(&*one).await, Ok(HeartbeatAnswer::Alive));
        let seen = two.coordinators().await.unwrap();
        assert_eq!((seen[0].alive, seen[0].gave_up), (true, false), "{seen:?}");
    }
}

#[tokio::test]
async fn an_owner_nobody_knows_any_more_is_adopted_from() {
    for kind in KINDS {
        let database = kind();
        let gone = database.open("gone").await;
        create(&*gone, &[&Tx::new("tx")]).await;
        let here = database.open("here").await;
        database.execute("DELETE FROM coordinators WHERE id = 'gone'");
        assert_eq!(here.sweep_coordinators().await, Ok(0));
        assert_eq!(here.adopt(9).await, Ok(vec![gid("tx")]));
        assert_eq!(here.sweep_coordinators().await, Ok(1));
    }
}
