//! The conformance suite: each case is a function over `&dyn Store` and runs on every backend.
//!
//! A new backend adds a module in `on_every_backend!`; there are no exceptions.

mod history;
mod lists;
mod mail;
mod search_index;
mod users;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    sync::atomic::{AtomicI64, Ordering},
};

use roster_server::{
    model::{Actor, ChangeMeta, Role, Timestamp, User, UserId, UserStatus},
    store::{
        NewUser, Store, StoreError,
        sqlite::{Location, SqliteOptions, SqliteStore},
    },
};

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
    lists::pages_cover_every_order_exactly_once,
    lists::filters_agree_with_their_meaning,
    lists::searches_find_every_substring,
    lists::counts_stop_at_their_limit,
    mail::a_mail_goes_to_who_has_the_address_and_to_nobody_else,
    mail::a_sign_up_and_its_mail_are_both_there_or_neither,
    mail::a_token_works_once_and_for_what_it_is,
    mail::a_token_ends_with_its_time_its_address_and_its_user,
    mail::a_reset_sets_the_password_and_what_it_changes_is_logged,
    mail::a_claim_gives_each_mail_to_one_sender_until_it_ends,
    mail::what_leads_nowhere_is_given_up_instead_of_sent,
    mail::a_token_is_wiped_with_the_end_of_its_mail,
    mail::mails_are_listed_newest_first_and_purged_after_their_time,
    history::every_change_is_logged_with_who_when_what_and_why,
    history::ten_thousand_random_commands_agree_with_a_plain_model,
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

async fn create(store: &dyn Store, user: &User) -> Result<Arc<User>, StoreError> {
    store.create_user(NewUser { user: user.clone(), password_hash: None, mail: None }, meta()).await
}

/// What a write carries; each at a later time than the one before.
fn meta() -> ChangeMeta {
    ChangeMeta {
        at: tick(),
        actor: Actor::Developer,
        request_id: "request-1".into(),
        remote_address: String::new(),
        validate_only: false,
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
