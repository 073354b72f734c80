//! Entries: broken connections and deadlocks are not told as races that were lost.

use trine_protocol::Timestamp;

use super::{Database, Server, in_mariadb, in_postgres};
use crate::remote;
use crate::remote::client::Client;
use crate::remote::texts::Text;
use crate::{Change, Key, Revision, StoreError, Value};

const CATEGORY: Key = Key::constant("topics");

#[tokio::test]
async fn a_change_over_a_connection_that_is_gone_is_made_once_or_is_in_doubt() {
    let database = in_mariadb();
    let Server::MariaDb(server) = database.server else { unreachable!() };
    let store = database.open("a").await;
    let key = Key::constant("k");
    let at = Timestamp::from_millis(1);
    let put = |value: &str, expected: Option<Revision>| {
        store.put(CATEGORY, key.clone(), Value::parse(value).unwrap(), expected, at)
    };
    assert_eq!(put("one", None).await, Ok(Change::Done));
    let first = Revision { version: 1, created_at: at };
    server.terminate_connections(database.name());
    assert_eq!(put("two", Some(first)).await, Ok(Change::Done));
    server.terminate_connections(database.name());
    // The first try may have made the change before its connection broke, and the second then loses to it. The loss of an
    // idle connection may be noticed before.
    let third = put("three", Some(first)).await;
    assert!(matches!(third, Err(StoreError::Unavailable(_)) | Ok(Change::Lost)), "{third:?}");
    assert_eq!(put("three", Some(first)).await, Ok(Change::Lost));
    let found = store.entry(CATEGORY, key.clone()).await.unwrap().unwrap();
    assert_eq!((found.value.as_str(), found.revision.version), ("two", 2));
}

/// Two sessions wait for a third one, which has inserted the entry and then rolls back. MariaDB then gives each of the two
/// a lock that the other one must wait for, and rolls back one of them.
async fn third<C: Client>(database: &Database) {
    let store = database.open("a").await;
    let address = C::address(&database.url).unwrap();
    let mut other = C::connect(&address).await.unwrap();
    other.execute(database.begin(), &[]).await.unwrap();
    let insert = "INSERT INTO key_values (category, name, value, version, created_at, updated_at) \
         VALUES ('topics', 'k', '', 1, 1, 1)";
    other.execute(Text::verbatim(insert), &[]).await.unwrap();
    let put = |value: &str| {
        let value = Value::parse(value).unwrap();
        tokio::spawn(store.put(CATEGORY, Key::constant("k"), value, None, Timestamp::from_millis(2)))
    };
    let putting = [put("one"), put("two")];
    database.until_locked_out(2).await;
    // Without a commit its transaction is rolled back.
    drop(other);
    let mut changes = Vec::new();
    for put in putting {
        changes.push(put.await.unwrap().unwrap());
    }
    assert_eq!(changes.iter().filter(|change| **change == Change::Done).count(), 1, "{changes:?}");
    let found = store.entry(CATEGORY, Key::constant("k")).await.unwrap().unwrap();
    let winner = if changes[0] == Change::Done { "one" } else { "two" };
    assert_eq!((found.value.as_str(), found.revision.version), (winner, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_loses_a_deadlock_is_tried_again() {
    third::<remote::Postgres>(&in_postgres()).await;
    third::<remote::MySql>(&in_mariadb()).await;
}
