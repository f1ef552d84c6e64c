//! Imports: many users in one command, each as if it were alone.

use std::collections::BTreeMap;

use roster_server::{
    auth::PasswordHash,
    model::{Action, Actor, Permission, PermissionSet, Role, Timestamp, User, UserId, UserPatch, UserStatus},
    store::{
        ImportBatch, ImportKey, ImportRow, ImportStep, ImportUser, LoginKey, Rehearsal, RowContent, RowFailure,
        RowOutcome, RowVerdict, Store, StoreError, Unique,
    },
};

use super::{Decoded as _, create, join_all, meta, tick, user};

const HASH: &str = "$2b$04$EXAMPLEEXAMPLEEXAMPLEeAtq3qBYBgTqYMDlxPFoHnUxYFKZ2m9y";

/// A row with the fields of `user`, known by its email.
pub(super) fn row(number: i64, user: User) -> ImportRow {
    row_with(number, user, |_| ())
}

fn row_with(number: i64, user: User, change: impl FnOnce(&mut ImportUser)) -> ImportRow {
    let mut row = ImportUser {
        user,
        has_id: false,
        has_role: false,
        has_status: false,
        has_password: false,
        password_hash: None,
    };
    change(&mut row);
    ImportRow { number, content: RowContent::User(Box::new(row)) }
}

pub(super) fn batch(rows: Vec<ImportRow>) -> ImportBatch {
    ImportBatch { rows, update_existing: false, step: None, meta: meta() }
}

fn updating(rows: Vec<ImportRow>) -> ImportBatch {
    ImportBatch { update_existing: true, ..batch(rows) }
}

pub(super) fn outcomes(verdicts: Vec<RowVerdict>) -> Vec<RowOutcome> {
    verdicts.into_iter().map(|verdict| verdict.outcome).collect()
}

fn named(name: &str, id: &str) -> User {
    User { id: UserId::parse(id).unwrap(), ..user(name) }
}

async fn find(store: &dyn Store, id: &UserId) -> User {
    store.find_user(id).await.unwrap().unwrap().decoded()
}

/// What the log has of a user: actions, revisions, and whether before and after are there.
async fn history(store: &dyn Store, id: &UserId) -> Vec<(Action, i64, bool, bool)> {
    let changes = store.list_changes(0, 10_000).await.unwrap().changes;
    let of_user = changes.into_iter().filter(|change| change.user_id == *id);
    of_user.map(|change| (change.action, change.revision, change.before.is_some(), change.after.is_some())).collect()
}

pub async fn each_row_of_a_batch_stands_alone(store: &dyn Store) {
    let ada = user("ada");
    create(store, &ada).await.unwrap();
    let (bob, cleo) = (user("bob"), user("cleo"));
    let taken_name = User { username: "ADA".into(), ..user("dora") };
    let taken_email = User { email: ada.email.to_uppercase(), ..named("eve", "eve") };
    let again = User { email: bob.email.clone(), ..user("bobby") };
    let by_id = named("other", &ada.id.to_text());
    let rows = vec![
        row_with(3, bob.clone(), |row| row.password_hash = Some(PasswordHash::parse_phc(HASH).unwrap())),
        row(5, ada.clone()),
        row(6, taken_name),
        row_with(7, taken_email, |row| row.has_id = true),
        row(8, again),
        row_with(9, by_id, |row| row.has_id = true),
        ImportRow { number: 10, content: RowContent::Decided(RowOutcome::Failed(RowFailure::Invalid)) },
        row(11, User { status: UserStatus::Inactive, created_at: Timestamp(7), ..cleo.clone() }),
    ];
    let verdicts = store.import_users(batch(rows)).await.unwrap();
    assert_eq!(verdicts.iter().map(|verdict| verdict.number).collect::<Vec<_>>(), [3, 5, 6, 7, 8, 9, 10, 11]);
    let expected = [
        RowOutcome::Created(bob.id.clone()),
        RowOutcome::Skipped(Some(ada.id.clone())),
        RowOutcome::Failed(RowFailure::Taken(Unique::Username)),
        RowOutcome::Failed(RowFailure::Taken(Unique::Email)),
        RowOutcome::Skipped(Some(bob.id.clone())),
        RowOutcome::Skipped(Some(ada.id.clone())),
        RowOutcome::Failed(RowFailure::Invalid),
        RowOutcome::Created(cleo.id.clone()),
    ];
    assert_eq!(outcomes(verdicts), expected);
    assert_eq!(super::count(store, "").await, 3);
    assert_eq!(find(store, &bob.id).await, bob);
    let cleo = User { status: UserStatus::Inactive, created_at: Timestamp(7), ..cleo };
    assert_eq!(find(store, &cleo.id).await, cleo);
    assert_eq!(history(store, &bob.id).await, [(Action::Created, 1, false, true)]);
    assert_eq!(history(store, &ada.id).await, [(Action::Created, 1, false, true)], "who is skipped is left alone");
    let login = store.find_login(LoginKey::Email(bob.email)).await.unwrap().unwrap();
    assert_eq!(login.password_hash.unwrap().as_str(), HASH);
}

pub async fn an_update_changes_what_the_row_has(store: &dyn Store) {
    let (ada, bob) = (user("ada"), user("bob"));
    for one in [&ada, &bob] {
        create(store, one).await.unwrap();
    }
    let sparse = User {
        name: "Countess".into(),
        username: String::new(),
        age: None,
        phone: String::new(),
        locale: "fr".into(),
        attributes: BTreeMap::new(),
        status: UserStatus::Inactive,
        ..user("ada")
    };
    let same = User { status: UserStatus::Inactive, ..sparse.clone() };
    let rows = vec![
        row_with(1, sparse, |row| row.has_status = true),
        row_with(2, same, |row| row.has_status = true),
        row(3, User { username: "bob".into(), ..user("ada") }),
        row_with(4, named("carl", &bob.id.to_text()), |row| {
            row.has_id = true;
            row.has_role = true;
            row.user.role = Role::Moderator;
        }),
        row(5, user("ada2")),
    ];
    let before = find(store, &ada.id).await;
    let verdicts = outcomes(store.import_users(updating(rows)).await.unwrap());
    let updated = |id: &UserId| RowOutcome::Updated(Some(id.clone()));
    assert_eq!(
        verdicts[..4],
        [updated(&ada.id), updated(&ada.id), RowOutcome::Failed(RowFailure::Taken(Unique::Username)), updated(&bob.id)]
    );
    assert!(matches!(verdicts[4], RowOutcome::Created(_)));
    let after = find(store, &ada.id).await;
    let expected = User {
        name: "Countess".into(),
        locale: "fr".into(),
        status: UserStatus::Inactive,
        revision: 3,
        updated_at: after.updated_at,
        ..before
    };
    assert_eq!(after, expected, "what a row leaves out stays, and what is the same is no change");
    let log =
        [(Action::Created, 1, false, true), (Action::Updated, 2, true, true), (Action::Deactivated, 3, true, true)];
    assert_eq!(history(store, &ada.id).await, log);
    let bob = find(store, &bob.id).await;
    assert_eq!((bob.email.as_str(), bob.username.as_str(), bob.role), ("carl@example.com", "carl", Role::Moderator));
}

pub async fn nobody_is_changed_who_may_do_more_and_an_administrator_stays(store: &dyn Store) {
    let root = User { role: Role::Admin, ..user("root") };
    let password = |row: &mut ImportUser| row.password_hash = Some(PasswordHash::parse_phc(HASH).unwrap());
    store.import_users(batch(vec![row_with(1, root.clone(), password)])).await.unwrap();
    let demoted = || row_with(1, User { role: Role::User, ..user("root") }, |row| row.has_role = true);
    let weak = PermissionSet::of(&[Permission::UsersImport]);
    let mut by_weak = updating(vec![demoted()]);
    by_weak.meta.held = weak;
    let verdicts = store.import_users(by_weak).await.unwrap();
    assert!(matches!(outcomes(verdicts)[..], [RowOutcome::Failed(RowFailure::Refused(_))]));
    let mut demoting = updating(vec![demoted()]);
    demoting.meta.actor = Actor::System;
    let verdicts = store.import_users(demoting).await.unwrap();
    assert_eq!(outcomes(verdicts), [RowOutcome::Failed(RowFailure::LastAdmin)]);
    assert_eq!(find(store, &root.id).await, root);
    // With another one in the same batch, before it, there is no need to keep this one.
    let mut replacing = updating(vec![
        row_with(1, User { role: Role::Admin, ..user("heir") }, password),
        row_with(2, User { status: UserStatus::Inactive, ..user("root") }, |row| row.has_status = true),
    ]);
    replacing.meta.actor = Actor::System;
    assert_eq!(outcomes(store.import_users(replacing).await.unwrap())[1], RowOutcome::Updated(Some(root.id)));
}

pub async fn a_rehearsal_says_what_a_run_would_say(store: &dyn Store) {
    let (ada, bob) = (user("ada"), user("bob"));
    for one in [&ada, &bob] {
        create(store, one).await.unwrap();
    }
    // In pieces of two, so that what one piece would have done counts in the next.
    let rows = || {
        let moved = named("moved", &ada.id.to_text());
        vec![
            vec![row_with(1, moved, |row| row.has_id = true), row(2, user("new"))],
            vec![
                // The address that row 1 gives up.
                row(3, User { username: "third".into(), ..user("ada") }),
                row(4, User { username: "moved".into(), ..user("fourth") }),
            ],
            vec![row(5, user("new")), row_with(6, named("chosen", "chosen"), |row| row.has_id = true)],
            vec![
                row_with(7, named("again", "chosen"), |row| row.has_id = true),
                row(8, User { username: "BOB".into(), ..user("bobby") }),
            ],
            vec![row(9, bob.clone()), row_with(10, named("bob", "other"), |row| row.has_id = true)],
        ]
    };
    let kind = |outcome: &RowOutcome| match outcome {
        RowOutcome::Created(_) => "created".to_owned(),
        RowOutcome::Updated(_) => "updated".to_owned(),
        RowOutcome::Skipped(_) => "skipped".to_owned(),
        RowOutcome::Failed(failure) => format!("{failure:?}"),
    };
    for update_existing in [true, false] {
        let before = store.moment(None).await.unwrap();
        let rehearsal = Rehearsal::default();
        let (mut rehearsed, mut run) = (Vec::new(), Vec::new());
        for rows in rows() {
            let batch = ImportBatch { update_existing, ..batch(rows) };
            rehearsed.extend(outcomes(store.rehearse_import(batch, &rehearsal).await.unwrap()).iter().map(kind));
        }
        assert_eq!(store.moment(None).await.unwrap(), before, "a rehearsal changes nothing");
        if !update_existing {
            let expected = [
                "skipped",
                "created",
                "skipped",
                "created",
                "skipped",
                "created",
                "skipped",
                "Taken(Username)",
                "skipped",
            ];
            assert_eq!(rehearsed[..9], expected);
            continue;
        }
        let updates = ["updated", "created", "created", "Taken(Username)", "updated", "created", "updated"];
        assert_eq!(rehearsed[..7], updates);
        for rows in rows() {
            let batch = ImportBatch { update_existing, ..batch(rows) };
            run.extend(outcomes(store.import_users(batch).await.unwrap()).iter().map(kind));
        }
        assert_eq!(rehearsed, run);
        // Back to what the second round starts from.
        for id in store.list_changes(before.position, 1_000).await.unwrap().changes.into_iter().map(|one| one.user_id) {
            if id != ada.id && id != bob.id {
                let _ = store.delete_user(id, None, meta()).await;
            }
        }
        let patch = UserPatch { email: Some(ada.email.clone()), username: Some("ada".into()), ..Default::default() };
        store.update_user(ada.id.clone(), patch, None, meta()).await.unwrap();
    }
}

fn key(name: &str) -> ImportKey {
    ImportKey { owner: "system".into(), name: name.into() }
}

pub(super) fn step(name: &str, after: i64, rows: Vec<ImportRow>) -> ImportBatch {
    ImportBatch { step: Some(ImportStep { key: key(name), after }), ..batch(rows) }
}

pub async fn a_run_goes_on_from_where_it_is_and_nowhere_else(store: &dyn Store) {
    assert_eq!(store.find_import(key("one")).await.unwrap(), 0);
    let invalid = RowContent::Decided(RowOutcome::Failed(RowFailure::Invalid));
    let first = vec![row(2, user("ada")), ImportRow { number: 5, content: invalid }];
    let first = store.import_users(step("one", 0, first)).await.unwrap();
    let refused = RowOutcome::Failed(RowFailure::Refused(Permission::KeysRotate));
    let second = vec![
        row(6, user("ada")),
        row(9, user("bob")),
        row_with(10, named("carl", "carl@old:7"), |row| row.has_id = true),
        ImportRow { number: 12, content: RowContent::Decided(refused) },
    ];
    let second = store.import_users(step("one", 5, second)).await.unwrap();
    assert_eq!(store.find_import(key("one")).await.unwrap(), 12);
    assert_eq!(store.find_import(key("two")).await.unwrap(), 0);
    let others = ImportKey { owner: "developer".into(), ..key("one") };
    assert_eq!(store.find_import(others).await.unwrap(), 0);

    for (number, expected) in [(2, &first), (5, &first), (6, &second), (12, &second), (99, &second)] {
        assert_eq!(&store.find_verdicts(key("one"), number).await.unwrap(), expected, "row {number}");
    }
    assert_eq!(store.find_verdicts(key("one"), 1).await.unwrap(), []);
    assert_eq!(store.find_verdicts(key("two"), 2).await.unwrap(), []);
    // A batch of a call that is gone comes late: the run has moved on, and nothing is done twice.
    for after in [0, 5, 11, 13] {
        let late = step("one", after, vec![row(after + 1, user(&format!("late-{after}")))]);
        assert_eq!(store.import_users(late).await, Err(StoreError::Stale), "after {after}");
    }
    assert_eq!(super::count(store, "").await, 3);
}

pub async fn batches_are_done_in_the_order_in_which_they_are_handed_in(store: &dyn Store) {
    let batches = (0..20).map(|after| {
        let twins = vec![row(after + 1, User { name: after.to_string(), ..user("twin") })];
        store.import_users(ImportBatch { update_existing: true, ..step("one", after, twins) })
    });
    let verdicts = join_all(batches).await.into_iter().map(Result::unwrap);
    let created = verdicts.map(|verdicts| matches!(outcomes(verdicts)[..], [RowOutcome::Created(_)]));
    assert_eq!(created.collect::<Vec<_>>(), (0..20).map(|number| number == 0).collect::<Vec<_>>());
    let login = store.find_login(LoginKey::Username("twin".into())).await.unwrap().unwrap();
    assert_eq!(find(store, &login.user_id).await.name, "19");
    assert_eq!(store.find_import(key("one")).await.unwrap(), 20);
}

pub async fn runs_are_forgotten_after_their_time(store: &dyn Store) {
    for number in 1..=5 {
        let row = row(number, user(&format!("user-{number}")));
        store.import_users(step("old", number - 1, vec![row])).await.unwrap();
    }
    let before = tick();
    store.import_users(step("new", 0, vec![row(1, user("new"))])).await.unwrap();
    let mut rounds = 0;
    while store.purge_imports(before, 2).await.unwrap() {
        rounds += 1;
    }
    assert!((2..=4).contains(&rounds), "{rounds}");
    assert_eq!(store.find_import(key("old")).await.unwrap(), 0);
    assert_eq!(store.find_verdicts(key("old"), 3).await.unwrap(), []);
    assert_eq!(store.find_import(key("new")).await.unwrap(), 1);
    assert_eq!(store.find_verdicts(key("new"), 1).await.unwrap().len(), 1);
    assert_eq!(super::count(store, "").await, 6, "users stay");
}

pub async fn imported_users_are_read_as_they_are(store: &dyn Store) {
    let users: Vec<User> = (0..50).map(|number| named(&format!("user-{number}"), &format!("id-{number}"))).collect();
    for one in &users[..25] {
        create(store, one).await.unwrap();
    }
    // Into the cache.
    for one in &users[..25] {
        assert_eq!(find(store, &one.id).await.name, one.name);
    }
    for round in 0..20 {
        let name = format!("Round {round}");
        let rows = (1..)
            .zip(&users)
            .map(|(number, one)| row_with(number, User { name: name.clone(), ..one.clone() }, |row| row.has_id = true));
        store.import_users(updating(rows.collect())).await.unwrap();
        for one in &users {
            let cached = store.cached_user(&one.id).map(|user| user.decoded().name);
            assert!(cached.is_none_or(|cached| cached == name), "the cache must not be behind");
            assert_eq!(find(store, &one.id).await.name, name);
        }
    }
}
