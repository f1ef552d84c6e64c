//! The two methods of preferences: defaults, masks, etags, errors, and what outlives a restart.

use std::collections::BTreeMap;

use prost_types::FieldMask;
use roster_api::{
    client::Transport,
    user::v1::{
        DeleteUserRequest, GetPreferencesRequest, GetUserRequest, NotificationSwitches, Preferences,
        UpdatePreferencesRequest, user_service_client::UserServiceClient,
    },
};
use roster_server::model::Action;
use tonic::{Code, Status};

use super::events_in;
use crate::harness::{Problem, Server, create_all, problem};

/// A server with a user and a client that acts on it.
struct Fixture {
    users: UserServiceClient<Transport>,
    user_id: String,
    server: Server,
}

async fn fixture() -> Fixture {
    let server = Server::dev();
    let mut users = server.users().await;
    let user_id = create_all(&mut users, &["ada"]).await.remove(0).id;
    Fixture { users, user_id, server }
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn keys(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn switches(email: bool, sms: bool, push: bool, marketing: bool) -> Option<NotificationSwitches> {
    let (email, sms, push, marketing) = (Some(email), Some(sms), Some(push), Some(marketing));
    Some(NotificationSwitches { email, sms, push, marketing })
}

/// Everything that a caller may set, none of it the default.
fn full() -> Preferences {
    Preferences {
        language: "de-CH".into(),
        time_zone: "Europe/Zurich".into(),
        notifications: switches(false, true, true, true),
        custom: keys(&[("theme", "dark"), ("size", "7")]),
        ..Preferences::default()
    }
}

impl Fixture {
    async fn get(&mut self) -> Result<Preferences, Status> {
        let request = GetPreferencesRequest { user_id: self.user_id.clone() };
        self.users.get_preferences(request).await.map(tonic::Response::into_inner)
    }

    fn request(&self, preferences: Preferences, paths: &[&str]) -> UpdatePreferencesRequest {
        UpdatePreferencesRequest {
            user_id: self.user_id.clone(),
            preferences: Some(preferences),
            update_mask: if paths.is_empty() { None } else { mask(paths) },
            ..Default::default()
        }
    }

    /// What the update leaves, apart from the marks that every change leaves.
    async fn after(&mut self, preferences: Preferences, paths: &[&str]) -> Preferences {
        let before = self.get().await.unwrap();
        let request = self.request(preferences, paths);
        let after = self.users.update_preferences(request).await.unwrap().into_inner();
        assert_eq!(self.get().await.unwrap(), after);
        assert!(after.etag != before.etag && after.updated_at.is_some(), "{after:?}");
        Preferences { user_id: String::new(), etag: String::new(), updated_at: None, ..after }
    }

    async fn refused(&mut self, request: UpdatePreferencesRequest) -> Problem {
        let before = self.get().await.unwrap();
        let problem = problem(self.users.update_preferences(request).await);
        assert_eq!(self.get().await.unwrap(), before);
        problem
    }
}

#[tokio::test]
async fn preferences_from_the_defaults_to_the_users_end() {
    let mut fixture = fixture().await;
    let id = fixture.user_id.clone();
    let user = fixture.users.get_user(GetUserRequest { user_id: id.clone() }).await.unwrap().into_inner();
    let new = fixture.get().await.unwrap();
    let (user_id, etag) = (id.clone(), new.etag.clone());
    let defaults =
        Preferences { user_id, etag, notifications: switches(true, false, false, false), ..Default::default() };
    assert_eq!(new, defaults);
    assert!(!new.etag.is_empty());

    // Without a mask what is present counts, each switch by itself; spellings become the usual ones.
    let given = Preferences {
        language: "DE-ch".into(),
        time_zone: "europe/zurich".into(),
        notifications: Some(NotificationSwitches { sms: Some(true), ..Default::default() }),
        ..Default::default()
    };
    let (language, time_zone) = ("de-CH".into(), "Europe/Zurich".into());
    let expected =
        Preferences { language, time_zone, notifications: switches(true, true, false, false), ..Default::default() };
    assert_eq!(fixture.after(given, &[]).await, expected);
    assert_eq!(fixture.after(full(), &[]).await, full());
    let other_keys = Preferences { custom: keys(&[("font", "mono")]), ..Default::default() };
    let expected = Preferences { custom: keys(&[("font", "mono")]), ..full() };
    assert_eq!(fixture.after(other_keys, &[]).await, expected);

    // None of this changes the user, and all of it outlives the process.
    let after = fixture.users.get_user(GetUserRequest { user_id: id.clone() }).await.unwrap().into_inner();
    assert_eq!(after, user);
    let kept = fixture.get().await.unwrap();
    let (_, folder) = fixture.server.stop().await;
    let event = |fields: &[&str]| {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
        (Action::PreferencesUpdated, id.clone(), "preferences".to_owned(), fields)
    };
    let others = ["notifications.email", "notifications.push", "notifications.marketing", "custom"];
    assert_eq!(
        events_in(&folder),
        [event(&["language", "time_zone", "notifications.sms"]), event(&others), event(&["custom"]),]
    );
    let server = Server::start_in(folder, |_| ());
    let users = server.users().await;
    let mut fixture = Fixture { users, user_id: id.clone(), server };
    assert_eq!(fixture.get().await.unwrap(), kept);
    fixture.users.delete_user(DeleteUserRequest { user_id: id.clone(), ..Default::default() }).await.unwrap();
    let refused = problem(fixture.get().await);
    assert_eq!(refused.kind(), (Code::NotFound, "USER_NOT_FOUND"));
    let request = fixture.request(full(), &[]);
    let refused = problem(fixture.users.update_preferences(request).await);
    assert_eq!(
        (refused.kind(), refused.resource.clone()),
        ((Code::NotFound, "USER_NOT_FOUND"), Some(("user.v1.User".into(), id)))
    );
}

#[tokio::test]
async fn a_mask_names_what_is_set_and_what_goes_back_to_its_default() {
    let mut fixture = fixture().await;
    fixture.after(full(), &["*"]).await;
    let expected = Preferences { language: String::new(), time_zone: "UTC".into(), ..full() };
    let given = Preferences { time_zone: "utc".into(), custom: keys(&[("not named", "\0")]), ..Default::default() };
    assert_eq!(fixture.after(given, &["language", "time_zone"]).await, expected);

    // One switch, then all: what is not given goes back.
    let on = Some(NotificationSwitches { email: Some(true), sms: Some(false), ..Default::default() });
    let given = Preferences { notifications: on, ..Default::default() };
    let expected = Preferences { notifications: switches(true, true, true, true), ..expected };
    assert_eq!(fixture.after(given, &["notifications.email"]).await, expected);
    let expected = Preferences { notifications: switches(true, true, false, true), ..expected };
    assert_eq!(fixture.after(Preferences::default(), &["notifications.push"]).await, expected);
    let given = Some(NotificationSwitches { push: Some(true), ..Default::default() });
    let expected = Preferences { notifications: switches(true, false, true, false), ..expected };
    assert_eq!(
        fixture.after(Preferences { notifications: given, ..Default::default() }, &["notifications"]).await,
        expected
    );

    // One key, then all.
    let given = Preferences { custom: keys(&[("theme", "light"), ("a.b", "1")]), ..Default::default() };
    let expected = Preferences { custom: keys(&[("theme", "light"), ("a.b", "1")]), ..expected };
    let paths = ["custom.theme", "custom.a.b", "custom.size", "custom.absent"];
    assert_eq!(fixture.after(given, &paths).await, expected);
    let expected = Preferences { custom: BTreeMap::new(), ..expected };
    assert_eq!(fixture.after(Preferences::default(), &["custom"]).await, expected);

    let defaults = Preferences { notifications: switches(true, false, false, false), ..Default::default() };
    assert_eq!(fixture.after(Preferences::default(), &["*"]).await, defaults);
}

#[tokio::test]
async fn the_limits_of_custom_keys_hold_after_the_change() {
    let mut fixture = fixture().await;
    fixture.after(full(), &[]).await;
    let many: Vec<String> = (0..63).map(|number| format!("key{number}")).collect();
    let custom = many.iter().map(|key| (key.clone(), "x".to_owned())).collect();
    let paths: Vec<String> = many.iter().map(|key| format!("custom.{key}")).collect();
    let request = fixture
        .request(Preferences { custom, ..Default::default() }, &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = fixture.refused(request).await;
    assert_eq!(
        (refused.kind(), refused.fields()),
        ((Code::InvalidArgument, "VALIDATION_FAILED"), vec!["preferences.custom"])
    );
}

#[tokio::test]
async fn what_changes_no_preference_leaves_no_mark() {
    let mut fixture = fixture().await;
    let new = fixture.get().await.unwrap();
    let same = UpdatePreferencesRequest { etag: new.etag.clone(), ..fixture.request(new.clone(), &["*"]) };
    let nothing = fixture.request(Preferences::default(), &[]);
    for request in [same, nothing] {
        assert_eq!(fixture.users.update_preferences(request).await.unwrap().into_inner(), new);
    }
    let rehearsal = UpdatePreferencesRequest { validate_only: true, ..fixture.request(full(), &[]) };
    assert_eq!(fixture.users.update_preferences(rehearsal).await.unwrap().into_inner().language, "de-CH");
    assert_eq!(fixture.get().await.unwrap(), new);
}

#[tokio::test]
pub(super) async fn one_of_16_changes_with_the_same_etag_wins() {
    let mut fixture = fixture().await;
    let etag = fixture.get().await.unwrap().etag;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..16 {
        let preferences = Preferences { language: format!("x-{number}"), ..Default::default() };
        let request = UpdatePreferencesRequest { etag: etag.clone(), ..fixture.request(preferences, &[]) };
        let mut users = fixture.users.clone();
        calls.spawn(async move { users.update_preferences(request).await });
    }
    let mut won = Vec::new();
    for outcome in calls.join_all().await {
        match outcome {
            Ok(after) => won.push(after.into_inner()),
            Err(status) => {
                let refused = Problem::of(&status);
                assert_eq!(refused.kind(), (Code::Aborted, "ETAG_MISMATCH"));
                assert_eq!(refused.resource, Some(("user.v1.Preferences".into(), fixture.user_id.clone())));
            }
        }
    }
    assert_eq!(won, [fixture.get().await.unwrap()]);
}

#[tokio::test]
async fn all_that_is_wrong_with_preferences_is_told_at_once() {
    let mut fixture = fixture().await;
    let wrong = Preferences {
        language: "german speaker".into(),
        time_zone: "Mars/Olympus".into(),
        custom: keys(&[("a b", "x"), ("key", "\0")]),
        ..Default::default()
    };
    let request = fixture.request(wrong, &[]);
    let refused = fixture.refused(request).await;
    let fields =
        ["preferences.language", "preferences.time_zone", "preferences.custom.\"a b\"", "preferences.custom.key"];
    assert_eq!((refused.code, refused.fields()), (Code::InvalidArgument, fields.to_vec()));
    assert!(refused.violations[1].1.contains("IANA time zone database"), "{refused:?}");
    let absent = UpdatePreferencesRequest { preferences: None, ..fixture.request(Preferences::default(), &["etag"]) };
    assert_eq!(fixture.refused(absent).await.fields(), ["preferences", "update_mask"]);
}
