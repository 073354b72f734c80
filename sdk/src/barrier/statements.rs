//! The barrier's statements that differ between the databases in their texts only. Each takes the same parameters, in the
//! same order, on every database.

/// Methods of [`BarrierDatabase`](super::BarrierDatabase), from the texts of their statements. Stands inside an `impl` of it.
///
/// `when_taken` says what an insert does when its key is taken: `inserts_no_row` or `fails`.
macro_rules! shared_statements {
    (
        when_taken: $when_taken:ident,
        insert: $insert:literal,
        complete: $complete:literal,
        rows: $rows:literal,
        insert_origin: $insert_origin:literal,
        origin: $origin:literal,
        complete_origin: $complete_origin:literal,
        unused: $unused:literal,
        forget: [$($forget:literal),*],
    ) => {
        async fn insert(connection: &mut Self::Connection, row: &NewRow<'_>) -> sqlx::Result<bool> {
            let insert = sqlx::query($insert).bind(row.key.gid).bind(row.key.branch).bind(row.key.op);
            let insert = insert.bind(row.outcome.as_str()).bind(row.output).bind(row.fence);
            $when_taken(insert.execute(connection).await.map(|done| done.rows_affected() == 1))
        }

        async fn complete(
            connection: &mut Self::Connection,
            key: &Key<'_>,
            outcome: Recorded,
            output: Option<&str>,
        ) -> sqlx::Result<bool> {
            let complete = sqlx::query($complete).bind(outcome.as_str()).bind(output);
            let complete = complete.bind(key.gid).bind(key.branch).bind(key.op);
            Ok(complete.execute(connection).await?.rows_affected() == 1)
        }

        async fn rows(
            connection: &mut Self::Connection,
            gid: &str,
            branch: &str,
        ) -> sqlx::Result<Vec<StoredRow>> {
            let rows: Vec<(String, String, Option<String>)> =
                sqlx::query_as($rows).bind(gid).bind(branch).fetch_all(connection).await?;
            Ok(rows.into_iter().map(|(op, outcome, output)| StoredRow { op, outcome, output }).collect())
        }

        async fn insert_origin(
            connection: &mut Self::Connection,
            gid: &str,
            branch: &str,
            origin: &Origin,
        ) -> sqlx::Result<bool> {
            let insert = sqlx::query($insert_origin).bind(gid).bind(branch);
            let insert = insert.bind(&origin.journal).bind(&origin.payload_digest);
            $when_taken(insert.execute(connection).await.map(|done| done.rows_affected() == 1))
        }

        async fn origin(
            connection: &mut Self::Connection,
            gid: &str,
            branch: &str,
        ) -> sqlx::Result<Option<Origin>> {
            let row: Option<(Option<String>, Option<String>)> =
                sqlx::query_as($origin).bind(gid).bind(branch).fetch_optional(connection).await?;
            Ok(row.map(|(journal, payload_digest)| Origin { journal, payload_digest }))
        }

        async fn complete_origin(
            connection: &mut Self::Connection,
            gid: &str,
            branch: &str,
            origin: &Origin,
        ) -> sqlx::Result<()> {
            let complete = sqlx::query($complete_origin).bind(&origin.journal).bind(&origin.payload_digest);
            complete.bind(gid).bind(branch).execute(connection).await?;
            Ok(())
        }

        async fn unused(
            connection: &mut Self::Connection,
            before: i64,
            limit: i64,
        ) -> sqlx::Result<Vec<(String, String)>> {
            sqlx::query_as($unused).bind(before).bind(limit).fetch_all(connection).await
        }

        async fn forget(connection: &mut Self::Connection, gid: &str, branch: &str) -> sqlx::Result<()> {
            for forget in [$($forget),*] {
                sqlx::query(forget).bind(gid).bind(branch).execute(&mut *connection).await?;
            }
            Ok(())
        }
    };
}
pub(super) use shared_statements;

/// Whether an `INSERT .. ON CONFLICT DO NOTHING` inserted its row: if the key is taken, the statement inserts no row.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn inserts_no_row(inserted: sqlx::Result<bool>) -> sqlx::Result<bool> {
    inserted
}

/// Whether a plain `INSERT` inserted its row: if the key is taken, the statement fails.
#[cfg(feature = "mysql")]
pub(crate) fn fails(inserted: sqlx::Result<bool>) -> sqlx::Result<bool> {
    match inserted {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        inserted => inserted,
    }
}
