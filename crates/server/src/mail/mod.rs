//! Mails: how they read, where their links lead, and the task that sends them.
//!
//! They are written to the outbox with what caused them. The [`Sender`] takes them from there and hands them to the
//! mail server. If the process dies after the server has taken a mail and before that is noted, the mail is sent once
//! more when the claim on it ends; its `Message-ID` is the same then, so that mail programs can tell.
//!
//! Only this module knows lettre.

mod backoff;
mod letter;
mod links;
mod message;
mod phrases;
mod sender;
mod setup;
mod smtp;

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

pub use self::{
    letter::Letter,
    links::{Links, RESET_PASSWORD, VERIFY_EMAIL},
    sender::Sender,
    setup::server,
    smtp::Smtp,
};
use crate::{
    auth::OneTimeToken,
    metrics::{
        Counter, Page,
        names::{MAIL_FAILING, MAIL_OLDEST, MAIL_WAITING, MAILS},
    },
    model::{Clock as _, Language, Mail, MailId, MailKind, SystemClock, Timestamp},
    store::{MailBacklog, MailOutcome, NewMail},
    trace::Origins,
};

/// What becomes of mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// They go to a mail server.
    Server,
    /// They stay in the outbox of a server for development, to be read there.
    Kept,
    /// They wait in the outbox, and nobody sends them.
    Waiting,
}

/// What the use cases and the sender share.
#[derive(Debug)]
pub struct Mailer {
    delivery: Delivery,
    /// Whether operators may read the text, which has the link in it.
    readable: bool,
    /// What the platform is called.
    platform: String,
    /// `None` if nobody has said where links lead.
    links: Option<Links>,
    bell: Notify,
    failing: AtomicBool,
    outcomes: Outcomes,
    /// Mails that wait, and the microsecond in which the oldest of them was written; 0 if none waits.
    waiting: AtomicU32,
    oldest: AtomicI64,
    /// Which calls have caused the mails that wait, where they are traced.
    origins: Origins<MailId>,
}

/// What became of attempts to send a mail.
#[derive(Debug, Default)]
struct Outcomes {
    sent: Counter,
    retried: Counter,
    given_up: Counter,
}

/// What an outcome is called in numbers and traces.
fn name_of(outcome: &MailOutcome) -> &'static str {
    match outcome {
        MailOutcome::Sent { .. } => "sent",
        MailOutcome::Retry { .. } => "retried",
        MailOutcome::GivenUp { .. } => "given_up",
    }
}

impl Mailer {
    /// Mails of this platform. `readable` is for development: operators see the text, links included.
    #[must_use]
    pub fn new(delivery: Delivery, readable: bool, platform: String, links: Option<Links>) -> Self {
        Self {
            delivery,
            readable,
            platform,
            links,
            bell: Notify::new(),
            failing: AtomicBool::new(false),
            outcomes: Outcomes::default(),
            waiting: AtomicU32::new(0),
            oldest: AtomicI64::new(0),
            origins: Origins::default(),
        }
    }

    /// Counts what became of an attempt.
    fn count(&self, outcome: &MailOutcome) {
        match outcome {
            MailOutcome::Sent { .. } => self.outcomes.sent.increment(),
            MailOutcome::Retry { .. } => self.outcomes.retried.increment(),
            MailOutcome::GivenUp { .. } => self.outcomes.given_up.increment(),
        }
    }

    /// Puts what became of mails on the page.
    pub fn report(&self, page: &mut Page) {
        page.value(&MAILS, &["sent"], self.outcomes.sent.get());
        page.value(&MAILS, &["retried"], self.outcomes.retried.get());
        page.value(&MAILS, &["given_up"], self.outcomes.given_up.get());
        let oldest = self.oldest.load(Ordering::Relaxed);
        let age_us = if oldest == 0 { 0 } else { SystemClock.now().0.saturating_sub(oldest).max(0) };
        page.value(&MAIL_WAITING, &[], u64::from(self.waiting.load(Ordering::Relaxed)));
        page.value(&MAIL_OLDEST, &[], Duration::from_micros(age_us.unsigned_abs()).as_secs_f64());
        page.value(&MAIL_FAILING, &[], self.is_failing());
    }

    /// Takes in what waits in the outbox.
    fn note_backlog(&self, backlog: MailBacklog) {
        self.waiting.store(backlog.waiting, Ordering::Relaxed);
        self.oldest.store(backlog.oldest.map_or(0, |at| at.0), Ordering::Relaxed);
    }

    /// What becomes of mails.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Whether operators may read the text.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// What the platform is called.
    #[must_use]
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// A mail to write, with a token of its own.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn write(&self, kind: MailKind, language: Language, now: Timestamp) -> Result<NewMail, getrandom::Error> {
        let expires_at = Timestamp(now.0.saturating_add(kind.lifetime_us()));
        let id = MailId::generate(now);
        self.origins.note(id);
        Ok(NewMail { id, kind, language, token: OneTimeToken::generate()?, expires_at })
    }

    /// The text of a mail; `None` if nobody has said where links lead.
    #[must_use]
    pub fn letter(&self, mail: &Mail, token: &OneTimeToken) -> Option<Letter> {
        let link = self.links.as_ref()?.link(mail.kind, token);
        Letter::write(mail.language, mail.kind, &self.platform, &mail.recipient, &link)
    }

    /// Wakes the sender: there may be a mail.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for [`Mailer::ring`].
    async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Whether the mail server took the last mail that it was offered, as far as we know.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }
}
