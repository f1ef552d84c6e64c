//! What a user's row has beside the user.
//!
//! A user's `message` is the user. The columns beside it are for filters, orders and uniqueness, and only they read
//! them; both are written together, from one [`User`].

use super::{StoreError, StoredUser};
use crate::model::{User, filter::search_text, text};

/// The columns that are made from a user's fields rather than being one.
#[derive(Clone, Debug)]
pub(super) struct Derived {
    pub(super) email_key: String,
    /// `None` if there is no username.
    pub(super) username_key: Option<String>,
    pub(super) name_key: String,
    /// A JSON object.
    pub(super) attributes: String,
    pub(super) search_text: String,
    pub(super) stored: StoredUser,
}

impl Derived {
    pub(super) fn of(user: &User) -> Result<Self, StoreError> {
        Ok(Self {
            email_key: text::unique_key(&user.email),
            username_key: (!user.username.is_empty()).then(|| text::unique_key(&user.username)),
            name_key: text::fold(&user.name),
            attributes: serde_json::to_string(&user.attributes)
                .map_err(|error| StoreError::Internal(error.to_string()))?,
            search_text: search_text(user),
            stored: StoredUser::of(user),
        })
    }
}
