//! The statements of two-phase commit that contain the name of a transaction. They take no parameters, so the name becomes a
//! part of the text, and only here. The text is safe because the name is an [`Xid`]: hexadecimal digits on MySQL, and on
//! PostgreSQL letters, digits and `. _ : ~ / -` between quotes.

use sqlx::AssertSqlSafe;
use trine_protocol::Xid;

/// `<verb> X'..',X'..',<format>[ <after>]`
#[cfg(feature = "mysql")]
pub(super) fn mysql(verb: &'static str, xid: &Xid, after: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{verb} {}{after}", xid.to_mysql()))
}

/// `<verb> 'trine:..'`
#[cfg(feature = "postgres")]
pub(super) fn postgres(verb: &'static str, xid: &Xid) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{verb} '{}'", xid.to_postgres()))
}
