//! Faults on demand: what is lost, and what is not.

use serde_json::json;
use trine_participants::faults::{Crash, Faults};
use trine_sdk::Op;

use crate::support::{Kind, Shop, call, http, three};

pub(crate) async fn a_crash_after_the_effect_loses_the_answer_and_nothing_else(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.inventory.addr();
    shop.inventory.faults().set(Faults {
        crash: Some(Crash::AfterEffect),
        remaining: Some(1),
        ..Faults::default()
    });
    assert_eq!(call(addr, "g", Op::Try, "/stock/try", &three()).await, None);
    assert_eq!(shop.stock().await, [7, 3, 0]);
    let (status, output) = call(addr, "g", Op::Try, "/stock/try", &three()).await.unwrap();
    assert_eq!((status, output.contains("\"available\":7")), (200, true), "{output}");
    assert_eq!(shop.stock().await, [7, 3, 0]);
}

pub(crate) async fn a_crash_before_the_effect_has_none(kind: Kind) {
    let shop = Shop::open(kind).await;
    let faults = json!({"crash": "before_effect", "only_path": "/stock/try"}).to_string();
    assert_eq!(http(shop.inventory.addr(), "POST", "/faults", "", &faults).await.unwrap().0, 200);
    assert_eq!(call(shop.inventory.addr(), "g", Op::Try, "/stock/try", &three()).await, None);
    assert_eq!(shop.stock().await, [10, 0, 0]);
    // Other paths are spared.
    shop.take("h", Op::Action, "/stock/reserve").await;
    assert_eq!(http(shop.inventory.addr(), "DELETE", "/faults", "", "").await.unwrap().0, 204);
    shop.take("g", Op::Try, "/stock/try").await;
    assert_eq!(shop.stock().await, [4, 3, 3]);
}

pub(crate) async fn errors_before_and_after_the_effect_are_survived_by_repeating(kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.inventory.faults().set(Faults { error_rate: 1.0, remaining: Some(20), ..Faults::default() });
    for _ in 0..20 {
        assert_eq!(call(shop.inventory.addr(), "g", Op::Try, "/stock/try", &three()).await.unwrap().0, 500);
    }
    shop.take("g", Op::Try, "/stock/try").await;
    assert_eq!(shop.stock().await, [7, 3, 0]);
}

pub(crate) async fn a_call_that_hangs_goes_on_when_the_fault_is_taken_away(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.inventory.addr();
    shop.inventory.faults().set(Faults { hang: true, remaining: Some(1), ..Faults::default() });
    let hanging = tokio::spawn(async move { call(addr, "g", Op::Try, "/stock/try", &three()).await });
    // The counter says that the call has come in.
    while shop.inventory.faults().get().remaining == Some(1) {
        tokio::task::yield_now().await;
    }
    shop.take("h", Op::Try, "/stock/try").await;
    assert_eq!(shop.stock().await, [7, 3, 0]);
    shop.inventory.faults().clear();
    assert_eq!(hanging.await.unwrap().unwrap().0, 200);
    assert_eq!(shop.stock().await, [4, 6, 0]);
}
