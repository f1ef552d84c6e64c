//! Whom the rows of an import meet: those who have one of the ids, addresses and usernames in them.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use tokio_postgres::Row;

use crate::{
    model::{Actor, ChangeMeta, Role, User, UserId, UserStatus, text},
    store::{
        ImportBatch, ImportUser, RowContent, RowFailure, StoreError, StoredUser, Unique,
        derived::Derived,
        import::{ImportChange, Present},
        postgres::{
            row::{column, id_bytes},
            statement::Statement,
            value::{Value, params},
        },
    },
};

/// The ids and keys in the rows of a batch.
pub(in crate::store::postgres) struct Keys {
    ids: Vec<Option<Bytes>>,
    emails: Vec<Option<String>>,
    usernames: Vec<Option<String>>,
}

impl Keys {
    pub(in crate::store::postgres) fn of(batch: &ImportBatch) -> Self {
        let users = || {
            batch.rows.iter().filter_map(|row| match &row.content {
                RowContent::User(row) => Some(&row.user),
                RowContent::Decided(_) => None,
            })
        };
        let key = |text: &String| (!text.is_empty()).then(|| text::unique_key(text));
        Self {
            ids: users().map(|user| Some(id_bytes(&user.id).into())).collect(),
            emails: users().map(|user| key(&user.email)).collect(),
            usernames: users().map(|user| key(&user.username)).collect(),
        }
    }

    /// Locks who has one of them. In one order on all nodes, so that none waits for another that waits for it.
    pub(super) fn lock(&self) -> Statement {
        const SQL: &str = "SELECT id FROM users WHERE id = ANY($1) OR email_key = ANY($2) OR username_key = ANY($3)
             ORDER BY pk FOR UPDATE";
        Statement::new(SQL, self.values())
    }

    /// Reads who has one of them, for [`Known::from_rows`]. After the lock, or passwords would be read as they were before
    /// it was waited for.
    pub(in crate::store::postgres) fn find(&self) -> Statement {
        const SQL: &str = "SELECT u.id, u.email_key, u.username_key, u.role, u.status, u.message, c.password_hash
             FROM users u LEFT JOIN credentials c ON c.user_pk = u.pk
             WHERE u.id = ANY($1) OR u.email_key = ANY($2) OR u.username_key = ANY($3)";
        Statement::new(SQL, self.values())
    }

    fn values(&self) -> Vec<Value> {
        params![
            Value::ByteStrings(self.ids.clone()),
            Value::Texts(self.emails.clone()),
            Value::Texts(self.usernames.clone()),
        ]
    }
}

/// Whom the rows meet, as the rows so far have left them. Users are named by their place in here.
#[derive(Default)]
pub(in crate::store::postgres) struct Known {
    users: Vec<KnownUser>,
    by_id: HashMap<UserId, usize>,
    by_email: HashMap<String, usize>,
    by_username: HashMap<String, usize>,
    /// All administrators who can sign in, whether or not a row meets them.
    able_admins: HashSet<UserId>,
}

/// A user whom a row meets.
pub(super) struct KnownUser {
    pub(super) id: UserId,
    pub(super) email_key: String,
    pub(super) username_key: Option<String>,
    pub(super) stored: StoredUser,
    pub(super) password: Option<String>,
    /// Whether it is an active administrator.
    pub(super) is_admin: bool,
    /// Whether nobody else can change it before the end of the transaction.
    pub(super) is_locked: bool,
}

impl Known {
    /// What [`Keys::find`] and [`Keys::lock`] gave.
    pub(in crate::store::postgres) fn from_rows(rows: &[Row], locked: &[Row]) -> Result<Self, StoreError> {
        let locked: HashSet<UserId> = locked.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
        let mut known = Self::default();
        for row in rows {
            let id = column(row, 0)?;
            known.add(KnownUser {
                is_locked: locked.contains(&id),
                id,
                email_key: column(row, 1)?,
                username_key: column(row, 2)?,
                is_admin: is_admin(column(row, 3)?, column(row, 4)?),
                stored: column(row, 5)?,
                password: column(row, 6)?,
            });
        }
        Ok(known)
    }

    /// Reads all administrators who can sign in, for [`Known::set_able_admins`].
    pub(in crate::store::postgres) fn able_admins() -> Statement {
        const SQL: &str = "SELECT u.id FROM users u JOIN credentials c ON c.user_pk = u.pk
             WHERE u.role = 2 AND u.status = 1";
        Statement::new(SQL, params![])
    }

    /// What [`Known::able_admins`] gave.
    pub(in crate::store::postgres) fn set_able_admins(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        self.able_admins = rows.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Whether an active administrator is among them.
    pub(super) fn has_admins(&self) -> bool {
        self.users.iter().any(|user| user.is_admin)
    }

    pub(super) fn user(&self, place: usize) -> &KnownUser {
        &self.users[place]
    }

    /// Adds somebody; gives the place.
    pub(super) fn add(&mut self, user: KnownUser) -> usize {
        let place = self.users.len();
        self.by_id.insert(user.id.clone(), place);
        self.by_email.insert(user.email_key.clone(), place);
        if let Some(key) = &user.username_key {
            self.by_username.insert(key.clone(), place);
        }
        self.users.push(user);
        self.note_admin(place);
        place
    }

    /// The user at this place is now this one.
    pub(super) fn change(&mut self, place: usize, user: &User, derived: &Derived) {
        let known = &mut self.users[place];
        if known.email_key != derived.email_key {
            self.by_email.remove(&known.email_key);
            self.by_email.insert(derived.email_key.clone(), place);
            known.email_key.clone_from(&derived.email_key);
        }
        if known.username_key != derived.username_key {
            known.username_key.as_ref().map(|key| self.by_username.remove(key));
            self.by_username.extend(derived.username_key.clone().map(|key| (key, place)));
            known.username_key.clone_from(&derived.username_key);
        }
        known.stored = derived.stored.clone();
        known.is_admin = is_admin(user.role, user.status);
        self.note_admin(place);
    }

    /// The user at this place now signs in with this.
    pub(super) fn set_password(&mut self, place: usize, hash: &str) {
        self.users[place].password = Some(hash.to_owned());
        self.note_admin(place);
    }

    fn note_admin(&mut self, place: usize) {
        let user = &self.users[place];
        if user.is_admin && user.password.is_some() {
            self.able_admins.insert(user.id.clone());
        } else {
            self.able_admins.remove(&user.id);
        }
    }

    /// Where the user is that a row is about: by its id if it says one, else by its email.
    pub(super) fn existing(&self, row: &ImportUser, email_key: &str) -> Option<usize> {
        if row.has_id { self.by_id.get(&row.user.id).copied() } else { self.by_email.get(email_key).copied() }
    }

    /// What of a user others have already; the email comes first. `own` is the place of the user itself.
    pub(super) fn taken(&self, id: &UserId, derived: &Derived, own: Option<usize>) -> Option<Unique> {
        let by_another = |holder: Option<&usize>| holder.is_some_and(|holder| Some(*holder) != own);
        let username = derived.username_key.as_ref().and_then(|key| self.by_username.get(key));
        if by_another(self.by_email.get(&derived.email_key)) {
            Some(Unique::Email)
        } else if by_another(username) {
            Some(Unique::Username)
        } else {
            by_another(self.by_id.get(id)).then_some(Unique::Id)
        }
    }

    /// Whether an administrator who can sign in is left if the user at this place becomes what `after` is.
    pub(super) fn keeps_an_admin(&self, place: usize, after: &User, meta: &ChangeMeta) -> bool {
        let known = &self.users[place];
        // Where every caller is an administrator, none is missed.
        !known.is_admin
            || is_admin(after.role, after.status)
            || meta.actor == Actor::Developer
            // One who cannot sign in leaves as many who can.
            || known.password.is_none()
            || self.able_admins.iter().any(|id| *id != known.id)
    }
}

pub(super) fn is_admin(role: Role, status: UserStatus) -> bool {
    (role, status) == (Role::Admin, UserStatus::Active)
}

/// For a rehearsal.
impl Present for Known {
    fn with_id(&self, id: &UserId) -> Result<Option<UserId>, StoreError> {
        Ok(self.by_id.get(id).map(|place| self.users[*place].id.clone()))
    }

    fn with_email(&self, key: &str) -> Result<Option<UserId>, StoreError> {
        Ok(self.by_email.get(key).map(|place| self.users[*place].id.clone()))
    }

    fn with_username(&self, key: &str) -> Result<Option<UserId>, StoreError> {
        Ok(self.by_username.get(key).map(|place| self.users[*place].id.clone()))
    }

    fn plan(
        &self,
        batch: &ImportBatch,
        row: &ImportUser,
        id: &UserId,
    ) -> Result<Result<ImportChange, RowFailure>, StoreError> {
        let place = *self.by_id.get(id).ok_or(StoreError::NotFound)?;
        let change = ImportChange::plan(batch, row, self.users[place].stored.user()?);
        Ok(change.and_then(|change| match self.keeps_an_admin(place, &change.becomes(), &batch.meta) {
            true => Ok(change),
            false => Err(RowFailure::LastAdmin),
        }))
    }
}
