//! Branches that a participant's database has prepared by itself (`trine_sdk::xa`): finding them, and ending those that
//! were left behind. For `trine xa` alone; the coordinator itself never looks into a participant's database.
//!
//! Nothing is decided here: whoever asks says what is to be committed and what to be rolled back.

mod mysql;
mod postgres;

use trine_protocol::{BranchId, Gid, Xid};

use crate::{check_server_url, driver_words};

/// A prepared branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Its name in the database.
    pub xid: Xid,
    /// Its transaction; absent when the name is a digest and the database's table `trine_xa` does not know it.
    pub gid: Option<Gid>,
    /// Its branch, likewise.
    pub branch: Option<BranchId>,
    /// For how long it has been prepared; absent when the database does not say.
    pub age_ms: Option<u64>,
}

/// How a prepared branch is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its effects become visible.
    Commit,
    /// Its effects are undone, and a late prepare is kept from bringing them back.
    Rollback,
}

/// A connection to a participant's database.
#[derive(Debug)]
pub struct Database(Kind);

#[derive(Debug)]
enum Kind {
    Postgres(postgres::Postgres),
    MySql(mysql::MySql),
}

/// Why a database does not do what it is asked. Never holds a password.
#[derive(Debug, thiserror::Error)]
pub enum XaError {
    /// The URL cannot be used: whoever gave it has to mend it.
    #[error("the URL of the database {0}")]
    Url(String),
    /// What the server, or the driver, said.
    #[error("the database: {0}")]
    Said(String),
}

impl From<sqlx::Error> for XaError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Configuration(_) => Self::Url(format!("cannot be used: {}", driver_words(&error))),
            other => Self::Said(other.to_string()),
        }
    }
}

impl Database {
    /// Connects to the database of a URL, `postgres://..` or `mysql://..`. PostgreSQL ends a branch only in the database
    /// that it was prepared in.
    pub async fn open(url: &str) -> Result<Self, XaError> {
        if url.contains("://") {
            check_server_url(url).map_err(|why| XaError::Url(format!("cannot be used: {why}")))?;
        }
        let kind = match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Kind::Postgres(postgres::Postgres::connect(url).await?),
            Some(("mysql" | "mariadb", rest)) => Kind::MySql(mysql::MySql::connect(rest).await?),
            _ => {
                let expected =
                    "postgres://user:password@host/database or mysql://user:password@host/database";
                return Err(XaError::Url(format!("names none that has XA; write {expected}")));
            }
        };
        Ok(Self(kind))
    }

    /// Every branch of Trine's that is prepared there, the oldest first.
    pub async fn prepared(&mut self) -> Result<Vec<Prepared>, XaError> {
        let mut found = match &mut self.0 {
            Kind::Postgres(database) => database.prepared().await?,
            Kind::MySql(database) => database.prepared().await?,
        };
        found.sort_by_key(|branch| (std::cmp::Reverse(branch.age_ms), branch.xid.clone()));
        Ok(found)
    }

    /// Ends one; false when it was no longer prepared.
    pub async fn end(&mut self, xid: &Xid, end: End) -> Result<bool, XaError> {
        match &mut self.0 {
            Kind::Postgres(database) => Ok(database.end(xid, end).await?),
            Kind::MySql(database) => Ok(database.end(xid, end).await?),
        }
    }
}

/// Ids as the name has them, or as the table does where the name is a digest.
fn ids(xid: &Xid, gid: Option<&str>, branch: Option<&str>) -> (Option<Gid>, Option<BranchId>) {
    let gid = xid.gid().or_else(|| Gid::parse(gid?).ok());
    let branch = xid.branch().or_else(|| BranchId::parse(branch?).ok());
    (gid, branch)
}
