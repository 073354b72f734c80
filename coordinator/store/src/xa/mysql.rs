//! Prepared branches in MySQL and MariaDB.

use std::str::FromStr;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use trine_protocol::Xid;

use super::{End, Prepared, ids};

const HAS_TABLE: &str = "SELECT CAST(count(*) AS SIGNED) FROM information_schema.tables WHERE table_schema = DATABASE() \
     AND table_name = 'trine_xa'";
/// The server does not say since when a branch is prepared. The branch's own record was written just before.
const RECORD: &str =
    "SELECT gid, branch, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) - used_at FROM trine_xa WHERE xid = ?";
/// A prepare that arrives later finds this state and takes no effect.
const BLOCK: &str = "UPDATE trine_xa SET state = 'rolled_back' WHERE xid = ? AND state = 'open'";

/// "There is no such XA transaction."
const GONE: u16 = 1397;

#[derive(Debug)]
pub(super) struct MySql(MySqlConnection);

impl MySql {
    pub(super) async fn connect(rest: &str) -> Result<Self, sqlx::Error> {
        let options = MySqlConnectOptions::from_str(&format!("mysql://{rest}"))?;
        let mut connection = options.disable_statement_logging().connect().await?;
        // The same branch may be prepared again at this moment, and holds a lock.
        sqlx::raw_sql("SET SESSION innodb_lock_wait_timeout = 5").execute(&mut connection).await?;
        Ok(Self(connection))
    }

    pub(super) async fn prepared(&mut self) -> Result<Vec<Prepared>, sqlx::Error> {
        let has_table = self.has_table().await?;
        let mut found = Vec::new();
        for row in sqlx::raw_sql("XA RECOVER").fetch_all(&mut self.0).await? {
            let (format, length): (i64, i64) = (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
            let data: Vec<u8> = row.try_get_unchecked(3)?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let Some(xid) = Xid::from_mysql(format, length, &data) else { continue };
            let mut record: Option<(String, String, i64)> = None;
            if has_table {
                record = sqlx::query_as(RECORD).bind(xid.to_string()).fetch_optional(&mut self.0).await?;
            }
            let record = record.as_ref();
            let (gid, branch) =
                ids(&xid, record.map(|(gid, ..)| &**gid), record.map(|(_, branch, _)| &**branch));
            let age_ms = record.and_then(|(.., age_ms)| u64::try_from(*age_ms).ok());
            found.push(Prepared { xid, gid, branch, age_ms });
        }
        Ok(found)
    }

    async fn has_table(&mut self) -> Result<bool, sqlx::Error> {
        let tables: i64 = sqlx::query_scalar(HAS_TABLE).fetch_one(&mut self.0).await?;
        Ok(tables > 0)
    }

    pub(super) async fn end(&mut self, xid: &Xid, end: End) -> Result<bool, sqlx::Error> {
        let verb = match end {
            End::Commit => "XA COMMIT",
            End::Rollback => "XA ROLLBACK",
        };
        // The statement takes no parameter. The xid is written in hexadecimal digits.
        let text = AssertSqlSafe(format!("{verb} {}", xid.to_mysql()));
        match sqlx::raw_sql(text).execute(&mut self.0).await {
            Ok(_) => {}
            Err(error) if number(&error) == Some(GONE) => {
                // The server says this also while the session that prepared the branch still exists.
                let listed = self.prepared().await?.iter().any(|branch| branch.xid == *xid);
                return if listed { Err(error) } else { Ok(false) };
            }
            Err(error) => return Err(error),
        }
        if end == End::Rollback && self.has_table().await? {
            sqlx::query(BLOCK).bind(xid.to_string()).execute(&mut self.0).await?;
        }
        Ok(true)
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}
