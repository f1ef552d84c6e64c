//! Of what two servers do at once, one is first and the other sees it.

use std::collections::BTreeSet;

use roster_server::{
    auth::generate_signing_key,
    model::{MailKind, User, UserId, UserPatch},
    store::{ImportBatch, RowOutcome, Store, StoreError},
};

use crate::{
    postgres::Database,
    store::{
        count, create,
        imports::{batch, outcomes, row, step},
        join_all,
        mail::{claim, request},
        meta,
        sessions::{begin, hash, list, new_session, use_of, with_password},
        tick, user,
    },
};

/// Two stores over a database of their own.
struct Nodes {
    stores: [Box<dyn Store>; 2],
    _database: Database,
}

impl Nodes {
    fn new() -> Self {
        let database = Database::new();
        Self { stores: [Box::new(database.open()), Box::new(database.open())], _database: database }
    }

    /// The two in turn, without end.
    fn in_turn(&self) -> impl Iterator<Item = &dyn Store> {
        self.stores.iter().map(|store| &**store).cycle()
    }

    fn both(&self) -> [&dyn Store; 2] {
        self.stores.each_ref().map(|store| &**store)
    }

    async fn close(self) {
        join_all(self.stores.iter().map(|store| store.close())).await;
    }
}

fn renamed(name: String) -> UserPatch {
    UserPatch { name: Some(name), ..UserPatch::default() }
}

#[tokio::test]
async fn each_mail_is_sent_by_one_node() {
    let nodes = Nodes::new();
    for number in 0..40 {
        let user = create(&*nodes.stores[0], &user(&format!("user{number}"))).await.unwrap();
        request(&*nodes.stores[1], &user.email, MailKind::Verification).await;
    }
    let claims = join_all(nodes.in_turn().take(16).map(|store| claim(store, 5))).await;
    let ids: Vec<_> = claims.into_iter().flatten().map(|claimed| claimed.mail.id).collect();
    let different: BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (40, 40));
    assert!(claim(&*nodes.stores[1], 5).await.is_empty());
    nodes.close().await;
}

#[tokio::test]
async fn a_refresh_token_that_is_used_on_both_nodes_at_once_ends_its_session() {
    let nodes = Nodes::new();
    for number in 0..20 {
        let user = with_password(&*nodes.stores[0], &format!("user{number}")).await;
        let session = begin(&*nodes.stores[0], &user.id).await;
        let uses = nodes.in_turn().take(2).map(|store| store.refresh_session(use_of(session.id, 0), meta()));
        let outcomes = join_all(uses).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(outcomes.contains(&Err(StoreError::NotFound)));
        assert_eq!(list(&*nodes.stores[1], &user.id).await, []);
    }
    nodes.close().await;
}

#[tokio::test]
async fn nobody_stays_signed_in_with_a_password_that_was_changed_meanwhile() {
    let nodes = Nodes::new();
    for number in 0..30 {
        let user = with_password(&*nodes.stores[0], &format!("user{number}")).await;
        let [here, there] = nodes.both();
        let sign_in = here.create_session(new_session(&user.id), meta());
        let change = there.set_password(&user.id, hash("second"), None, meta());
        let [sign_in, change] = join_all([sign_in, change]).await.try_into().unwrap();
        change.unwrap();
        // It came first, and was ended by the change, or it came too late.
        assert!(matches!(sign_in, Ok(()) | Err(StoreError::Stale)), "{sign_in:?}");
        assert_eq!(list(here, &user.id).await, []);
    }
    nodes.close().await;
}

#[tokio::test]
async fn of_both_nodes_that_start_or_rotate_at_once_one_key_signs() {
    let nodes = Nodes::new();
    let fresh: Vec<_> = (0..8).map(|_| generate_signing_key(tick()).unwrap()).collect();
    let ensured = join_all(nodes.in_turn().zip(&fresh).map(|(store, key)| store.ensure_signing_key(key.clone()))).await;
    let ensured: Vec<_> = ensured.into_iter().map(Result::unwrap).collect();
    assert!(ensured.iter().all(|keys| keys.len() == 1 && *keys == ensured[0]));
    let fresh: Vec<_> = (0..8).map(|_| generate_signing_key(tick()).unwrap()).collect();
    let rotations = nodes.in_turn().zip(&fresh).map(|(store, key)| store.rotate_signing_key(key.clone(), meta()));
    assert!(join_all(rotations).await.iter().all(Result::is_ok));
    let keys = nodes.stores[1].list_signing_keys().await.unwrap();
    assert_eq!((keys.len(), keys.iter().filter(|key| key.retired_at.is_none()).count()), (9, 1));
    nodes.close().await;
}

#[tokio::test]
async fn imports_of_the_same_users_on_both_nodes_make_each_of_them_once() {
    let nodes = Nodes::new();
    let users: Vec<User> = (0..200).map(|number| user(&format!("user{number}"))).collect();
    // One from the front and one from the back, so that they meet in the middle of what each has done.
    let of = |backwards: bool| -> Vec<ImportBatch> {
        let mut users: Vec<_> = users.iter().map(|one| User { id: UserId::generate(tick()), ..one.clone() }).collect();
        if backwards {
            users.reverse();
        }
        let rows: Vec<_> = (1..).zip(users).collect();
        rows.chunks(20)
            .map(|piece| batch(piece.iter().map(|(number, user)| row(*number, user.clone())).collect()))
            .collect()
    };
    let import = async |store: &dyn Store, batches: Vec<ImportBatch>| {
        let mut all = Vec::new();
        for batch in batches {
            all.extend(outcomes(store.import_users(batch).await.unwrap()));
        }
        all
    };
    let [here, there] = nodes.both();
    let (first, second) = tokio::join!(import(here, of(false)), import(there, of(true)));
    let created = |outcomes: &[RowOutcome]| outcomes.iter().filter(|one| matches!(one, RowOutcome::Created(_))).count();
    let skipped =
        |outcomes: &[RowOutcome]| outcomes.iter().filter(|one| matches!(one, RowOutcome::Skipped(Some(_)))).count();
    assert_eq!(created(&first) + created(&second), 200);
    assert_eq!(skipped(&first) + skipped(&second), 200);
    assert_eq!(count(here, "").await, 200);
    nodes.close().await;
}

#[tokio::test]
async fn a_batch_of_a_run_that_is_sent_to_both_nodes_is_done_once() {
    let nodes = Nodes::new();
    for after in 0..10 {
        let sends = nodes.in_turn().take(4).map(|store| {
            let rows = vec![row(after + 1, user(&format!("user{after}")))];
            store.import_users(step("run", after, rows))
        });
        let outcomes = join_all(sends).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Stale)).count(), 3);
    }
    nodes.close().await;
}

#[tokio::test]
async fn a_read_on_one_node_sees_what_the_other_was_answered() {
    let nodes = Nodes::new();
    let ada = create(&*nodes.stores[0], &user("ada")).await.unwrap();
    for (number, store) in (0..50).zip(nodes.in_turn()) {
        let name = format!("Name {number}");
        store.update_user(ada.id.clone(), renamed(name.clone()), None, meta()).await.unwrap();
        for reader in &nodes.stores {
            assert_eq!(reader.find_user(&ada.id).await.unwrap().unwrap().user().unwrap().name, name);
            let end = reader.log_end().await.unwrap();
            assert_eq!(reader.list_changes(end - 1, 10).await.unwrap().changes[0].revision, number + 2);
        }
    }
    nodes.close().await;
}
