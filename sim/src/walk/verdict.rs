//! What a walk met.

use std::fmt;

macro_rules! verdict {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts of what walks met, so that a workload that misses something is noticed.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Verdict {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Verdict {
            /// Adds another walk's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Every count with its name.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

verdict! {
    /// Transactions that ended committed.
    committed,
    /// Transactions that ended rolled back.
    rolled_back,
    /// Calls made.
    calls,
    /// Crashes of the coordinator.
    crashes,
    /// Commits that failed.
    commits_failed,
    /// Commits that succeeded without an acknowledgement.
    doubtful_written,
    /// Gids whose doubtful write landed after it was read back.
    written_late,
    /// Conflicts met on append.
    conflicts,
    /// Forward calls refused.
    refusals,
    /// Calls executed whose answer was lost.
    answers_lost,
    /// Calls executed again.
    duplicates,
    /// Branches undone that never ran.
    empty,
    /// Forward calls that came after they were undone.
    hanging,
    /// Parked transactions set going again by a person.
    replays,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> =
            self.counts().iter().map(|(what, times)| format!("{what} {times}")).collect();
        f.write_str(&words.join(", "))
    }
}
