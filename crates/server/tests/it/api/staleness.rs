//! `x-max-staleness-ms`: who may say what, on whichever store, and what it changes.

use std::time::{Duration, Instant};

use http::HeaderValue;
use prost::Message as _;
use roster_api::{
    client::{MAX_STALENESS_MS, with_max_staleness},
    user::v1::{
        DeleteUserRequest, GetPreferencesRequest, GetUserByEmailRequest, GetUserRequest, ListUsersRequest,
        SearchUsersRequest, UpdateUserRequest,
    },
};
use tonic::{Code, Request};

use super::metrics::Scraped;
use crate::{
    harness::{Problem, Server, create_all, grpc, problem},
    postgres::{Database, alone, named},
};

const HOUR: Duration = Duration::from_hours(1);

fn saying<T>(message: T, value: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().append(MAX_STALENESS_MS, value.parse().unwrap());
    request
}

#[tokio::test]
pub(super) async fn every_read_takes_it_and_says_what_is_wrong_with_it() {
    let server = Server::dev();
    let mut users = server.users().await;
    let user_id = create_all(&mut users, &["ada"]).await.remove(0).id;
    let get = GetUserRequest { user_id: user_id.clone() };
    for good in ["0", "1", "3600000"] {
        assert_eq!(users.get_user(saying(get.clone(), good)).await.unwrap().into_inner().id, user_id);
        users.search_users(saying(SearchUsersRequest::default(), good)).await.unwrap();
        users.list_users(saying(ListUsersRequest::default(), good)).await.unwrap();
        users.get_preferences(saying(GetPreferencesRequest { user_id: user_id.clone() }, good)).await.unwrap();
    }
    for bad in ["", "-1", "1.5", "3600001", "1s", "soon", "99999999999999999999999"] {
        let problem = problem(users.get_user(saying(get.clone(), bad)).await);
        assert_eq!(problem.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"), "{bad:?}");
        assert_eq!(problem.fields(), [MAX_STALENESS_MS]);
        let said = &problem.violations[0].1;
        let shown: String = bad.chars().take(20).collect();
        assert!(said.contains(&format!("{shown:?}")) && said.contains("0 to 3600000"), "{said}");
    }
    let mut twice = saying(get, "1");
    twice.metadata_mut().append(MAX_STALENESS_MS, "1".parse().unwrap());
    assert_eq!(problem(users.get_user(twice).await).fields(), [MAX_STALENESS_MS]);
    // It is for reads; what changes something has nothing to do with it.
    users.delete_user(saying(DeleteUserRequest { user_id, ..Default::default() }, "soon")).await.unwrap();
}

/// Reads the user's name until it is this one.
async fn until_named(server: &Server, user_id: &str, name: &str) {
    let mut users = server.users().await;
    loop {
        let request = with_max_staleness(GetUserRequest { user_id: user_id.to_owned() }, HOUR);
        if users.get_user(request).await.unwrap().into_inner().name == name {
            return;
        }
    }
}

fn renamed(user_id: &str, name: &str) -> UpdateUserRequest {
    UpdateUserRequest { user_id: user_id.to_owned(), name: Some(name.to_owned()), ..Default::default() }
}

#[tokio::test]
async fn a_default_holds_for_who_says_nothing_and_nobody_who_says_none_is_shown_what_is_old() {
    let database = Database::new();
    let start = |millis| {
        Server::start(|config| {
            config.database_url = database.url().parse().unwrap();
            config.max_staleness_default = Duration::from_millis(millis);
        })
    };
    let (plain, lenient) = (start(0), start(3_600_000));
    let (mut here, mut there) = (plain.users().await, lenient.users().await);
    let user_id = create_all(&mut here, &["ada"]).await.remove(0).id;
    let get = || GetUserRequest { user_id: user_id.clone() };
    for number in 0..20 {
        let name = format!("Ada {number}");
        // Something to be old.
        there.get_user(get()).await.unwrap();
        here.update_user(renamed(&user_id, &name)).await.unwrap();
        assert_eq!(here.get_user(get()).await.unwrap().into_inner().name, name);
        let now = with_max_staleness(get(), Duration::ZERO);
        assert_eq!(there.get_user(now).await.unwrap().into_inner().name, name);
    }
    // Until it has heard of the last change, for which it forgets what it has read before.
    while Scraped::of(&lenient).await.get("roster_change_log_position") < 21.0 {}
    until_named(&lenient, &user_id, "Ada 19").await;
    // Behind the back of both: who says nothing is told what is remembered.
    let owner = database.connect().await;
    owner.batch_execute("DELETE FROM users").await.unwrap();
    assert_eq!(there.get_user(get()).await.unwrap().into_inner().name, "Ada 19");
    let email = GetUserByEmailRequest { email: "ada@example.com".into() };
    assert_eq!(there.get_user_by_email(email.clone()).await.unwrap().into_inner().name, "Ada 19");
    let gone = problem(there.get_user(with_max_staleness(get(), Duration::ZERO)).await);
    assert_eq!(gone.kind(), (Code::NotFound, "USER_NOT_FOUND"));
    assert_eq!(problem(here.get_user(get()).await).kind(), (Code::NotFound, "USER_NOT_FOUND"));
}

#[tokio::test]
async fn pages_go_on_across_primary_and_replica() {
    let ((_primary, url), standby) = tokio::task::spawn_blocking(|| {
        let (primary, url) = alone();
        let standby = primary.standby().unwrap();
        ((primary, url), standby)
    })
    .await
    .unwrap();
    let server = Server::start(|config| {
        config.database_url = url.as_str().parse().unwrap();
        config.database_replica_url = Some(named(&standby.url, "alone").as_str().parse().unwrap());
    });
    let mut users = server.users().await;
    let names: Vec<String> = (0..20).map(|number| format!("user{number:02}")).collect();
    create_all(&mut users, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let used = async || {
        let page = server.http_get("/metrics").await;
        let start = "roster_store_replica_reads_total{outcome=\"used\"} ";
        page.lines().find_map(|line| line.strip_prefix(start)).unwrap().parse::<u64>().unwrap()
    };
    // Until the replica has them all.
    loop {
        let before = used().await;
        let request = with_max_staleness(SearchUsersRequest::default(), Duration::from_secs(1));
        let found = users.search_users(request).await.unwrap().into_inner();
        if found.total_size == 20 && used().await > before {
            break;
        }
    }
    let (mut shown, mut page_token) = (Vec::new(), String::new());
    for page in 0.. {
        let request =
            SearchUsersRequest { page_size: 3, page_token, order_by: "name desc".into(), ..Default::default() };
        let staleness = if page % 2 == 0 { HOUR } else { Duration::ZERO };
        let before = used().await;
        let found = users.search_users(with_max_staleness(request, staleness)).await.unwrap().into_inner();
        assert_eq!(used().await - before, u64::from(page % 2 == 0), "page {page}");
        shown.extend(found.users.into_iter().map(|user| user.name));
        page_token = found.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    shown.reverse();
    assert_eq!(shown, names);
}

#[tokio::test]
async fn a_call_that_waits_for_a_lock_ends_by_its_deadline_and_so_does_its_query() {
    let database = Database::new();
    let server = Server::start(|config| config.database_url = database.url().parse().unwrap());
    let mut users = server.users().await;
    let user_id = create_all(&mut users, &["ada"]).await.remove(0).id;
    let (holder, observer) = (database.connect().await, database.connect().await);
    let count = async |condition: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'roster' AND {condition}"
        );
        observer.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    holder.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();
    // A client would give up by itself.
    let wire = server.wire().await;
    let delete = DeleteUserRequest { user_id: user_id.clone(), ..Default::default() }.encode_to_vec();
    for _ in 0..5 {
        let mut request = grpc("/user.v1.UserService/DeleteUser", &delete);
        request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("300m"));
        let began = Instant::now();
        let late = Problem::of(&wire.send(request).await.status());
        assert_eq!(late.kind(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        while count("state <> 'idle'").await > 0 {}
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    let sessions = count("TRUE").await;
    users.delete_user(DeleteUserRequest { user_id, ..Default::default() }).await.unwrap();
    assert_eq!(count("TRUE").await, sessions);
}
