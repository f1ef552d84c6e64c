//! What a user likes: language, time zone, which messages to get, and free keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AttributesPatch, Timestamp, User, UserId, etag::etag};

/// The language of whoever has named none.
pub const DEFAULT_LANGUAGE: &str = "en";

/// A user's preferences. Each user has exactly one; who never set any has the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// Whose they are.
    pub user_id: UserId,
    /// BCP 47; empty if the user's locale counts.
    pub language: String,
    /// A name of the IANA time zone database; empty if UTC counts.
    pub time_zone: String,
    /// Which messages the user wants.
    pub notifications: NotificationSwitches,
    /// Free keys that the platform keeps for the user.
    pub custom: BTreeMap<String, String>,
    /// When they last changed; `None` if they never did.
    pub updated_at: Option<Timestamp>,
    /// 0 at first, one more with each change.
    pub revision: i64,
    /// When the user was created, for the etag.
    pub user_created_at: Timestamp,
}

/// Which messages a user wants. Those about the security of the account are sent whatever these say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationSwitches {
    /// By mail.
    pub email: bool,
    /// By SMS.
    pub sms: bool,
    /// To the user's devices.
    pub push: bool,
    /// News and offers.
    pub marketing: bool,
}

impl Default for NotificationSwitches {
    fn default() -> Self {
        Self { email: true, sms: false, push: false, marketing: false }
    }
}

impl Preferences {
    /// Those of a user who never set any.
    #[must_use]
    pub fn new(user_id: UserId, user_created_at: Timestamp) -> Self {
        Self {
            user_id,
            language: String::new(),
            time_zone: String::new(),
            notifications: NotificationSwitches::default(),
            custom: BTreeMap::new(),
            updated_at: None,
            revision: 0,
            user_created_at,
        }
    }

    /// The etag: changes with every change, and differs from that of an earlier user with the same id.
    #[must_use]
    pub fn etag(&self) -> String {
        etag(self.user_created_at, self.revision)
    }

    /// The language in which to write to `user`, whose preferences these are.
    #[must_use]
    pub fn language_of<'a>(&'a self, user: &'a User) -> &'a str {
        [self.language.as_str(), user.locale.as_str()]
            .into_iter()
            .find(|language| !language.is_empty())
            .unwrap_or(DEFAULT_LANGUAGE)
    }
}

/// New values for some preferences; `None` leaves one as it is. Empty text clears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreferencesPatch {
    /// A new language.
    pub language: Option<String>,
    /// A new time zone.
    pub time_zone: Option<String>,
    /// Messages by mail.
    pub email: Option<bool>,
    /// Messages by SMS.
    pub sms: Option<bool>,
    /// Messages to devices.
    pub push: Option<bool>,
    /// News and offers.
    pub marketing: Option<bool>,
    /// New free keys.
    pub custom: AttributesPatch,
}

impl PreferencesPatch {
    /// The preferences after this patch and the names of the fields that really changed. With none changed they are
    /// those that went in; otherwise their revision is one higher.
    #[must_use]
    pub fn apply(&self, before: &Preferences, at: Timestamp) -> (Preferences, Vec<&'static str>) {
        let mut after = before.clone();
        after.language.clone_from(self.language.as_ref().unwrap_or(&before.language));
        after.time_zone.clone_from(self.time_zone.as_ref().unwrap_or(&before.time_zone));
        let (old, new) = (before.notifications, &mut after.notifications);
        new.email = self.email.unwrap_or(old.email);
        new.sms = self.sms.unwrap_or(old.sms);
        new.push = self.push.unwrap_or(old.push);
        new.marketing = self.marketing.unwrap_or(old.marketing);
        let changed_switches = [
            ("notifications.email", new.email != old.email),
            ("notifications.sms", new.sms != old.sms),
            ("notifications.push", new.push != old.push),
            ("notifications.marketing", new.marketing != old.marketing),
        ];
        self.custom.apply(&mut after.custom);
        let changed: Vec<_> =
            [("language", after.language != before.language), ("time_zone", after.time_zone != before.time_zone)]
                .into_iter()
                .chain(changed_switches)
                .chain([("custom", after.custom != before.custom)])
                .filter_map(|(name, differs)| differs.then_some(name))
                .collect();
        if !changed.is_empty() {
            after.revision += 1;
            // A clock that was set back must not make them look older than their last change.
            after.updated_at = before.updated_at.max(Some(at));
        }
        (after, changed)
    }
}
