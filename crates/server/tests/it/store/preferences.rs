//! Preferences: one of each user, the defaults at first, and a new etag with every change.

use std::collections::BTreeMap;

use roster_server::{
    model::{AttributesPatch, ChangeMeta, NotificationSwitches, Preferences, PreferencesPatch, UserId},
    store::{Store, StoreError},
};

use super::{create, join_all, meta, user};

fn keys(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn language(language: &str) -> PreferencesPatch {
    PreferencesPatch { language: Some(language.into()), ..PreferencesPatch::default() }
}

async fn read(store: &dyn Store, id: &UserId) -> Preferences {
    store.find_preferences(id).await.unwrap().unwrap()
}

pub async fn preferences_start_with_their_defaults(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let new = read(store, &ada.id).await;
    assert_eq!(new, Preferences::new(ada.id.clone(), ada.created_at));
    assert_eq!((new.updated_at, new.language_of(&ada)), (None, "de-CH"));
    let switches = NotificationSwitches { email: true, sms: false, push: false, marketing: false };
    assert_eq!(new.notifications, switches);

    // Going back to what they are leaves no trace.
    let same = PreferencesPatch { email: Some(true), custom: AttributesPatch::Replace(keys(&[])), ..language("") };
    assert_eq!(store.update_preferences(&ada.id, same, Some(new.etag()), meta()).await.unwrap(), new);
    assert_eq!(read(store, &ada.id).await, new);
}

pub async fn a_preferences_patch_changes_what_it_names(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let (before, at) = (read(store, &ada.id).await, meta());
    let odd = keys(&[("theme", "dark"), ("quote", "\"'\\\n); DROP TABLE preferences;--")]);
    let patch = PreferencesPatch {
        time_zone: Some("Europe/Berlin".into()),
        sms: Some(true),
        email: Some(false),
        custom: AttributesPatch::Replace(odd.clone()),
        ..language("fr")
    };
    let after = store.update_preferences(&ada.id, patch, Some(before.etag()), at.clone()).await.unwrap();
    let expected = Preferences {
        language: "fr".into(),
        time_zone: "Europe/Berlin".into(),
        notifications: NotificationSwitches { email: false, sms: true, push: false, marketing: false },
        custom: odd,
        updated_at: Some(at.at),
        revision: 1,
        ..before.clone()
    };
    assert_eq!(after, expected);
    assert_eq!(read(store, &ada.id).await, expected);
    assert_eq!(after.language_of(&ada), "fr");

    let edits = BTreeMap::from([("theme".to_owned(), None), ("size".to_owned(), Some("7".to_owned()))]);
    let edit = PreferencesPatch { custom: AttributesPatch::Edit(edits), ..PreferencesPatch::default() };
    assert_eq!(
        store.update_preferences(&ada.id, edit.clone(), Some(before.etag()), meta()).await,
        Err(StoreError::Stale)
    );
    let edited = store.update_preferences(&ada.id, edit, Some(after.etag()), meta()).await.unwrap();
    assert_eq!((edited.custom.len(), edited.custom["size"].as_str(), edited.revision), (2, "7", 2));

    // Neither the user nor what its followers read has changed.
    assert_eq!(store.find_user(&ada.id).await.unwrap().unwrap().user(), Ok(ada));
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 1);
}

pub async fn the_limits_of_free_keys_hold_for_what_is_left(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let many: BTreeMap<_, _> = (0..64).map(|number| (format!("key{number}"), Some("x".to_owned()))).collect();
    let edit = |edits| PreferencesPatch { custom: AttributesPatch::Edit(edits), ..PreferencesPatch::default() };
    let full = store.update_preferences(&ada.id, edit(many), None, meta()).await.unwrap();
    let one_more = edit(BTreeMap::from([("more".to_owned(), Some(String::new()))]));
    let refused = store.update_preferences(&ada.id, one_more, None, meta()).await;
    assert!(
        matches!(&refused, Err(StoreError::Rejected { field, .. }) if field == "preferences.custom"),
        "{refused:?}"
    );
    assert_eq!(read(store, &ada.id).await, full);
}

pub async fn one_of_16_parallel_changes_with_an_etag_wins(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let etag = read(store, &ada.id).await.etag();
    let tags = (0..16).map(|number| format!("x-{number}"));
    let update =
        async |tag: String| store.update_preferences(&ada.id, language(&tag), Some(etag.clone()), meta()).await;
    let outcomes = join_all(tags.map(update)).await;
    let won: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Stale)).count(), 15);
    assert_eq!(read(store, &ada.id).await, *won[0]);
}

pub async fn preferences_go_with_their_user(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let rehearsal = ChangeMeta { validate_only: true, ..meta() };
    assert_eq!(store.update_preferences(&ada.id, language("it"), None, rehearsal).await.unwrap().language, "it");
    assert_eq!(read(store, &ada.id).await.revision, 0);
    let kept = store.update_preferences(&ada.id, language("it"), None, meta()).await.unwrap();

    store.delete_user(ada.id.clone(), None, meta()).await.unwrap();
    assert_eq!(store.find_preferences(&ada.id).await, Ok(None));
    assert_eq!(store.update_preferences(&ada.id, language("it"), None, meta()).await, Err(StoreError::NotFound));
    // Another user with the same id starts anew, and an etag of the old one counts for nothing.
    let again = create(store, &roster_server::model::User { created_at: meta().at, ..ada.clone() }).await.unwrap();
    let new = store.update_preferences(&again.id, language("it"), None, meta()).await.unwrap();
    assert_eq!((new.revision, kept.revision), (1, 1));
    assert_ne!(new.etag(), kept.etag());
}
