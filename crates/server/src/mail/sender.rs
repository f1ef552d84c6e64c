//! The task that takes mails from the outbox to the mail server, one of it in every process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet, time};

use super::{
    Delivery, Mailer, Smtp, backoff,
    message::{ascii_domain, message},
    smtp::{ATTEMPT_TIMEOUT, Failure},
};
use crate::{
    config::MailFrom,
    model::{Clock, MailId, Timestamp},
    store::{ClaimedMail, MailClaim, MailOutcome, Store, StoreError},
    trace::{self, Span, Traced as _, Tracer},
};

/// Mails that are sent at the same time.
const CLAIM_MAX: u32 = 8;
/// Beyond what an attempt may take, how long a claim lasts: whoever holds it longer has died.
const CLAIM_SLACK: Duration = Duration::from_secs(60);
/// How long the outbox is left alone, at most: another process may have written to it.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long to wait after the store has failed.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// How often the outbox is tidied up.
const TIDY_EVERY: Duration = Duration::from_secs(600);
/// How often it is counted what waits, at most, where that are this many or more: every row of it is looked at.
const COUNT_EVERY: Duration = Duration::from_secs(5);
const COUNT_FREELY_MAX: u32 = 1_000;
/// Rows that one tidying removes of each kind.
const TIDY_MAX: u32 = 1_000;
/// How long a mail is kept after its end.
const KEEP_FINISHED_US: i64 = 30 * 24 * 3_600_000_000;
/// How long mails that are being sent may take when the process is to end.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Mails that are named in the log of a server for development at a time.
const ANNOUNCE_MAX: u32 = 20;

/// Takes mails from the outbox to the mail server.
pub struct Sender {
    shared: Arc<Shared>,
    /// `None` before the first time.
    tidied: Option<Instant>,
    /// When it was last counted what waits, and how many it were; `None` before the first time.
    counted: Option<(Instant, u32)>,
    /// The newest mail that the log has named.
    announced: Option<MailId>,
}

/// What each attempt needs.
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    mailer: Arc<Mailer>,
    server: Option<(Smtp, MailFrom)>,
    retry: Duration,
    /// `None` if nothing is traced.
    tracer: Option<Tracer>,
}

impl Sender {
    /// A sender over this store. Without a server it only tidies up. `retry` is the wait after a first failure.
    #[must_use]
    pub fn new(
        (store, clock, mailer): (Arc<dyn Store>, Arc<dyn Clock>, Arc<Mailer>),
        server: Option<(Smtp, MailFrom)>,
        retry: Duration,
    ) -> Self {
        let shared = Shared { store, clock, mailer, server, retry, tracer: None };
        Self { shared: Arc::new(shared), tidied: None, counted: None, announced: None }
    }

    /// The same with a span for each attempt, in the trace of the call that caused the mail.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Option<Tracer>) -> Self {
        // Nobody shares it before the sender runs.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.tracer = tracer;
        }
        self
    }

    /// Sends until `stop` turns true; what is being sent then may take some seconds more.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mailer = Arc::clone(&self.shared.mailer);
        // An error says that nobody is left to say stop: stop as well.
        let mut stopped = std::pin::pin!(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        });
        loop {
            let pause = {
                let mut round = std::pin::pin!(self.round());
                tokio::select! {
                    biased;
                    pause = round.as_mut() => pause,
                    () = stopped.as_mut() => {
                        if time::timeout(STOP_GRACE, round).await.is_err() {
                            tracing::info!("a mail was being sent; it is tried again after the next start");
                        }
                        break;
                    }
                }
            };
            tokio::select! {
                biased;
                () = stopped.as_mut() => break,
                () = mailer.rung() => {}
                () = time::sleep(pause) => {}
            }
        }
        if let Some((smtp, _)) = &self.shared.server {
            smtp.close().await;
        }
    }

    /// Does what is to be done now; gives how long there is nothing more to do.
    pub async fn round(&mut self) -> Duration {
        match self.try_round().await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read or written");
                STORE_RETRY
            }
        }
    }

    async fn try_round(&mut self) -> Result<Duration, StoreError> {
        if self.tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
            self.tidied = Some(Instant::now());
            self.shared.tidy().await?;
        }
        if self.shared.mailer.delivery() == Delivery::Kept {
            self.announce().await?;
        }
        let pause = match &self.shared.server {
            Some((_, from)) => self.shared.send_due(from).await?,
            None => LOOK_EVERY,
        };
        if self.counted.is_none_or(|(at, waiting)| waiting < COUNT_FREELY_MAX || at.elapsed() >= COUNT_EVERY) {
            let backlog = self.shared.store.mail_backlog().await?;
            self.counted = Some((Instant::now(), backlog.waiting));
            self.shared.mailer.note_backlog(backlog);
        }
        Ok(pause)
    }

    /// Says in the log which mails are new, and how to read them. Not what is in them.
    async fn announce(&mut self) -> Result<(), StoreError> {
        let newest = self.shared.store.list_mails(None, ANNOUNCE_MAX).await?;
        for mail in newest.iter().rev().filter(|mail| self.announced < Some(mail.id)) {
            tracing::info!(mail_id = %mail.id, kind = %mail.kind, user_id = %mail.user_id,
                "a mail is in the outbox; `roster mail show` has its text");
        }
        self.announced = newest.first().map(|mail| mail.id).max(self.announced);
        Ok(())
    }
}

impl Shared {
    async fn tidy(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.purge_mails(now, Timestamp(now.0.saturating_sub(KEEP_FINISHED_US)), TIDY_MAX).await?;
        Ok(())
    }

    async fn send_due(self: &Arc<Self>, from: &MailFrom) -> Result<Duration, StoreError> {
        if let Some(pause) = self.until_due().await?
            && pause > Duration::ZERO
        {
            return Ok(pause);
        }
        let now = self.clock.now();
        let claim = MailClaim {
            now,
            until: later(now, ATTEMPT_TIMEOUT + CLAIM_SLACK),
            // An address in the settings was parsed: its domain is one.
            domain: ascii_domain(from.domain()).unwrap_or_else(|_| "localhost".into()),
            limit: CLAIM_MAX,
        };
        let mut sending = JoinSet::new();
        for claimed in self.store.claim_mails(claim).await? {
            let shared = Arc::clone(self);
            sending.spawn(async move {
                let span = shared.span_of(&claimed);
                shared.send_one(claimed).in_span(span).await
            });
        }
        for sent in sending.join_all().await {
            sent?;
        }
        Ok(self.until_due().await?.unwrap_or(LOOK_EVERY))
    }

    /// How long until the next mail is due; `None` if none waits.
    async fn until_due(&self) -> Result<Option<Duration>, StoreError> {
        let due = self.store.next_mail_due().await?;
        let until = due.map(|due| u64::try_from(due.0.saturating_sub(self.clock.now().0)).unwrap_or(0));
        Ok(Some(until.map_or(LOOK_EVERY, Duration::from_micros).min(LOOK_EVERY)))
    }

    fn span_of(&self, ClaimedMail { mail, .. }: &ClaimedMail) -> Option<Span> {
        let span = self.tracer.as_ref()?.later("send_mail", self.mailer.origins.find(&mail.id))?;
        span.set("roster.mail.id", mail.id.to_string());
        span.set("roster.mail.kind", mail.kind.to_string());
        span.set("roster.mail.attempt", i64::from(mail.attempts));
        Some(span)
    }

    async fn send_one(&self, claimed: ClaimedMail) -> Result<(), StoreError> {
        let outcome = self.attempt(&claimed).await;
        self.mailer.count(&outcome);
        if !matches!(outcome, MailOutcome::Retry { .. }) {
            self.mailer.origins.forget(&claimed.mail.id);
        }
        if let Some(span) = trace::current() {
            // What the mail server said may name people.
            span.set("roster.mail.outcome", super::name_of(&outcome));
            if !matches!(outcome, MailOutcome::Sent { .. }) {
                span.fail();
            }
        }
        let (mail, attempt) = (&claimed.mail, claimed.mail.attempts);
        match &outcome {
            MailOutcome::Sent { .. } => tracing::debug!(mail_id = %mail.id, attempt, "a mail was sent"),
            MailOutcome::Retry { error, at } => {
                tracing::warn!(mail_id = %mail.id, attempt, error, again_at = %at, "a mail was not taken");
            }
            MailOutcome::GivenUp { error, .. } => {
                tracing::warn!(mail_id = %mail.id, attempt, error, "a mail was given up");
            }
        }
        self.store.finish_mail(mail.id, attempt, outcome, self.mailer.is_readable()).await
    }

    async fn attempt(&self, claimed: &ClaimedMail) -> MailOutcome {
        let (mail, now) = (&claimed.mail, self.clock.now());
        let given_up = |error: &str| MailOutcome::GivenUp { at: now, error: error.to_owned() };
        if now >= mail.expires_at {
            return given_up("its link has ended");
        }
        let (Some((smtp, from)), Some(letter)) = (&self.server, self.mailer.letter(mail, &claimed.token)) else {
            return given_up("there is nowhere to send it, or nowhere for its link to lead");
        };
        let message = match message(from, claimed, letter) {
            Ok(message) => message,
            Err(error) => return given_up(&error),
        };
        let sent = smtp.send(message, &[claimed.token.as_str(), &mail.recipient]).await;
        self.mailer.set_failing(matches!(sent, Err(Failure::Later(_))));
        let at = self.clock.now();
        match sent {
            Ok(()) => MailOutcome::Sent { at },
            Err(Failure::Refused(error)) => MailOutcome::GivenUp { at, error },
            Err(Failure::Later(error)) => {
                let chance = getrandom::u64().unwrap_or_default();
                match later(at, backoff::wait(self.retry, mail.attempts, chance)) {
                    again if again < mail.expires_at => MailOutcome::Retry { at: again, error },
                    _ => MailOutcome::GivenUp { at, error },
                }
            }
        }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp(time.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}
