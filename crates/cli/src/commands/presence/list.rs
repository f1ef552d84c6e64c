//! `roster presence list`.

use roster_api::notification::v1::{ClientPresence, GetClientStatusRequest};

use super::{CLIENT, status};
use crate::{
    args::Format,
    context::Context,
    error::Failure,
    output::{Cell, time},
};

/// Clients that are asked for at a time.
const PAGE_SIZE: u32 = 1000;

/// List clients by their ids
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster presence list
  roster presence list ada/phone
  roster presence list --all --output json > clients.jsonl")]
pub struct List {
    /// Only this client
    #[arg(value_name = "CLIENT", default_value = "", hide_default_value = true)]
    client_id: String,
    /// At most this many clients; pages are followed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Every client
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Start where an earlier list ended
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true, conflicts_with = "client_id")]
    page_token: String,
}

impl List {
    /// Reads page after page and shows each as it comes, so that memory holds one page.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let mut left = if self.all { u64::MAX } else { self.limit.into() };
        let mut page_token = self.page_token.clone();
        let mut shown: u64 = 0;
        loop {
            // At most a thousand, so it fits.
            let page_size = left.min(PAGE_SIZE.into()) as i32;
            let request = GetClientStatusRequest { client_id: self.client_id.clone(), page_size, page_token };
            let page = context.notifications.get_client_status(context.request(request)).await?.into_inner();
            show(context, &page.clients)?;
            let count = page.clients.len() as u64;
            shown += count;
            left = left.saturating_sub(count);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return if shown == 0 { context.out.note("no clients") } else { Ok(()) };
            }
            if left == 0 {
                let more = format!("{shown} shown; for more: --page-token '{page_token}', --limit N or --all");
                return context.out.note(&more);
            }
        }
    }
}

fn show(context: &mut Context, clients: &[ClientPresence]) -> Result<(), Failure> {
    match context.out.format {
        Format::Json => clients.iter().try_for_each(|client| context.out.json(client, CLIENT)),
        Format::Table if clients.is_empty() => Ok(()),
        Format::Table => {
            context.out.table(&["CLIENT", "STATUS", "STREAMS", "LAST SEEN"], clients.iter().map(row).collect())
        }
    }
}

fn row(client: &ClientPresence) -> Vec<Cell> {
    vec![
        Cell::Plain(client.client_id.clone()),
        status(client),
        Cell::Plain(client.connection_count.to_string()),
        Cell::Plain(time(client.last_seen_at.as_ref(), 0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{Presence, parse};

    #[test]
    fn one_client_or_a_part_of_all() {
        let Ok(Presence::List(list)) = parse(&["list", "ada/phone"]) else { panic!("list") };
        assert_eq!((list.client_id.as_str(), list.limit, list.all), ("ada/phone", 100, false));
        assert!(parse(&["list", "--all"]).is_ok());
        for wrong in
            [&["list", "--limit", "0"][..], &["list", "--limit", "5", "--all"], &["list", "a", "--page-token", "t"]]
        {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
