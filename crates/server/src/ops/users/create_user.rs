//! Creates a user: sign-up by anyone, or by an administrator with all that only they may set.

use std::collections::BTreeMap;

use super::{check_role, check_user_id, rank::check_covers};
use crate::{
    auth::{Password, PasswordHash},
    model::{MailKind, Permission, Role, Timestamp, User, UserId, UserStatus, Violations, inputs, text},
    ops::{Ctx, Error, Ops},
    store::{NewUser, StoredUser, Unique},
};

/// The permission to set what sign-up may not, and to create users while sign-up is closed.
const PERMISSION: Permission = Permission::UsersCreate;

/// A `CreateUserRequest`, not yet checked.
#[derive(Clone, Default)]
pub struct CreateUserInput {
    /// Required.
    pub email: String,
    /// Display name.
    pub name: String,
    /// In clear; empty for none.
    pub password: String,
    /// Empty for none.
    pub username: String,
    /// The API's number; 0 for the plain user. Others need the permission.
    pub role: i32,
    /// Years.
    pub age: Option<i32>,
    /// Empty for none.
    pub phone: String,
    /// Empty for none.
    pub locale: String,
    /// Free keys.
    pub attributes: BTreeMap<String, String>,
    /// Chosen by the caller, with the permission; empty for one of ours.
    pub user_id: String,
    /// A hash instead of a password, with the permission; empty for none.
    pub password_hash: String,
    /// With the permission.
    pub email_verified: bool,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl Ops {
    /// Creates a user.
    ///
    /// # Errors
    /// [`Error::SignUpClosed`], [`Error::Refused`] for fields that the caller may not set, [`Error::Invalid`], [`Error::Taken`],
    /// [`Error::HashingBusy`], and those of the store.
    pub async fn create_user(&self, ctx: &Ctx, input: CreateUserInput) -> Result<StoredUser, Error> {
        if !self.sign_up_open && ctx.caller.check(PERMISSION).is_err() {
            return Err(Error::SignUpClosed);
        }
        let vouches = ctx.caller.check(PERMISSION).is_ok();
        self.create_for(ctx, input, vouches).await
    }

    /// Creates a user for whoever may create many at once. A role takes the permission to create users all the same.
    ///
    /// # Errors
    /// As [`Ops::create_user`].
    pub async fn create_user_of_batch(&self, ctx: &Ctx, input: CreateUserInput) -> Result<StoredUser, Error> {
        ctx.caller.check(Permission::UsersImport)?;
        self.create_for(ctx, input, true).await
    }

    /// `vouches`: whether the address needs no showing that it is the user's.
    async fn create_for(&self, ctx: &Ctx, input: CreateUserInput, vouches: bool) -> Result<StoredUser, Error> {
        if is_privileged(&input) {
            ctx.caller.check(PERMISSION)?;
        }
        let validate_only = input.validate_only;
        let id_is_ours = input.user_id.is_empty();
        let (user, secret) = parse(input, self.clock.now())?;
        check_covers(&ctx.caller, user.role)?;
        let ctx = ctx.unless_rehearsed(validate_only);
        self.once(&ctx, self.add_user(&ctx, (user, id_is_ours), secret, vouches, validate_only)).await
    }

    async fn add_user(
        &self,
        ctx: &Ctx,
        (mut user, id_is_ours): (User, bool),
        secret: Secret,
        vouches: bool,
        validate_only: bool,
    ) -> Result<StoredUser, Error> {
        let password_hash = match secret {
            Secret::None => None,
            Secret::Hash(hash) => Some(hash),
            Secret::Password(_) if validate_only => None,
            Secret::Password(password) => {
                // Hashing takes longer than all the rest: not for an address that is taken anyway.
                if self.store.find_user_by_email(&text::unique_key(&user.email)).await?.is_some() {
                    return Err(Error::Taken(Unique::Email));
                }
                let hash = self.hasher.hash(password).await?;
                // Ids and times are to be in the order of creation, and the hash took its time.
                user.created_at = self.clock.now();
                user.updated_at = user.created_at;
                if id_is_ours {
                    user.id = UserId::generate(user.created_at);
                }
                Some(hash)
            }
        };
        // Who signs up has yet to show that the address is theirs; whoever creates others vouches for them.
        let signs_up = !user.email_verified && !vouches;
        let mail =
            signs_up.then(|| self.new_mail(MailKind::Verification, &user.locale, user.created_at)).transpose()?;
        let meta = ctx.change(user.created_at, validate_only);
        let created = self.store.create_user(NewUser { user, password_hash, mail }, meta).await?;
        if signs_up {
            self.mailer.ring();
        }
        Ok(created)
    }
}

/// Checks every field of a new user, whoever brings it in; who may set which is not its matter.
pub(super) fn parse(input: CreateUserInput, now: Timestamp) -> Result<(User, Secret), Violations> {
    let mut violations = Violations::new();
    let email = violations.check("email", inputs::parse_email(&input.email));
    let name = violations.check("name", inputs::parse_name(&input.name));
    let username = match input.username.as_str() {
        "" => Some(String::new()),
        username => violations.check("username", inputs::parse_username(username)),
    };
    let role = check_role(input.role, &mut violations);
    let age = input.age.and_then(|age| violations.check("age", inputs::parse_age(age)));
    let phone = violations.check("phone", inputs::parse_phone(&input.phone));
    let locale = violations.check("locale", inputs::parse_locale(&input.locale));
    let attributes = inputs::parse_attributes("attributes", input.attributes, &mut violations);
    let id = match input.user_id.as_str() {
        "" => Some(UserId::generate(now)),
        chosen => check_user_id(chosen, &mut violations),
    };
    let secret = parse_secret(input.password, &input.password_hash, &mut violations);
    match (email, name, username, phone, locale, attributes, id) {
        (Some(email), Some(name), Some(username), Some(phone), Some(locale), Some(attributes), Some(id))
            if violations.is_empty() =>
        {
            let user = User {
                id,
                email,
                name,
                username,
                role,
                status: UserStatus::Active,
                age,
                phone,
                locale,
                attributes,
                email_verified: input.email_verified,
                created_at: now,
                updated_at: now,
                revision: 1,
            };
            Ok((user, secret))
        }
        _ => Err(violations),
    }
}

/// Whether the request sets what sign-up may not.
fn is_privileged(input: &CreateUserInput) -> bool {
    ![0, Role::User as i32].contains(&input.role)
        || !input.user_id.is_empty()
        || !input.password_hash.is_empty()
        || input.email_verified
}

/// What the user will sign in with.
pub(super) enum Secret {
    /// Nothing yet.
    None,
    /// To be hashed.
    Password(Password),
    /// Hashed elsewhere.
    Hash(PasswordHash),
}

fn parse_secret(password: String, hash: &str, violations: &mut Violations) -> Secret {
    match (password.is_empty(), hash.is_empty()) {
        (true, true) => Secret::None,
        (false, true) => violations.check("password", Password::parse(password)).map_or(Secret::None, Secret::Password),
        (true, false) => {
            violations.check("password_hash", PasswordHash::parse_phc(hash)).map_or(Secret::None, Secret::Hash)
        }
        (false, false) => {
            violations.add("password_hash", "a user has a password or a password_hash, not both");
            Secret::None
        }
    }
}
