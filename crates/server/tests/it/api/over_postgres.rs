//! The tests of the API that ask most of a store, once more with the users in PostgreSQL. The store itself is the
//! conformance suite's matter, and the rest of the API does not know which it stands on.

macro_rules! over_postgres {
    ($($($part:ident)::+,)+) => {
        $(over_postgres!(@one [] $($part)::+);)+
    };
    (@one [$($module:ident)*] $case:ident) => {
        #[test]
        fn $case() {
            crate::harness::on_postgres(super::$($module::)*$case);
        }
    };
    (@one [$($module:ident)*] $next:ident :: $($rest:ident)::+) => {
        over_postgres!(@one [$($module)* $next] $($rest)::+);
    };
}

over_postgres! {
    users::a_user_is_returned_as_it_was_created_by_every_read,
    users::one_of_32_parallel_creates_of_an_email_wins_over_several_connections,
    users::every_read_on_another_connection_sees_a_write_at_once,
    updates::a_stale_etag_aborts_and_the_right_one_goes_on,
    guards::the_last_administrator_stays,
    sessions::of_parallel_refreshes_one_wins_and_the_session_ends,
    sessions::a_new_password_and_the_end_of_a_user_end_every_session_at_once,
    sign_in::a_user_signs_in_by_any_of_their_names_and_is_nobody_else,
    api_keys::a_revoked_key_is_refused_at_once_whatever_is_under_way,
    api_keys::an_open_stream_ends_with_its_key,
    mail::who_signs_up_is_mailed_a_link_that_a_page_verifies_the_address_with,
    mail::a_mail_that_is_not_taken_is_tried_again_and_stays_the_same_mail,
    addresses::fifty_of_60_addresses_added_at_once_fit,
    preferences::one_of_16_changes_with_the_same_etag_wins,
    audit::every_act_is_told_with_who_when_what_and_from_where,
    imports::an_update_sets_what_the_row_has,
    imports::a_run_that_is_sent_again_does_no_row_twice,
    imports::imports_side_by_side_share_out_what_is_unique,
    exports::what_changes_under_an_export_does_not_show_in_it,
    idempotency::of_a_hundred_parallel_calls_one_is_done_and_all_have_its_answer,
    idempotency::a_restart_between_changes_nothing,
    staleness::every_read_takes_it_and_says_what_is_wrong_with_it,
    watch::every_kind_of_change_is_told_with_who_when_and_what,
    watch::resume::a_watch_that_is_cut_a_hundred_times_knows_all_users_in_the_end,
}
