//! The conformance suite: each case is a function over `&dyn Store` and runs on every backend.
//!
//! A new backend adds a module in `on_every_backend!`; there are no exceptions.

mod address_history;
mod addresses;
mod api_keys;
mod audit;
mod copy;
mod feed;
mod history;
mod idempotency;
mod imports;
mod last_admin;
mod lists;
mod mail;
mod migrations;
mod nodes;
mod preferences;
mod rank;
mod search_index;
mod sessions;
mod signing_keys;
mod users;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::atomic::{AtomicI64, Ordering},
};

use roster_server::{
    model::{Actor, ChangeMeta, PermissionSet, Role, Timestamp, User, UserId, UserStatus, order::Order},
    store::{
        NewUser, Store, StoreError, StoredUser, UserQuery,
        sqlite::{Location, SqliteOptions, SqliteStore},
    },
};

use crate::postgres::Database;

macro_rules! on_every_backend {
    ($($module:ident :: $case:ident,)+) => {
        mod sqlite_file {
            $(#[tokio::test] async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let location = super::Location::File(folder.path().join("roster.db"));
                super::on_sqlite(location, super::$module::$case).await;
            })+
        }
        mod sqlite_memory {
            $(#[tokio::test] async fn $case() {
                super::on_sqlite(super::Location::Memory, super::$module::$case).await;
            })+
        }
        mod postgres {
            $(#[tokio::test] async fn $case() {
                super::on_postgres(super::$module::$case).await;
            })+
        }
    };
}

on_every_backend! {
    users::a_created_user_is_read_back_as_it_went_in,
    users::what_is_taken_is_named,
    users::look_alikes_are_taken_too,
    users::one_of_32_parallel_creates_wins,
    users::a_patch_changes_what_it_names_and_no_more,
    users::a_patch_that_changes_nothing_leaves_no_trace,
    users::a_stale_etag_changes_nothing,
    users::the_status_is_set_once,
    users::a_deleted_user_leaves_nothing_of_the_person,
    users::an_absent_user_is_not_found_by_any_command,
    users::a_rehearsal_changes_nothing,
    users::every_read_sees_every_write_before_it,
    users::secrets_stay_the_same,
    users::a_closed_store_refuses,
    idempotency::a_call_with_a_key_runs_once_and_its_answer_is_kept,
    idempotency::of_parallel_calls_with_a_key_one_runs,
    idempotency::what_fails_or_is_rehearsed_keeps_no_answer,
    idempotency::a_deleted_user_takes_the_answers_along,
    idempotency::answers_are_kept_for_a_day,
    lists::pages_cover_every_order_exactly_once,
    lists::filters_agree_with_their_meaning,
    lists::searches_find_every_substring,
    lists::totals_stop_at_their_limit,
    sessions::logins_are_found_by_email_and_by_username,
    sessions::a_session_begins_for_the_verified_password_alone,
    sessions::a_refresh_token_is_good_once_and_used_again_ends_the_session,
    sessions::of_parallel_refreshes_one_wins_and_the_session_ends,
    sessions::sessions_end_with_their_time_and_their_user,
    sessions::a_user_ends_one_or_all_or_all_but_one,
    sessions::a_new_password_ends_all_sessions,
    sessions::pages_of_sessions_have_the_last_used_first,
    sessions::a_session_grants_what_its_user_may_do_until_it_ends,
    audit::acts_and_refusals_are_read_back,
    audit::events_are_paged_in_both_orders,
    audit::filters_of_events_agree_with_their_meaning,
    audit::a_deleted_user_leaves_no_address_in_the_log,
    last_admin::the_last_one_is_neither_demoted_nor_deactivated_nor_deleted,
    last_admin::only_those_who_can_sign_in_count,
    last_admin::of_two_who_demote_each_other_one_wins,
    rank::whoever_holds_less_changes_nothing,
    rank::a_promotion_just_before_is_seen,
    mail::a_mail_goes_to_who_has_the_address_and_to_nobody_else,
    mail::a_sign_up_and_its_mail_are_both_there_or_neither,
    mail::a_token_works_once_and_for_what_it_is,
    mail::a_token_ends_with_its_time_its_address_and_its_user,
    mail::a_reset_sets_the_password_and_ends_every_session,
    mail::a_claim_gives_each_mail_to_one_sender_until_it_ends,
    mail::what_leads_nowhere_is_given_up_instead_of_sent,
    mail::a_token_is_wiped_with_the_end_of_its_mail,
    mail::mails_are_listed_newest_first_and_purged_after_their_time,
    feed::a_change_has_the_user_before_and_after_it,
    feed::the_newest_position_follows_every_commit,
    feed::the_end_of_the_log_is_behind_no_commit,
    feed::users_are_read_as_they_were,
    feed::users_are_read_as_they_were_however_much_has_changed,
    feed::a_page_is_small_where_few_match_now_and_many_have_changed,
    feed::a_log_is_trimmed_by_number_and_by_age_and_keeps_its_newest,
    imports::each_row_of_a_batch_stands_alone,
    imports::an_update_changes_what_the_row_has,
    imports::nobody_is_changed_who_may_do_more_and_an_administrator_stays,
    imports::a_rehearsal_says_what_a_run_would_say,
    imports::a_run_goes_on_from_where_it_is_and_nowhere_else,
    imports::batches_are_done_in_the_order_in_which_they_are_handed_in,
    imports::runs_are_forgotten_after_their_time,
    imports::imported_users_are_read_as_they_are,
    history::every_change_is_logged_with_who_when_what_and_why,
    history::ten_thousand_random_commands_agree_with_a_plain_model,
    addresses::an_address_is_read_back_as_it_went_in,
    addresses::a_new_default_takes_the_place_of_the_old,
    addresses::an_address_patch_changes_what_it_names,
    addresses::an_absent_address_and_a_foreign_one_are_the_same,
    addresses::fifty_of_60_parallel_adds_fit,
    addresses::one_default_stays_under_parallel_writes,
    addresses::addresses_go_with_their_user,
    addresses::a_rehearsal_leaves_addresses_as_they_are,
    address_history::two_thousand_random_steps_agree_with_a_plain_model,
    preferences::preferences_start_with_their_defaults,
    preferences::a_preferences_patch_changes_what_it_names,
    preferences::the_limits_of_free_keys_hold_for_what_is_left,
    preferences::one_of_16_parallel_changes_with_an_etag_wins,
    preferences::preferences_go_with_their_user,
    api_keys::a_key_is_listed_as_it_went_in_until_it_is_revoked,
    api_keys::there_are_no_more_than_the_limit,
    api_keys::pages_go_from_the_newest_to_the_oldest,
    api_keys::uses_only_move_forward,
    api_keys::a_key_gives_what_its_maker_may_still_give,
    api_keys::a_key_stands_until_what_it_rests_on_ends,
    signing_keys::of_many_that_start_at_once_one_makes_the_key,
    signing_keys::a_rotation_retires_the_key_that_signed,
}

async fn on_sqlite<C>(location: Location, case: C)
where
    C: AsyncFn(&dyn Store),
{
    let options = SqliteOptions { location, cache_bytes: 1 << 20, write_queue_max: 1_024, reader_threads: 2 };
    let store = SqliteStore::open(options).unwrap();
    case(&store).await;
    store.close().await;
}

async fn on_postgres<C>(case: C)
where
    C: AsyncFn(&dyn Store),
{
    let database = Database::new();
    let store = database.open();
    case(&store).await;
    store.close().await;
}

/// A user with the text fields made from `name`, active and plain.
fn user(name: &str) -> User {
    let now = tick();
    User {
        id: UserId::generate(now),
        email: format!("{name}@example.com"),
        name: format!("{name} Example"),
        username: name.to_owned(),
        role: Role::User,
        status: UserStatus::Active,
        age: Some(30),
        phone: "+493012345678".into(),
        locale: "de-CH".into(),
        attributes: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
        email_verified: false,
        created_at: now,
        updated_at: now,
        revision: 1,
    }
}

async fn create(store: &dyn Store, user: &User) -> Result<User, StoreError> {
    store.create_user(NewUser { user: user.clone(), password_hash: None, mail: None }, meta()).await.decoded()
}

/// All users, by their ids.
fn everybody() -> UserQuery {
    UserQuery { filter: None, search: None, order: Order::default(), after: None, limit: 1_000 }
}

/// What a store answers, decoded, so that cases compare users rather than bytes.
trait Decoded {
    type User;
    fn decoded(self) -> Self::User;
}

impl Decoded for StoredUser {
    type User = User;
    fn decoded(self) -> User {
        self.user().unwrap()
    }
}

impl<T: Decoded> Decoded for Option<T> {
    type User = Option<T::User>;
    fn decoded(self) -> Self::User {
        self.map(T::decoded)
    }
}

impl<T: Decoded> Decoded for Vec<T> {
    type User = Vec<T::User>;
    fn decoded(self) -> Self::User {
        self.into_iter().map(T::decoded).collect()
    }
}

impl<T: Decoded, E> Decoded for Result<T, E> {
    type User = Result<T::User, E>;
    fn decoded(self) -> Self::User {
        self.map(T::decoded)
    }
}

/// How many users there are, or those among them that a search for `text` finds.
async fn count(store: &dyn Store, text: &str) -> usize {
    let search = (!text.is_empty()).then(|| text.to_owned());
    let query = UserQuery { filter: None, search, order: Order::parse("").unwrap(), after: None, limit: 1 };
    store.search_users(query, u32::MAX).await.unwrap().1 as usize
}

/// What a write carries; each at a later time than the one before.
fn meta() -> ChangeMeta {
    ChangeMeta {
        at: tick(),
        actor: Actor::Developer,
        held: PermissionSet::ALL,
        request_id: "request-1".into(),
        remote_address: String::new(),
        validate_only: false,
        idempotency: None,
    }
}

fn tick() -> Timestamp {
    static NOW: AtomicI64 = AtomicI64::new(1_767_225_600_000_000);
    Timestamp(NOW.fetch_add(1, Ordering::Relaxed))
}

/// Waits for all of them at once.
async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut waiting = false;
        for (future, output) in pending.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(cx) {
                std::task::Poll::Ready(ready) => *output = Some(ready),
                std::task::Poll::Pending => waiting = true,
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}
