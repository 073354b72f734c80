//! What the ops of the order service do, and what both services say to a wrong request.

use serde_json::json;
use trine_sdk::Op;

use crate::support::{Kind, Shop, call, done, get, http, three};

pub(crate) async fn preparing_nothing_is_a_read_only_vote(kind: Kind) {
    let shop = Shop::open(kind).await;
    let nothing = json!({"sku": "A-1", "quantity": 0});
    for (addr, path) in [(shop.inventory.addr(), "/stock/prepare"), (shop.order.addr(), "/orders/prepare")] {
        let (status, body) = call(addr, "g", Op::Prepare, path, &nothing).await.unwrap();
        assert_eq!((status, body.as_str()), (200, "read-only null"));
    }
}

pub(crate) async fn an_order_is_pending_then_confirmed_or_cancelled(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.order.addr();
    let state =
        async |gid: &str| get(addr, &format!("/orders/{gid}~b")).await["state"].as_str().unwrap().to_owned();
    done(addr, "t1", Op::Try, "/orders/try", &three()).await;
    assert_eq!(state("t1").await, "pending");
    done(addr, "t1", Op::Confirm, "/orders/confirm", &three()).await;
    assert_eq!(state("t1").await, "confirmed");
    done(addr, "t2", Op::Try, "/orders/try", &three()).await;
    done(addr, "t2", Op::Cancel, "/orders/cancel", &three()).await;
    assert_eq!(state("t2").await, "cancelled");
    done(addr, "s1", Op::Action, "/orders/create", &three()).await;
    assert_eq!(state("s1").await, "confirmed");
    done(addr, "s1", Op::Compensate, "/orders/cancel", &three()).await;
    assert_eq!(state("s1").await, "cancelled");
    done(addr, "p1", Op::Prepare, "/orders/branch", &three()).await;
    let summary = get(addr, "/orders/summary").await;
    assert_eq!(summary["pending"], json!({"orders": 1, "quantity": 3}));
    assert_eq!(summary["confirmed"], json!({"orders": 1, "quantity": 3}));
    assert_eq!(summary["cancelled"], json!({"orders": 2, "quantity": 6}));
    assert_eq!(summary["confirmed_by_sku"], json!({"A-1": 3}));
    done(addr, "p1", Op::Rollback, "/orders/branch", &three()).await;
    assert_eq!(state("p1").await, "cancelled");
    assert_eq!(get(addr, "/orders?state=cancelled").await.as_array().unwrap().len(), 3);
    assert_eq!(get(addr, "/orders?gid=t1&limit=5").await[0]["id"], "t1~b");
}

pub(crate) async fn orders_that_are_not_accepted_are_refused(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.order.addr();
    for quantity in [0, 1_001] {
        let order = json!({"sku": "A-1", "quantity": quantity});
        assert_eq!(call(addr, &format!("g{quantity}"), Op::Try, "/orders/try", &order).await.unwrap().0, 409);
    }
    let named = json!({"sku": "A-1", "id": "4711"});
    done(addr, "g1", Op::Action, "/orders/create", &named).await;
    assert_eq!(get(addr, "/orders/4711").await["quantity"], 1);
    assert_eq!(call(addr, "g2", Op::Action, "/orders/create", &named).await.unwrap().0, 409);
    // A payload that is none is a mistake of the initiator's program, not a business "no".
    assert_eq!(call(addr, "g3", Op::Action, "/orders/create", &json!({"quantity": 1})).await.unwrap().0, 400);
}

pub(crate) async fn what_people_get_wrong_is_told(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (inventory, order) = (shop.inventory.addr(), shop.order.addr());
    assert_eq!(http(inventory, "GET", "/stock/none", "", "").await.unwrap().0, 404);
    assert_eq!(http(order, "GET", "/orders/none", "", "").await.unwrap().0, 404);
    assert_eq!(http(order, "GET", "/orders?limit=1001", "", "").await.unwrap().0, 422);
    for stock in [
        json!({"sku": "summary", "quantity": 1}),
        json!({"sku": "A-1", "quantity": -1}),
        json!({"sku": "a/b", "quantity": 1}),
    ] {
        assert_eq!(http(inventory, "POST", "/stock", "", &stock.to_string()).await.unwrap().0, 422);
    }
    for faults in [json!({"error_rate": 1.5}), json!({"delay_ms": 10_000_000}), json!({"no_such_fault": 1})] {
        assert_eq!(http(inventory, "POST", "/faults", "", &faults.to_string()).await.unwrap().0, 422);
    }
    assert_eq!(get(inventory, "/health").await, json!({"service": "inventory", "status": "ok"}));
    assert_eq!(get(inventory, "/faults").await["hang"], false);
}
