//! Counts of the situations in runs. A test fails if a workload never reaches one of them.

use std::fmt;

macro_rules! counts {
    ($(#[$what:meta])* $verdict:ident { $($(#[$doc:meta])* $name:ident),* $(,)? }) => {
        $(#[$what])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $verdict {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl $verdict {
            /// Adds another walk's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Every count with its name.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        impl fmt::Display for $verdict {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let words: Vec<String> =
                    self.counts().iter().map(|(what, times)| format!("{what} {times}")).collect();
                f.write_str(&words.join(", "))
            }
        }
    };
}

/// The counts of one kind of run, and those that every kind of run has.
macro_rules! verdict {
    ($(#[$what:meta])* $verdict:ident { $($own:tt)* }) => {
        counts! {
            $(#[$what])*
            $verdict {
                $($own)*
                /// Forward calls refused.
                refusals,
                /// Calls executed again.
                duplicates,
                /// Branches undone that never ran.
                empty,
                /// Forward calls that came after they were undone.
                hanging,
                /// Answers that park, since no retry mends them.
                conflicts_answered,
                /// Parked transactions set going again by a person.
                replays,
                /// Callbacks made for workflows.
                callbacks,
                /// Executors of workflows that died before the end.
                executors_died,
                /// Who waited for quiet and was told before the end.
                told_quiet,
                /// Rollbacks that left out branches which were never owed.
                narrowed,
                /// Rollbacks of sagas exposed ahead that undid everything exposed, because nobody knew better.
                not_narrowed,
                /// Records of takeovers.
                taken_over,
                /// Ends told before their records.
                told_early,
                /// Steps called again after a coordinator had heard that they were done.
                repeated,
                /// Answers of steps that were written together with other records.
                rode_along,
                /// Calls refused for their fence.
                fenced,
                /// Memories lost in a panic.
                panics,
                /// Calls that the network delivered twice.
                delivered_twice,
                /// Transactions settled by hand.
                forced,
            }
        }
    };
}

verdict! {
    /// Counts of walks.
    Verdict {
        /// Transactions that ended committed.
        committed,
        /// Transactions that ended rolled back.
        rolled_back,
        /// Calls made.
        calls,
        /// Crashes of the coordinator.
        crashes,
        /// Times the wall clock was set.
        clocks_set,
        /// Commits that failed.
        commits_failed,
        /// Commits that succeeded without an acknowledgement.
        doubtful_written,
        /// Gids whose doubtful write landed after it was read back.
        written_late,
        /// Conflicts met on append.
        conflicts,
        /// Calls executed whose answer was lost.
        answers_lost,
    }
}

verdict! {
    /// Counts of packs.
    PackVerdict {
        /// Transactions that ended committed.
        committed,
        /// Transactions that ended rolled back.
        rolled_back,
        /// Calls made.
        calls,
        /// Calls made by a coordinator that is not the owner (any more).
        calls_of_zombies,
        /// Answers a coordinator got that was not the owner (any more).
        answers_to_zombies,
        /// Crashes of coordinators.
        crashes,
        /// Times a coordinator's wall clock was set.
        clocks_set,
        /// Coordinators that were paused and came back with what they remembered.
        pauses,
        /// Appends that landed while their coordinator was paused or gone.
        landed_unseen,
        /// Transactions adopted from coordinators that were gone.
        adopted,
        /// Transactions adopted from coordinators that went on.
        adopted_from_living,
        /// Transactions that changed their owner by a command.
        taken_by_command,
        /// Transactions taken away that their former owner still drove.
        overlaps,
        /// Lapses noticed.
        lapses,
        /// Lapses noticed while a batch was in flight.
        lapses_in_flight,
        /// Lapses told although there was none.
        lapses_for_nothing,
        /// Appends without an acknowledgement, written or not.
        doubtful,
        /// Gids whose doubtful write landed after it was read back.
        written_late,
        /// Conflicts with another owner.
        conflicts,
        /// Reads answered with what was true before.
        reads_outdated,
        /// Ends told by a coordinator that did not own the transaction.
        told_elsewhere,
        /// Transactions that had exactly one driver when the faults had stopped.
        driven_by_one,
    }
}
