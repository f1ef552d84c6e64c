//! `roster address update`.

use clap::ValueEnum;
use roster_api::user::v1::{self as pb, UpdateAddressRequest};

use super::fields::Lines;
use crate::{
    commands::mask::Mask,
    context::Context,
    error::{CliError, Failure},
};

/// Change an address
#[derive(Debug, clap::Args)]
pub struct Update {
    /// The user's id
    user: String,
    /// The address's id
    #[arg(value_name = "ADDRESS")]
    id: String,
    /// Street and number, or post office box
    #[arg(long, value_name = "TEXT")]
    line1: Option<String>,
    /// City or town
    #[arg(long)]
    city: Option<String>,
    /// ISO 3166-1 alpha-2, such as DE
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    #[command(flatten)]
    lines: Lines,
    /// Empty these fields, with commas between them
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<Clear>,
    /// Only if the address still has this etag
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// Check everything, change nothing
    #[arg(long)]
    validate_only: bool,
}

/// Fields that can be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clear {
    Label,
    Recipient,
    Organization,
    Line2,
    Region,
    PostalCode,
    Phone,
}

impl Clear {
    /// The path in an update mask.
    fn path(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Recipient => "recipient",
            Self::Organization => "organization",
            Self::Line2 => "line2",
            Self::Region => "region",
            Self::PostalCode => "postal_code",
            Self::Phone => "phone",
        }
    }
}

impl Update {
    /// Changes the address and shows it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let request = context.request(self.request()?);
        let address = context.users.update_address(request).await?.into_inner();
        context.out.address(&address)?;
        if self.validate_only {
            context.out.note("valid; nothing was changed")?;
        }
        Ok(())
    }

    /// A request whose mask names exactly what was given: a path without a value is emptied.
    fn request(&self) -> Result<UpdateAddressRequest, CliError> {
        let mut mask = Mask::of("address update", self.given());
        mask.clear(self.clear.iter().map(|clear| clear.path()))?;
        let address = pb::Address {
            line1: self.line1.clone().unwrap_or_default(),
            city: self.city.clone().unwrap_or_default(),
            country: self.country.clone().unwrap_or_default(),
            ..self.lines.address()
        };
        Ok(UpdateAddressRequest {
            user_id: self.user.clone(),
            address_id: self.id.clone(),
            address: Some(address),
            update_mask: Some(mask.finish()?),
            etag: self.etag.clone(),
            validate_only: self.validate_only,
        })
    }

    fn given(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let lines = &self.lines;
        [
            ("label", &lines.label),
            ("recipient", &lines.recipient),
            ("organization", &lines.organization),
            ("line1", &self.line1),
            ("line2", &lines.line2),
            ("city", &self.city),
            ("region", &lines.region),
            ("postal_code", &lines.postal_code),
            ("country", &self.country),
            ("phone", &lines.phone),
        ]
        .into_iter()
        .map(|(path, given)| (path, given.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Address, parse},
        *,
    };
    use crate::exit::Exit;

    fn request(line: &str) -> Result<UpdateAddressRequest, CliError> {
        match parse(&line.split_whitespace().collect::<Vec<_>>()) {
            Ok(Address::Update(update)) => update.request(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_mask_names_what_was_given() {
        let line = "update ada 7 --city Bath --country GB --label= --clear phone,postal-code --etag 1-0";
        let request = request(line).unwrap();
        assert_eq!((request.user_id.as_str(), request.address_id.as_str(), request.etag.as_str()), ("ada", "7", "1-0"));
        assert_eq!(request.update_mask.unwrap().paths, ["label", "city", "country", "phone", "postal_code"]);
        let address = pb::Address { city: "Bath".into(), country: "GB".into(), ..pb::Address::default() };
        assert_eq!(request.address, Some(address));
    }

    #[test]
    fn contradictions_and_nothing_are_refused() {
        for line in ["update ada 7", "update ada 7 --etag x", "update ada 7 --phone +1 --clear phone"] {
            assert_eq!(request(line).unwrap_err().exit, Exit::Usage, "{line}");
        }
        assert!(parse(&["update", "ada", "7", "--clear", "city"]).is_err());
    }
}
