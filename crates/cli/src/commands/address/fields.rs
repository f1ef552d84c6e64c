//! What several commands take: kinds, and what is written on an address.

use clap::ValueEnum;
use roster_api::user::v1 as pb;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Where goods go
    Shipping,
    /// Where invoices go
    Billing,
}

impl From<Kind> for pb::AddressKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Shipping => Self::Shipping,
            Kind::Billing => Self::Billing,
        }
    }
}

/// What is written on an address, besides what every address has.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Lines {
    /// A name that the user knows it by, such as Home
    #[arg(long)]
    pub label: Option<String>,
    /// Who receives what is sent
    #[arg(long, value_name = "NAME")]
    pub recipient: Option<String>,
    /// The company or institution
    #[arg(long, value_name = "NAME")]
    pub organization: Option<String>,
    /// Flat, floor, building
    #[arg(long, value_name = "TEXT")]
    pub line2: Option<String>,
    /// State, province or county
    #[arg(long)]
    pub region: Option<String>,
    /// Some countries have none
    #[arg(long, value_name = "CODE")]
    pub postal_code: Option<String>,
    /// For deliveries: E.164, such as +4930123456
    #[arg(long)]
    pub phone: Option<String>,
}

impl Lines {
    /// An address with these lines.
    pub fn address(&self) -> pb::Address {
        let text = |line: &Option<String>| line.clone().unwrap_or_default();
        pb::Address {
            label: text(&self.label),
            recipient: text(&self.recipient),
            organization: text(&self.organization),
            line2: text(&self.line2),
            region: text(&self.region),
            postal_code: text(&self.postal_code),
            phone: text(&self.phone),
            ..pb::Address::default()
        }
    }
}
