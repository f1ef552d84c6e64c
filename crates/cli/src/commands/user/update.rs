//! `roster user update`.

use clap::ValueEnum;
use roster_api::user::v1::{self as pb, UpdateUserRequest};

use super::fields::{Role, attribute};
use crate::{
    commands::mask::Mask,
    context::Context,
    error::{CliError, Failure},
    password,
};

/// Change a user
#[derive(Debug, clap::Args)]
pub struct Update {
    /// The user's id
    id: String,
    /// A new address, which then has to be verified again; your own needs --current-password-stdin
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Read your password from the first line of stdin; on a terminal it is asked for and not shown
    #[arg(long, requires = "email")]
    current_password_stdin: bool,
    /// A new display name
    #[arg(long)]
    name: Option<String>,
    /// A new username
    #[arg(long)]
    username: Option<String>,
    /// A new role
    #[arg(long)]
    role: Option<Role>,
    /// Years, 0 to 150
    #[arg(long, value_name = "YEARS", allow_negative_numbers = true)]
    age: Option<i32>,
    /// E.164, such as +4930123456
    #[arg(long)]
    phone: Option<String>,
    /// BCP 47, such as de-CH
    #[arg(long)]
    locale: Option<String>,
    /// Whether the address is known to be the user's
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    email_verified: Option<bool>,
    /// Empty these fields, with commas between them
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<Clear>,
    /// Set a free key; can be given several times
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Remove a free key; can be given several times
    #[arg(long = "remove-attribute", value_name = "KEY")]
    removed_attributes: Vec<String>,
    /// Only if the user still has this etag
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// Check everything, change nothing
    #[arg(long)]
    validate_only: bool,
}

/// Fields that can be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clear {
    Name,
    Username,
    Age,
    Phone,
    Locale,
    Attributes,
}

impl Clear {
    /// The path in an update mask.
    fn path(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Username => "username",
            Self::Age => "age",
            Self::Phone => "phone",
            Self::Locale => "locale",
            Self::Attributes => "attributes",
        }
    }
}

impl Update {
    /// Changes the user and shows it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let mut request = self.request()?;
        if self.current_password_stdin {
            request.current_password = Some(password::read(&mut context.input, "Current password")?);
        }
        let request = context.request(request);
        let user = context.users.update_user(request).await?.into_inner();
        context.out.user(&user)?;
        if self.validate_only {
            context.out.note("valid; nothing was changed")?;
        }
        Ok(())
    }

    /// A request whose mask names exactly what was given: a path without a value is emptied.
    fn request(&self) -> Result<UpdateUserRequest, CliError> {
        let mut mask = Mask::of("user update", self.given());
        mask.clear(self.clear.iter().map(|clear| clear.path()))?;
        mask.keys(("attributes", "attribute"), &self.attributes, &self.removed_attributes)?;
        Ok(UpdateUserRequest {
            user_id: self.id.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            username: self.username.clone(),
            role: self.role.map(|role| pb::Role::from(role).into()),
            age: self.age,
            phone: self.phone.clone(),
            locale: self.locale.clone(),
            attributes: self.attributes.iter().cloned().collect(),
            email_verified: self.email_verified,
            update_mask: Some(mask.finish()?),
            etag: self.etag.clone(),
            validate_only: self.validate_only,
            current_password: None,
        })
    }

    fn given(&self) -> impl Iterator<Item = (&'static str, bool)> {
        [
            ("name", self.name.is_some()),
            ("email", self.email.is_some()),
            ("username", self.username.is_some()),
            ("role", self.role.is_some()),
            ("age", self.age.is_some()),
            ("phone", self.phone.is_some()),
            ("locale", self.locale.is_some()),
            ("email_verified", self.email_verified.is_some()),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::User, super::parse, *};
    use crate::exit::Exit;

    fn request(line: &str) -> Result<UpdateUserRequest, CliError> {
        match parse(&line.split_whitespace().collect::<Vec<_>>()) {
            Ok(User::Update(update)) => update.request(),
            other => panic!("{other:?}"),
        }
    }

    fn paths(line: &str) -> Vec<String> {
        request(line).unwrap().update_mask.unwrap().paths
    }

    #[test]
    fn the_mask_names_what_was_given() {
        let request =
            request("update ada --name Ada --age 36 --email-verified=false --clear phone,locale --etag 1-0").unwrap();
        assert_eq!((request.user_id.as_str(), request.etag.as_str()), ("ada", "1-0"));
        assert_eq!(
            (request.name.as_deref(), request.age, request.email_verified),
            (Some("Ada"), Some(36), Some(false))
        );
        assert_eq!((request.phone, request.email), (None, None));
        assert_eq!(request.update_mask.unwrap().paths, ["name", "age", "email_verified", "phone", "locale"]);
    }

    #[test]
    fn attributes_are_set_and_removed_by_key() {
        let edited = paths("update ada --attribute team=core --attribute a.b=1 --remove-attribute old");
        assert_eq!(edited, ["attributes.team", "attributes.a.b", "attributes.old"]);
        assert_eq!(paths("update ada --clear attributes --attribute team=core"), ["attributes"]);
    }

    #[test]
    fn contradictions_and_nothing_are_refused() {
        for line in [
            "update ada",
            "update ada --etag x",
            "update ada --name x --clear name",
            "update ada --attribute a=1 --remove-attribute a",
        ] {
            assert_eq!(request(line).unwrap_err().exit, Exit::Usage, "{line}");
        }
    }
}
