//! Prepared branches in PostgreSQL.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use trine_protocol::Xid;

use super::{End, Prepared, ids};

const NAMES: &str = "SELECT p.gid, CAST(extract(epoch FROM clock_timestamp() - p.prepared) * 1000 AS BIGINT) \
     FROM pg_prepared_xacts AS p WHERE p.database = current_database()";
const HAS_TABLE: &str = "SELECT to_regclass('trine_xa') IS NOT NULL";
const RECORD: &str = "SELECT gid, branch FROM trine_xa WHERE xid = $1";
/// A prepare that arrives later finds this state and takes no effect.
const BLOCK: &str = "UPDATE trine_xa SET state = 'rolled_back' WHERE xid = $1 AND state = 'open'";

/// The two codes for "there is no such prepared transaction".
const GONE: [&str; 2] = ["42704", "55000"];

#[derive(Debug)]
pub(super) struct Postgres(PgConnection);

impl Postgres {
    pub(super) async fn connect(url: &str) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?.application_name("trine xa");
        let mut connection = options.disable_statement_logging().connect().await?;
        // The same branch may be prepared again at this moment, and holds a lock.
        sqlx::raw_sql("SET lock_timeout = '5s'").execute(&mut connection).await?;
        Ok(Self(connection))
    }

    pub(super) async fn prepared(&mut self) -> Result<Vec<Prepared>, sqlx::Error> {
        let has_table = self.has_table().await?;
        let mut found = Vec::new();
        for row in sqlx::query(NAMES).fetch_all(&mut self.0).await? {
            let (name, age_ms): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let Some(xid) = Xid::from_postgres(&name) else { continue };
            let mut record: Option<(String, String)> = None;
            if has_table {
                record = sqlx::query_as(RECORD).bind(&name).fetch_optional(&mut self.0).await?;
            }
            let record = record.as_ref();
            let (gid, branch) = ids(&xid, record.map(|(gid, _)| &**gid), record.map(|(_, branch)| &**branch));
            found.push(Prepared { xid, gid, branch, age_ms: u64::try_from(age_ms).ok() });
        }
        Ok(found)
    }

    async fn has_table(&mut self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(HAS_TABLE).fetch_one(&mut self.0).await
    }

    pub(super) async fn end(&mut self, xid: &Xid, end: End) -> Result<bool, sqlx::Error> {
        let verb = match end {
            End::Commit => "COMMIT PREPARED",
            End::Rollback => "ROLLBACK PREPARED",
        };
        // The statement takes no parameter. An xid has only letters, digits and `. _ : ~ / -`.
        let text = AssertSqlSafe(format!("{verb} '{}'", xid.to_postgres()));
        match sqlx::raw_sql(text).execute(&mut self.0).await {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| GONE.contains(&&*code)) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        if end == End::Rollback && self.has_table().await? {
            sqlx::query(BLOCK).bind(xid.to_postgres()).execute(&mut self.0).await?;
        }
        Ok(true)
    }
}
