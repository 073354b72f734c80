//! Calls of one branch at the same time.

use trine_protocol::Op;

use super::service::{Service, TestDatabase, is_refused, start_waiting};
use crate::Outcome;
use crate::barrier::BarrierError;

pub(super) async fn a_prepare_during_a_prepare_is_ongoing<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let (call, go_on) = start_waiting(&service).await;
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::Ongoing(None));
    go_on.send(()).unwrap();
    assert_eq!(call.await.unwrap().unwrap(), Outcome::empty());
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    service.commit().await.unwrap();
    assert_eq!(service.seen().await, (2, 0));
}

pub(super) async fn a_rollback_during_a_prepare_waits_and_rolls_it_back<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let (call, go_on) = start_waiting(&service).await;
    let release = async { go_on.send(()).unwrap() };
    let (rolled_back, ()) = tokio::join!(service.rollback(), release);
    assert_eq!(rolled_back.unwrap(), Outcome::empty());
    call.await.unwrap().unwrap();
    assert!(matches!(service.commit().await, Err(BarrierError::NothingToConfirm { .. })));
    assert!(is_refused(&service.prepare(Outcome::empty()).await.unwrap()));
    assert_eq!(service.seen().await, (0, 0));
}

pub(super) async fn racing_commits_and_prepares_have_one_effect<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    while service.prepare(Outcome::empty()).await.unwrap() != Outcome::empty() {}
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (xa, context) = (service.xa.clone(), service.context(Op::Commit, 0));
        racing.spawn(async move { while xa.commit(&context).await.unwrap() != Outcome::empty() {} });
    }
    while let Some(ended) = racing.join_next().await {
        ended.unwrap();
    }
    assert_eq!(service.seen().await, (1, 1));
}
