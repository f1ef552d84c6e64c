//! Removes a user for good: the row, what hangs on it, and its personal data in the change log.

use super::{RunInPostgres, keep_an_admin, log_change, ruled_user};
use crate::{
    model::{Action, Actor, UserId},
    store::{
        StoreError,
        commands::DeleteUser,
        postgres::{tx::Tx, value::params},
    },
};

impl RunInPostgres for DeleteUser {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let (pk, mut user, _) = ruled_user(tx, &self.id, self.etag.as_deref(), &self.meta).await?;
        keep_an_admin(tx, (pk, &user), None, &self.meta).await?;
        // Whoever gets this id later did not make these.
        tx.queue("DELETE FROM api_keys WHERE created_by = $1", params![&self.id]);
        // Credentials and all that hangs on the user go with the row.
        tx.queue("DELETE FROM users WHERE pk = $1", params![pk]);
        scrub_log(tx, &self.id);
        // That the calls were answered stays, or a late retry would do again what was undone since.
        tx.queue("UPDATE answers SET answer = NULL, user_id = NULL WHERE user_id = $1", params![&self.id]);
        user.revision += 1;
        log_change(tx, Action::Deleted, &user, (None, None), &[], &self.kept_meta())
    }
}

/// That something happened, and when, stays; what the person was called does not, nor the person's IP addresses: of what was
/// done to the user, where the sign-up of nobody is found, and of what the user did to others.
fn scrub_log(tx: &mut Tx<'_>, id: &UserId) {
    const OF_THE_USER: &str = "UPDATE changes SET before = NULL, after = NULL, remote_address = ''
         WHERE user_id = $1 AND (before IS NOT NULL OR after IS NOT NULL OR remote_address <> '')";
    const BY_THE_USER: &str =
        "UPDATE changes SET remote_address = '' WHERE actor = $1 AND by_another AND remote_address <> ''";
    tx.queue(OF_THE_USER, params![id]);
    tx.queue(BY_THE_USER, params![Actor::User(id.clone()).to_string()]);
}
