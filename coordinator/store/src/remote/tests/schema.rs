//! Tests of the tables: the same in every database, and made once when several processes start together.

use std::collections::BTreeMap;

use sqlx::{Connection, Row, SqliteConnection};
use trine_testkit::mariadb;

use super::{Database, KINDS, Server, heartbeat, in_mariadb};
use crate::suite;
use crate::suite::fixture::{Tx, create};
use crate::{HeartbeatAnswer, OpenError, Options, migrate, open};

/// Table, column, kind of value, may be absent; and each table's primary key.
type Tables = BTreeMap<String, String>;

/// A kind of value by the name each database has for it.
fn kind(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "text" | "varchar" | "longtext" | "varbinary" => "text",
        "bigint" | "integer" | "int8" => "integer",
        other => panic!("a column of an unexpected kind: {other}"),
    }
}

fn tables_of(database: &Database) -> Tables {
    let (schema, key) = match database.server {
        Server::Postgres(_) => ("public", "kcu.constraint_name LIKE '%_pkey'"),
        Server::MariaDb(_) => (database.name(), "kcu.constraint_name = 'PRIMARY'"),
    };
    let columns = database.execute(&format!(
        "SELECT CONCAT(table_name, '.', column_name, ' ', data_type, ' ', is_nullable) FROM information_schema.columns \
         WHERE table_schema = '{schema}' AND table_name <> 'trine_migrations'"
    ));
    let keys = database.execute(&format!(
        "SELECT CONCAT(kcu.table_name, '#', kcu.ordinal_position, ' ', kcu.column_name) \
         FROM information_schema.key_column_usage AS kcu WHERE kcu.table_schema = '{schema}' AND {key} \
         AND kcu.table_name <> 'trine_migrations'"
    ));
    let mut tables = Tables::new();
    for line in columns.lines() {
        let (column, rest) = line.split_once(' ').unwrap();
        let (name, nullable) = rest.rsplit_once(' ').unwrap();
        tables.insert(column.to_owned(), format!("{} {}", kind(name), nullable == "YES"));
    }
    for line in keys.lines() {
        let (place, column) = line.split_once(' ').unwrap();
        tables.insert(place.to_owned(), column.to_owned());
    }
    tables
}

async fn tables_of_sqlite() -> Tables {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trine.db");
    let store = open(&Options::new(&format!("sqlite:{}", file.display()), "a")).await.unwrap();
    store.close().await.unwrap();
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let rows = sqlx::query(
        "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
         WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut tables = Tables::new();
    for row in rows {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let (name, not_null, key): (String, bool, i64) = (row.get(2), row.get(3), row.get(4));
        tables.insert(format!("{table}.{column}"), format!("{} {}", kind(&name), !not_null));
        if key > 0 {
            tables.insert(format!("{table}#{key}"), column);
        }
    }
    tables
}

#[tokio::test]
async fn the_tables_are_logically_the_same_in_every_database() {
    let expected = tables_of_sqlite().await;
    assert!(expected.len() > 30, "{expected:?}");
    assert_eq!(expected["key_values#2"], "name");
    for kind in KINDS {
        let database = kind();
        migrate(&database.options("m")).await.unwrap();
        assert_eq!(tables_of(&database), expected, "{:?}", database.server);
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    for kind in KINDS {
        let database = kind();
        assert!(migrate(&database.options("m")).await.unwrap() >= 2);
        let before = tables_of(&database);
        assert_eq!(migrate(&database.options("m")).await.unwrap(), 0);
        database.open("a").await.close().await.unwrap();
        assert_eq!(tables_of(&database), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_that_start_at_once_do_not_collide() {
    for kind in KINDS {
        for _ in 0..3 {
            let database = kind();
            let names = ["one", "two", "three", "four"];
            let mut journals = std::collections::BTreeSet::new();
            let starting = names.map(|name| {
                let options = database.options(name);
                tokio::spawn(async move { open(&options).await })
            });
            for starting in starting {
                let store = starting.await.unwrap().unwrap();
                journals.insert(store.journal_id());
                store.close().await.unwrap();
            }
            assert_eq!(journals.len(), 1, "they share one journal: {journals:?}");
        }
    }
}

#[tokio::test]
async fn a_migration_that_was_cut_off_is_done_again() {
    let database = in_mariadb();
    migrate(&database.options("m")).await.unwrap();
    database.execute("UPDATE trine_migrations SET success = false; DROP TABLE coordinators;");
    assert!(migrate(&database.options("m")).await.unwrap() >= 2);
    database.open("a").await.close().await.unwrap();
}

#[tokio::test]
async fn everything_that_is_damaged_is_found() {
    for kind in KINDS {
        let database = kind();
        let execute = async |sql| drop(database.execute(sql));
        suite::everything_that_is_damaged_is_found(&database.options("a"), execute).await;
    }
}

#[tokio::test]
async fn a_user_that_may_not_create_tables_will_do_once_they_are_there() {
    for kind in KINDS {
        let database = kind();
        let (name, limited) = (database.name().to_owned(), format!("limited_{}", database.name()));
        let as_limited = |url: &str| url.replace("user:password@", &format!("{limited}:password@"));
        let run = |sql: String| database.execute(&sql);
        match database.server {
            Server::Postgres(_) => run(format!("CREATE ROLE {limited} LOGIN PASSWORD 'password'")),
            Server::MariaDb(_) => run(format!(
                "CREATE USER {limited}@'%' IDENTIFIED BY 'password'; \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO {limited}@'%';"
            )),
        };
        let options = Options::new(&as_limited(&database.url), "a");
        assert!(open(&options).await.is_err(), "there are no tables yet, and it may not create them");
        migrate(&database.options("m")).await.unwrap();
        if let Server::Postgres(_) = database.server {
            run(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {limited}"));
        }
        let store = open(&options).await.unwrap();
        create(&*store, &[&Tx::new("tx").label("k", "v")]).await;
        assert_eq!(store.adopt(9).await, Ok(Vec::new()));
        assert_eq!(heartbeat(&*store).await, Ok(HeartbeatAnswer::Alive));
    }
}

#[tokio::test]
async fn a_parameter_that_would_be_ignored_is_refused_without_its_value() {
    for url in ["postgres://h/db?passwrod=hunter2", "mysql://h/db?tls=hunter2"] {
        let error = open(&Options::new(url, "a")).await.err().unwrap();
        assert!(matches!(error, OpenError::Url { .. }), "{error}");
        assert!(error.to_string().contains("ssl") && !error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    for kind in KINDS {
        let database = kind();
        migrate(&database.options("m")).await.unwrap();
        database.execute(
            "INSERT INTO trine_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', true, '0', 0)",
        );
        let error = open(&database.options("a")).await.err().unwrap();
        assert!(matches!(error, OpenError::Newer { migration: 9999, .. }), "{error}");
    }
}

/// What is asked all the time, and the indexes one of which it must walk.
const HOT: [(&str, &[&str]); 5] = [
    (
        "SELECT gid FROM transactions WHERE settled_at IS NULL AND owner = 'a' AND gid > 'gid-2' \
         AND (due_at IS NULL OR due_at <= 5) ORDER BY gid LIMIT 500",
        &["transactions_owned", "transactions_due"],
    ),
    (
        "SELECT gid FROM transactions WHERE settled_at IS NULL AND due_at IS NOT NULL AND owner = 'a' AND due_at <= 5000 \
         ORDER BY due_at, gid LIMIT 9",
        &["transactions_due"],
    ),
    (
        "SELECT t.gid FROM transactions AS t WHERE t.created_at >= 0 AND t.created_at <= 40000 AND (t.created_at < 40000 \
         OR t.gid < 'x') ORDER BY t.created_at DESC, t.gid DESC LIMIT 50",
        &["transactions_newest"],
    ),
    (
        "SELECT gid FROM transactions WHERE settled_at IS NOT NULL AND settled_at < 100 ORDER BY settled_at, gid LIMIT 9",
        &["transactions_settled"],
    ),
    (
        "SELECT c.id FROM coordinators AS c WHERE c.id <> 'b' AND EXISTS (SELECT 1 FROM transactions AS t \
         WHERE t.settled_at IS NULL AND t.owner = c.id) ORDER BY c.id",
        &["transactions_owned", "transactions_due"],
    ),
];

/// MariaDB and MySQL have no function in common that makes rows.
fn numbers_to_50000() -> String {
    let digits =
        (1..10).fold("SELECT 0 AS d".to_owned(), |all, digit| format!("{all} UNION ALL SELECT {digit}"));
    let of = |name: &str| format!("({digits}) AS {name}");
    format!(
        "(SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n FROM {}, {}, {}, {}, {} WHERE f.d < 5) AS n",
        of("a"),
        of("b"),
        of("c"),
        of("e"),
        of("f")
    )
}

/// Lists and recovery must not walk through everything that ever was.
#[tokio::test]
async fn hot_queries_walk_an_index() {
    for kind in KINDS {
        let database = kind();
        database.open("a").await.close().await.unwrap();
        let numbers = match database.server {
            Server::Postgres(_) => "generate_series(1, 50000) AS n(n)".to_owned(),
            Server::MariaDb(_) => numbers_to_50000(),
        };
        database.execute(&format!(
            "INSERT INTO transactions SELECT CONCAT('gid-', n), 'saga', CASE WHEN n % 1000 = 0 THEN 'running' ELSE 'committed' \
             END, NULL, 'a', CASE WHEN n % 2000 = 0 THEN n END, n, n, CASE WHEN n % 1000 = 0 THEN NULL ELSE n END, 'h' \
             FROM {numbers}"
        ));
        database.execute(match database.server {
            Server::Postgres(_) => "ANALYZE transactions",
            Server::MariaDb(_) => "ANALYZE TABLE transactions",
        });
        for (sql, indexes) in HOT {
            // MySQL draws a tree unless it is asked for a table.
            let format = if mariadb::is_mysql() && matches!(database.server, Server::MariaDb(_)) {
                "FORMAT=TRADITIONAL"
            } else {
                ""
            };
            let plan = database.execute(&format!("EXPLAIN {format} {sql}"));
            let used = match database.server {
                Server::Postgres(_) => {
                    indexes.iter().any(|index| plan.contains(index))
                        && !plan.contains("Seq Scan on transactions")
                }
                // The key it takes, not one it might. MySQL has a column more in front of it.
                Server::MariaDb(_) => {
                    let column = if mariadb::is_mysql() { 6 } else { 5 };
                    let mut keys = plan.lines().filter_map(|line| line.split('\t').nth(column));
                    keys.any(|key| indexes.contains(&key))
                }
            };
            assert!(used, "{:?}: {plan} uses none of {indexes:?} for {sql}", database.url);
        }
    }
}
