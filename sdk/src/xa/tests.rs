//! XA branches on PostgreSQL and MariaDB, with real sessions, and servers that are killed.

mod failures;
mod meeting;
mod ops;
mod service;

macro_rules! cases {
    ($($module:ident { $($case:ident,)* })*) => {
        mod postgres { $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$module::$case::<sqlx::Postgres>().await; }
        )*)* }
        mod mysql { $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$module::$case::<sqlx::MySql>().await; }
        )*)* }
    };
}

cases! {
    ops {
        prepared_work_shows_once_it_is_committed,
        what_is_rolled_back_never_shows,
        a_rollback_that_comes_first_blocks_the_late_prepare,
        a_call_of_somebody_else_has_no_effect,
        a_commit_of_nothing_is_an_error,
        votes_are_remembered,
        an_error_and_ongoing_leave_nothing_and_run_again,
        a_call_with_a_lower_fence_prepares_nothing,
        the_longest_ids_are_taken,
        settled_records_are_cleaned_and_open_ones_kept,
    }
    meeting {
        a_prepare_during_a_prepare_is_ongoing,
        a_rollback_during_a_prepare_waits_and_rolls_it_back,
        racing_commits_and_prepares_have_one_effect,
    }
    failures {
        a_swallowed_error_is_not_taken_for_prepared_unless_it_is,
        a_service_that_dies_after_preparing_finds_it_prepared,
        a_session_that_breaks_under_the_body_leaves_nothing,
    }
}
