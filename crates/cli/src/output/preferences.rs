//! A table of preferences.

use roster_api::user::v1::Preferences;

use super::{
    Style,
    table::{Cell, fields, time},
};

/// A line for each preference that is set, and for every switch.
pub fn preferences(preferences: &Preferences, style: Style, width: Option<u16>) -> String {
    let plain = |name: &str, text: &str| (name.to_owned(), Cell::Plain(text.to_owned()));
    let switches = preferences.notifications.unwrap_or_default();
    let switch = |name: &str, on: Option<bool>| match on {
        Some(true) => (name.to_owned(), Cell::Good("on".into())),
        Some(false) => plain(name, "off"),
        None => plain(name, ""),
    };
    let mut rows = vec![
        plain("user", &preferences.user_id),
        plain("language", &preferences.language),
        plain("time zone", &preferences.time_zone),
        switch("email", switches.email),
        switch("sms", switches.sms),
        switch("push", switches.push),
        switch("marketing", switches.marketing),
    ];
    rows.extend(preferences.custom.iter().map(|(key, value)| plain(&format!("custom {key}"), value)));
    rows.push(plain("updated", &time(preferences.updated_at.as_ref(), 6)));
    rows.push(plain("etag", &preferences.etag));
    fields(rows, style, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_shown() {
        let given = Preferences {
            user_id: "ada".into(),
            time_zone: "UTC".into(),
            notifications: Some(roster_api::user::v1::NotificationSwitches {
                email: Some(true),
                sms: Some(false),
                push: Some(false),
                marketing: Some(false),
            }),
            custom: [("theme".to_owned(), "da\x1brk".to_owned())].into(),
            ..Preferences::default()
        };
        let text = preferences(&given, Style::PLAIN, None);
        assert!(text.contains("custom theme  da\\u{1b}rk") && !text.contains("language"), "{text}");
        assert!(text.lines().filter(|line| line.ends_with(" off")).count() == 3 && text.contains(" on"), "{text}");
    }
}
