//! The statements of two-phase commit with a name in them. They take no parameters, so the name becomes part of the
//! text, here and nowhere else: it comes from [`Xid`] alone, as hexadecimal digits on MySQL, and on PostgreSQL as
//! letters, digits and `. _ : ~ / -` between quotes.

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
