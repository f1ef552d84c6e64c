//! Use cases about the preferences of a user, one a file.

mod get_preferences;
mod update_preferences;

pub use self::update_preferences::{SwitchesInput, UpdatePreferencesInput};

use super::{Error, Ops};
use crate::model::{User, preferences::DEFAULT_LANGUAGE};

impl Ops {
    /// The language in which to write to a user: that of the preferences, else the user's locale, else English.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find_user_language(&self, user: &User) -> Result<String, Error> {
        let preferences = self.store.find_preferences(&user.id).await?;
        Ok(preferences.map_or(DEFAULT_LANGUAGE.into(), |preferences| preferences.language_of(user).to_owned()))
    }
}
