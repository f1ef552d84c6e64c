//! The audit log: what is in it, how it is found, and what is not in it any more once a user is gone.

use roster_server::{
    model::{
        Action, Actor, ActorKind, AuditEvent, AuditOutcome, ChangeMeta, UserPatch, UserStatus, filter::AuditFilter,
    },
    store::{AuditQuery, NewEvent, Store},
};

use super::{create, meta, user};

fn by(actor: Actor, remote_address: &str) -> ChangeMeta {
    ChangeMeta { actor, remote_address: remote_address.into(), ..meta() }
}

fn refused(meta: ChangeMeta) -> NewEvent {
    let target = "methods/user.v1.UserService/GetUser".to_owned();
    NewEvent { action: Action::CallRefused, user_id: None, target, reason: "PERMISSION_DENIED", meta }
}

fn query(filter: &str) -> AuditQuery {
    let filter = AuditFilter::parse(filter).unwrap();
    AuditQuery { filter, newest_first: false, after: None, limit: 1_000 }
}

async fn all(store: &dyn Store) -> Vec<AuditEvent> {
    store.list_events(query("")).await.unwrap()
}

/// A user who is created by nobody, renames themselves and is deactivated by a moderator, and refusals of both.
async fn story(store: &dyn Store) -> (Actor, Actor) {
    let (ada, mod_) = (user("ada"), user("mod"));
    let (by_ada, by_mod) = (Actor::User(ada.id.clone()), Actor::User(mod_.id.clone()));
    create(store, &mod_).await.unwrap();
    let new = roster_server::store::NewUser { user: ada.clone(), password_hash: None, mail: None };
    store.create_user(new, by(Actor::Anonymous, "192.0.2.1")).await.unwrap();
    let rename = UserPatch { name: Some("Ada L".into()), ..UserPatch::default() };
    store.update_user(ada.id.clone(), rename, None, by(by_ada.clone(), "192.0.2.1")).await.unwrap();
    store.set_user_status(ada.id, UserStatus::Inactive, None, by(by_mod.clone(), "192.0.2.9")).await.unwrap();
    let refusals = [
        refused(by(by_ada.clone(), "192.0.2.1")),
        refused(by(Actor::Service("billing:eu".into()), "192.0.2.7")),
        refused(by(Actor::Anonymous, "2001:db8::1")),
    ];
    store.append_events(refusals.into()).await.unwrap();
    (by_ada, by_mod)
}

pub async fn acts_and_refusals_are_read_back(store: &dyn Store) {
    let (by_ada, _) = story(store).await;
    let events = all(store).await;
    let Actor::User(ada) = by_ada else { unreachable!() };
    let shown: Vec<_> = events.iter().map(|e| (e.actor, e.action, e.outcome(), e.remote_address.as_str())).collect();
    let (done, not_done) = (AuditOutcome::Done, AuditOutcome::Refused);
    assert_eq!(
        shown,
        [
            (ActorKind::Developer, Action::Created, done, ""),
            (ActorKind::Anonymous, Action::Created, done, "192.0.2.1"),
            (ActorKind::User, Action::Updated, done, "192.0.2.1"),
            (ActorKind::User, Action::Deactivated, done, "192.0.2.9"),
            (ActorKind::User, Action::CallRefused, not_done, "192.0.2.1"),
            (ActorKind::Service, Action::CallRefused, not_done, "192.0.2.7"),
            (ActorKind::Anonymous, Action::CallRefused, not_done, "2001:db8::1"),
        ]
    );
    assert_eq!((events[2].user_id.as_ref(), &events[2].actor_id), (Some(&ada), &ada.to_string()));
    assert_eq!((events[2].fields.clone(), events[2].reason.as_str()), (vec!["name".to_owned()], ""));
    assert_eq!((events[5].user_id.as_ref(), events[5].actor_id.as_str()), (None, "billing:eu"));
    assert_eq!((events[5].reason.as_str(), events[5].request_id.as_str()), ("PERMISSION_DENIED", "request-1"));
    // Those who follow users hear of users alone.
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 4);
}

pub async fn events_are_paged_in_both_orders(store: &dyn Store) {
    story(store).await;
    let oldest_first: Vec<i64> = all(store).await.iter().map(|event| event.position).collect();
    assert!(oldest_first.is_sorted() && oldest_first.len() == 7);
    for newest_first in [false, true] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = AuditQuery { newest_first, after, limit: 2, ..query("") };
            let page = store.list_events(page).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.position);
            seen.extend(page.iter().map(|event| event.position));
        }
        if newest_first {
            seen.reverse();
        }
        assert_eq!(seen, oldest_first);
    }
}

pub async fn filters_of_events_agree_with_their_meaning(store: &dyn Store) {
    let (by_ada, by_mod) = story(store).await;
    let (Actor::User(ada), Actor::User(moderator)) = (by_ada, by_mod) else { unreachable!() };
    let events = all(store).await;
    let filters = [
        "actor.kind = USER",
        "NOT actor.kind = user",
        "actor.kind = SERVICE OR actor.kind = ACTOR_KIND_ANONYMOUS",
        "actor.kind = API_KEY OR actor.kind = SYSTEM OR actor.kind = DEVELOPER",
        &format!("actor.id = \"{ada}\""),
        &format!("actor.kind = USER AND actor.id != \"{ada}\""),
        &format!("actor.id : {}", &moderator.to_string()[..8].to_uppercase()),
        "actor.id = \"billing:eu\"",
        "actor.id = \"billing*\"",
        "actor.id:*",
        "actor.id = ''",
        "actor.id < b",
        "action = \"user.created\"",
        "action = created",
        "action = \"user.*\"",
        "NOT action : REFUSED",
        "action > \"session\"",
        "outcome = REFUSED",
        "outcome = AUDIT_OUTCOME_DONE",
        "outcome != done",
        &format!("user_id = \"{ada}\""),
        &format!("user_id != \"{ada}\""),
        "user_id = nobody",
        "user_id:*",
        "user_id = ''",
        "target = \"*GetUser\"",
        "target:*",
        "target <= z",
        "remote_address = \"192.0.2.*\"",
        "remote_address : DB8",
        "remote_address < \"2\" OR remote_address = ''",
        "request_id = \"request-1\" reason:*",
        "reason = PERMISSION_DENIED",
        &format!("occurred_at >= {}", events[2].at),
        &format!("occurred_at < {} AND NOT occurred_at = {}", events[5].at, events[1].at),
        "outcome = REFUSED (actor.kind = USER OR actor.kind = ANONYMOUS)",
    ];
    for text in filters {
        let filter = AuditFilter::parse(text).unwrap().unwrap();
        assert_eq!(AuditFilter::parse(&filter.to_string()).unwrap().as_ref(), Some(&filter), "{text}");
        let expected: Vec<_> = events.iter().filter(|event| filter.matches(event)).cloned().collect();
        assert_eq!(store.list_events(query(text)).await.unwrap(), expected, "{text}");
        let backwards = AuditQuery { newest_first: true, ..query(text) };
        assert_eq!(store.list_events(backwards).await.unwrap(), expected.into_iter().rev().collect::<Vec<_>>());
    }
}

pub async fn a_deleted_user_leaves_no_address_in_the_log(store: &dyn Store) {
    let (by_ada, by_mod) = story(store).await;
    let Actor::User(ada) = &by_ada else { unreachable!() };
    store.delete_user(ada.clone(), None, by(by_ada.clone(), "192.0.2.1")).await.unwrap();
    // One that had waited all the time.
    store.append_events(vec![refused(by(by_ada.clone(), "192.0.2.1"))]).await.unwrap();
    let events = all(store).await;
    assert_eq!(events.len(), 9);
    let left: Vec<_> = events.iter().map(|event| event.remote_address.as_str()).filter(|a| !a.is_empty()).collect();
    // What was done to the user counts as theirs, whoever did it; what others did elsewhere stays.
    assert_eq!(left, ["192.0.2.7", "2001:db8::1"]);
    assert!(events.iter().any(|event| event.actor_id == ada.to_string() && event.action == Action::Deleted));
    store.append_events(vec![refused(by(by_mod, "192.0.2.9"))]).await.unwrap();
    assert_eq!(all(store).await[9].remote_address, "192.0.2.9");
}
