//! The audit log over the wire: acts, refusals, and what cannot be asked.

use roster_api::user::v1::{
    ActorKind, AuditEvent, AuditOutcome, DeleteUserRequest, GetUserRequest, ListAuditEventsRequest,
    ListAuditEventsResponse, UpdateUserRequest, user_service_client::UserServiceClient,
};
use roster_server::{
    model::{Action, ActorKind as StoredKind},
    store::{AuditQuery, AuditStore as _, Store as _},
};
use tonic::{Code, Request};

use crate::{
    api::USERS,
    harness::{Server, create_all, problem, store_in, with_email},
};

type Users = UserServiceClient<roster_api::client::Transport>;

async fn events(users: &mut Users, request: ListAuditEventsRequest) -> ListAuditEventsResponse {
    users.list_audit_events(request).await.unwrap().into_inner()
}

fn filtered(filter: &str) -> ListAuditEventsRequest {
    ListAuditEventsRequest { filter: filter.into(), ..Default::default() }
}

#[tokio::test]
pub(super) async fn every_act_is_told_with_who_when_what_and_from_where() {
    let server = Server::dev();
    let mut users = server.users().await;
    let ada = create_all(&mut users, &["ada"]).await.remove(0);
    let update = UpdateUserRequest { user_id: ada.id.clone(), name: Some("Ada".into()), ..Default::default() };
    let mut update = Request::new(UpdateUserRequest { age: Some(36), ..update });
    update.metadata_mut().insert("x-request-id", "call-7".parse().unwrap());
    users.update_user(update).await.unwrap();
    users.delete_user(DeleteUserRequest { user_id: ada.id.clone(), ..Default::default() }).await.unwrap();

    let all = events(&mut users, filtered("")).await;
    let actions: Vec<&str> = all.events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!((actions, all.next_page_token.as_str()), (vec!["user.deleted", "user.updated", "user.created"], ""));
    let update = &all.events[1];
    let expected = AuditEvent {
        id: update.id.clone(),
        occurred_at: update.occurred_at,
        actor: Some(roster_api::user::v1::Actor { kind: ActorKind::Developer.into(), id: String::new() }),
        action: "user.updated".into(),
        outcome: AuditOutcome::Done.into(),
        user_id: ada.id.clone(),
        request_id: "call-7".into(),
        changed_fields: vec!["name".into(), "age".into()],
        ..Default::default()
    };
    assert_eq!(*update, expected, "no value, and of a deleted user no address");
    assert!(all.events.is_sorted_by(|a, b| a.id > b.id));

    let other = create_all(&mut users, &["bea"]).await.remove(0);
    let of_bea = events(&mut users, filtered(&format!("user_id = \"{}\"", other.id))).await.events;
    assert_eq!((of_bea.len(), of_bea[0].remote_address.as_str()), (1, "127.0.0.1"));
    let of_ada = filtered(&format!("user_id = \"{}\" AND action != \"user.updated\"", ada.id));
    assert_eq!(events(&mut users, of_ada).await.events.len(), 2);
}

#[tokio::test]
async fn pages_go_both_ways_and_their_tokens_are_bound() {
    let server = Server::dev();
    let mut users = server.users().await;
    create_all(&mut users, &["a", "b", "c", "d", "e"]).await;
    let newest_first: Vec<String> = events(&mut users, filtered("")).await.events.into_iter().map(|e| e.id).collect();
    for order_by in ["", "occurred_at desc", "occurred_at", "  occurred_at  asc "] {
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request =
                ListAuditEventsRequest { order_by: order_by.into(), page_size: 2, page_token, ..Default::default() };
            let page = events(&mut users, request).await;
            seen.extend(page.events.into_iter().map(|event| event.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        if order_by.contains("occurred_at") && !order_by.contains("desc") {
            seen.reverse();
        }
        assert_eq!(seen, newest_first, "{order_by}");
    }
    let first = ListAuditEventsRequest { page_size: 1, ..Default::default() };
    let page_token = events(&mut users, first).await.next_page_token;
    for request in [
        ListAuditEventsRequest { order_by: "occurred_at".into(), page_token: page_token.clone(), ..Default::default() },
        ListAuditEventsRequest { page_token: page_token.clone(), ..filtered("outcome = DONE") },
        ListAuditEventsRequest { page_token: page_token[..10].into(), ..Default::default() },
        ListAuditEventsRequest { page_token: "1".into(), ..Default::default() },
    ] {
        assert_eq!(problem(users.list_audit_events(request).await).reason, "PAGE_TOKEN_INVALID");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_with_its_place() {
    let server = Server::dev();
    let mut users = server.users().await;
    for (filter, says) in [
        ("actor = x", "unknown field `actor`; known are actor.kind, actor.id, action"),
        ("refused", "`refused` is compared with nothing"),
        ("outcome = MAYBE", "unknown outcome `MAYBE`; known are DONE, REFUSED"),
        ("actor.kind = ROBOT", "unknown kind `ROBOT`; known are ANONYMOUS,"),
        ("outcome > DONE", "`outcome` has no order"),
        ("action:*", "`action` is always there"),
        ("occurred_at > yesterday", "is no time after RFC 3339"),
        ("(outcome = DONE", "`(` is not closed"),
    ] {
        let refused = problem(users.list_audit_events(filtered(filter)).await);
        assert_eq!((refused.kind(), refused.fields()), ((Code::InvalidArgument, "FILTER_INVALID"), vec!["filter"]));
        assert!(refused.violations[0].1.contains(says), "{filter}: {refused:?}");
    }
    let order = ListAuditEventsRequest { order_by: "action".into(), ..Default::default() };
    assert_eq!(problem(users.list_audit_events(order).await).reason, "ORDER_BY_INVALID");
    let both = ListAuditEventsRequest { order_by: "action".into(), page_size: -1, ..filtered("x = 1") };
    assert_eq!(problem(users.list_audit_events(both).await).fields(), ["page_size", "filter", "order_by"]);
}

#[tokio::test]
async fn refusals_are_in_the_log_when_the_server_has_stopped() {
    let server = Server::start(|config| config.dev = false);
    let mut users = server.users().await;
    let mut get = Request::new(GetUserRequest { user_id: "ada".into() });
    get.metadata_mut().insert("x-request-id", "call-1".parse().unwrap());
    assert_eq!(problem(users.get_user(get).await).reason, "CREDENTIALS_MISSING");
    let admin = roster_api::user::v1::CreateUserRequest { email_verified: true, ..with_email("ada@example.com") };
    assert_eq!(problem(users.create_user(admin).await).reason, "PERMISSION_DENIED");
    // What is wrong is no refusal, and neither is what does not exist.
    assert_eq!(problem(users.create_user(with_email("no address")).await).code, Code::InvalidArgument);
    server.wire().await.call(&format!("{USERS}/Nothing"), b"").await;
    // More than one commit takes.
    for _ in 0..12 {
        // A connection on which too many calls end before their message has come is closed.
        let mut users = server.users().await;
        for _ in 0..50 {
            assert_eq!(problem(users.get_user(GetUserRequest::default()).await).code, Code::Unauthenticated);
        }
    }
    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    let query = AuditQuery { filter: None, newest_first: false, after: None, limit: 1_000 };
    let events = store.list_events(query).await.unwrap();
    assert_eq!(events.len(), 602);
    assert!(events.iter().all(|event| {
        let anonymous = (event.actor, event.actor_id.as_str()) == (StoredKind::Anonymous, "");
        anonymous && event.action == Action::CallRefused && event.remote_address == "127.0.0.1"
    }));
    let first = (events[0].reason.as_str(), events[0].target.as_str(), events[0].request_id.as_str());
    assert_eq!(first, ("CREDENTIALS_MISSING", "methods/user.v1.UserService/GetUser", "call-1"));
    let second = (events[1].reason.as_str(), events[1].target.as_str());
    assert_eq!(second, ("PERMISSION_DENIED", "methods/user.v1.UserService/CreateUser"));
    store.close().await;
}
