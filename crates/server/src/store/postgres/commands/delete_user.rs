//! Removes a user for good: the row, what hangs on it, and its personal data in the change log.

use super::{RunInPostgres, erase_history::ROWS_AT_ONCE, keep_an_admin, log_change, ruled_user};
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
/// done to the user, where the sign-up of nobody is found, and of what the user did to others. A history that is too long
/// for one transaction is shown no more from here on, and erased by and by: see [`EraseHistory`](super::EraseHistory).
fn scrub_log(tx: &mut Tx<'_>, id: &UserId) {
    const TOO_LONG: &str = "INSERT INTO erasures (user_id, actor, seq)
         SELECT $1, $2, nextval(pg_get_serial_sequence('changes', 'seq')::REGCLASS)
         WHERE (SELECT count(*) FROM (SELECT FROM changes WHERE user_id = $1 LIMIT $3) AS of_the_user)
             + (SELECT count(*) FROM (SELECT FROM changes WHERE actor = $2 AND by_another LIMIT $3) AS by_the_user) >= $3
         ON CONFLICT (user_id) DO UPDATE SET seq = excluded.seq";
    const OF_THE_USER: &str = "UPDATE changes SET before = NULL, after = NULL, remote_address = ''
         WHERE user_id = $1 AND (before IS NOT NULL OR after IS NOT NULL OR remote_address <> '')
           AND NOT EXISTS (SELECT FROM erasures WHERE user_id = $1)";
    const BY_THE_USER: &str = "UPDATE changes SET remote_address = ''
         WHERE actor = $1 AND by_another AND remote_address <> ''
           AND NOT EXISTS (SELECT FROM erasures WHERE user_id = $2)";
    let actor = || Actor::User(id.clone()).to_string();
    tx.queue(TOO_LONG, params![id, actor(), ROWS_AT_ONCE]);
    tx.queue(OF_THE_USER, params![id]);
    tx.queue(BY_THE_USER, params![actor(), id]);
}
