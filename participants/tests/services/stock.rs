//! What the ops of the inventory do to the stock, alone and at the same time.

use serde_json::{Value, json};
use trine_participants::faults::Faults;
use trine_participants::{Config, Synchronous, inventory};
use trine_sdk::Op;

use crate::support::{Kind, Shop, call, done};

pub(crate) async fn stock_is_frozen_then_sold_or_given_back(kind: Kind) {
    for (forward, confirm, undo) in [
        ((Op::Try, "/stock/try"), (Op::Confirm, "/stock/confirm"), (Op::Cancel, "/stock/cancel")),
        ((Op::Prepare, "/stock/prepare"), (Op::Commit, "/stock/commit"), (Op::Rollback, "/stock/rollback")),
    ] {
        let shop = Shop::open(kind).await;
        shop.take("yes", forward.0, forward.1).await;
        assert_eq!(shop.stock().await, [7, 3, 0]);
        shop.take("yes", confirm.0, confirm.1).await;
        assert_eq!(shop.stock().await, [7, 0, 3]);
        shop.take("no", forward.0, forward.1).await;
        assert_eq!(shop.stock().await, [4, 3, 3]);
        shop.take("no", undo.0, undo.1).await;
        assert_eq!(shop.stock().await, [7, 0, 3]);
    }
}

pub(crate) async fn a_saga_sells_and_takes_back(kind: Kind) {
    for (action, compensate) in [("/stock/reserve", "/stock/release"), ("/stock/branch", "/stock/branch")] {
        let shop = Shop::open(kind).await;
        shop.take("g", Op::Action, action).await;
        assert_eq!(shop.stock().await, [7, 0, 3]);
        shop.take("g", Op::Compensate, compensate).await;
        assert_eq!(shop.stock().await, [10, 0, 0]);
    }
}

pub(crate) async fn a_delivery_comes_in_once(kind: Kind) {
    let shop = Shop::open(kind).await;
    for _ in 0..2 {
        shop.take("g", Op::Deliver, "/stock/receive").await;
        assert_eq!(shop.stock().await, [13, 0, 0]);
    }
}

pub(crate) async fn short_stock_is_refused_with_the_reason(kind: Kind) {
    let shop = Shop::open(kind).await;
    for (op, path) in
        [(Op::Try, "/stock/try"), (Op::Action, "/stock/reserve"), (Op::Prepare, "/stock/prepare")]
    {
        let wanted = json!({"sku": "A-1", "quantity": 11});
        let (status, body) = call(shop.inventory.addr(), "g", op, path, &wanted).await.unwrap();
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, problem["detail"].as_str().unwrap()), (409, "11 of A-1 wanted, 10 available"));
        let unknown = json!({"sku": "B-2"});
        let (status, body) = call(shop.inventory.addr(), "h", op, path, &unknown).await.unwrap();
        assert!(status == 409 && body.contains("B-2 is not in stock"), "{body}");
    }
    assert_eq!(shop.stock().await, [10, 0, 0]);
}

pub(crate) async fn concurrent_buyers_never_oversell(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.inventory.addr();
    let buyers: Vec<_> = (0..20)
        .map(|buyer| {
            tokio::spawn(async move {
                let gid = format!("g{buyer}");
                let one = json!({"sku": "A-1"});
                let status = call(addr, &gid, Op::Try, "/stock/try", &one).await.unwrap().0;
                let next = if status == 200 {
                    (Op::Confirm, "/stock/confirm")
                } else {
                    (Op::Cancel, "/stock/cancel")
                };
                done(addr, &gid, next.0, next.1, &one).await;
                status
            })
        })
        .collect();
    let mut sold = 0;
    for buyer in buyers {
        sold += i64::from(buyer.await.unwrap() == 200);
    }
    assert_eq!((sold, shop.stock().await), (10, [0, 0, 10]));
}

pub(crate) async fn orders_that_cross_each_other_end(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.inventory.addr();
    let calls = (0..24).map(|number| async move {
        let gid = format!("g{}", number % 12);
        let (op, path) =
            if number < 12 { (Op::Action, "/stock/reserve") } else { (Op::Compensate, "/stock/release") };
        let one = json!({"sku": "A-1"});
        while call(addr, &gid, op, path, &one).await.unwrap().0 == 500 {}
    });
    let mut running = tokio::task::JoinSet::new();
    for call in calls {
        running.spawn(call);
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert_eq!(shop.stock().await, [10, 0, 0]);
}

pub(crate) async fn a_service_that_restarts_remembers(kind: Kind) {
    let mut shop = Shop::open(kind).await;
    shop.take("g", Op::Try, "/stock/try").await;
    shop.inventory.faults().set(Faults { hang: true, ..Faults::default() });
    shop.inventory.shutdown().await;
    let config = Config { synchronous: Synchronous::Off, ..Config::embedded(shop.stock.clone()) };
    shop.inventory = inventory::Service::start(config).await.unwrap();
    shop.take("g", Op::Try, "/stock/try").await;
    assert_eq!(shop.stock().await, [7, 3, 0]);
    shop.take("g", Op::Confirm, "/stock/confirm").await;
    assert_eq!(shop.stock().await, [7, 0, 3]);
    shop.order.shutdown().await;
}
