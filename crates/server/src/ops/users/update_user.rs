//! Changes a user's own fields.

use std::collections::BTreeMap;

use super::{check_role, check_user_id, etag_of, rank::check_covers, visible::visible};
use crate::{
    auth::Password,
    model::{Permission, UserId, UserPatch, Violations, inputs},
    ops::{
        Ctx, Error, Ops,
        update_mask::{MaskRules, UpdateMask, parse_map},
    },
    store::StoredUser,
};

/// The permission to change others, and what users may not change of themselves.
const PERMISSION: Permission = Permission::UsersUpdate;

const MASK: MaskRules = MaskRules {
    fields: &["name", "email", "username", "role", "age", "phone", "locale", "attributes", "email_verified"],
    map: Some("attributes"),
    others: &[
        ("id", "is immutable"),
        ("status", "is changed by DeactivateUser and ReactivateUser"),
        ("created_at", "is output only"),
        ("updated_at", "is output only"),
        ("etag", "is output only; the etag to compare with is the request's own field"),
    ],
};

/// An `UpdateUserRequest`, not yet checked. `None` is a field that is not present.
#[derive(Clone, Default)]
pub struct UpdateUserInput {
    /// Required.
    pub user_id: String,
    /// Display name.
    pub name: Option<String>,
    /// Cannot be cleared.
    pub email: Option<String>,
    /// Empty clears.
    pub username: Option<String>,
    /// The API's number. Needs the permission.
    pub role: Option<i32>,
    /// Years.
    pub age: Option<i32>,
    /// Empty clears.
    pub phone: Option<String>,
    /// Empty clears.
    pub locale: Option<String>,
    /// Not empty is present.
    pub attributes: BTreeMap<String, String>,
    /// Needs the permission.
    pub email_verified: Option<bool>,
    /// In clear; required for one's own email.
    pub current_password: Option<String>,
    /// The paths of the mask; empty for none.
    pub update_mask: Vec<String>,
    /// The user as the caller last saw it; empty for whatever it is now.
    pub etag: String,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl Ops {
    /// Updates a user. See the proto for what a mask means.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], [`Error::Taken`],
    /// [`Error::StaleEtag`], [`Error::PasswordWrong`], [`Error::AccountLocked`], [`Error::HashingBusy`], and those of
    /// the store.
    pub async fn update_user(&self, ctx: &Ctx, mut input: UpdateUserInput) -> Result<StoredUser, Error> {
        let mut violations = Violations::new();
        let mask = mask_of(&input, &mut violations);
        let id = check_user_id(&input.user_id, &mut violations);
        if let Some(id) = &id {
            ctx.caller.check_self_or(id, PERMISSION)?;
        }
        if mask.has("role") || mask.has("email_verified") {
            ctx.caller.check(PERMISSION)?;
        }
        let (etag, validate_only) = (input.etag.clone(), input.validate_only);
        let given = input.current_password.take().unwrap_or_default();
        let guesses = !given.is_empty() && id.as_ref().is_some_and(|id| ctx.caller.user_id() == Some(id));
        let patch = parse_patch(input, &mask, &mut violations);
        let password = match &id {
            Some(id) if self.needs_password(ctx, id, &patch).await? => {
                violations.check("current_password", Password::given(given))
            }
            _ => None,
        };
        let id = valid(id, violations)?;
        if let Some(role) = patch.role {
            check_covers(&ctx.caller, role)?;
        }
        let ctx = ctx.unless_rehearsed(validate_only);
        let is_checked = password.is_some();
        let update = async {
            if let Some(password) = password {
                self.check_current_password(&ctx, &id, password).await?;
            }
            let meta = ctx.change(self.clock.now(), validate_only);
            let user = self.store.update_user(id.clone(), patch, etag_of(etag), meta).await;
            user.map_err(Error::for_user(&id))
        };
        let user = match guesses {
            true => self.once_guessing(&ctx, &id, is_checked, update).await,
            false => self.once(&ctx, update).await,
        };
        Ok(visible(&ctx, &id, user?)?)
    }

    /// Whether the patch gives the caller another address. Whoever has that can have the password reset, so a session
    /// alone, which may be stolen, is not enough. Addresses that only look alike are others: see the unique key.
    async fn needs_password(&self, ctx: &Ctx, id: &UserId, patch: &UserPatch) -> Result<bool, Error> {
        let Some(email) = patch.email.as_ref().filter(|_| ctx.caller.user_id() == Some(id)) else { return Ok(false) };
        let Some(user) = self.store.find_user(id).await? else { return Ok(false) };
        let is_another = !email.eq_ignore_ascii_case(&user.user()?.email);
        Ok(is_another && self.store.find_password_hash(id).await?.is_some())
    }
}

fn valid(id: Option<UserId>, violations: Violations) -> Result<UserId, Violations> {
    match id {
        Some(id) if violations.is_empty() => Ok(id),
        _ => Err(violations),
    }
}

fn mask_of(input: &UpdateUserInput, violations: &mut Violations) -> UpdateMask {
    if !input.update_mask.is_empty() {
        return UpdateMask::parse(&input.update_mask, &MASK, violations);
    }
    UpdateMask::implied([
        ("name", input.name.is_some()),
        ("email", input.email.is_some()),
        ("username", input.username.is_some()),
        // Unspecified is as good as left out.
        ("role", input.role.is_some_and(|role| role != 0)),
        ("age", input.age.is_some()),
        ("phone", input.phone.is_some()),
        ("locale", input.locale.is_some()),
        ("attributes", !input.attributes.is_empty()),
        ("email_verified", input.email_verified.is_some()),
    ])
}

/// The new value of every field in the mask; one that is not present goes back to what a new user has.
fn parse_patch(input: UpdateUserInput, mask: &UpdateMask, violations: &mut Violations) -> UserPatch {
    let mut text = |field, value: Option<String>, parse: fn(&str) -> Result<String, String>| {
        mask.has(field).then(|| match value.unwrap_or_default() {
            empty if empty.is_empty() && field != "email" => Some(empty),
            value => violations.check(field, parse(&value)),
        })?
    };
    let email = text("email", input.email, inputs::parse_email);
    let name = text("name", input.name, inputs::parse_name);
    let username = text("username", input.username, inputs::parse_username);
    let phone = text("phone", input.phone, inputs::parse_phone);
    let locale = text("locale", input.locale, inputs::parse_locale);
    let age = mask.has("age").then(|| input.age.and_then(|age| violations.check("age", inputs::parse_age(age))));
    let role = mask.has("role").then(|| check_role(input.role.unwrap_or_default(), violations));
    let email_verified = mask.has("email_verified").then(|| input.email_verified.unwrap_or_default());
    let attributes = parse_map(("attributes", "attributes"), input.attributes, mask, violations);
    UserPatch { email, name, username, role, age, phone, locale, attributes, email_verified }
}
