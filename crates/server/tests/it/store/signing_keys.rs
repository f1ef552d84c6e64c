//! The keys that sign access tokens.

use std::collections::BTreeSet;

use roster_server::{
    auth::generate_signing_key,
    model::Timestamp,
    store::{SigningKey, Store},
};

use super::{join_all, meta, tick};

fn ids(keys: &[SigningKey]) -> Vec<&str> {
    keys.iter().map(|key| key.id.as_str()).collect()
}

pub async fn of_many_that_start_at_once_one_makes_the_key(store: &dyn Store) {
    assert_eq!(store.list_signing_keys().await.unwrap(), []);
    let fresh: Vec<_> = (0..16).map(|_| generate_signing_key(tick()).unwrap()).collect();
    let seen = join_all(fresh.iter().map(|key| store.ensure_signing_key(key.clone()))).await;
    let seen: Vec<_> = seen.into_iter().map(Result::unwrap).collect();
    assert!(seen.iter().all(|keys| *keys == seen[0] && keys.len() == 1));
    assert!(fresh.contains(&seen[0][0]), "kept as it went in");
    assert_eq!(store.list_signing_keys().await.unwrap(), seen[0]);
}

pub async fn a_rotation_retires_the_key_that_signed(store: &dyn Store) {
    let made: Vec<_> = (0..3).map(|_| generate_signing_key(tick()).unwrap()).collect();
    store.ensure_signing_key(made[0].clone()).await.unwrap();
    let (first, second) = (meta(), meta());
    store.rotate_signing_key(made[1].clone(), first.clone()).await.unwrap();
    let keys = store.rotate_signing_key(made[2].clone(), second.clone()).await.unwrap();
    assert_eq!(ids(&keys), [&made[2].id, &made[1].id, &made[0].id]);
    assert_eq!(
        keys.iter().map(|key| key.retired_at).collect::<Vec<_>>(),
        [None, Some(second.at), Some(first.at)],
        "the one that signs, and then the last retired first"
    );
    assert_eq!(store.list_signing_keys().await.unwrap(), keys);
    // Nothing of it is about a user.
    assert_eq!(store.list_changes(0, 10).await.unwrap().changes, []);

    assert_eq!(store.purge_signing_keys(first.at).await, Ok(0));
    assert_eq!(store.purge_signing_keys(Timestamp(first.at.0 + 1)).await, Ok(1));
    assert_eq!(store.purge_signing_keys(Timestamp(i64::MAX)).await, Ok(1), "never the one that signs");
    assert_eq!(ids(&store.list_signing_keys().await.unwrap()), [&made[2].id]);
    assert_eq!(made.iter().map(|key| &key.id).collect::<BTreeSet<_>>().len(), 3);
}
