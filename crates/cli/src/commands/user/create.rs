//! `roster user create`.

use roster_api::{
    client::{InvalidKey, with_idempotency_key},
    user::v1::{self as pb, CreateUserRequest},
};

use super::fields::{Role, attribute};
use crate::{
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
    password,
};

/// Create a user
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Unique, whatever its case
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// Display name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Unique, whatever its case
    #[arg(long, default_value = "", hide_default_value = true)]
    username: String,
    /// What the user may do [default: user]
    #[arg(long)]
    role: Option<Role>,
    /// Years, 0 to 150
    #[arg(long, value_name = "YEARS", allow_negative_numbers = true)]
    age: Option<i32>,
    /// E.164, such as +4930123456
    #[arg(long, default_value = "", hide_default_value = true)]
    phone: String,
    /// BCP 47, such as de-CH
    #[arg(long, default_value = "", hide_default_value = true)]
    locale: String,
    /// A free key with a value; can be given several times
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// An id of your own instead of one that the server makes
    #[arg(long, default_value = "", hide_default_value = true)]
    id: String,
    /// Read the password from the first line of stdin; on a terminal it is asked for and not shown
    #[arg(long, conflicts_with = "password_hash")]
    password_stdin: bool,
    /// A hash that the user signs in with, in PHC format (`$argon2id$…`)
    #[arg(long, value_name = "PHC", default_value = "", hide_default_value = true)]
    password_hash: String,
    /// The address is known to be the user's
    #[arg(long)]
    email_verified: bool,
    /// Names this call: made again with the same key within 24 hours, it creates nothing more and shows the same user
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Check everything, create nothing
    #[arg(long)]
    validate_only: bool,
}

impl Create {
    /// Creates the user and shows it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let password = match self.password_stdin {
            true => password::read(&mut context.input, "Password")?,
            false => String::new(),
        };
        let mut request = context.request(self.request(password));
        if let Some(key) = &self.idempotency_key {
            let unfit = |error: InvalidKey| CliError::new(Exit::Usage, format!("--idempotency-key: {error}"));
            request = with_idempotency_key(request, key).map_err(unfit)?;
        }
        let user = context.users.create_user(request).await?.into_inner();
        context.out.user(&user)?;
        if self.validate_only {
            context.out.note("valid; nothing was created")?;
        }
        Ok(())
    }

    fn request(&self, password: String) -> CreateUserRequest {
        CreateUserRequest {
            email: self.email.clone(),
            name: self.name.clone(),
            password,
            username: self.username.clone(),
            role: self.role.map_or(pb::Role::Unspecified, pb::Role::from).into(),
            age: self.age,
            phone: self.phone.clone(),
            locale: self.locale.clone(),
            attributes: self.attributes.iter().cloned().collect(),
            user_id: self.id.clone(),
            password_hash: self.password_hash.clone(),
            email_verified: self.email_verified,
            validate_only: self.validate_only,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::User, *};

    fn parse(args: &[&str]) -> Create {
        match super::super::parse(args) {
            Ok(User::Create(create)) => create,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_flag_reaches_its_field() {
        let line = "create --email a@b.c --name Ada --username ada --role moderator --age -1 --phone +49 --locale de \
                    --attribute team=core --attribute a=b=c --id ada --password-stdin --email-verified --validate-only";
        let request = parse(&line.split_whitespace().collect::<Vec<_>>()).request("secret".into());
        let expected = CreateUserRequest {
            email: "a@b.c".into(),
            name: "Ada".into(),
            password: "secret".into(),
            username: "ada".into(),
            role: pb::Role::Moderator.into(),
            age: Some(-1),
            phone: "+49".into(),
            locale: "de".into(),
            attributes: [("team".into(), "core".into()), ("a".into(), "b=c".into())].into(),
            user_id: "ada".into(),
            password_hash: String::new(),
            email_verified: true,
            validate_only: true,
        };
        assert_eq!(request, expected);
        let least = parse(&["create", "--email", "a@b.c"]).request(String::new());
        assert_eq!(least, CreateUserRequest { email: "a@b.c".into(), ..CreateUserRequest::default() });
    }

    #[test]
    fn attributes_without_a_key_are_refused() {
        for bad in ["team", "=core"] {
            assert!(super::super::parse(&["create", "--email", "a@b.c", "--attribute", bad]).is_err());
        }
    }
}
