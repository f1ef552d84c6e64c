//! Hostile values for the methods of preferences.

use prost_types::FieldMask;
use roster_api::user::v1::{GetPreferencesRequest, Preferences, UpdatePreferencesRequest};

use super::{Case, Cases, bad_attributes, bad_ids, bad_locales, hidden_in};

fn bad_time_zones() -> Vec<String> {
    let plain =
        ["Berlin", "Europe/", "Europe/Berlin ", "../UTC", "/etc/localtime", "+01:00", "CEST", "Factory", "Zürich"];
    let long = ["Europe/Berlin".repeat(100_000), " ".to_owned()];
    plain.into_iter().map(str::to_owned).chain(long).chain(hidden_in("Europe/", "Berlin")).collect()
}

/// Cases of both methods, on a user that there is.
pub fn cases(all: &mut Vec<Case>, user_id: &str) {
    let user = || user_id.to_owned();
    let mut update = Cases { method: "UpdatePreferences", all };
    let request = |preferences| UpdatePreferencesRequest {
        user_id: user(),
        preferences: Some(preferences),
        ..Default::default()
    };
    for language in bad_locales() {
        let preferences = Preferences { language, ..Default::default() };
        update.named("preferences", "preferences.language", &request(preferences));
    }
    for time_zone in bad_time_zones() {
        let preferences = Preferences { time_zone, ..Default::default() };
        update.named("preferences", "preferences.time_zone", &request(preferences));
    }
    for (custom, violation) in bad_attributes() {
        let violation = violation.replacen("attributes", "preferences.custom", 1);
        update.named("preferences", &violation, &request(Preferences { custom, ..Default::default() }));
    }
    update.add("preferences", &UpdatePreferencesRequest { user_id: user(), ..Default::default() });
    let paths = ["unknown", "", "Language", "custom.", "custom.a b", "custom.é", "custom[0]", "notifications.mail"];
    let output_only = ["user_id", "updated_at", "etag", "notifications.", "language.tag"];
    let singles = paths.iter().chain(&output_only).map(|path| vec![(*path).to_owned()]);
    let many = (0..257).map(|number| format!("custom.key{number}")).collect();
    for paths in singles.chain([many, vec!["*".into(), "language".into()]]) {
        let update_mask = Some(FieldMask { paths });
        let preferences = Preferences { language: "de".into(), ..Default::default() };
        update.add("update_mask", &UpdatePreferencesRequest { update_mask, ..request(preferences) });
    }
    for user_id in bad_ids().into_iter().chain([String::new()]) {
        let preferences = Some(Preferences::default());
        let message = UpdatePreferencesRequest { user_id: user_id.clone(), preferences, ..Default::default() };
        Cases { method: "UpdatePreferences", all }.add("user_id", &message);
        Cases { method: "GetPreferences", all }.add("user_id", &GetPreferencesRequest { user_id });
    }
}
