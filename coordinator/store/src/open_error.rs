//! Why a store cannot be opened, in words for whoever starts a coordinator.

/// Why a store cannot be opened. The text is for whoever starts the coordinator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store.
    #[error(
        "{url:?} is not a store: {detail}; write sqlite:./folder/file.db, sqlite:///folder/file.db, \
         postgres://user:password@host:5432/database or mysql://user:password@host:3306/database"
    )]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Another process has it.
    #[error(
        "{file} is in use by another coordinator{holder}; stop it first, or give this one a file of its own"
    )]
    InUse {
        /// The database file.
        file: String,
        /// Who it is, in parentheses, as far as that can be read.
        holder: String,
    },
    /// Another process has the name.
    #[error(
        "another process runs under the name {name:?}: it goes on sending heartbeats to {store}; stop it first, or give \
         this one a --name of its own"
    )]
    NameInUse {
        /// The name.
        name: String,
        /// Which store.
        store: String,
    },
    /// It was written by a newer version.
    #[error(
        "the tables in {store} were made by a newer version of Trine (migration {migration}); run that version"
    )]
    Newer {
        /// Which store.
        store: String,
        /// Its number.
        migration: i64,
    },
    /// Anything else.
    #[error("cannot open {store}: {detail}")]
    Failed {
        /// Which store.
        store: String,
        /// Why.
        detail: String,
    },
}
