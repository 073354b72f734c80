//! The barrier on real databases with several connections: one suite for all of them. A case is a function over a
//! [`Flavor`](service::Flavor), a database and how callers' own transactions are isolated there; every flavor goes
//! through every case.

mod cleaning;
mod conflicts;
mod deadlocks;
mod fences;
mod lost;
mod ops;
mod service;

macro_rules! cases {
    ($flavor:ident: $($module:ident { $($case:ident,)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$module::$case::<super::service::$flavor>().await;
            }
        )*)*
    };
}

macro_rules! conformance {
    ($($name:ident: $flavor:ident,)*) => {
        $(mod $name {
            cases! { $flavor:
                ops {
                    a_duplicate_gets_the_first_answer_and_no_second_effect,
                    every_op_takes_effect_once,
                    concurrent_duplicates_have_one_effect_and_one_answer,
                    branches_and_transactions_do_not_meet,
                    an_undo_of_what_never_ran_is_done_without_effect,
                    late_try_after_cancel_is_refused,
                    late_duplicate_of_a_try_that_was_cancelled_has_no_effect,
                    a_refusal_leaves_no_effect_and_is_repeated,
                    refused_then_undone_then_a_duplicate_that_would_succeed_has_no_effect,
                    refused_but_forgotten_then_undone_then_a_duplicate_has_no_effect,
                    an_error_rolls_back_and_a_repetition_runs_again,
                    ongoing_leaves_nothing_behind_and_runs_again,
                    a_refusal_that_is_not_allowed_is_not_remembered,
                    a_panic_rolls_back_and_a_repetition_runs_again,
                    a_caller_that_goes_away_leaves_nothing_half_done,
                    an_undo_during_a_forward_op_waits_and_undoes_it,
                    confirm_needs_an_effect_to_make_permanent,
                    what_is_permanent_is_not_undone,
                    a_read_only_vote_is_repeated_and_has_nothing_to_commit_or_undo,
                    the_joining_form_follows_the_same_rules,
                    a_failed_body_that_is_committed_all_the_same_leaves_no_effect,
                    an_effect_of_the_callers_transaction_falls_with_it,
                    the_fence_of_the_call_is_kept,
                    a_check_after_the_local_commit_says_committed,
                    a_check_that_says_no_makes_a_later_local_commit_fail,
                    a_local_transaction_commits_once_per_gid,
                    a_check_during_the_local_transaction_waits_for_its_end,
                }
                fences {
                    a_call_with_a_lower_fence_has_no_effect,
                    a_fenced_call_says_which_fence_was_seen,
                    a_failed_call_raises_the_fence_all_the_same,
                    what_is_on_record_is_answered_whatever_the_fence,
                    a_late_forward_op_of_a_zombie_has_no_effect,
                    an_initiator_without_a_fence_tries_before_the_coordinator_calls,
                    fences_of_other_branches_do_not_matter,
                    of_concurrent_ops_those_after_a_higher_fence_have_no_effect,
                    a_lower_fence_that_waited_for_a_higher_one_has_no_effect,
                    a_joined_call_sees_what_it_waited_for,
                    a_body_that_swallows_an_error_is_not_taken_for_done_unless_it_is,
                    a_body_whose_transaction_the_database_gave_up_is_not_taken_for_done,
                    a_reason_with_a_nul_is_remembered,
                }
                conflicts {
                    a_call_from_another_journal_has_no_effect_and_is_not_answered_from_the_record,
                    a_call_with_another_payload_has_no_effect,
                    an_undo_of_somebody_else_undoes_nothing_and_blocks_nothing,
                    a_foreign_call_raises_no_fence,
                    what_is_not_known_is_taken_and_kept_once_it_is,
                    a_failed_call_keeps_its_branch,
                    of_concurrent_calls_from_two_journals_one_takes_effect,
                    the_joining_form_refuses_conflicts_too,
                    a_check_from_another_journal_is_not_answered_from_the_record,
                    a_barrier_installed_before_there_were_origins_gets_them,
                }
                cleaning {
                    old_branches_go_whole_and_young_ones_stay,
                    a_clock_that_leaps_makes_no_branch_old,
                    a_reservation_nobody_has_decided_is_kept_whatever_its_age,
                    more_than_a_chunk_is_cleaned_in_chunks,
                    a_branch_in_use_is_not_cleaned_under_its_call,
                    too_short_a_time_is_refused,
                    the_cleaner_cleans_in_the_background,
                }
            }
        })*
    };
}

conformance! {
    sqlite: OnSqlite,
    postgres: OnPostgres,
    mysql: OnMySql,
    mysql_read_committed: OnMySqlReadCommitted,
}
