//! Lists, searches and counts: the same answers as walking all users and looking.

use std::cmp::Ordering;

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use roster_server::{
    model::{Role, User, UserId, UserStatus, filter::Filter, order::Order, text::fold},
    store::{Store, UserQuery},
};

use super::{Decoded as _, create, user};

const USERS: usize = 150;

/// Users that tie, lack and differ in everything that can be ordered or searched.
async fn populate(store: &dyn Store) -> Vec<User> {
    let names = ["Ada", "ada", "Émile", "Zoë Çelik", "", "李小龍", "O'Brien", "100%_sure", "a\"b c"];
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = (0..names.len(), any::<bool>(), prop::option::of(18_u8..24), 0..Role::ALL.len(), any::<bool>());
    let mut users = Vec::new();
    for number in 0..USERS {
        let (name, named, age, role, active) = strategy.new_tree(&mut runner).unwrap().current();
        let mut user = user(&format!("user{number:03}"));
        user.name = names[name].into();
        if !named {
            user.username = String::new();
        }
        if number % 3 == 0 {
            user.id = UserId::parse(&format!("text-{}", number * 37 % 100)).unwrap();
        }
        (user.age, user.role) = (age, Role::ALL[role].0);
        user.status = if active { UserStatus::Active } else { UserStatus::Inactive };
        create(store, &user).await.unwrap();
        users.push(user);
    }
    users
}

/// Every page of a list, and of the search that has to agree with it.
pub async fn list(store: &dyn Store, filter: &str, search: &str, order: &str, page: u32) -> Vec<User> {
    let order = Order::parse(order).unwrap();
    let mut all: Vec<User> = Vec::new();
    let mut totals = Vec::new();
    loop {
        let after = all.last().map(|user| order.cursor_of(user));
        let query = UserQuery {
            filter: Filter::parse(filter).unwrap(),
            search: (!search.is_empty()).then(|| fold(search)),
            order: order.clone(),
            after,
            limit: page,
        };
        let users = store.list_users(query.clone()).await.decoded().unwrap();
        let (found, total) = store.search_users(query, u32::MAX).await.unwrap();
        assert_eq!(found.decoded(), users);
        totals.push(total as usize);
        let last = users.len() < page as usize;
        all.extend(users);
        if last {
            assert!(totals.iter().all(|total| *total == all.len()), "{totals:?} of {}", all.len());
            return all;
        }
    }
}

pub fn sorted(mut users: Vec<User>, order: &str) -> Vec<User> {
    let order = Order::parse(order).unwrap();
    users.sort_by(|one, other| order.compare(one, other));
    assert!(users.windows(2).all(|pair| order.compare(&pair[0], &pair[1]) == Ordering::Less), "{order} is total");
    users
}

pub async fn pages_cover_every_order_exactly_once(store: &dyn Store) {
    let users = populate(store).await;
    let orders = [
        "",
        "id desc",
        "name",
        "name desc",
        "email",
        "email desc",
        "username",
        "username desc",
        "created_at",
        "created_at desc",
        "updated_at",
        "age",
        "age desc",
        "role, age desc, name",
        "status desc, username, age",
        "age desc, role desc",
        "username desc, name",
    ];
    for order in orders {
        for page in [1, 7, 1_000] {
            assert_eq!(list(store, "", "", order, page).await, sorted(users.clone(), order), "{order:?} by {page}");
        }
    }
}

pub async fn filters_agree_with_their_meaning(store: &dyn Store) {
    let users = populate(store).await;
    let filters = [
        "role = ADMIN",
        "role != ADMIN AND status = ACTIVE",
        "age > 20",
        "NOT age > 20",
        "age != 20",
        "-age:*",
        "name:é",
        "name = \"Ada\"",
        "name = \"*ie*\"",
        "username:*",
        "email : \"user01\"",
        "email = USER007@example.com",
        "status = ACTIVE role = USER OR role = ADMIN age >= 21",
        "created_at > \"2026-01-01T00:00:00Z\"",
        "attributes.team = blue",
        "attributes:desk",
        "id = \"text-37\"",
        "NOT (age < 20 OR name:ada)",
    ];
    for text in filters {
        let filter = Filter::parse(text).unwrap().unwrap();
        let expected: Vec<_> = users.iter().filter(|user| filter.matches(user)).cloned().collect();
        let expected = sorted(expected, "name, id");
        assert_eq!(list(store, text, "", "name", 13).await, expected, "{text}");
    }
}

pub async fn searches_find_every_substring(store: &dyn Store) {
    let users = populate(store).await;
    let searches = [
        "a",
        "ZO",
        "é",
        "Ë ç",
        "user01",
        "USER149@EXAMPLE.COM",
        "example.com",
        "李",
        "小龍",
        "'",
        "%",
        "_su",
        "\"b ",
        "a\"b c",
        "nobody here",
        "100%_SURE",
        "r1",
        "\\",
        "*",
        "AND",
        "ada",
    ];
    for search in searches {
        let wanted = fold(search);
        let found =
            |user: &&User| [&user.name, &user.email, &user.username].iter().any(|part| fold(part).contains(&wanted));
        let expected: Vec<_> = users.iter().filter(found).cloned().collect();
        for order in ["", "age desc, name"] {
            let listed = list(store, "", search, order, 9).await;
            assert_eq!(listed, sorted(expected.clone(), order), "{search:?} by {order:?}");
        }
        // With a filter on top.
        let filter = Filter::parse("role = USER").unwrap().unwrap();
        let expected: Vec<_> = expected.into_iter().filter(|user| filter.matches(user)).collect();
        assert_eq!(list(store, "role = USER", search, "", 9).await, sorted(expected, ""), "{search:?}");
    }
}

pub async fn totals_stop_at_their_limit(store: &dyn Store) {
    populate(store).await;
    for (search, limit, total_max, total) in
        [(None, 1, 10, 10), (Some("example"), 5, 11, 11), (Some("example"), 1_000, 11, 11), (None, 20, 1_000, USERS)]
    {
        let order = Order::parse("").unwrap();
        let query = UserQuery { filter: None, search: search.map(Into::into), order, after: None, limit };
        let (users, counted) = store.search_users(query, total_max).await.unwrap();
        assert_eq!((users.len(), counted as usize), (USERS.min(limit as usize), total), "{search:?}");
    }
}
