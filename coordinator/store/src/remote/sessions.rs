//! Checks at start that each connection is a session of its own.
//!
//! A pooler in transaction or statement mode (pgbouncer, or a MySQL proxy that multiplexes) hands one session of the server
//! to several connections in turn. A connection then runs with the settings, locks and prepared statements of another one.

use super::client::{Client, ClientError};
use super::target::{self, Target};
use crate::rows::Columns as _;

/// The message for the operator. It comes after the name of the store.
const SHARED: &str = "something in front of the database hands one session to several connections: a pooler in transaction or \
     statement mode; Trine prepares statements, sets its isolation level and locks by session, so set pool_mode = session \
     for this database, or connect to it directly";

/// PostgreSQL's codes for "prepared statement exists already" and "prepared statement does not exist". On a session of our
/// own neither can happen.
const FOREIGN_STATEMENTS: [&str; 2] = ["42P05", "26000"];

/// The first connection of a coordinator, or a message for the operator.
pub(super) async fn first<C: Client>(target: &Target<C::Address>) -> Result<C, String> {
    let mut client = target::connect::<C>(target).await.map_err(|error| told(&error))?;
    check(target, &mut client).await?;
    Ok(client)
}

/// Opens a second connection while the first is open. Both must be sessions of their own.
async fn check<C: Client>(target: &Target<C::Address>, first: &mut C) -> Result<(), String> {
    let ours = async {
        let mine = id(first).await?;
        // While the first is open and idle: a pooler that shares sessions can then hand the same one to both.
        let mut second = target::connect::<C>(target).await?;
        let others = id(&mut second).await?;
        second.close().await;
        Ok(mine != others)
    };
    // The server gives each open session an id of its own: the same id means that both connections share one session.
    match ours.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(SHARED.to_owned()),
        Err(error) => Err(told(&error)),
    }
}

/// An error of the first connection. If a pooler is the cause, the message says so.
fn told(error: &ClientError) -> String {
    let code = match error {
        ClientError::Sql(sqlx::Error::Database(error)) => error.code(),
        _ => None,
    };
    match code {
        Some(code) if FOREIGN_STATEMENTS.contains(&&*code) => format!("{SHARED} ({error})"),
        _ => error.to_string(),
    }
}

async fn id<C: Client>(client: &mut C) -> Result<i64, ClientError> {
    let rows = client.query(C::texts().session, &[]).await?;
    rows.first().map_or_else(|| Err(ClientError::Unreadable("no session".into())), |row| row.int(0))
}
