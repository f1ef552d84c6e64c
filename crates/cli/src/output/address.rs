//! Tables of addresses.

use roster_api::user::v1::{Address, AddressKind};

use super::{
    Style,
    table::{Cell, Columns, fields, listing, short, time},
};

/// Many addresses, a line each.
pub fn addresses(addresses: &[Address], style: Style, width: Option<u16>) -> String {
    let rows = addresses.iter().map(|address| {
        let place = [&address.line1, &address.postal_code, &address.city].map(String::as_str);
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        vec![
            Cell::Plain(address.id.clone()),
            Cell::Plain(kind(address.kind)),
            default(address),
            Cell::Plain(address.label.clone()),
            Cell::Plain(place.join(", ")),
            Cell::Plain(address.country.clone()),
        ]
    });
    let columns = Columns { header: &["ID", "KIND", "DEFAULT", "LABEL", "PLACE", "COUNTRY"], flexible: &[3, 4] };
    listing(&columns, rows.collect(), style, width)
}

/// One address, a line for each field that is set.
pub fn address(address: &Address, style: Style, width: Option<u16>) -> String {
    let plain = |name: &str, text: &str| (name.to_owned(), Cell::Plain(text.to_owned()));
    let rows = vec![
        plain("id", &address.id),
        plain("user", &address.user_id),
        plain("kind", &kind(address.kind)),
        ("default".into(), default(address)),
        plain("label", &address.label),
        plain("recipient", &address.recipient),
        plain("organization", &address.organization),
        plain("line 1", &address.line1),
        plain("line 2", &address.line2),
        plain("city", &address.city),
        plain("region", &address.region),
        plain("postal code", &address.postal_code),
        plain("country", &address.country),
        plain("phone", &address.phone),
        plain("created", &time(address.created_at.as_ref(), 6)),
        plain("updated", &time(address.updated_at.as_ref(), 6)),
        plain("etag", &address.etag),
    ];
    fields(rows, style, width)
}

fn kind(number: i32) -> String {
    AddressKind::try_from(number).map_or_else(|_| number.to_string(), |kind| short(kind.as_str_name(), "ADDRESS_KIND_"))
}

fn default(address: &Address) -> Cell {
    if address.is_default { Cell::Good("yes".into()) } else { Cell::Plain("no".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Address {
        Address {
            id: "0197c0de-0000-7000-8000-000000000001".into(),
            user_id: "ada".into(),
            kind: 1,
            line1: "12 St James\x1b[31m Square".into(),
            city: "London".into(),
            country: "GB".into(),
            is_default: true,
            etag: "1-0".into(),
            ..Address::default()
        }
    }

    #[test]
    fn addresses_fit_the_terminal_and_cannot_move_its_cursor() {
        let text = addresses(&[home()], Style::PLAIN, Some(100));
        assert!(text.starts_with("ID ") && text.contains(&home().id) && text.contains("shipping  yes"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100) && !text.contains('\x1b'), "{text}");
        assert!(addresses(&[home()], Style::PLAIN, None).contains("James\\u{1b}[31m Square, London  GB"));
        let one = address(&home(), Style::PLAIN, None);
        assert!(one.contains("line 1") && !one.contains("line 2") && one.contains("1-0"), "{one}");
    }
}
