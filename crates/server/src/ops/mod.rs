//! The use cases. Every face joins here, so no rule and no permission can be skipped.

mod addresses;
mod api_keys;
mod audit;
mod commits;
pub mod ctx;
pub mod error;
mod feed;
mod health;
mod housekeeping;
mod idempotency;
mod mail;
mod page_token;
mod passwords;
mod preferences;
mod presence;
pub mod reason;
mod sessions;
mod signing_keys;
mod turns;
mod update_mask;
mod users;

use std::{sync::Arc, time::Duration};

pub use self::{
    addresses::{AddAddressInput, AddressInput, UpdateAddressInput},
    api_keys::{ApiKeyInput, ApiKeyPage, CreateApiKeyInput, CreatedApiKey},
    audit::{AuditPage, Called, ListAuditEventsInput, RefusedCall},
    ctx::{Ctx, RequestId, UserAgent},
    error::{Error, Resource},
    feed::{
        ChangeKind, FeedEvent, FeedItem, FeedLoad, FeedOptions, UserChange, UserWatch, WatchStart, WatchUsersInput,
    },
    health::{DependencyHealth, Health, HealthState, SERVER},
    housekeeping::LogRetention,
    mail::{MailPage, MailView},
    passwords::ChangePasswordInput,
    preferences::{SwitchesInput, UpdatePreferencesInput},
    presence::{
        ClientPage, ClientPresence, ConnectInput, ConnectOutput, End, GetClientStatusInput, NoticeKind, Outputs,
        SendMessageInput, SendMessageOutput, Vocabulary, WatchClientsInput, WatchEvent,
    },
    reason::Reason,
    sessions::{ListSessionsInput, SessionOptions, SessionPage, SignInInput, SignedIn, Tokens},
    signing_keys::RotatedKeys,
    users::{
        CreateUserInput, Export, ExportPage, ExportUsersInput, ImportOptionsInput, ImportOutcome, ImportRowInput,
        ImportRun, ImportVerdict, ListUsersInput, SearchUsersInput, SearchUsersOutput, SetStatusInput, UpdateUserInput,
        UserPage,
    },
};
use self::{
    audit::AuditTrail, feed::Feed, page_token::PageTokens, presence::Desk, sessions::SignInOutcomes, turns::Turns,
    users::RunningImports,
};
use crate::{
    auth::{Attempts, Authenticator, Hasher, RefreshTokens},
    backlog::Wait,
    mail::Mailer,
    metrics::Page,
    model::{Clock, IdempotencyKeys, Staleness},
    net::DrainSignal,
    presence::PresenceOptions,
    redis::Redis,
    store::{Queue, Store, StoreError},
};

/// What the use cases stand on.
pub struct Ops {
    store: Arc<dyn Store>,
    hasher: Hasher,
    clock: Arc<dyn Clock>,
    authenticator: Arc<Authenticator>,
    mailer: Arc<Mailer>,
    page_tokens: PageTokens,
    idempotency_keys: IdempotencyKeys,
    turns: Turns,
    refresh_tokens: RefreshTokens,
    attempts: Attempts,
    session_idle: Duration,
    trail: AuditTrail,
    desk: Arc<Desk>,
    feed: Feed,
    retention: LogRetention,
    sign_up_open: bool,
    imports: RunningImports,
    drain: Option<DrainSignal>,
    sign_ins: SignInOutcomes,
    staleness_default: Staleness,
    redis: Option<Redis>,
}

impl Ops {
    /// Readies the use cases over an open store. Sign-up is open, and refusals are written by a task on this runtime.
    ///
    /// # Errors
    /// The store failed to hand out the keys for tokens.
    pub async fn new(
        store: Arc<dyn Store>,
        hasher: Hasher,
        clock: Arc<dyn Clock>,
        authenticator: Arc<Authenticator>,
        mailer: Arc<Mailer>,
        sessions: SessionOptions,
    ) -> Result<Self, StoreError> {
        let page_tokens = PageTokens::new(store.secret("page_token").await?);
        let idempotency_keys = IdempotencyKeys::new(store.secret("idempotency").await?);
        let refresh_tokens = RefreshTokens::new(store.secret("refresh_token").await?);
        let (attempts, session_idle) = (Attempts::new(sessions.attempts), sessions.idle);
        let trail = AuditTrail::start(Arc::clone(&store), Arc::clone(&clock));
        let desk = Arc::new(Desk::new(PresenceOptions::default(), &*clock));
        let feed = Feed::start(&store, store.secret("resume_token").await?);
        Ok(Self {
            store,
            hasher,
            clock,
            authenticator,
            mailer,
            page_tokens,
            idempotency_keys,
            turns: Turns::default(),
            refresh_tokens,
            attempts,
            session_idle,
            trail,
            desk,
            feed,
            retention: LogRetention::default(),
            sign_up_open: true,
            imports: RunningImports::default(),
            drain: None,
            sign_ins: SignInOutcomes::default(),
            staleness_default: Staleness::NONE,
            redis: None,
        })
    }

    /// The same, with sign-up open or closed.
    #[must_use]
    pub fn with_sign_up(self, open: bool) -> Self {
        Self { sign_up_open: open, ..self }
    }

    /// The same, with other bounds of the feed.
    #[must_use]
    pub fn with_feed(mut self, options: FeedOptions) -> Self {
        self.feed.options = options;
        self
    }

    /// The same, with a change log that keeps more or less.
    #[must_use]
    pub fn with_retention(self, retention: LogRetention) -> Self {
        Self { retention, ..self }
    }

    /// The same, with what servers share beside the store.
    ///
    /// # Errors
    /// The store failed to hand out the key for it.
    pub async fn with_redis(self, redis: Redis) -> Result<Self, StoreError> {
        let attempts = self.attempts.with_redis(redis.clone(), self.store.secret("guesses").await?);
        Ok(Self { attempts, redis: Some(redis), ..self })
    }

    /// Keeps in step with other servers: what is counted, and what is committed. For ever, if there is Redis.
    pub async fn keep_in_step(&self) {
        let Some(redis) = &self.redis else { return };
        tokio::join!(self.attempts.keep_in_step(&*self.clock), self.follow_commits(redis), self.share_presence(redis));
    }

    /// The same, with streams that end of their own accord when the server drains.
    #[must_use]
    pub fn with_drain(self, drain: DrainSignal) -> Self {
        Self { drain: Some(drain), ..self }
    }

    /// The same, with reads that may be this old if their caller does not say.
    #[must_use]
    pub fn with_staleness_default(self, staleness_default: Staleness) -> Self {
        Self { staleness_default, ..self }
    }

    /// How old what a call reads may be that does not say.
    #[must_use]
    pub fn staleness_default(&self) -> Staleness {
        self.staleness_default
    }

    /// Ends when the server begins to drain. A stream that would go on for ever says then where it can be taken up.
    pub async fn draining(&self) {
        match &self.drain {
            Some(drain) => drain.draining().await,
            None => std::future::pending().await,
        }
    }

    /// How long a call that joins this queue of the store now will wait, with at least so many `ahead` of it.
    #[must_use]
    pub fn store_wait(&self, queue: Queue, ahead: usize) -> Wait {
        self.store.wait(queue, ahead)
    }

    /// How long a password that comes now will wait for its hash.
    #[must_use]
    pub fn hash_wait(&self) -> Wait {
        self.hasher.wait()
    }

    /// Puts what is done, and what it stands on, in numbers on the page.
    pub fn report(&self, page: &mut Page) {
        self.sign_ins.report(page);
        self.attempts.report(page);
        self.hasher.report(page);
        self.store.report(page);
        self.mailer.report(page);
        self.trail.report(page);
        self.feed.report(page, *self.store.newest_position().borrow());
        self.desk.report(page);
        if let Some(redis) = &self.redis {
            redis.report(page);
        }
    }

    /// Whether the server has begun to drain.
    fn is_draining(&self) -> bool {
        self.drain.as_ref().is_some_and(DrainSignal::is_draining)
    }

    /// Has a refused call written to the audit log, soon and if there is room; nobody waits for it.
    pub fn note_refusal(&self, refused: RefusedCall) {
        self.trail.note(refused);
    }

    /// Counts a refusal that is one too many for the audit log.
    pub fn lose_refusal(&self) {
        self.trail.lose();
    }

    /// What the platform is called, for pages that people see.
    #[must_use]
    pub fn platform(&self) -> &str {
        self.mailer.platform()
    }

    /// Finishes what was accepted and closes the store.
    pub async fn close(&self) {
        self.keep_uses().await;
        self.trail.flush().await;
        self.store.close().await;
        if let Some(redis) = &self.redis {
            redis.give_up();
        }
    }
}
