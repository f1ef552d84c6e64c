//! Lists and searches, page by page: nothing twice, nothing left out.

use std::sync::Arc;

use roster_api::{
    client::Transport,
    user::v1::{
        DeleteUserRequest, ListUsersRequest, Pagination, SearchUsersRequest, User,
        user_service_client::UserServiceClient,
    },
};
use roster_server::{
    model::{Actor, ChangeMeta, PermissionSet, Role, Timestamp, User as ModelUser, UserId, UserStatus},
    store::{NewUser, Store as _},
};
use tempfile::TempDir;

use crate::harness::{Server, create_all, everything, list, store_in};

/// When the first of the stored users was created.
const START: Timestamp = Timestamp(1_767_225_600_000_000);

/// A folder with a database that has these many users, `user00000` and up; every third is an administrator.
async fn stored(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store_in(&folder));
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..count {
        let store = Arc::clone(&store);
        writes.spawn(async move {
            let meta = ChangeMeta {
                at: START,
                actor: Actor::Developer,
                held: PermissionSet::ALL,
                request_id: "setup".into(),
                remote_address: String::new(),
                validate_only: false,
                idempotency: None,
            };
            store
                .create_user(NewUser { user: model_user(number), password_hash: None, mail: None }, meta)
                .await
                .unwrap();
        });
    }
    writes.join_all().await;
    store.close().await;
    folder
}

fn model_user(number: usize) -> ModelUser {
    let at = Timestamp(START.0 + i64::try_from(number).unwrap());
    ModelUser {
        id: UserId::generate(Timestamp(START.0 + 1_000 * i64::try_from(number).unwrap())),
        email: format!("user{number:05}@example.com"),
        // A name that many share.
        name: format!("Name {}", number % 7),
        username: String::new(),
        role: if number.is_multiple_of(3) { Role::Admin } else { Role::User },
        status: UserStatus::Active,
        age: u8::try_from(number % 90).ok().filter(|age| *age > 5),
        phone: String::new(),
        locale: String::new(),
        attributes: Default::default(),
        email_verified: false,
        created_at: at,
        updated_at: at,
        revision: 1,
    }
}

/// Lists to the end by the tokens in the trailers; gives the pages.
async fn pages(users: &mut UserServiceClient<Transport>, mut request: ListUsersRequest) -> Vec<Vec<User>> {
    let mut pages = Vec::new();
    loop {
        let (page, next) = list(users, request.clone()).await.unwrap();
        pages.push(page);
        match next {
            Some(token) => request.page_token = token,
            None => return pages,
        }
    }
}

fn emails(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.email.as_str()).collect()
}

#[tokio::test]
async fn pages_have_100_users_by_default_and_1000_at_most() {
    let server = Server::start_in(stored(2_100).await, |_| ());
    let mut users = server.users().await;
    for (page_size, first, rest) in
        [(0, 100, 20), (7, 7, 299), (1_000, 1_000, 2), (1_001, 1_000, 2), (i32::MAX, 1_000, 2)]
    {
        let request = ListUsersRequest { page_size, ..Default::default() };
        let pages = pages(&mut users, request).await;
        assert_eq!((pages[0].len(), pages.len()), (first, rest + 1), "{page_size}");
        let all: Vec<_> = pages.concat();
        let expected: Vec<_> = (0..2_100).map(|number| format!("user{number:05}@example.com")).collect();
        assert_eq!(emails(&all), expected, "{page_size}");

        let request = SearchUsersRequest { page_size, ..Default::default() };
        let found = users.search_users(request).await.unwrap().into_inner();
        assert_eq!((found.users.len(), found.total_size, found.total_size_is_lower_bound), (first, 2_100, false));
        assert_eq!(found.users, pages[0]);
    }
}

#[tokio::test]
async fn tokens_go_on_in_every_filter_and_order() {
    let server = Server::start_in(stored(120).await, |_| ());
    let mut users = server.users().await;
    let all = everything(&mut users).await;
    for filter in ["", "role = ADMIN", "age < 60 AND NOT name = \"Name 3\""] {
        for order_by in ["", "name", "name desc, age", "age desc, id desc", "created_at desc", "email"] {
            let request = |page_size| ListUsersRequest {
                page_size,
                filter: filter.into(),
                order_by: order_by.into(),
                ..Default::default()
            };
            let whole = pages(&mut users, request(1_000)).await.concat();
            let pieces = pages(&mut users, request(7)).await;
            assert!(pieces.len() > 3 && pieces[..pieces.len() - 1].iter().all(|page| page.len() == 7));
            assert_eq!(pieces.concat(), whole, "{filter:?} {order_by:?}");
            if filter.is_empty() {
                let mut sorted = whole.clone();
                sorted.sort_by(|a, b| a.id.cmp(&b.id));
                assert_eq!(sorted, all);
            } else {
                assert!(whole.len() > 20 && whole.len() < 100, "{}", whole.len());
            }
        }
    }
}

#[tokio::test]
async fn the_id_of_the_last_user_is_a_token_as_in_seed_003() {
    let server = Server::start_in(stored(10).await, |_| ());
    let mut users = server.users().await;
    let all = everything(&mut users).await;
    let after = |id: &str| ListUsersRequest { page_size: 3, page_token: id.into(), ..Default::default() };
    assert_eq!(list(&mut users, after(&all[3].id)).await.unwrap().0, all[4..7]);
    assert_eq!(list(&mut users, after(&all[3].id.to_uppercase())).await.unwrap().0, all[4..7]);
    // The user may have been deleted since it was seen.
    users.delete_user(DeleteUserRequest { user_id: all[3].id.clone(), ..Default::default() }).await.unwrap();
    assert_eq!(list(&mut users, after(&all[3].id)).await.unwrap().0, all[4..7]);
    assert_eq!(list(&mut users, after(&all[9].id)).await.unwrap(), (Vec::new(), None));
    // It goes with a filter, as long as the order is the default.
    let filtered = ListUsersRequest { filter: "role = ADMIN".into(), ..after(&all[0].id) };
    let admins = [all[6].clone(), all[9].clone()];
    assert_eq!(list(&mut users, filtered).await.unwrap().0, admins);
}

#[tokio::test]
async fn pagination_of_seed_001_says_the_same() {
    let server = Server::start_in(stored(10).await, |_| ());
    let mut users = server.users().await;
    let all = everything(&mut users).await;
    let paginated = |page_size, page_token: &str| {
        let pagination = Some(Pagination { page_size, page_token: page_token.into() });
        ListUsersRequest { pagination, ..Default::default() }
    };
    let (first, next) = list(&mut users, paginated(4, "")).await.unwrap();
    assert_eq!(first, all[..4]);
    let next = next.unwrap();
    assert_eq!(list(&mut users, paginated(4, &next)).await.unwrap().0, all[4..8]);
    // Said twice alike is no contradiction.
    let twice = ListUsersRequest { page_size: 4, page_token: next.clone(), ..paginated(4, &next) };
    assert_eq!(list(&mut users, twice).await.unwrap().0, all[4..8]);
}

#[tokio::test]
async fn users_created_between_two_pages_shift_nothing() {
    let server = Server::start_in(stored(10).await, |_| ());
    let mut users = server.users().await;
    let before = everything(&mut users).await;
    let request = ListUsersRequest { page_size: 4, ..Default::default() };
    let (first, next) = list(&mut users, request.clone()).await.unwrap();
    let made = create_all(&mut users, &["late"]).await;
    let rest = pages(&mut users, ListUsersRequest { page_token: next.unwrap(), ..request }).await.concat();
    assert_eq!([first, rest].concat(), [before, made].concat());
}

#[tokio::test]
async fn searches_count_exactly_up_to_10_000() {
    for (count, total, is_lower_bound) in [(10_000, 10_000, false), (10_001, 10_000, true)] {
        let server = Server::start_in(stored(count).await, |_| ());
        let mut users = server.users().await;
        let mut search = async |query: &str, filter: &str| {
            let (query, filter) = (query.to_owned(), filter.to_owned());
            let request = SearchUsersRequest { query, filter, page_size: 2, ..Default::default() };
            let found = users.search_users(request).await.unwrap().into_inner();
            (found.total_size, found.total_size_is_lower_bound, found.users.len(), !found.next_page_token.is_empty())
        };
        assert_eq!(search("", "").await, (total, is_lower_bound, 2, true));
        // One letter is below the index's three.
        assert_eq!(search("U", "").await, (total, is_lower_bound, 2, true));
        // Exactly 10,000, however many more there are.
        assert_eq!(search("USER0", "").await, (10_000, false, 2, true));
        assert_eq!(search("user00042", "").await, (1, false, 1, false));
        assert_eq!(search("u", "email = \"user00042@example.com\"").await, (1, false, 1, false));
        assert_eq!(search("absent", "").await, (0, false, 0, false));
    }
}

#[tokio::test]
async fn searches_page_and_find_any_part_in_any_case_and_width() {
    let server = Server::start_in(stored(120).await, |_| ());
    let mut users = server.users().await;
    let mut request = SearchUsersRequest { query: "NAME 3".into(), page_size: 5, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = users.search_users(request.clone()).await.unwrap().into_inner();
        assert_eq!((page.total_size, page.total_size_is_lower_bound), (17, false));
        found.extend(page.users);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let expected: Vec<_> = (0..120).filter(|n| n % 7 == 3).map(|n| format!("user{n:05}@example.com")).collect();
    assert_eq!(emails(&found), expected);

    create_all(&mut users, &["straße", "Ｗｉｄｅ"]).await;
    // Signs of the languages underneath are only text.
    for (query, hits) in
        [("STRASSE", 0), ("STRAßE", 1), ("wide", 1), ("\"", 0), ("%", 0), ("_", 0), ("*", 0), ("OR", 0)]
    {
        let request = SearchUsersRequest { query: query.into(), ..Default::default() };
        let page = users.search_users(request).await.unwrap().into_inner();
        assert_eq!(page.total_size, hits, "{query}");
    }
}
