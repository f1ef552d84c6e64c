//! A user as stores keep it: the message of the API that callers get, encoded.
//!
//! This is the one place below `rpc` that knows the API's messages. A read hands the bytes on from the disk to the wire,
//! and nobody takes the user apart and puts it together again on the way; whoever needs a field decodes it.
//!
//! A new field of the message is absent from the users that are stored already, which is its default. One that is to
//! have another value in them takes a migration.

use bytes::Bytes;
use prost_types::Timestamp as ApiTimestamp;
use roster_api::{encoded::EncodedUser, user::v1 as api};

use super::StoreError;
use crate::model::{Role, Timestamp, User, UserId, UserStatus};

/// A user, encoded. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUser(EncodedUser);

impl StoredUser {
    /// Encodes a user.
    #[must_use]
    pub fn of(user: &User) -> Self {
        Self(EncodedUser::from(&message_of(user)))
    }

    /// What [`StoredUser::as_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(EncodedUser::from_bytes(bytes))
    }

    /// What a store keeps.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    /// For the wire.
    #[must_use]
    pub fn into_message(self) -> EncodedUser {
        self.0
    }

    /// Decodes the user.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: these are not the bytes of a user.
    pub fn user(&self) -> Result<User, StoreError> {
        let message = self.0.decode().map_err(|error| StoreError::Corrupt(error.to_string()))?;
        user_of(message).ok_or_else(|| StoreError::Corrupt("a stored user has a field that no user has".into()))
    }
}

fn message_of(user: &User) -> api::User {
    api::User {
        id: user.id.to_text(),
        email: user.email.clone(),
        name: user.name.clone(),
        status: user.status as i32,
        created_at: Some(to_api(user.created_at)),
        updated_at: Some(to_api(user.updated_at)),
        username: user.username.clone(),
        role: user.role as i32,
        age: user.age.map(i32::from),
        phone: user.phone.clone(),
        locale: user.locale.clone(),
        attributes: user.attributes.clone(),
        email_verified: user.email_verified,
        etag: user.etag(),
    }
}

fn user_of(message: api::User) -> Option<User> {
    Some(User {
        id: UserId::parse(&message.id).ok()?,
        email: message.email,
        name: message.name,
        username: message.username,
        role: Role::from_number(message.role)?,
        status: UserStatus::from_number(message.status)?,
        age: message.age.map(u8::try_from).transpose().ok()?,
        phone: message.phone,
        locale: message.locale,
        attributes: message.attributes,
        email_verified: message.email_verified,
        created_at: from_api(message.created_at?)?,
        updated_at: from_api(message.updated_at?)?,
        revision: User::revision_in(&message.etag)?,
    })
}

fn to_api(time: Timestamp) -> ApiTimestamp {
    ApiTimestamp { seconds: time.seconds(), nanos: time.nanos() }
}

fn from_api(time: ApiTimestamp) -> Option<Timestamp> {
    let micros = time.seconds.checked_mul(1_000_000)?.checked_add(i64::from(time.nanos / 1_000))?;
    Some(Timestamp(micros))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::filter::testing;

    proptest! {
        #![proptest_config(testing::config(500))]

        #[test]
        fn a_user_is_read_as_it_was_stored(users in testing::users(), revision in 1..=i64::MAX) {
            for user in users {
                let user = User { revision, ..user };
                prop_assert_eq!(StoredUser::of(&user).user(), Ok(user));
            }
        }
    }

    #[test]
    fn what_is_no_user_is_refused() {
        for bytes in [&b""[..], b"\xff", b"\x0a\x03ada"] {
            let stored = StoredUser::from_bytes(Bytes::from_static(bytes));
            assert!(matches!(stored.user(), Err(StoreError::Corrupt(_))), "{bytes:?}");
        }
    }
}
