//! Preferences: messages to inputs of the use cases, and back.

use roster_api::user::v1 as api;

use crate::rpc::time::timestamp;
use crate::{
    model::Preferences,
    ops::{SwitchesInput, UpdatePreferencesInput},
};

pub(super) fn preferences_message(preferences: Preferences) -> api::Preferences {
    let switches = preferences.notifications;
    api::Preferences {
        user_id: preferences.user_id.to_text(),
        etag: preferences.etag(),
        language: preferences.language,
        time_zone: preferences.time_zone,
        notifications: Some(api::NotificationSwitches {
            email: Some(switches.email),
            sms: Some(switches.sms),
            push: Some(switches.push),
            marketing: Some(switches.marketing),
        }),
        custom: preferences.custom,
        updated_at: preferences.updated_at.map(timestamp),
    }
}

/// What is output only is left behind.
impl From<api::UpdatePreferencesRequest> for UpdatePreferencesInput {
    fn from(request: api::UpdatePreferencesRequest) -> Self {
        let present = request.preferences.is_some();
        let preferences = request.preferences.unwrap_or_default();
        let switches = preferences.notifications.unwrap_or_default();
        Self {
            user_id: request.user_id,
            present,
            language: preferences.language,
            time_zone: preferences.time_zone,
            switches: SwitchesInput {
                email: switches.email,
                sms: switches.sms,
                push: switches.push,
                marketing: switches.marketing,
            },
            custom: preferences.custom,
            update_mask: request.update_mask.map(|mask| mask.paths).unwrap_or_default(),
            etag: request.etag,
            validate_only: request.validate_only,
        }
    }
}
