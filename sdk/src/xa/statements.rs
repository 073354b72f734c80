//! The statements on XA records that differ between the databases in their texts only. Each takes the same parameters, in the
//! same order, on every database.

/// Methods of [`XaDatabase`](super::XaDatabase), from the texts of their statements. Stands inside an `impl` of it.
///
/// `when_taken` says what an insert does when its key is taken: `inserts_no_row` or `fails`.
/// `is_busy` says whether an error means that another transaction has locked the record. `xid` is the method of
/// [`Xid`](trine_protocol::Xid) that gives a branch's name in this database.
macro_rules! shared_statements {
    (
        when_taken: $when_taken:ident,
        is_busy: $is_busy:ident,
        xid: $xid:ident,
        find: $find:literal,
        create: $create:literal,
        write: $write:literal,
        touch: $touch:literal,
        insert_origin: $insert_origin:literal,
        origin: $origin:literal,
        complete_origin: $complete_origin:literal,
    ) => {
        async fn find(connection: &mut Self::Connection, key: &Key) -> sqlx::Result<Option<Record>> {
            let find = sqlx::query_as($find).bind(&key.gid).bind(&key.branch);
            find.fetch_optional(connection).await?.map(record).transpose()
        }

        async fn create(
            connection: &mut Self::Connection,
            key: &Key,
            state: XaState,
            fence: i64,
        ) -> sqlx::Result<bool> {
            let create = sqlx::query($create).bind(&key.gid).bind(&key.branch);
            let create = create.bind(key.xid.$xid()).bind(state.as_str()).bind(fence);
            $when_taken(create.execute(connection).await.map(|done| done.rows_affected() == 1))
        }

        async fn lock(connection: &mut Self::Connection, key: &Key) -> sqlx::Result<Lock> {
            let lock = sqlx::query_as(concat!($find, " FOR UPDATE NOWAIT"));
            match lock.bind(&key.gid).bind(&key.branch).fetch_optional(connection).await {
                Ok(Some(row)) => Ok(Lock::Held(record(row)?)),
                Ok(None) => Ok(Lock::Missing),
                Err(error) if $is_busy(&error) => Ok(Lock::Busy),
                Err(error) => Err(error),
            }
        }

        async fn write(
            connection: &mut Self::Connection,
            key: &Key,
            state: XaState,
            reason: Option<&str>,
            fence: i64,
        ) -> sqlx::Result<()> {
            let write = sqlx::query($write).bind(state.as_str()).bind(reason).bind(fence);
            write.bind(&key.gid).bind(&key.branch).execute(connection).await.map(|_| ())
        }

        async fn touch(connection: &mut Self::Connection, key: &Key) -> sqlx::Result<()> {
            let touch = sqlx::query($touch).bind(&key.gid).bind(&key.branch);
            touch.execute(connection).await.map(|_| ())
        }

        async fn origin(
            connection: &mut Self::Connection,
            key: &Key,
            origin: &Origin,
        ) -> sqlx::Result<Origin> {
            let insert = sqlx::query($insert_origin).bind(&key.gid).bind(&key.branch);
            let insert = insert.bind(&origin.journal).bind(&origin.payload_digest);
            let inserted = insert.execute(&mut *connection).await;
            $when_taken(inserted.map(|done| done.rows_affected() == 1))?;
            let find = sqlx::query_as($origin).bind(&key.gid).bind(&key.branch);
            let (journal, payload_digest) = find.fetch_one(&mut *connection).await?;
            let recorded = Origin { journal, payload_digest };
            if origin.adds_to(&recorded) && origin.differs_from(&recorded).is_none() {
                let complete =
                    sqlx::query($complete_origin).bind(&origin.journal).bind(&origin.payload_digest);
                complete.bind(&key.gid).bind(&key.branch).execute(connection).await?;
            }
            Ok(recorded)
        }
    };
}
pub(super) use shared_statements;
