//! Exports over the wire: all users, or those that match, as they were at one moment.

use std::collections::{BTreeMap, BTreeSet};

use roster_api::{
    Client, Error,
    user::v1::{DeleteUserRequest, ExportUsersRequest, UpdateUserRequest, User},
};
use tonic::Code;

use super::api_keys::create_key;
use crate::harness::{Server, problem, with_email};

async fn client(server: &Server) -> Client {
    Client::connect(&server.addr().to_string()).await.unwrap()
}

fn request(filter: &str, after: &str) -> ExportUsersRequest {
    ExportUsersRequest { filter: filter.into(), after_user_id: after.into() }
}

async fn export(client: &Client, filter: &str, after: &str) -> (i64, Vec<User>) {
    let mut export = client.export(request(filter, after)).await.unwrap();
    let mut users = Vec::new();
    while let Some(user) = export.next().await.unwrap() {
        users.push(user);
    }
    (export.total_size(), users)
}

/// Users `user-0000` and so on, by import.
async fn fill(client: &Client, count: usize) {
    let rows = (0..count).map(super::imports::numbered);
    let verdicts = super::imports::import(client, Default::default(), rows.collect()).await;
    assert_eq!(verdicts.len(), count);
}

#[tokio::test]
async fn all_users_come_once_in_the_order_of_their_ids() {
    let server = Server::dev();
    let client = client(&server).await;
    assert_eq!(export(&client, "", "").await, (0, Vec::new()));
    fill(&client, 2_500).await;
    let (total, users) = export(&client, "", "").await;
    assert_eq!((total, users.len()), (2_500, 2_500));
    assert!(users.is_sorted_by(|one, other| one.id < other.id));
    assert_eq!(users[..10], everything_of(&server, 10).await[..]);

    let (total, some) = export(&client, "name : \"7\"", "user-1000").await;
    let expected: Vec<_> =
        users.iter().filter(|user| user.name.contains('7') && user.id.as_str() > "user-1000").cloned().collect();
    assert_eq!((total, some), (expected.len() as i64, expected));
    assert_eq!(export(&client, "", "user-2499").await, (0, Vec::new()));
}

async fn everything_of(server: &Server, count: i32) -> Vec<User> {
    let mut users = server.users().await;
    let request = roster_api::user::v1::ListUsersRequest { page_size: count, ..Default::default() };
    crate::harness::list(&mut users, request).await.unwrap().0
}

#[tokio::test]
pub(super) async fn what_changes_under_an_export_does_not_show_in_it() {
    let server = Server::dev();
    let client = client(&server).await;
    fill(&client, 5_000).await;
    for filter in ["", "name : \"1\""] {
        let before: BTreeMap<String, User> =
            export(&client, filter, "").await.1.into_iter().map(|user| (user.id.clone(), user)).collect();
        let mut running = client.export(request(filter, "")).await.unwrap();
        assert_eq!(running.total_size() as usize, before.len());
        // The end of the list, which is yet to be read: no window holds as much.
        let mut users = client.users();
        let mut deleted = BTreeSet::new();
        for number in (4_000..5_000).step_by(7) {
            let user_id = format!("user-{number:04}");
            if number % 2 == 0 {
                let gone = users.delete_user(DeleteUserRequest { user_id: user_id.clone(), etag: String::new() }).await;
                if gone.is_ok() {
                    deleted.insert(user_id);
                }
            } else if before.contains_key(&user_id) {
                let name = Some("changed".to_owned());
                users.update_user(UpdateUserRequest { user_id, name, ..Default::default() }).await.unwrap();
            }
            let new = roster_api::user::v1::CreateUserRequest {
                user_id: format!("user-{number:04}-{}", filter.len()),
                name: "1".into(),
                ..with_email(&format!("new-{number}-{}@example.com", filter.len()))
            };
            users.create_user(new).await.unwrap();
        }
        let mut seen = BTreeMap::new();
        while let Some(user) = running.next().await.unwrap() {
            assert_eq!(Some(&user), before.get(&user.id), "as it was");
            seen.insert(user.id.clone(), user);
        }
        for (id, _) in before.iter().filter(|(id, _)| !seen.contains_key(*id)) {
            assert!(deleted.contains(id), "{id} is missing, and was not deleted");
        }
    }
}

#[tokio::test]
async fn a_bad_request_and_a_caller_without_the_permission_are_refused() {
    let server = Server::dev();
    let mut users = server.users().await;
    let refused = problem(users.export_users(request("name =", "")).await);
    assert_eq!(refused.kind(), (Code::InvalidArgument, "FILTER_INVALID"));
    let refused = problem(users.export_users(request("name =", "no id")).await);
    assert_eq!(refused.fields(), ["filter", "after_user_id"]);
    let error =
        Client::connect(&server.addr().to_string()).await.unwrap().export(request("name =", "")).await.unwrap_err();
    assert_eq!(Error::reason(&error), Some("FILTER_INVALID"));
}

#[tokio::test]
async fn private_fields_are_shown_to_who_may_see_them() {
    let server = Server::dev();
    let new = roster_api::user::v1::CreateUserRequest {
        age: Some(36),
        phone: "+493012345678".into(),
        attributes: [("team".to_owned(), "blue".to_owned())].into(),
        ..with_email("ada@example.com")
    };
    server.users().await.create_user(new).await.unwrap();
    for (scopes, sees) in [(&["users.export"][..], false), (&["users.export", "users.read_private"], true)] {
        let (_, key) = create_key(&server, scopes).await;
        let client = Client::builder().endpoint(server.addr().to_string()).token(key).connect().await.unwrap();
        let (_, users) = export(&client, "", "").await;
        let [ada] = users.as_slice() else { panic!("{users:?}") };
        assert_eq!((ada.age.is_some(), !ada.phone.is_empty(), !ada.attributes.is_empty()), (sees, sees, sees));
        let by_age = client.export(request("age > 3", "")).await;
        assert_eq!(by_age.is_ok(), sees, "nor is anybody found by them");
    }
}
