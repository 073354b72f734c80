//! The patterns as types, so that a branch of one pattern cannot be added to a transaction of another.

use trine_protocol::Pattern;

mod sealed {
    /// Keeps [`super::PatternKind`] closed.
    pub trait Sealed {}
}

/// A pattern as a type. Sealed.
pub trait PatternKind: sealed::Sealed + Send + Sync + 'static {
    /// The pattern.
    const PATTERN: Pattern;
}

/// A pattern whose transactions an initiator can hold open. Sealed.
pub trait Openable: PatternKind {}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl PatternKind for $name {
            const PATTERN: Pattern = Pattern::$name;
        }
    )*};
}

kinds! {
    /// The pattern `saga`.
    Saga
    /// The pattern `tcc`.
    Tcc
    /// The pattern `two_phase`.
    TwoPhase
    /// The pattern `message`.
    Message
}

impl Openable for Tcc {}
impl Openable for TwoPhase {}
impl Openable for Message {}
