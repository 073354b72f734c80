//! The conformance suite: what every store promises, as cases that run against each of them.
//!
//! Each case gets a fresh [`Subject`]. The tests of a new kind of store implement that trait and call `conformance!`, which
//! makes one test of each case.

mod appending;
mod checking;
mod damage;
mod dropping;
pub(crate) mod fixture;
mod housekeeping;
mod key_values;
mod listing;
mod recovering;

use std::sync::Arc;

use trine_protocol::Gid;

use super::Store;
use super::memory::Damage;

pub(super) use appending::*;
pub(super) use checking::*;
pub(super) use damage::*;
pub(super) use dropping::*;
pub(super) use housekeeping::*;
pub(super) use key_values::*;
pub(super) use listing::*;
pub(super) use recovering::*;

/// A place for a store, empty at first: a file, or a database.
pub(super) trait Subject {
    /// Opens the store as a coordinator. A store that only one process can have open was closed before.
    fn open(&self, owner: &str) -> impl Future<Output = Arc<dyn Store>> + Send;

    /// Damages one record.
    fn damage(&self, gid: &Gid, seq: u64, damage: Damage) -> impl Future<Output = ()> + Send;

    /// Changes times in rows, in the place of waiting for time to pass.
    fn rewrite(&self, what: Rewrite<'_>) -> impl Future<Output = ()> + Send;

    /// Makes a coordinator count as gone.
    fn lapse(&self, _owner: &str) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Changes of times in rows, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rewrite<'a> {
    /// When a transaction settled.
    Settled { gid: &'a str, at: i64 },
    /// The one span of watched time.
    Watched { from: i64, until: i64 },
    /// When a registration expires.
    Expires { name: &'a str, base_url: &'a str, at: i64 },
}

impl Rewrite<'_> {
    /// For SQL databases.
    pub(super) fn sql(self) -> Vec<String> {
        match self {
            Self::Settled { gid, at } => {
                vec![format!("UPDATE transactions SET settled_at = {at} WHERE gid = '{gid}'")]
            }
            Self::Watched { from, until } => vec![
                "DELETE FROM watched".to_owned(),
                format!("INSERT INTO watched (from_at, until_at) VALUES ({from}, {until})"),
            ],
            Self::Expires { name, base_url, at } => vec![format!(
                "UPDATE participants SET expires_at = {at} WHERE name = '{name}' AND base_url = '{base_url}'"
            )],
        }
    }
}

/// Makes one test of each case. `$make` is the path of a function that makes a fresh subject.
macro_rules! conformance {
    ($make:path) => {
        $crate::suite::cases! { $make:
            what_is_appended_is_read_back_in_order,
            records_after_a_seq_are_only_those,
            records_are_read_page_by_page,
            an_empty_batch_is_appended,
            a_batch_of_a_thousand_records_is_appended_whole,
            a_payload_of_one_mebibyte_survives,
            gids_that_resemble_each_other_stay_apart,
            the_same_batch_again_is_a_conflict_and_changes_nothing,
            a_conflict_leaves_nothing_of_its_gid_and_everything_of_the_others,
            a_conflict_halfway_through_a_run_leaves_the_whole_run_out,
            a_gap_is_a_conflict,
            a_run_with_a_hole_or_a_repetition_is_a_conflict,
            lanes_that_append_side_by_side_lose_nothing,
            lanes_that_race_for_a_gid_have_one_winner,
            a_damaged_record_is_reported_for_its_gid_alone,
            a_record_of_a_newer_version_is_reported_for_its_gid_alone,
            a_record_that_was_moved_or_dated_anew_is_damaged,
            records_without_a_checksum_are_believed,
            dropped_appends_lose_no_acknowledged_write,
            what_was_appended_is_there_after_reopening,
            a_journal_keeps_its_id,
            unfinished_names_what_belongs_in_memory_and_what_is_due,
            due_names_the_most_overdue_first,
            the_unfinished_of_another_owner_are_adopted,
            appending_makes_the_appender_the_owner,
            each_filter_finds_its_rows_and_no_others,
            a_list_says_when_the_last_event_was_recorded,
            a_host_is_matched_whole,
            labels_are_those_of_the_first_record,
            pages_lose_and_repeat_nothing_while_rows_are_inserted,
            rows_of_one_instant_are_paged_by_gid,
            the_census_counts_what_is_not_settled,
            participants_live_as_long_as_they_say,
            an_instance_is_guarded_if_its_last_registration_says_so,
            many_registrations_are_one_call,
            a_participant_is_removed_by_instance_or_by_name,
            sweeping_keeps_the_last_instance_of_a_name,
            retiring_removes_everything_of_the_settled_and_nothing_else,
            nothing_is_old_that_nobody_watched_growing_old,
            a_clock_that_leaps_makes_nothing_old,
            nothing_that_settled_in_the_future_is_retired,
            what_a_clock_that_is_behind_has_settled_is_not_old,
            retiring_is_bounded,
            retiring_believes_the_journal_and_not_the_index_row,
            a_retired_gid_may_be_used_again,
            a_store_that_is_well_says_so,
            heartbeats_are_accepted_again_and_again,
            an_entry_counts_its_changes,
            a_change_that_lost_changes_nothing,
            an_entry_made_again_is_another_one,
            of_changes_side_by_side_exactly_those_done_are_counted,
            of_many_that_make_and_delete_an_entry_one_does_each,
            a_category_is_scanned_byte_by_byte_and_without_gaps,
            the_largest_entries_are_there_after_reopening,
            dropped_changes_are_made_whole_or_not_at_all,
        }
    };
}
pub(super) use conformance;

/// The same for the promises of stores that several coordinators can share.
macro_rules! shared_conformance {
    ($make:path) => {
        $crate::suite::cases! { $make:
            a_coordinator_that_lives_keeps_what_it_owns,
            a_heartbeat_is_answered_with_the_stores_time,
        }
    };
}
pub(super) use shared_conformance;

macro_rules! cases {
    ($make:path: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::suite::$case(&$make()).await;
            }
        )*
    };
}
pub(super) use cases;
