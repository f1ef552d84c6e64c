//! Keeps a client connected as long as its stream lives.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_stream::{Stream, StreamExt as _};

use super::{
    Desk, check_own_or,
    outbox::{End, Outbox, Outputs},
    quota,
    send_message::{PERMISSION, Vocabulary, said},
};
use crate::{
    model::{Timestamp, Violations, inputs},
    ops::{Called, Ctx, Error, Ops, Reason, RefusedCall},
    presence::{Presence, Said},
};

/// The path under which refusals are noted.
const METHOD: &str = "/notification.v1.NotificationService/Connect";
/// Messages of one stream that are read in a [`Budget::PERIOD`]; further ones wait for the next.
const MESSAGES_MAX: u32 = 10;

/// A message of a connected client.
#[derive(Clone, Debug)]
pub struct ConnectInput {
    /// Whose; may be empty after the first message.
    pub client_id: String,
    /// By its number.
    pub message_type: i32,
}

/// A message to a connected client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectOutput {
    /// It is connected.
    Welcome {
        /// How often to send a heartbeat.
        heartbeat_interval: Duration,
        /// How long it may be silent.
        presence_timeout: Duration,
    },
    /// Its message was taken.
    Acknowledged {
        /// Which.
        said: Said,
        /// When.
        at: Timestamp,
    },
    /// Something else is to be said.
    Notice {
        /// What.
        kind: NoticeKind,
        /// When.
        at: Timestamp,
    },
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// No heartbeat came for two thirds of the timeout.
    HeartbeatOverdue,
    /// The server is stopping.
    ShuttingDown,
    /// The caller's session has ended, and the stream is about to.
    SessionEnded,
}

impl Ops {
    /// Keeps a client connected while `inbound` goes on. The first message is looked at by the task that does so, because
    /// many clients send it only when the call has begun.
    ///
    /// What comes out may end with [`Error::Invalid`], [`Error::Refused`], and [`Error::Plain`].
    pub fn connect<S, E>(self: &Arc<Self>, ctx: &Ctx, inbound: S) -> Outputs<ConnectOutput, E>
    where
        S: Stream<Item = Result<ConnectInput, E>> + Send + 'static,
        E: Send + 'static,
    {
        let (outbox, outputs) = Outbox::new();
        let (clock, caller) = (Arc::clone(&self.clock), ctx.caller.clone());
        let (ops, ctx) = (Arc::clone(self), ctx.clone());
        tokio::spawn(async move {
            let result = ops.converse(&ctx, inbound, &outbox).await;
            if let Err(End::Error(error @ Error::Refused(_))) = &result {
                ops.note_late_refusal(&ctx, error);
            }
            outbox.end(result);
        });
        outputs.with_last_words(move || {
            let at = clock.now();
            caller.has_lost_its_grant(at).then_some(ConnectOutput::Notice { kind: NoticeKind::SessionEnded, at })
        })
    }

    /// The refusal of a call that had begun, which the way of calls does not see.
    fn note_late_refusal(&self, ctx: &Ctx, error: &Error) {
        if !self.desk.may_note() {
            return self.lose_refusal();
        }
        self.note_refusal(RefusedCall {
            called: Called::Method(METHOD),
            actor: ctx.caller.actor(),
            request_id: ctx.request_id.clone(),
            remote: ctx.remote,
            reason: error.reason(),
        });
    }

    async fn converse<S, E>(&self, ctx: &Ctx, inbound: S, outbox: &Outbox<ConnectOutput, E>) -> Result<(), End<E>>
    where
        S: Stream<Item = Result<ConnectInput, E>>,
    {
        let timeout = self.desk.options.timeout;
        let mut inbound = pin!(inbound);
        let mut draining = pin!(self.draining());
        let mut line = Line { heard: Instant::now(), timeout, warned: false, budget: Budget::new() };
        let mut alarm = pin!(sleep_until(line.wake_at()));
        let mut here: Option<Here> = None;
        loop {
            alarm.as_mut().reset(line.wake_at());
            let event = tokio::select! {
                biased;
                () = &mut draining => Event::Draining,
                () = outbox.unread() => return Ok(()),
                message = inbound.next(), if !line.budget.is_used_up() => Event::Message(message),
                () = alarm.as_mut() => Event::Alarm,
            };
            let answer = match event {
                Event::Draining => {
                    outbox.send_if_room(self.notice(NoticeKind::ShuttingDown));
                    return Err(Error::Plain(Reason::ShuttingDown).into());
                }
                Event::Message(None) => return Ok(()),
                Event::Message(Some(Err(broken))) => return Err(End::Inbound(broken)),
                Event::Message(Some(Ok(input))) => {
                    line.hear();
                    match &mut here {
                        None => {
                            here = Some(self.arrive(ctx, &input)?);
                            ConnectOutput::Welcome {
                                heartbeat_interval: self.desk.heartbeat_interval(),
                                presence_timeout: timeout,
                            }
                        }
                        Some(here) => ConnectOutput::Acknowledged { said: here.take(&input)?, at: self.clock.now() },
                    }
                }
                Event::Alarm if line.budget.renew() => continue,
                Event::Alarm if line.is_silent() => return Err(Error::Plain(Reason::HeartbeatMissed).into()),
                Event::Alarm => {
                    line.warned = true;
                    if here.is_none() {
                        continue;
                    }
                    self.notice(NoticeKind::HeartbeatOverdue)
                }
            };
            let goes = matches!(answer, ConnectOutput::Acknowledged { said: Said::Goodbye, .. });
            // Who does not read is as good as silent.
            tokio::select! {
                biased;
                taken = outbox.send(answer) => if !taken || goes { return Ok(()) },
                () = &mut draining => return Err(Error::Plain(Reason::ShuttingDown).into()),
                () = sleep_until(line.heard + timeout) => return Err(Error::Plain(Reason::HeartbeatMissed).into()),
            }
        }
    }

    /// Takes the first message.
    fn arrive(&self, ctx: &Ctx, input: &ConnectInput) -> Result<Here, Error> {
        let mut violations = Violations::new();
        let client_id = violations.check("client_id", inputs::parse_client_id(&input.client_id));
        if let Some(client_id) = client_id {
            check_own_or(&ctx.caller, client_id, PERMISSION)?;
        }
        if !matches!(input.message_type, 0 | 1) {
            let came = input.message_type;
            violations.add("message_type", format!("{came} cannot be first; use HELLO (1) or leave it out"));
        }
        let client_id = match client_id {
            Some(client_id) if violations.is_empty() => client_id,
            _ => return Err(violations.into()),
        };
        self.desk.presence.open(client_id, quota(ctx, client_id), self.desk.ticker.now())?;
        Ok(Here { desk: Arc::clone(&self.desk), client_id: client_id.into(), goodbye: false })
    }

    fn notice(&self, kind: NoticeKind) -> ConnectOutput {
        ConnectOutput::Notice { kind, at: self.clock.now() }
    }
}

/// What a stream waits for.
enum Event<E> {
    Draining,
    Message(Option<Result<ConnectInput, E>>),
    Alarm,
}

/// When something was last heard.
struct Line {
    heard: Instant,
    timeout: Duration,
    warned: bool,
    budget: Budget,
}

impl Line {
    fn hear(&mut self) {
        self.heard = Instant::now();
        self.warned = false;
        self.budget.spend(self.heard);
    }

    /// When to look at it if nothing comes until then.
    fn wake_at(&self) -> Instant {
        let silent = self.heard + if self.warned { self.timeout } else { self.timeout * 2 / 3 };
        self.budget.resume_at().map_or(silent, |resume| resume.min(silent))
    }

    fn is_silent(&self) -> bool {
        self.heard.elapsed() >= self.timeout
    }
}

/// Messages that may still be read in this period: a client that floods its stream has no more of the server than that.
struct Budget {
    since: Instant,
    left: u32,
}

impl Budget {
    /// Shorter than any part of a timeout that is waited for.
    const PERIOD: Duration = Duration::from_millis(100);

    fn new() -> Self {
        Self { since: Instant::now(), left: MESSAGES_MAX }
    }

    fn spend(&mut self, now: Instant) {
        if now >= self.since + Self::PERIOD {
            *self = Self { since: now, left: MESSAGES_MAX };
        }
        self.left = self.left.saturating_sub(1);
    }

    fn is_used_up(&self) -> bool {
        self.left == 0
    }

    fn resume_at(&self) -> Option<Instant> {
        self.is_used_up().then(|| self.since + Self::PERIOD)
    }

    /// Begins a new period if one was waited for and has come.
    fn renew(&mut self) -> bool {
        let renewed = self.resume_at().is_some_and(|at| at <= Instant::now());
        if renewed {
            *self = Self::new();
        }
        renewed
    }
}

/// A client that is here by this stream, until it is dropped: however the stream ends.
struct Here {
    desk: Arc<Desk>,
    client_id: Box<str>,
    goodbye: bool,
}

impl Here {
    /// Takes a further message.
    fn take(&mut self, input: &ConnectInput) -> Result<Said, Error> {
        let mut violations = Violations::new();
        if !input.client_id.is_empty() && *input.client_id != *self.client_id {
            violations.add("client_id", "is another than at first; leave it out, or open a stream for each client");
        }
        let said = match said(input.message_type, Vocabulary::Full) {
            Ok(Said::Hello) => {
                Err("1 (HELLO) can only be first; use HEARTBEAT (4), PING (3) or GOODBYE (2)".to_owned())
            }
            other => other,
        };
        let said = match violations.check("message_type", said) {
            Some(said) if violations.is_empty() => said,
            _ => return Err(violations.into()),
        };
        self.goodbye = said == Said::Goodbye;
        self.presence().keep(&self.client_id, self.desk.ticker.now());
        Ok(said)
    }

    fn presence(&self) -> &Presence {
        &self.desk.presence
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.presence().close(&self.client_id, self.goodbye, self.desk.ticker.now());
    }
}
