//! How long an answer is kept, against a clock that a test turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use roster_server::{
    auth::Caller,
    mail::{Delivery, Links, Mailer},
    model::{Clock, IdempotencyKey, Staleness, Timestamp},
    ops::{CreateUserInput, Ctx, Error, RequestId, UserAgent},
    store::Store,
};

use crate::harness::{ops_over, store_in};

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day_and_then_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(store_in(&folder));
    let clock = Arc::new(TestClock(AtomicI64::new(1_767_225_600_000_000)));
    let mailer = Mailer::new(Delivery::Server, false, "Example".into(), Links::of(None, None, None));
    let ops = ops_over(Arc::clone(&store), Arc::clone(&clock) as _, Arc::new(mailer)).await;
    let plain = Ctx {
        caller: Caller::Operator,
        request_id: RequestId::generate(),
        remote: None,
        user_agent: UserAgent::default(),
        idempotency: None,
        staleness: Staleness::NONE,
    };
    let key = IdempotencyKey::parse(b"k").unwrap();
    let call = ops.idempotency_of(&plain, "/method", &key, None, b"request");
    let ctx = Ctx { idempotency: Some(Arc::clone(&call)), ..plain };
    let input = || CreateUserInput { email: "ada@example.com".into(), ..Default::default() };
    let first = ops.create_user(&ctx, input()).await.unwrap();

    let day = i64::try_from(Duration::from_hours(24).as_micros()).unwrap();
    clock.0.fetch_add(day - 1, Ordering::SeqCst);
    ops.keep_house().await;
    assert_eq!(ops.create_user(&ctx, input()).await.unwrap(), first);
    clock.0.fetch_add(1, Ordering::SeqCst);
    assert!(matches!(ops.create_user(&ctx, input()).await, Err(Error::Taken(_))), "done anew");
    ops.keep_house().await;
    assert_eq!(store.purge_answers(Timestamp(i64::MAX), 10).await, Ok(0), "removed");
}
