//! What an import writes: for all rows together, by few statements.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::Written;
use crate::{
    model::{MailKind, UserId},
    store::postgres::{
        commands::log_rows::LogRows,
        row::id_bytes,
        statement::Statement,
        tx::Tx,
        value::{Value, json_without_nul, params},
    },
};

/// Everything that is to be written.
#[derive(Default)]
pub(super) struct Writes<'b> {
    waves: Vec<Wave<'b>>,
    pub(super) log: LogRows,
    passwords: HashMap<UserId, String>,
    /// Users whose links to reset a password end.
    resets: HashSet<UserId>,
    /// Users whose sessions end.
    signed_out: HashSet<UserId>,
}

/// Users who can be written in any order: none takes an address or username that another of them gives up.
#[derive(Default)]
struct Wave<'b> {
    /// By their places; each as the last row has left it.
    users: BTreeMap<usize, Written<'b>>,
    freed_emails: HashSet<String>,
    freed_usernames: HashSet<String>,
}

impl<'b> Wave<'b> {
    /// New users and changed ones.
    fn parts(self) -> (Vec<Written<'b>>, Vec<Written<'b>>) {
        let (mut created, changed): (Vec<_>, Vec<_>) = self.users.into_values().partition(|written| written.is_new);
        // Two imports of the same users then meet at the first of them, and one waits for the other.
        created.sort_unstable_by(|one, other| one.derived.email_key.cmp(&other.derived.email_key));
        (created, changed)
    }
}

impl<'b> Writes<'b> {
    /// Adds a user as it is to be written. `before` has the keys of one that is there already.
    pub(super) fn user(&mut self, place: usize, before: Option<(String, Option<String>)>, mut written: Written<'b>) {
        let takes_freed = |wave: &Wave<'_>| {
            let derived = &written.derived;
            wave.freed_emails.contains(&derived.email_key)
                || derived.username_key.as_ref().is_some_and(|key| wave.freed_usernames.contains(key))
        };
        if self.waves.last().is_none_or(takes_freed) {
            self.waves.push(Wave::default());
        }
        let Some(wave) = self.waves.last_mut() else { return };
        if let Some((email, username)) = before {
            if email != written.derived.email_key {
                wave.freed_emails.insert(email);
            }
            wave.freed_usernames.extend(username.filter(|key| written.derived.username_key.as_ref() != Some(key)));
        }
        written.is_new |= wave.users.get(&place).is_some_and(|earlier| earlier.is_new);
        wave.users.insert(place, written);
    }

    pub(super) fn password(&mut self, id: &UserId, hash: String) {
        self.passwords.insert(id.clone(), hash);
    }

    pub(super) fn end_resets(&mut self, id: &UserId) {
        self.resets.insert(id.clone());
    }

    pub(super) fn sign_out(&mut self, id: &UserId) {
        self.signed_out.insert(id.clone());
    }

    /// Takes out what writes the users, where all are new, or as many of them as have nothing that others have.
    pub(super) fn take_new(&mut self) -> Option<Statement> {
        let (created, _) = self.waves.pop()?.parts();
        Some(Statement::new(INSERT_FREE, columns(&created)))
    }

    /// Queues all of it.
    pub(super) fn write(self, tx: &mut Tx<'_>) {
        for wave in self.waves {
            let (created, changed) = wave.parts();
            if !created.is_empty() {
                tx.queue(INSERT, columns(&created));
            }
            if !changed.is_empty() {
                tx.queue(UPDATE, columns(&changed));
            }
        }
        if !self.passwords.is_empty() {
            const SQL: &str = "INSERT INTO credentials (user_pk, password_hash)
                 SELECT u.pk, n.hash FROM unnest($1::BYTEA[], $2::TEXT[]) AS n (id, hash) JOIN users u ON u.id = n.id
                 ON CONFLICT (user_pk) DO UPDATE SET password_hash = excluded.password_hash";
            let hashes = self.passwords.values().map(|hash| Some(hash.clone())).collect();
            tx.queue(SQL, params![ids(self.passwords.keys()), Value::Texts(hashes)]);
        }
        if !self.resets.is_empty() {
            const SQL: &str = "DELETE FROM one_time_tokens t USING users u
                 WHERE u.id = ANY($1) AND t.user_pk = u.pk AND t.kind = $2";
            tx.queue(SQL, params![ids(&self.resets), MailKind::PasswordReset as i64]);
        }
        if !self.signed_out.is_empty() {
            const SQL: &str = "DELETE FROM sessions s USING users u WHERE u.id = ANY($1) AND s.user_pk = u.pk";
            tx.queue(SQL, params![ids(&self.signed_out)]);
        }
        self.log.write(tx);
    }
}

fn ids<'a>(ids: impl IntoIterator<Item = &'a UserId>) -> Value {
    Value::ByteStrings(ids.into_iter().map(|id| Some(id_bytes(id).into())).collect())
}

/// [`columns`] as a table `n`.
macro_rules! rows {
    () => {
        " FROM unnest($1::BYTEA[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::BIGINT[],
                      $9::BIGINT[], $10::BIGINT[], $11::TEXT[], $12::TEXT[], $13::TEXT[], $14::BOOLEAN[], $15::BIGINT[],
                      $16::BIGINT[], $17::BIGINT[], $18::TEXT[], $19::BYTEA[])
               AS n (id, email, email_key, username, username_key, name, name_key, role, status, age, phone, locale,
                     attributes, email_verified, created_at, updated_at, revision, search_text, message)"
    };
}

/// Adds users.
macro_rules! insert {
    () => {
        concat!(
            "INSERT INTO users (id, email, email_key, username, username_key, name, name_key, role, status, age, phone,
                                locale, attributes, email_verified, created_at, updated_at, revision, search_text, message)
             SELECT id, email, email_key, username, username_key, name, name_key, role, status, age, phone, locale,
                    attributes::JSONB, email_verified, created_at, updated_at, revision, search_text, message",
            rows!()
        )
    };
}

const INSERT: &str = insert!();
const INSERT_FREE: &str = concat!(insert!(), " ON CONFLICT DO NOTHING");
/// The same, which gives the ids of those that were added.
pub(in crate::store::postgres::commands) const INSERT_FREE_IDS: &str =
    concat!(insert!(), " ON CONFLICT DO NOTHING RETURNING id");

const UPDATE: &str = concat!(
    "UPDATE users u SET email = n.email, email_key = n.email_key, username = n.username, username_key = n.username_key,
            name = n.name, name_key = n.name_key, role = n.role, status = n.status, age = n.age, phone = n.phone,
            locale = n.locale, attributes = n.attributes::JSONB, email_verified = n.email_verified,
            updated_at = n.updated_at, revision = n.revision, search_text = n.search_text, message = n.message",
    rows!(),
    " WHERE u.id = n.id"
);

/// The columns of users, each as an array.
pub(in crate::store::postgres::commands) fn columns(users: &[Written<'_>]) -> Vec<Value> {
    let texts = |text: for<'w> fn(&'w Written<'_>) -> &'w str| {
        Value::Texts(users.iter().map(|one| Some(text(one).to_owned())).collect())
    };
    let numbers = |number: fn(&Written<'_>) -> Option<i64>| Value::Ints(users.iter().map(number).collect());
    let usernames = users.iter().map(|one| one.derived.username_key.clone()).collect();
    // JSON's escapes are read by the server, unlike where a text becomes JSON on its way.
    let attributes = users.iter().map(|one| Some(json_without_nul(&one.derived.attributes).into_owned())).collect();
    let messages = users.iter().map(|one| Some(Bytes::clone(one.derived.stored.as_bytes()))).collect();
    params![
        ids(users.iter().map(|one| &one.user.id)),
        texts(|one| &one.user.email),
        texts(|one| &one.derived.email_key),
        texts(|one| &one.user.username),
        Value::Texts(usernames),
        texts(|one| &one.user.name),
        texts(|one| &one.derived.name_key),
        numbers(|one| Some(one.user.role as i64)),
        numbers(|one| Some(one.user.status as i64)),
        numbers(|one| one.user.age.map(i64::from)),
        texts(|one| &one.user.phone),
        texts(|one| &one.user.locale),
        Value::Texts(attributes),
        Value::Bools(users.iter().map(|one| one.user.email_verified).collect()),
        numbers(|one| Some(one.user.created_at.0)),
        numbers(|one| Some(one.user.updated_at.0)),
        numbers(|one| Some(one.user.revision)),
        texts(|one| &one.derived.search_text),
        Value::ByteStrings(messages),
    ]
}
