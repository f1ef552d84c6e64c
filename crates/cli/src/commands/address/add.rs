//! `roster address add`.

use roster_api::user::v1::{self as pb, AddAddressRequest};

use super::fields::{Kind, Lines};
use crate::{context::Context, error::Failure};

/// Add an address to a user
#[derive(Debug, clap::Args)]
// Made by clap, the line would be wider than a help may be.
#[command(override_usage = "\
roster address add <USER> --kind <KIND> --line1 <TEXT> --city <CITY> --country <CODE>
                          [OPTIONS]")]
#[command(after_help = "\
For example:
  roster address add ada --kind shipping --line1 '12 St James Square' --city London --country GB")]
pub struct Add {
    /// The user's id
    user: String,
    /// What it is for
    #[arg(long)]
    kind: Kind,
    /// Street and number, or post office box
    #[arg(long, value_name = "TEXT")]
    line1: String,
    /// City or town
    #[arg(long)]
    city: String,
    /// ISO 3166-1 alpha-2, such as DE
    #[arg(long, value_name = "CODE")]
    country: String,
    #[command(flatten)]
    lines: Lines,
    /// Make it the default of its kind; the first of a kind is that anyway
    #[arg(long)]
    default: bool,
    /// Check everything, add nothing
    #[arg(long)]
    validate_only: bool,
}

impl Add {
    /// Adds the address and shows it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let request = context.request(self.request());
        let address = context.users.add_address(request).await?.into_inner();
        context.out.address(&address)?;
        if self.validate_only {
            context.out.note("valid; nothing was added")?;
        }
        Ok(())
    }

    fn request(&self) -> AddAddressRequest {
        let address = pb::Address {
            kind: pb::AddressKind::from(self.kind).into(),
            line1: self.line1.clone(),
            city: self.city.clone(),
            country: self.country.clone(),
            ..self.lines.address()
        };
        AddAddressRequest {
            user_id: self.user.clone(),
            address: Some(address),
            make_default: self.default,
            validate_only: self.validate_only,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Address, parse},
        *,
    };

    #[test]
    fn every_flag_reaches_its_field() {
        let line = "add ada --kind billing --label Work --recipient Ada --organization Engines --line1 Road --line2 Flat \
                    --city Bath --region Somerset --postal-code BA1 --country GB --phone +44 --default --validate-only";
        let Ok(Address::Add(add)) = parse(&line.split_whitespace().collect::<Vec<_>>()) else { panic!("{line}") };
        let address = pb::Address {
            kind: pb::AddressKind::Billing.into(),
            label: "Work".into(),
            recipient: "Ada".into(),
            organization: "Engines".into(),
            line1: "Road".into(),
            line2: "Flat".into(),
            city: "Bath".into(),
            region: "Somerset".into(),
            postal_code: "BA1".into(),
            country: "GB".into(),
            phone: "+44".into(),
            ..pb::Address::default()
        };
        let (user_id, address) = ("ada".into(), Some(address));
        let expected = AddAddressRequest { user_id, address, make_default: true, validate_only: true };
        assert_eq!(add.request(), expected);
    }

    #[test]
    fn what_every_address_has_must_be_given() {
        let whole = ["add", "ada", "--kind", "shipping", "--line1", "Road", "--city", "Bath", "--country", "GB"];
        assert!(parse(&whole).is_ok());
        for flag in (2..whole.len()).step_by(2) {
            assert!(parse(&[&whole[..flag], &whole[flag + 2..]].concat()).is_err(), "without {}", whole[flag]);
        }
    }
}
