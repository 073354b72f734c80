//! A database server for `cargo xtask bench`, at its durable defaults, with a proxy in front that can delay what goes to the
//! server. It is steered over HTTP:
//!
//! | GET | answer |
//! |---|---|
//! | `/database` | the URL of a new empty database, not through the proxy |
//! | `/delayed` | the same, through the proxy |
//! | `/delay/MS` | from now on the proxy holds each request for so many milliseconds |
//! | `/syncs` | how often the server has synced files to the disk so far |

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;
use trine_testkit::mariadb::MariaDb;
use trine_testkit::postgres::Postgres;
use trine_testkit::proxy::Proxy;

#[derive(Parser)]
struct Options {
    /// Which server to start
    #[arg(value_enum)]
    product: Product,
}

#[derive(Clone, Copy, ValueEnum)]
enum Product {
    Postgres,
    /// Or MySQL's own server, if TESTKIT_MYSQL=mysql
    Mariadb,
}

enum Database {
    Postgres(Postgres),
    MariaDb(MariaDb),
}

struct Served {
    database: Database,
    proxy: Proxy,
}

impl Served {
    fn start(product: Product) -> Self {
        let database = match product {
            Product::Postgres => Database::Postgres(Postgres::start()),
            Product::Mariadb => Database::MariaDb(MariaDb::start()),
        };
        let proxy = Proxy::start(database.port());
        Self { database, proxy }
    }

    fn fresh_database(&self) -> String {
        match &self.database {
            Database::Postgres(server) => server.fresh_database(),
            Database::MariaDb(server) => server.fresh_database(),
        }
    }

    fn delayed_database(&self) -> String {
        let (server, proxy) = (format!(":{}/", self.database.port()), format!(":{}/", self.proxy.port()));
        self.fresh_database().replace(&server, &proxy)
    }

    fn syncs(&self) -> String {
        match &self.database {
            Database::Postgres(server) => server.execute("postgres", "SELECT wal_sync FROM pg_stat_wal"),
            Database::MariaDb(server) => {
                mysql_syncs(&server.execute("", "SHOW GLOBAL STATUS LIKE 'innodb%fsyncs'"))
            }
        }
    }
}

/// The log's own counter where the server has one, else that of all data files. A row is a name, a tab and a number.
fn mysql_syncs(rows: &str) -> String {
    let of = |wanted: &str| {
        let mut rows = rows.lines().filter_map(|row| row.split_once('\t'));
        rows.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, count)| count.to_owned())
    };
    of("innodb_os_log_fsyncs").or_else(|| of("innodb_data_fsyncs")).unwrap_or_default()
}

impl Database {
    fn port(&self) -> u16 {
        match self {
            Self::Postgres(server) => server.port(),
            Self::MariaDb(server) => server.port(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { product } = Options::parse();
    let served = Arc::new(tokio::task::spawn_blocking(move || Served::start(product)).await?);
    let app = Router::new()
        .route("/database", get(|State(served)| blocking(served, Served::fresh_database)))
        .route("/delayed", get(|State(served)| blocking(served, Served::delayed_database)))
        .route("/syncs", get(|State(served)| blocking(served, Served::syncs)))
        .route("/delay/{ms}", get(delay))
        .with_state(served);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// The testkit blocks its thread, and panics if a server refuses.
async fn blocking(served: Arc<Served>, ask: fn(&Served) -> String) -> Result<String, StatusCode> {
    tokio::task::spawn_blocking(move || ask(&served)).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn delay(State(served): State<Arc<Served>>, Path(ms): Path<u64>) -> String {
    served.proxy.delay(Duration::from_millis(ms));
    ms.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_own_counter_is_preferred() {
        assert_eq!(mysql_syncs("Innodb_data_fsyncs\t7\nInnodb_os_log_fsyncs\t5"), "5");
        assert_eq!(mysql_syncs("Innodb_data_fsyncs\t7"), "7");
        assert_eq!(mysql_syncs(""), "");
    }
}
