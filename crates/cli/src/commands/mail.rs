//! `roster mail`: the outbox.

use clap::Subcommand;
use roster_api::admin::v1::{GetMailRequest, ListMailsRequest, Mail as Message, MailKind, MailState};

use crate::{
    args::Format,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
    output::{Cell, short, time},
};

/// The full name of the message, for JSON.
const MESSAGE: &str = "roster.admin.v1.Mail";

/// Look into the outbox
#[derive(Debug, Subcommand)]
pub enum Mail {
    /// List the mails, the newest first
    List {
        /// At most this many mails
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show a mail; with its text, on a server for development
    Show {
        /// The mail's id
        id: String,
    },
}

impl Mail {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List { limit } => list(context, *limit).await,
            Self::Show { id } => {
                let request = context.request(GetMailRequest { mail_id: id.clone() });
                let mail = context.admin.get_mail(request).await?.into_inner().mail;
                show(context, &mail.ok_or_else(|| CliError::new(Exit::Internal, "the server sent no mail"))?)
            }
        }
    }
}

async fn list(context: &mut Context, limit: u32) -> Result<(), Failure> {
    let mut left = limit;
    let mut page_token = String::new();
    loop {
        // At most a thousand, so it fits.
        let request = ListMailsRequest { page_size: left.min(1_000) as i32, page_token };
        let page = context.admin.list_mails(context.request(request)).await?.into_inner();
        match context.out.format {
            Format::Json => page.mails.iter().try_for_each(|mail| context.out.json(mail, MESSAGE))?,
            Format::Table => context.out.table(
                &["ID", "TO", "FOR", "STATE", "TRIES", "CREATED", "LAST ERROR"],
                page.mails.iter().map(row).collect(),
            )?,
        }
        left = left.saturating_sub(u32::try_from(page.mails.len()).unwrap_or(u32::MAX));
        if left == 0 || page.next_page_token.is_empty() {
            return Ok(());
        }
        page_token = page.next_page_token;
    }
}

fn show(context: &mut Context, mail: &Message) -> Result<(), Failure> {
    if context.out.format == Format::Json {
        return context.out.json(mail, MESSAGE);
    }
    let header = ["id", "to", "for", "state", "tries", "created", "last error"].map(|name| Cell::Heading(name.into()));
    let lines = header.into_iter().zip(row(mail)).map(|(name, cell)| vec![name, cell]).collect();
    context.out.table(&[], lines)?;
    if mail.text.is_empty() {
        return context.out.note("the text is shown on a server for development alone");
    }
    // Escaped line by line, so that its lines stay lines and nothing in them moves the cursor.
    let text = mail.text.lines().map(|line| roster_server::telemetry::escape(line).into_owned()).collect::<Vec<_>>();
    context.out.text(&format!("\n{}\n\n{}", mail.subject, text.join("\n")))
}

fn row(mail: &Message) -> Vec<Cell> {
    let kind = MailKind::try_from(mail.kind).map(|kind| short(kind.as_str_name(), "MAIL_KIND_"));
    let state = match MailState::try_from(mail.state) {
        Ok(MailState::Sent) => Cell::Good("sent".into()),
        Ok(MailState::Waiting) => Cell::Plain("waiting".into()),
        Ok(MailState::GivenUp) => Cell::Bad("given up".into()),
        _ => Cell::Plain(mail.state.to_string()),
    };
    vec![
        Cell::Plain(mail.id.clone()),
        Cell::Plain(mail.recipient.clone()),
        Cell::Plain(kind.unwrap_or_else(|_| mail.kind.to_string()).replace('_', " ")),
        state,
        Cell::Plain(mail.attempts.to_string()),
        Cell::Plain(time(mail.created_at.as_ref(), 0)),
        Cell::Plain(mail.last_error.clone()),
    ]
}
