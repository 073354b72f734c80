//! Lists branches that are prepared in a participant's database (`trine_sdk::xa`), and ends those that were left behind. For
//! `trine xa` alone: the coordinator itself never connects to a participant's database.
//!
//! The caller decides what is committed and what is rolled back.

mod mysql;
mod postgres;

use trine_protocol::{BranchId, Gid, Xid};

use crate::{check_server_url, driver_words};

/// A prepared branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub xid: Xid,
    /// None if the xid has only a digest of the ids, and the table `trine_xa` does not have the ids either.
    pub gid: Option<Gid>,
    /// As `gid`.
    pub branch: Option<BranchId>,
    /// For how long it has been prepared. None if the database does not say.
    pub age_ms: Option<u64>,
}

/// How a prepared branch is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Commit,
    /// Also keeps a prepare that arrives late from taking effect.
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

/// Why a database does not do what is asked. No message holds a password.
#[derive(Debug, thiserror::Error)]
pub enum XaError {
    /// The URL must be corrected.
    #[error("the URL of the database {0}")]
    Url(String),
    /// An error of the server or of the driver.
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
    /// Connects to `postgres://..` or `mysql://..`. The URL must name the database that the branches were prepared in:
    /// PostgreSQL ends a branch in no other one.
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

    /// Every branch of Trine that is prepared there, oldest first.
    pub async fn prepared(&mut self) -> Result<Vec<Prepared>, XaError> {
        let mut found = match &mut self.0 {
            Kind::Postgres(database) => database.prepared().await?,
            Kind::MySql(database) => database.prepared().await?,
        };
        found.sort_by_key(|branch| (std::cmp::Reverse(branch.age_ms), branch.xid.clone()));
        Ok(found)
    }

    /// Ends a branch. False if it was no longer prepared.
    pub async fn end(&mut self, xid: &Xid, end: End) -> Result<bool, XaError> {
        match &mut self.0 {
            Kind::Postgres(database) => Ok(database.end(xid, end).await?),
            Kind::MySql(database) => Ok(database.end(xid, end).await?),
        }
    }
}

/// The ids in the xid. If the xid has only a digest, the ids from the table.
fn ids(xid: &Xid, gid: Option<&str>, branch: Option<&str>) -> (Option<Gid>, Option<BranchId>) {
    let gid = xid.gid().or_else(|| Gid::parse(gid?).ok());
    let branch = xid.branch().or_else(|| BranchId::parse(branch?).ok());
    (gid, branch)
}
