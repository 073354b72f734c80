//! Writers that meet in one database: retention beside an append, and deadlocks.

use super::{Database, KINDS};
use crate::Appended;
use crate::remote;
use crate::remote::client::Client;
use crate::remote::texts::Text;
use crate::suite::fixture::{Tx, append, batch, create, gids, seqs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_that_deletes_what_an_append_follows_makes_it_a_conflict() {
    for kind in KINDS {
        let database = kind();
        let store = database.open("a").await;
        append(&*store, Tx::new("tx").batch([1, 2])).await;
        database.execute("DELETE FROM journal WHERE gid = 'tx'; DELETE FROM transactions WHERE gid = 'tx';");
        let appended =
            store.append(0, batch([(&Tx::new("tx"), vec![3]), (&Tx::new("other"), vec![1])])).await;
        assert_eq!(appended, Ok(Appended { conflicts: gids(&["tx"]) }));
        assert!(seqs(&*store, "tx").await.is_empty());
        assert_eq!(seqs(&*store, "other").await, [1]);
    }
}

/// Retention has deleted the journal and not committed yet when the append comes.
async fn retention_that_commits_later<C: Client>(database: &Database) {
    let store = database.open("a").await;
    append(&*store, Tx::new("tx").batch([1, 2])).await;
    let mut retention = C::connect(&C::address(&database.url).unwrap()).await.unwrap();
    retention.execute(database.begin(), &[]).await.unwrap();
    for table in ["journal", "transactions"] {
        let delete = format!("DELETE FROM {table} WHERE gid = 'tx'").leak();
        retention.execute(Text::verbatim(delete), &[]).await.unwrap();
    }
    let appending = tokio::spawn(store.append(0, Tx::new("tx").batch([3])));
    database.until_locked_out(1).await;
    retention.execute(Text::verbatim("COMMIT"), &[]).await.unwrap();
    assert_eq!(appending.await.unwrap(), Ok(Appended { conflicts: gids(&["tx"]) }));
    assert!(seqs(&*store, "tx").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_the_retention_that_deletes_what_it_follows() {
    retention_that_commits_later::<remote::Postgres>(&super::in_postgres()).await;
    retention_that_commits_later::<remote::MySql>(&super::in_mariadb()).await;
}

/// Another session holds the second row of the batch and then wants the first: a deadlock. The server chooses which of the
/// two it rolls back (PostgreSQL: the first that looks for a cycle), so this is repeated until it was the store.
async fn deadlock<C: Client>(database: &Database) {
    let store = database.open("a").await;
    let txs: Vec<Tx> = (0..40).map(|i| Tx::new(&format!("tx-{i:02}"))).collect();
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    let address = C::address(&database.url).unwrap();
    for seq in 2..20 {
        let mut other = C::connect(&address).await.unwrap();
        other.execute(database.begin(), &[]).await.unwrap();
        // More than the batch, so that it is not this side that is undone.
        let rest = "UPDATE transactions SET updated_at = updated_at + 1 WHERE gid > 'tx-01'";
        other.execute(Text::verbatim(rest), &[]).await.unwrap();
        let appending = tokio::spawn(store.append(0, batch(txs[..3].iter().map(|tx| (tx, vec![seq])))));
        database.until_locked_out(1).await;
        let first = "UPDATE transactions SET updated_at = updated_at + 1 WHERE gid = 'tx-00'";
        let won = other.execute(Text::verbatim(first), &[]).await.is_ok();
        if won {
            other.execute(Text::verbatim("COMMIT"), &[]).await.unwrap();
        }
        // Ends its transaction where that is still open.
        drop(other);
        assert_eq!(appending.await.unwrap(), Ok(Appended::default()));
        assert_eq!(seqs(&*store, "tx-00").await, (1..=seq).collect::<Vec<_>>());
        if won {
            return;
        }
    }
    panic!("the store never lost a deadlock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_loses_a_deadlock_is_tried_again() {
    deadlock::<remote::Postgres>(&super::in_postgres()).await;
    deadlock::<remote::MySql>(&super::in_mariadb()).await;
}
