//! Use cases about passwords, one a file, and what all that look at one share.

mod change_password;

use std::sync::atomic::{AtomicBool, Ordering};

pub use change_password::ChangePasswordInput;

use super::{Ctx, Error, Ops, Reason};
use crate::{
    auth::{
        Password, PasswordHash,
        attempts::{Attempt, Target},
    },
    model::UserId,
    store::Answer,
};

impl Ops {
    /// Counts a guess at somebody's password. The first that meets a lock is noted; whoever goes on is not, or guesses
    /// that cost nothing would fill the disk.
    pub(super) async fn begin_attempt(&self, ctx: &Ctx, target: Target<'_>) -> Result<Attempt, Error> {
        let now = self.clock.now();
        let locked = match self.attempts.begin(target, ctx.remote, now).await {
            Ok(attempt) => return Ok(attempt),
            Err(locked) => locked,
        };
        if locked.first {
            let user_id = match target {
                Target::Account(id) => Some(id.clone()),
                Target::Nobody(_) => None,
            };
            // Whether or not the call was answered before.
            let meta = ctx.without_key().change(now, false);
            self.store.fail_sign_in(user_id, Reason::AccountLocked.name(), meta).await?;
        }
        Err(Error::AccountLocked { retry_after: locked.retry_after })
    }

    /// What the user signs in with, if this is the password. To be done within [`Ops::once_guessing`].
    pub(super) async fn check_current_password(
        &self,
        ctx: &Ctx,
        id: &UserId,
        given: Password,
    ) -> Result<PasswordHash, Error> {
        let hash = self.store.find_password_hash(id).await?;
        let verdict = self.hasher.verify(given, hash.clone()).await?;
        if let Some(hash) = hash.filter(|_| verdict.matches) {
            return Ok(hash);
        }
        let meta = ctx.change(self.clock.now(), false);
        self.store.fail_sign_in(Some(id.clone()), Reason::PasswordWrong.name(), meta).await?;
        Err(Error::PasswordWrong)
    }

    /// Does once what one's own password goes with. Whoever holds a session of somebody can guess here as well as at a
    /// sign-in, and is counted with those who do; so is a key that was used with another password, or it would be a way
    /// to guess without end. `is_checked`: whether the password is looked at, should it not have been before.
    pub(super) async fn once_guessing<T: Answer>(
        &self,
        ctx: &Ctx,
        id: &UserId,
        is_checked: bool,
        run: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let _turn = self.turn(ctx).await?;
        let attempt = self.begin_attempt(ctx, Target::Account(id)).await?;
        let was_right = AtomicBool::new(false);
        let run = async {
            let outcome = run.await;
            was_right.store(is_checked && outcome.is_ok(), Ordering::Relaxed);
            outcome
        };
        let outcome = self.once_in_turn(ctx, run).await;
        match &outcome {
            // An answer of before says nothing of the password of today.
            Ok(_) if was_right.load(Ordering::Relaxed) => self.attempts.succeeded(&attempt).await,
            Err(Error::PasswordWrong | Error::KeyReused) => {}
            // It was not looked at, or something else went wrong.
            _ => self.attempts.unjudged(&attempt).await,
        }
        outcome
    }
}
