//! Migrations of the tables in a SQL database. Their texts are part of the program.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::rows::Columns;

/// Every migration, oldest first: number, name, text. A migration that was released is never changed.
pub(crate) type Migrations = &'static [(i64, &'static str, &'static str)];

pub(crate) fn migrator(migrations: Migrations) -> Migrator {
    let migrations = migrations.iter().map(|(number, name, text)| {
        Migration::new(*number, (*name).into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Whether exactly the migrations of this version have been applied, by rows of version and success.
pub(crate) fn are_applied<R: Columns>(migrations: Migrations, rows: &[R]) -> bool {
    rows.len() == migrations.len()
        && migrations.iter().all(|(number, ..)| {
            rows.iter().any(|row| row.int(0).ok() == Some(*number) && row.int(1).ok() == Some(1))
        })
}
