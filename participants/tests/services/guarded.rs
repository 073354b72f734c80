//! The services register as guarded, and keep what that promises.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use trine_participants::{Config, inventory, order};
use trine_sdk::Op;

use crate::support::{Kind, Shop, call, done, get, three};

async fn register(State(told): State<UnboundedSender<Value>>, Json(body): Json<Value>) -> Json<Value> {
    let answer =
        json!({"name": body["name"], "base_url": body["base_url"], "expires_at": "2030-01-31T12:00:00Z"});
    told.send(body).unwrap();
    Json(answer)
}

#[tokio::test]
async fn both_services_register_as_guarded() {
    let (told, mut heard) = unbounded_channel();
    let router = Router::new().route("/v1/participants", post(register)).with_state(told);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let coordinator = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let directory = tempfile::tempdir().unwrap();
    let config = |file: &str| {
        let embedded = Config::embedded(directory.path().join(file));
        Config { register: vec![coordinator.clone()], ..embedded }
    };
    let _inventory = inventory::Service::start(config("i.db")).await.unwrap();
    let first = heard.recv().await.unwrap();
    let _order = order::Service::start(config("o.db")).await.unwrap();
    let second = heard.recv().await.unwrap();
    for (body, name) in [(first, "inventory"), (second, "order")] {
        assert_eq!((&body["name"], &body["guarded"]), (&json!(name), &json!(true)), "{body}");
    }
}

pub(crate) async fn actions_are_repeated_and_undone_as_a_guarded_registration_promises(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (inventory, orders) = (shop.inventory.addr(), shop.order.addr());
    let untouched = (shop.stock().await, get(orders, "/orders/summary").await["confirmed"].clone());
    for (addr, action, compensate) in [
        (inventory, "/stock/reserve", "/stock/release"),
        (inventory, "/stock/branch", "/stock/branch"),
        (orders, "/orders/create", "/orders/cancel"),
        (orders, "/orders/branch", "/orders/branch"),
    ] {
        let gid = |case: &str| format!("{case}{}", action.replace('/', "."));
        let first = call(addr, &gid("again"), Op::Action, action, &three()).await;
        assert_eq!(call(addr, &gid("again"), Op::Action, action, &three()).await, first, "{action}");
        for _ in 0..2 {
            done(addr, &gid("again"), Op::Compensate, compensate, &three()).await;
        }
        done(addr, &gid("never"), Op::Compensate, compensate, &three()).await;
        let late = call(addr, &gid("never"), Op::Action, action, &three()).await.unwrap();
        assert_eq!(late.0, 409, "{action}: {}", late.1);
    }
    let left = (shop.stock().await, get(orders, "/orders/summary").await["confirmed"].clone());
    assert_eq!(left, untouched);
}
