//! Mails and tokens against a clock that a test turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use roster_server::{
    auth::Caller,
    config::{MailFrom, PublicUrl},
    mail::{Delivery, Links, Mailer, Sender, Smtp},
    model::{Clock, MailState, Staleness, Timestamp},
    ops::{CreateUserInput, Ctx, Error, Ops, RequestId, UserAgent},
    store::Store,
};
use tempfile::TempDir;

use crate::{
    catcher::Catcher,
    harness::{ops_over, store_in},
};

const MINUTE_US: i64 = 60_000_000;

struct TestClock(AtomicI64);

impl TestClock {
    fn pass(&self, minutes: i64) {
        self.0.fetch_add(minutes * MINUTE_US, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// The use cases and the sender over one store, without the rest of a server.
struct Bench {
    clock: Arc<TestClock>,
    store: Arc<dyn Store>,
    ops: Ops,
    sender: Sender,
    _folder: TempDir,
}

impl Bench {
    async fn new(catcher: &Catcher, readable: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(store_in(&folder));
        let clock = Arc::new(TestClock(AtomicI64::new(1_767_225_600_000_000)));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let url: PublicUrl = "https://accounts.example.com".parse().unwrap();
        let links = Links::of(Some(&url), None, None);
        let mailer = Arc::new(Mailer::new(Delivery::Server, readable, "Example".into(), links));
        let smtp = Smtp::new(&format!("smtp://{}", catcher.addr()).parse().unwrap(), None, None).unwrap();
        let from: MailFrom = "accounts@example.com".parse().unwrap();
        let retry = Duration::from_secs(240);
        let sender =
            Sender::new((Arc::clone(&store), Arc::clone(&shared), Arc::clone(&mailer)), Some((smtp, from)), retry);
        let ops = ops_over(Arc::clone(&store), shared, mailer).await;
        let input = CreateUserInput { email: "ada@example.com".into(), ..Default::default() };
        ops.create_user(&ctx(Caller::Operator), input).await.unwrap();
        Self { clock, store, ops, sender, _folder: folder }
    }

    async fn only_mail(&self) -> roster_server::model::Mail {
        self.store.list_mails(None, 1).await.unwrap().remove(0)
    }
}

fn ctx(caller: Caller) -> Ctx {
    Ctx {
        caller,
        request_id: RequestId::generate(),
        remote: None,
        user_agent: UserAgent::default(),
        idempotency: None,
        staleness: Staleness::NONE,
    }
}

#[tokio::test]
async fn a_mail_is_never_sent_after_its_link_has_ended() {
    let mut catcher = Catcher::start().await;
    let mut bench = Bench::new(&catcher, false).await;
    bench.ops.request_password_reset(&ctx(Caller::Anonymous), "ada@example.com").await.unwrap();
    bench.clock.pass(10);
    bench.sender.round().await;
    assert!(catcher.is_empty());
    assert_eq!(bench.only_mail().await.state, MailState::GivenUp);
    // Nor is it tried again if that would be too late.
    bench.ops.request_password_reset(&ctx(Caller::Anonymous), "ada@example.com").await.unwrap();
    catcher.reply(451);
    for minutes in [0, 4] {
        bench.clock.pass(minutes);
        bench.sender.round().await;
        assert!(!catcher.next().await.taken);
    }
    bench.clock.pass(8);
    bench.sender.round().await;
    let mail = bench.only_mail().await;
    assert_eq!((mail.state, mail.attempts), (MailState::GivenUp, 2));
    assert!(catcher.is_empty() && mail.next_attempt_at.is_none(), "{mail:?}");
}

#[tokio::test]
async fn a_token_is_good_for_its_time_and_no_longer() {
    let mut catcher = Catcher::start().await;
    let mut bench = Bench::new(&catcher, false).await;
    let anonymous = ctx(Caller::Anonymous);
    let mut next = async |bench: &mut Bench| {
        bench.sender.round().await;
        catcher.next().await.token()
    };
    bench.ops.request_password_reset(&anonymous, "ada@example.com").await.unwrap();
    let token = next(&mut bench).await;
    bench.clock.pass(10);
    let late = bench.ops.reset_password(&anonymous, token, "correct horse".into()).await;
    assert!(matches!(late, Err(Error::TokenInvalid)), "{late:?}");
    bench.ops.request_password_reset(&anonymous, "ada@example.com").await.unwrap();
    let token = next(&mut bench).await;
    bench.clock.pass(9);
    bench.ops.reset_password(&anonymous, token, "correct horse".into()).await.unwrap();

    let input = CreateUserInput { email: "bea@example.com".into(), ..Default::default() };
    bench.ops.create_user(&anonymous, input).await.unwrap();
    let token = next(&mut bench).await;
    bench.clock.pass(24 * 60);
    let late = bench.ops.verify_email(&anonymous, token).await;
    assert!(matches!(late, Err(Error::TokenInvalid)), "{late:?}");
    bench.ops.send_verification_email(&anonymous, "bea@example.com").await.unwrap();
    let token = next(&mut bench).await;
    bench.clock.pass(24 * 60 - 1);
    assert!(bench.ops.verify_email(&anonymous, token).await.unwrap().email_verified);
}

#[tokio::test]
async fn only_a_server_for_development_shows_what_a_mail_says() {
    for readable in [false, true] {
        let mut catcher = Catcher::start().await;
        let mut bench = Bench::new(&catcher, readable).await;
        bench.ops.request_password_reset(&ctx(Caller::Anonymous), "ada@example.com").await.unwrap();
        let id = bench.only_mail().await.id.to_string();
        let seen = async |bench: &Bench| {
            let view = bench.ops.get_mail(&ctx(Caller::Operator), &id).await.unwrap();
            (view.subject.is_empty(), view.text.contains("token="))
        };
        assert_eq!(seen(&bench).await, (!readable, readable));
        bench.sender.round().await;
        catcher.next().await;
        assert_eq!(seen(&bench).await, (!readable, readable), "once it is sent");
        let refused = bench.ops.get_mail(&ctx(Caller::Anonymous), &id).await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }
}
