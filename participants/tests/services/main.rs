//! Both services over real connections, called as the coordinator calls them; and as programs.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

mod faults;
mod guarded;
mod orders;
mod programs;
mod stock;
mod support;

/// One test of each case on each database.
macro_rules! on_each_database {
    (@ $kind:ident: $($module:ident { $($case:ident,)* })*) => { $($(
        #[tokio::test]
        async fn $case() { crate::$module::$case(crate::support::Kind::$kind).await; }
    )*)* };
    ($($cases:tt)*) => {
        mod sqlite { on_each_database! { @ Sqlite: $($cases)* } }
        mod postgres { on_each_database! { @ Postgres: $($cases)* } }
        mod mysql { on_each_database! { @ MySql: $($cases)* } }
    };
}

on_each_database! {
    stock {
        stock_is_frozen_then_sold_or_given_back,
        a_saga_sells_and_takes_back,
        a_delivery_comes_in_once,
        short_stock_is_refused_with_the_reason,
        concurrent_buyers_never_oversell,
        orders_that_cross_each_other_end,
        a_service_that_restarts_remembers,
    }
    orders {
        preparing_nothing_is_a_read_only_vote,
        an_order_is_pending_then_confirmed_or_cancelled,
        orders_that_are_not_accepted_are_refused,
        what_people_get_wrong_is_told,
    }
    guarded {
        actions_are_repeated_and_undone_as_a_guarded_registration_promises,
    }
    faults {
        a_crash_after_the_effect_loses_the_answer_and_nothing_else,
        a_crash_before_the_effect_has_none,
        errors_before_and_after_the_effect_are_survived_by_repeating,
        a_call_that_hangs_goes_on_when_the_fault_is_taken_away,
    }
}
