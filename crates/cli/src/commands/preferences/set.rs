//! `roster preferences set`.

use clap::ValueEnum;
use roster_api::user::v1::{self as pb, UpdatePreferencesRequest};

use crate::{
    commands::mask::Mask,
    commands::user::attribute,
    context::Context,
    error::{CliError, Failure},
};

/// Change a user's preferences
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster preferences set ada --language de-CH --time-zone Europe/Zurich --sms on --custom theme=dark")]
pub struct Set {
    /// The user's id
    user: String,
    /// The language of mails: BCP 47, such as de-CH
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// A name of the IANA database, such as Europe/Berlin
    #[arg(long, value_name = "NAME")]
    time_zone: Option<String>,
    /// Messages by mail
    #[arg(long)]
    email: Option<Switch>,
    /// Messages by SMS
    #[arg(long)]
    sms: Option<Switch>,
    /// Messages to the user's devices
    #[arg(long)]
    push: Option<Switch>,
    /// News and offers, on whichever of the ways above are on
    #[arg(long)]
    marketing: Option<Switch>,
    /// Set a free key; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = attribute)]
    custom: Vec<(String, String)>,
    /// Remove a free key; can be given several times
    #[arg(long, value_name = "KEY")]
    remove_custom: Vec<String>,
    /// Put these back to their defaults, with commas between them
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<Clear>,
    /// Only if the preferences still have this etag
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// Check everything, change nothing
    #[arg(long)]
    validate_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// What can be put back to its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clear {
    Language,
    TimeZone,
    Notifications,
    Custom,
}

impl Clear {
    /// The path in an update mask.
    fn path(self) -> &'static str {
        match self {
            Self::Language => "language",
            Self::TimeZone => "time_zone",
            Self::Notifications => "notifications",
            Self::Custom => "custom",
        }
    }
}

impl Set {
    /// Changes the preferences and shows them.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let request = context.request(self.request()?);
        let preferences = context.users.update_preferences(request).await?.into_inner();
        context.out.preferences(&preferences)?;
        if self.validate_only {
            context.out.note("valid; nothing was changed")?;
        }
        Ok(())
    }

    /// A request whose mask names exactly what was given: a path without a value goes back to its default.
    fn request(&self) -> Result<UpdatePreferencesRequest, CliError> {
        let mut mask = Mask::of("preferences set", self.given());
        mask.clear(self.clear.iter().map(|clear| clear.path()))?;
        mask.keys(("custom", "the key"), &self.custom, &self.remove_custom)?;
        let on = |switch: Option<Switch>| switch.map(|switch| switch == Switch::On);
        let preferences = pb::Preferences {
            language: self.language.clone().unwrap_or_default(),
            time_zone: self.time_zone.clone().unwrap_or_default(),
            notifications: Some(pb::NotificationSwitches {
                email: on(self.email),
                sms: on(self.sms),
                push: on(self.push),
                marketing: on(self.marketing),
            }),
            custom: self.custom.iter().cloned().collect(),
            ..pb::Preferences::default()
        };
        Ok(UpdatePreferencesRequest {
            user_id: self.user.clone(),
            preferences: Some(preferences),
            update_mask: Some(mask.finish()?),
            etag: self.etag.clone(),
            validate_only: self.validate_only,
        })
    }

    fn given(&self) -> impl Iterator<Item = (&'static str, bool)> {
        [
            ("language", self.language.is_some()),
            ("time_zone", self.time_zone.is_some()),
            ("notifications.email", self.email.is_some()),
            ("notifications.sms", self.sms.is_some()),
            ("notifications.push", self.push.is_some()),
            ("notifications.marketing", self.marketing.is_some()),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Preferences, parse},
        *,
    };
    use crate::exit::Exit;

    fn request(line: &str) -> Result<UpdatePreferencesRequest, CliError> {
        match parse(&line.split_whitespace().collect::<Vec<_>>()) {
            Ok(Preferences::Set(set)) => set.request(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_mask_names_what_was_given() {
        let line = "set ada --language de --email off --push on --custom a.b=1=2 --remove-custom old --clear time-zone";
        let request = request(line).unwrap();
        let paths = ["language", "notifications.email", "notifications.push", "time_zone", "custom.a.b", "custom.old"];
        assert_eq!(request.update_mask.unwrap().paths, paths);
        let notifications = pb::NotificationSwitches { email: Some(false), push: Some(true), ..Default::default() };
        let expected = pb::Preferences {
            language: "de".into(),
            notifications: Some(notifications),
            custom: [("a.b".to_owned(), "1=2".to_owned())].into(),
            ..pb::Preferences::default()
        };
        assert_eq!(request.preferences, Some(expected));
        // Back to the defaults, but for what is given beside it.
        let rest = super::super::parse(&["set", "ada", "--clear", "notifications,custom", "--sms", "on"]);
        let Ok(Preferences::Set(set)) = rest else { panic!("{rest:?}") };
        let paths = set.request().unwrap().update_mask.unwrap().paths;
        assert_eq!(paths, ["notifications.sms", "notifications", "custom"]);
    }

    #[test]
    fn contradictions_and_nothing_are_refused() {
        for line in [
            "set ada",
            "set ada --etag x",
            "set ada --language de --clear language",
            "set ada --custom a=1 --remove-custom a",
        ] {
            assert_eq!(request(line).unwrap_err().exit, Exit::Usage, "{line}");
        }
    }
}
