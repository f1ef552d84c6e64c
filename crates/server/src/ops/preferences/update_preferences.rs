//! Changes the preferences of a user.

use std::collections::BTreeMap;

use crate::{
    model::{NotificationSwitches, Permission, Preferences, PreferencesPatch, Violations, inputs},
    ops::{
        Ctx, Error, Ops,
        update_mask::{MaskRules, UpdateMask, parse_map},
        users::{check_user_id, etag_of},
    },
};

const MASK: MaskRules = MaskRules {
    fields: &[
        "language",
        "time_zone",
        "notifications",
        "notifications.email",
        "notifications.sms",
        "notifications.push",
        "notifications.marketing",
        "custom",
    ],
    map: Some("custom"),
    others: &[
        ("user_id", "is output only"),
        ("updated_at", "is output only"),
        ("etag", "is output only; the etag to compare with is the request's own field"),
    ],
};

/// An `UpdatePreferencesRequest`, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct UpdatePreferencesInput {
    /// Required.
    pub user_id: String,
    /// Whether there are any; required.
    pub present: bool,
    /// BCP 47; empty clears.
    pub language: String,
    /// A name of the IANA time zone database; empty clears.
    pub time_zone: String,
    /// Which messages the user wants.
    pub switches: SwitchesInput,
    /// Free keys. Not empty is present.
    pub custom: BTreeMap<String, String>,
    /// The paths of the mask; empty for none.
    pub update_mask: Vec<String>,
    /// The preferences as the caller last saw them; empty for whatever they are now.
    pub etag: String,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

/// The switches that a request sets; `None` is one that is not present.
#[derive(Clone, Copy, Debug, Default)]
pub struct SwitchesInput {
    /// Messages by mail.
    pub email: Option<bool>,
    /// Messages by SMS.
    pub sms: Option<bool>,
    /// Messages to devices.
    pub push: Option<bool>,
    /// News and offers.
    pub marketing: Option<bool>,
}

impl Ops {
    /// Updates preferences. See the proto for what a mask means.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], [`Error::StaleEtag`], and those of the store.
    pub async fn update_preferences(&self, ctx: &Ctx, input: UpdatePreferencesInput) -> Result<Preferences, Error> {
        let mut violations = Violations::new();
        let user_id = check_user_id(&input.user_id, &mut violations);
        if let Some(user_id) = &user_id {
            ctx.caller.check_self_or(user_id, Permission::PreferencesWrite)?;
        }
        if !input.present {
            violations.add("preferences", "is required");
        }
        let (etag, validate_only) = (input.etag.clone(), input.validate_only);
        let mask = mask_of(&input, &mut violations);
        let patch = parse_patch(input, &mask, &mut violations);
        let user_id = match user_id {
            Some(user_id) if violations.is_empty() => user_id,
            _ => return Err(violations.into()),
        };
        let ctx = ctx.unless_rehearsed(validate_only);
        self.once(&ctx, async {
            let meta = ctx.change(self.clock.now(), validate_only);
            let updated = self.store.update_preferences(&user_id, patch, etag_of(etag), meta).await;
            updated.map_err(Error::for_preferences(&user_id))
        })
        .await
    }
}

fn mask_of(input: &UpdatePreferencesInput, violations: &mut Violations) -> UpdateMask {
    if !input.update_mask.is_empty() {
        return UpdateMask::parse(&input.update_mask, &MASK, violations);
    }
    UpdateMask::implied([
        ("language", !input.language.is_empty()),
        ("time_zone", !input.time_zone.is_empty()),
        ("notifications.email", input.switches.email.is_some()),
        ("notifications.sms", input.switches.sms.is_some()),
        ("notifications.push", input.switches.push.is_some()),
        ("notifications.marketing", input.switches.marketing.is_some()),
        ("custom", !input.custom.is_empty()),
    ])
}

/// The new value of every field in the mask; one that is not present goes back to its default.
fn parse_patch(input: UpdatePreferencesInput, mask: &UpdateMask, violations: &mut Violations) -> PreferencesPatch {
    let mut text = |field: &str, value: &str, parse: fn(&str) -> Result<String, String>| {
        mask.has(field).then(|| violations.check(&format!("preferences.{field}"), parse(value)))?
    };
    let language = text("language", &input.language, inputs::parse_locale);
    let time_zone = text("time_zone", &input.time_zone, inputs::parse_time_zone);
    let switch = |field: &str, value: Option<bool>, default: bool| {
        (mask.has("notifications") || mask.has(field)).then(|| value.unwrap_or(default))
    };
    let (given, default) = (input.switches, NotificationSwitches::default());
    PreferencesPatch {
        language,
        time_zone,
        email: switch("notifications.email", given.email, default.email),
        sms: switch("notifications.sms", given.sms, default.sms),
        push: switch("notifications.push", given.push, default.push),
        marketing: switch("notifications.marketing", given.marketing, default.marketing),
        custom: parse_map(("custom", "preferences.custom"), input.custom, mask, violations),
    }
}
