//! Asks for a mail with a link.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{
    model::{Language, MailKind, Timestamp, Violations, inputs, text},
    ops::{Ctx, Error, Ops},
    store::NewMail,
};

/// Longer than a commit takes on any but a busy disk.
const STEP: Duration = Duration::from_millis(20);

impl Ops {
    /// Mails a link that verifies the address, if an active user has it and it is not verified.
    ///
    /// # Errors
    /// [`Error::Invalid`], and those of the store.
    pub async fn send_verification_email(&self, ctx: &Ctx, email: &str) -> Result<(), Error> {
        self.request_mail(ctx, email, MailKind::Verification).await
    }

    /// Mails a link that resets the password, if an active user has the address.
    ///
    /// # Errors
    /// [`Error::Invalid`], and those of the store.
    pub async fn request_password_reset(&self, ctx: &Ctx, email: &str) -> Result<(), Error> {
        self.request_mail(ctx, email, MailKind::PasswordReset).await
    }

    async fn request_mail(&self, ctx: &Ctx, email: &str, kind: MailKind) -> Result<(), Error> {
        let mut violations = Violations::new();
        let Some(email) = violations.check("email", inputs::parse_email(email)) else {
            return Err(violations.into());
        };
        self.once(ctx, self.write_requested_mail(ctx, &email, kind)).await
    }

    async fn write_requested_mail(&self, ctx: &Ctx, email: &str, kind: MailKind) -> Result<(), Error> {
        let started = Instant::now();
        let (key, now) = (text::unique_key(email), self.clock.now());
        // Whether there is such a user decides nothing here but the language: the command looks for itself.
        let user = self.store.find_user_by_email(&key).await?.map(|stored| stored.user()).transpose()?;
        let language = match &user {
            Some(user) => self.find_user_language(user).await?,
            None => String::new(),
        };
        let mail = self.new_mail(kind, &language, now)?;
        self.store.request_mail(key, mail, ctx.change(now, false)).await?;
        self.mailer.ring();
        even_out(started).await;
        Ok(())
    }

    /// A mail in this language, a BCP 47 tag, if it is one of ours.
    pub(in crate::ops) fn new_mail(&self, kind: MailKind, language: &str, now: Timestamp) -> Result<NewMail, Error> {
        let language = Language::find(language).unwrap_or_default();
        self.mailer.write(kind, language, now).map_err(|error| Error::Internal(error.to_string()))
    }
}

/// Waits until a whole number of [`STEP`]s has passed: a mail is more to write than its event alone, and the difference
/// would tell.
async fn even_out(started: Instant) {
    let steps = started.elapsed().as_micros() / STEP.as_micros() + 1;
    sleep_until(started + STEP * u32::try_from(steps).unwrap_or(1)).await;
}
