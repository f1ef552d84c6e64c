//! The outbox, as operators see it.

use crate::{
    model::{Mail, MailId, Permission, UserId, Violations},
    ops::{Ctx, Error, Ops, Reason, page_token::Scope, users::check_page_size},
    store::Cursor,
};

/// The permission to look into the outbox.
const PERMISSION: Permission = Permission::MailRead;

/// Characters of an id that is none that an error repeats.
const ID_SHOWN_CHARS: usize = 64;

/// A page of the outbox.
#[derive(Clone, Debug)]
pub struct MailPage {
    /// The newest first.
    pub mails: Vec<Mail>,
    /// `None` at the end.
    pub next_page_token: Option<String>,
}

/// A mail as an operator sees it.
#[derive(Clone, Debug)]
pub struct MailView {
    /// The mail.
    pub mail: Mail,
    /// Empty unless the server is for development and the link is of use.
    pub subject: String,
    /// The plain text; empty as `subject` is.
    pub text: String,
}

impl Ops {
    /// One page of the outbox.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], and those of the store.
    pub async fn list_mails(&self, ctx: &Ctx, page_size: i32, page_token: &str) -> Result<MailPage, Error> {
        ctx.caller.check(PERMISSION)?;
        let mut violations = Violations::new();
        let size = check_page_size(page_size, &mut violations);
        let scope = Scope {
            method: "ListMails",
            caller: ctx.caller.actor().to_string(),
            filter: String::new(),
            order_by: String::new(),
            search: "",
        };
        let before = (!page_token.is_empty()).then(|| self.page_tokens.open(&scope, page_token).and_then(place));
        if before == Some(None) {
            violations.add("page_token", "is not one that this list gave for the same caller");
        }
        violations.into_result()?;
        let mut mails = self.store.list_mails(before.flatten(), size + 1).await?;
        let more = mails.len() > size as usize;
        mails.truncate(size as usize);
        let last = mails.last().filter(|_| more);
        let token = last.map(|mail| {
            let cursor = Cursor { values: Vec::new(), id: UserId::Uuid(mail.id.0) };
            self.page_tokens.issue(&scope, &cursor)
        });
        Ok(MailPage { mails, next_page_token: token })
    }

    /// One mail, with its text on a server for development.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Missing`], and those of the store.
    pub async fn get_mail(&self, ctx: &Ctx, mail_id: &str) -> Result<MailView, Error> {
        ctx.caller.check(PERMISSION)?;
        let mut violations = Violations::new();
        if mail_id.is_empty() {
            violations.add("mail_id", "is required");
        }
        violations.into_result()?;
        let shown = || mail_id.chars().take(ID_SHOWN_CHARS).collect();
        let missing = || Error::Missing { reason: Reason::MailNotFound, id: shown() };
        let found = self.store.find_mail(MailId::parse(mail_id).ok_or_else(missing)?).await?;
        let (mail, token) = found.ok_or_else(missing)?;
        let token = token.filter(|_| self.mailer.is_readable());
        let letter = token.and_then(|token| self.mailer.letter(&mail, &token));
        let (subject, text) = letter.map(|letter| (letter.subject, letter.text)).unwrap_or_default();
        Ok(MailView { mail, subject, text })
    }
}

/// The mail that a cursor stands for.
fn place(cursor: Cursor) -> Option<MailId> {
    match cursor.id {
        UserId::Uuid(id) => Some(MailId(id)),
        UserId::Text(_) => None,
    }
}
