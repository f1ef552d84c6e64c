//! Use cases about passwords, one a file, and what all that look at one share.

mod change_password;

pub use change_password::ChangePasswordInput;

use super::{Ctx, Error, Ops, Reason};
use crate::auth::attempts::{Attempt, Target};

impl Ops {
    /// Counts a guess at somebody's password. The first that meets a lock is noted; whoever goes on is not, or guesses
    /// that cost nothing would fill the disk.
    pub(super) async fn begin_attempt(&self, ctx: &Ctx, target: Target<'_>) -> Result<Attempt, Error> {
        let now = self.clock.now();
        let locked = match self.attempts.begin(target, ctx.remote, now) {
            Ok(attempt) => return Ok(attempt),
            Err(locked) => locked,
        };
        if locked.first {
            let user_id = match target {
                Target::Account(id) => Some(id.clone()),
                Target::Nobody(_) => None,
            };
            self.store.fail_sign_in(user_id, Reason::AccountLocked.name(), ctx.change(now, false)).await?;
        }
        Err(Error::AccountLocked { retry_after: locked.retry_after })
    }
}
