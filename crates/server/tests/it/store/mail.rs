//! The outbox and one-time tokens: who gets which mail, and what a token is good for.

use std::collections::BTreeSet;

use roster_server::{
    auth::{OneTimeToken, PasswordHash},
    model::{
        Action, ChangeMeta, Language, MailId, MailKind, MailState, Timestamp, User, UserPatch, UserStatus,
        text::unique_key,
    },
    store::{ClaimedMail, MailClaim, MailOutcome, NewMail, NewUser, Store, StoreError},
};

use super::{
    Decoded as _, create, join_all, meta,
    sessions::{begin, with_password},
    tick, user,
};

const HOUR_US: i64 = 3_600_000_000;

/// A mail with a token of its own, whose link is good for an hour.
fn mail(kind: MailKind) -> NewMail {
    let now = tick();
    NewMail {
        id: MailId::generate(now),
        kind,
        language: Language::German,
        token: OneTimeToken::generate().unwrap(),
        expires_at: Timestamp(now.0 + HOUR_US),
    }
}

/// Asks for a mail to an address; gives its token.
pub(super) async fn request(store: &dyn Store, email: &str, kind: MailKind) -> OneTimeToken {
    let mail = mail(kind);
    let token = mail.token.clone();
    store.request_mail(unique_key(email), mail, meta()).await.unwrap();
    token
}

pub(super) async fn claim(store: &dyn Store, limit: u32) -> Vec<ClaimedMail> {
    claim_until(store, Timestamp(tick().0 + HOUR_US), limit).await
}

async fn claim_until(store: &dyn Store, until: Timestamp, limit: u32) -> Vec<ClaimedMail> {
    store.claim_mails(MailClaim { now: tick(), until, domain: "example.com".into(), limit }).await.unwrap()
}

async fn state(store: &dyn Store, id: MailId) -> (MailState, String) {
    let (mail, _) = store.find_mail(id).await.unwrap().unwrap();
    (mail.state, mail.last_error)
}

fn hash() -> PasswordHash {
    PasswordHash::from_store("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".into())
}

async fn verify(store: &dyn Store, user: &User, token: &OneTimeToken) -> Result<User, StoreError> {
    store.verify_email(user.id.clone(), token.hash(), meta()).await.decoded()
}

async fn reset(store: &dyn Store, user: &User, token: &OneTimeToken) -> Result<User, StoreError> {
    store.reset_password(user.id.clone(), token.hash(), hash(), meta()).await.decoded()
}

pub async fn a_mail_goes_to_who_has_the_address_and_to_nobody_else(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let verified = create(store, &User { email_verified: true, ..user("verified") }).await.unwrap();
    let inactive = create(store, &User { status: UserStatus::Inactive, ..user("inactive") }).await.unwrap();
    // Spelled as a look-alike, it goes to the address that the user has.
    let token = request(store, "ADA@exаmple.com", MailKind::Verification).await;
    request(store, &verified.email, MailKind::Verification).await;
    request(store, &inactive.email, MailKind::Verification).await;
    request(store, &inactive.email, MailKind::PasswordReset).await;
    request(store, "nobody@example.com", MailKind::PasswordReset).await;
    let [only] = claim(store, 10).await.try_into().unwrap();
    assert_eq!((only.mail.recipient.as_str(), &only.mail.user_id), ("ada@example.com", &ada.id));
    assert_eq!((only.mail.kind, only.mail.language, only.mail.attempts), (MailKind::Verification, Language::German, 1));
    assert_eq!(only.token, token);
    assert_eq!(only.message_id, format!("{}@example.com", only.mail.id));
    // A password can be reset at an address that is verified.
    request(store, &verified.email, MailKind::PasswordReset).await;
    assert_eq!(claim(store, 10).await.len(), 1);
    // Nobody who follows users hears of a mail.
    assert!(store.list_changes(0, 100).await.unwrap().changes.iter().all(|change| change.action == Action::Created));
}

pub async fn a_sign_up_and_its_mail_are_both_there_or_neither(store: &dyn Store) {
    let create = async |user: &User, meta: ChangeMeta| {
        let mail = Some(mail(MailKind::Verification));
        store.create_user(NewUser { user: user.clone(), password_hash: None, mail }, meta).await
    };
    let ada = user("ada");
    create(&ada, ChangeMeta { validate_only: true, ..meta() }).await.unwrap();
    assert_eq!(claim(store, 10).await.len(), 0);
    create(&ada, meta()).await.unwrap();
    create(&User { username: "other".into(), ..user("ada") }, meta()).await.unwrap_err();
    let [only] = claim(store, 10).await.try_into().unwrap();
    assert_eq!((only.mail.user_id, only.mail.recipient), (ada.id.clone(), ada.email.clone()));
    assert!(verify(store, &ada, &only.token).await.unwrap().email_verified);
    store.delete_user(ada.id, None, meta()).await.unwrap();
    assert_eq!(store.list_mails(None, 10).await.unwrap(), []);
}

pub async fn a_token_works_once_and_for_what_it_is(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let bea = create(store, &user("bea")).await.unwrap();
    let first = request(store, &ada.email, MailKind::Verification).await;
    let resets = request(store, &ada.email, MailKind::PasswordReset).await;
    let token = request(store, &ada.email, MailKind::Verification).await;
    let found = async |kind, token: &OneTimeToken| store.find_one_time_token(kind, token.hash(), tick()).await.unwrap();
    assert_eq!(found(MailKind::Verification, &token).await, Some(ada.id.clone()));
    assert_eq!(found(MailKind::PasswordReset, &resets).await, Some(ada.id.clone()));
    for (kind, other) in [
        (MailKind::Verification, &first),
        (MailKind::Verification, &resets),
        (MailKind::PasswordReset, &token),
        (MailKind::Verification, &OneTimeToken::shown(token.as_str()[..42].into())),
        (MailKind::Verification, &OneTimeToken::shown(String::new())),
    ] {
        assert_eq!(found(kind, other).await, None);
    }
    assert_eq!(verify(store, &ada, &first).await, Err(StoreError::NotFound), "a newer one ends it");
    assert_eq!(verify(store, &ada, &resets).await, Err(StoreError::NotFound), "of another kind");
    assert_eq!(reset(store, &ada, &token).await, Err(StoreError::NotFound), "of another kind");
    assert_eq!(verify(store, &bea, &token).await, Err(StoreError::NotFound), "of another user");
    assert_eq!(store.find_user(&ada.id).await.unwrap().unwrap().decoded(), ada);

    // Of many at once, one uses it.
    let uses = join_all((0..16).map(|_| verify(store, &ada, &token))).await;
    assert_eq!(uses.iter().filter(|used| used.is_ok()).count(), 1);
    assert!(uses.iter().all(|used| matches!(used, Ok(_) | Err(StoreError::NotFound))));
    let after = store.find_user(&ada.id).await.unwrap().unwrap().decoded();
    assert_eq!((after.email_verified, after.revision), (true, ada.revision + 1));
    assert_eq!(found(MailKind::Verification, &token).await, None);
    // The other kind still stands.
    reset(store, &ada, &resets).await.unwrap();
}

pub async fn a_token_ends_with_its_time_its_address_and_its_user(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let stands = async |token: &OneTimeToken, now| {
        store.find_one_time_token(MailKind::PasswordReset, token.hash(), now).await.unwrap().is_some()
    };
    let token = request(store, &ada.email, MailKind::PasswordReset).await;
    let late = Timestamp(tick().0 + HOUR_US);
    assert!(stands(&token, tick()).await && !stands(&token, late).await);
    let too_late = store.reset_password(ada.id.clone(), token.hash(), hash(), ChangeMeta { at: late, ..meta() }).await;
    assert_eq!(too_late, Err(StoreError::NotFound));

    let set_email = async |email: &str| {
        let patch = UserPatch { email: Some(email.into()), ..UserPatch::default() };
        store.update_user(ada.id.clone(), patch, None, meta()).await.unwrap();
    };
    set_email("other@example.com").await;
    assert!(!stands(&token, tick()).await);
    assert_eq!(reset(store, &ada, &token).await, Err(StoreError::NotFound));
    // Another spelling of the same address is the same address.
    set_email("ADA@example.com").await;
    assert!(stands(&token, tick()).await);

    let set_status = async |status| store.set_user_status(ada.id.clone(), status, None, meta()).await.unwrap();
    set_status(UserStatus::Inactive).await;
    assert!(!stands(&token, tick()).await);
    assert_eq!(reset(store, &ada, &token).await, Err(StoreError::NotFound));
    set_status(UserStatus::Active).await;
    store.delete_user(ada.id.clone(), None, meta()).await.unwrap();
    assert!(!stands(&token, tick()).await);
    assert_eq!(reset(store, &ada, &token).await, Err(StoreError::NotFound));
}

pub async fn a_reset_sets_the_password_and_ends_every_session(store: &dyn Store) {
    let ada = with_password(store, "ada").await;
    begin(store, &ada.id).await;
    let token = request(store, &ada.email, MailKind::PasswordReset).await;
    let by = ChangeMeta { request_id: "reset".into(), ..meta() };
    let after = store.reset_password(ada.id.clone(), token.hash(), hash(), by).await.unwrap().decoded();
    assert_eq!(store.list_sessions(&ada.id, tick(), None, 10).await.unwrap(), []);
    assert_eq!(store.find_password_hash(&ada.id).await.unwrap().unwrap().as_str(), hash().as_str());
    assert_eq!(after, User { email_verified: true, revision: 2, updated_at: after.updated_at, ..ada.clone() });
    assert_eq!(store.find_user(&ada.id).await.unwrap().unwrap().decoded(), after);
    let log = store.list_changes(0, 10).await.unwrap().changes;
    let facts: Vec<_> = log.iter().map(|change| (change.action, change.revision, change.fields.clone())).collect();
    let verified = (Action::EmailVerified, 2, vec!["email_verified".to_owned()]);
    assert_eq!(facts, [(Action::Created, 1, Vec::new()), (Action::PasswordChanged, 1, Vec::new()), verified]);
    assert_eq!((log[2].after.clone().decoded(), log[2].request_id.as_str()), (Some(after.clone()), "reset"));

    // A second reset changes no field of the user any more.
    let token = request(store, &ada.email, MailKind::PasswordReset).await;
    assert_eq!(reset(store, &ada, &token).await.unwrap(), after);
    assert_eq!(store.list_changes(0, 10).await.unwrap().changes[3..].len(), 1);
}

pub async fn a_claim_gives_each_mail_to_one_sender_until_it_ends(store: &dyn Store) {
    for number in 0..20 {
        let user = create(store, &user(&format!("user{number}"))).await.unwrap();
        request(store, &user.email, MailKind::Verification).await;
    }
    let backlog = store.mail_backlog().await.unwrap();
    assert_eq!(backlog.waiting, 20);
    assert!(backlog.oldest.is_some_and(|oldest| oldest < tick()));
    let due = store.next_mail_due().await.unwrap();
    let claims = join_all((0..8).map(|_| claim(store, 3))).await;
    let ids: Vec<MailId> = claims.iter().flatten().map(|claimed| claimed.mail.id).collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (20, 20));
    assert!(claims.iter().all(|claimed| claimed.len() <= 3));
    assert!(store.next_mail_due().await.unwrap() > due);

    // A claim that nobody finished ends; the mail keeps its Message-ID, under whatever domain it is claimed then.
    let user = create(store, &user("late")).await.unwrap();
    request(store, &user.email, MailKind::Verification).await;
    let until = Timestamp(tick().0 + 2);
    let [first] = claim_until(store, until, 10).await.try_into().unwrap();
    let moved =
        MailClaim { now: until, until: Timestamp(until.0 + HOUR_US), domain: "moved.example".into(), limit: 10 };
    let [again] = store.claim_mails(moved).await.unwrap().try_into().unwrap();
    assert_eq!((again.mail.attempts, &again.message_id, again.token), (2, &first.message_id, first.token));
    // Whoever comes late with the first attempt is not heard.
    let sent = MailOutcome::Sent { at: tick() };
    store.finish_mail(first.mail.id, 1, sent.clone(), false).await.unwrap();
    assert_eq!(state(store, first.mail.id).await.0, MailState::Waiting);
    store.finish_mail(first.mail.id, 2, sent, false).await.unwrap();
    assert_eq!(state(store, first.mail.id).await.0, MailState::Sent);
}

pub async fn what_leads_nowhere_is_given_up_instead_of_sent(store: &dyn Store) {
    let [late, moved, inactive, newer, good] = ["late", "moved", "inactive", "newer", "good"];
    let mut ids = Vec::new();
    for name in [late, moved, inactive, newer, good] {
        let user = create(store, &user(name)).await.unwrap();
        let mut mail = mail(MailKind::Verification);
        if name == late {
            mail.expires_at = tick();
        }
        ids.push((mail.id, user.id.clone()));
        store.request_mail(unique_key(&user.email), mail, meta()).await.unwrap();
    }
    let patch = UserPatch { email: Some("elsewhere@example.com".into()), ..UserPatch::default() };
    store.update_user(ids[1].1.clone(), patch, None, meta()).await.unwrap();
    store.set_user_status(ids[2].1.clone(), UserStatus::Inactive, None, meta()).await.unwrap();
    request(store, "newer@example.com", MailKind::Verification).await;

    let claimed: BTreeSet<String> = claim(store, 10).await.into_iter().map(|claimed| claimed.mail.recipient).collect();
    assert_eq!(claimed, BTreeSet::from(["newer@example.com".to_owned(), "good@example.com".to_owned()]));
    for (id, _) in &ids[..4] {
        let (state, why) = state(store, *id).await;
        assert!(state == MailState::GivenUp && !why.is_empty(), "{state:?} {why}");
        assert_eq!(store.find_mail(*id).await.unwrap().unwrap().1, None, "its token is wiped");
    }
}

pub async fn a_token_is_wiped_with_the_end_of_its_mail(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let ends = [
        (MailOutcome::Sent { at: tick() }, false, MailState::Sent),
        (MailOutcome::Sent { at: tick() }, true, MailState::Sent),
        (MailOutcome::GivenUp { at: tick(), error: "550 no".into() }, false, MailState::GivenUp),
        (MailOutcome::Retry { at: tick(), error: "450 later".into() }, false, MailState::Waiting),
    ];
    for (outcome, keep, end) in ends {
        let token = request(store, &ada.email, MailKind::PasswordReset).await;
        let [claimed] = claim(store, 10).await.try_into().unwrap();
        let id = claimed.mail.id;
        store.finish_mail(id, 1, outcome.clone(), keep).await.unwrap();
        let (mail, kept) = store.find_mail(id).await.unwrap().unwrap();
        let waits = end == MailState::Waiting;
        assert_eq!((mail.state, kept), (end, (keep || waits).then_some(token)), "{outcome:?}");
        assert_eq!((mail.sent_at.is_some(), mail.next_attempt_at.is_some()), (end == MailState::Sent, waits));
    }
    let (mail, _) = store.find_mail(store.list_mails(None, 1).await.unwrap()[0].id).await.unwrap().unwrap();
    assert_eq!(mail.last_error, "450 later");
    // It is due again.
    assert_eq!(claim(store, 10).await[0].mail.attempts, 2);
}

pub async fn mails_are_listed_newest_first_and_purged_after_their_time(store: &dyn Store) {
    for number in 0..5 {
        let user = create(store, &user(&format!("user{number}"))).await.unwrap();
        request(store, &user.email, MailKind::Verification).await;
    }
    let all = store.list_mails(None, 10).await.unwrap();
    assert!(all.len() == 5 && all.is_sorted_by(|one, next| one.id > next.id), "{all:?}");
    assert_eq!(all[0].recipient, "user4@example.com");
    assert_eq!(store.list_mails(Some(all[1].id), 2).await.unwrap(), all[2..4]);
    assert_eq!(store.find_mail(MailId::generate(tick())).await.unwrap(), None);

    let claimed = claim(store, 2).await;
    for claimed in &claimed {
        store.finish_mail(claimed.mail.id, 1, MailOutcome::Sent { at: tick() }, false).await.unwrap();
    }
    // Before its time nothing goes.
    assert_eq!(store.purge_mails(tick(), Timestamp(0), 100).await.unwrap(), 0);
    // What was sent goes after a while; what waits is given up when its link ends, and its token goes.
    assert_eq!(store.purge_mails(tick(), tick(), 1).await.unwrap(), 1);
    assert_eq!(store.purge_mails(tick(), tick(), 100).await.unwrap(), 1);
    let later = Timestamp(tick().0 + HOUR_US);
    assert_eq!(store.purge_mails(later, Timestamp(0), 100).await.unwrap(), 3 + 5);
    let left = store.list_mails(None, 10).await.unwrap();
    assert!(left.len() == 3 && left.iter().all(|mail| mail.state == MailState::GivenUp), "{left:?}");
    assert_eq!(store.next_mail_due().await.unwrap(), None);
}
