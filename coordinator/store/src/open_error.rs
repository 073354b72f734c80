//! [`OpenError`]: why a store cannot be opened.

/// Why a store cannot be opened. The messages are for the operator and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store.
    #[error(
        "{url:?} is not a store: {detail}; write sqlite:./folder/file.db, sqlite:///folder/file.db, \
         postgres://user:password@host:5432/database or mysql://user:password@host:3306/database"
    )]
    Url { url: String, detail: String },
    /// Another process has the file.
    #[error(
        "{file} is in use by another coordinator{holder}; stop it first, or give this one a file of its own"
    )]
    InUse {
        file: String,
        /// The other process, in parentheses. Empty if that cannot be read.
        holder: String,
    },
    /// Another process uses the name of this coordinator.
    #[error(
        "another process runs under the name {name:?}: it goes on sending heartbeats to {store}; stop it first, or give \
         this one a --name of its own"
    )]
    NameInUse { name: String, store: String },
    /// The tables were made by a newer version.
    #[error(
        "the tables in {store} were made by a newer version of Trine (migration {migration}); run that version"
    )]
    Newer { store: String, migration: i64 },
    #[error("cannot open {store}: {detail}")]
    Failed { store: String, detail: String },
}
