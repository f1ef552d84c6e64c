//! Many users at a time: imports and exports, as streams that hold a few messages each.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Status, Streaming};

use crate::{
    Client, Error,
    client::Transport,
    user::v1::{
        ExportUsersRequest, ExportUsersResponse, ImportOptions, ImportRow, ImportSummary, ImportUsersRequest,
        ImportUsersResponse, ImportVerdict, User, import_users_request, import_users_response,
        user_service_client::UserServiceClient,
    },
};

/// An import under way: the verdicts on its rows, in their order. Rows are taken from the stream that was handed in as
/// the server takes them, which it does only as long as verdicts are read. Dropped, it ends the import.
#[derive(Debug)]
pub struct Import {
    stream: Streaming<ImportUsersResponse>,
    last_row_done: i64,
    summary: Option<ImportSummary>,
}

impl Import {
    /// Imports the rows of the request, whose metadata may have a token of its own. Most use [`Client::import`].
    ///
    /// # Errors
    /// As [`Client::import`].
    pub async fn begin<S>(
        mut users: UserServiceClient<Transport>,
        options: ImportOptions,
        rows: Request<S>,
    ) -> Result<Self, Error>
    where
        S: Stream<Item = ImportRow> + Send + 'static,
    {
        let (metadata, extensions, rows) = rows.into_parts();
        let message = |message| ImportUsersRequest { message: Some(message) };
        let options = message(import_users_request::Message::Options(options));
        let rows = rows.map(move |row| message(import_users_request::Message::Row(row)));
        let messages = tokio_stream::once(options).chain(rows);
        let mut stream = users.import_users(Request::from_parts(metadata, extensions, messages)).await?.into_inner();
        match stream.message().await?.and_then(|message| message.message) {
            Some(import_users_response::Message::Started(started)) => {
                Ok(Self { stream, last_row_done: started.last_row_done, summary: None })
            }
            _ => Err(cut_short("an import began without saying where")),
        }
    }

    /// Rows up to this number were done by earlier runs with the same import key. They may be left out, or be sent again
    /// to get their verdicts once more.
    #[must_use]
    pub fn last_row_done(&self) -> i64 {
        self.last_row_done
    }

    /// The next verdict; `None` when all rows have theirs and the import is complete.
    ///
    /// # Errors
    /// Why the import ended early. Rows that have a verdict are done; with an import key, the import can be taken up.
    pub async fn next(&mut self) -> Result<Option<ImportVerdict>, Error> {
        if self.summary.is_some() {
            return Ok(None);
        }
        match self.stream.message().await?.and_then(|message| message.message) {
            Some(import_users_response::Message::Verdict(verdict)) => Ok(Some(verdict)),
            Some(import_users_response::Message::Summary(summary)) => {
                self.summary = Some(summary);
                Ok(None)
            }
            _ => Err(cut_short("an import ended without a summary")),
        }
    }

    /// The totals, once [`Import::next`] has given `None`.
    #[must_use]
    pub fn summary(&self) -> Option<&ImportSummary> {
        self.summary.as_ref()
    }
}

/// An export under way: a stream of users in the order of their ids, as they were when it began.
#[derive(Debug)]
pub struct Export {
    stream: Streaming<ExportUsersResponse>,
    total_size: i64,
}

impl Export {
    /// Exports what the request asks for, whose metadata may have a token of its own. Most use [`Client::export`].
    ///
    /// # Errors
    /// As [`Client::export`].
    pub async fn begin(
        mut users: UserServiceClient<Transport>,
        request: Request<ExportUsersRequest>,
    ) -> Result<Self, Error> {
        let mut stream = users.export_users(request).await?.into_inner();
        match stream.message().await? {
            Some(first) => Ok(Self { stream, total_size: first.total_size }),
            None => Err(cut_short("an export ended without a message")),
        }
    }

    /// How many users will come, but for those that are deleted meanwhile.
    #[must_use]
    pub fn total_size(&self) -> i64 {
        self.total_size
    }

    /// The next user; `None` after the last.
    ///
    /// # Errors
    /// Why the export ended early. One that asks for what comes after the last user goes on, as things are then.
    pub async fn next(&mut self) -> Result<Option<User>, Error> {
        StreamExt::next(self).await.transpose()
    }
}

impl Stream for Export {
    type Item = Result<User, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.stream).poll_next(cx).map(|message| match message? {
            Ok(message) => message.user.map(Ok),
            Err(status) => Some(Err(status.into())),
        })
    }
}

impl Client {
    /// Imports users, and gives the verdict on each row while others are on their way.
    ///
    /// ```no_run
    /// use roster_api::user::v1::{CreateUserRequest, ImportOptions, ImportOutcome, ImportRow};
    ///
    /// # async fn example(client: roster_api::Client, emails: Vec<String>) -> Result<(), roster_api::Error> {
    /// let rows = (1..).zip(emails).map(|(number, email)| {
    ///     let user = Some(CreateUserRequest { email, ..Default::default() });
    ///     ImportRow { number, user, ..Default::default() }
    /// });
    /// // With a key, a run that broke can be sent again from its start: no row is done twice.
    /// let options = ImportOptions { import_key: "from-the-old-system".into(), ..Default::default() };
    /// let mut import = client.import(options, tokio_stream::iter(rows)).await?;
    /// while let Some(verdict) = import.next().await? {
    ///     if verdict.outcome() == ImportOutcome::Failed {
    ///         println!("row {}: {}", verdict.number, verdict.message);
    ///     }
    /// }
    /// println!("{:?}", import.summary());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Why it did not begin, such as `IMPORT_RUNNING`.
    pub async fn import<S>(&self, options: ImportOptions, rows: S) -> Result<Import, Error>
    where
        S: Stream<Item = ImportRow> + Send + 'static,
    {
        Import::begin(self.users(), options, Request::new(rows)).await
    }

    /// Exports all users, or those that match a filter.
    ///
    /// ```no_run
    /// use roster_api::user::v1::ExportUsersRequest;
    ///
    /// # async fn example(client: roster_api::Client) -> Result<(), roster_api::Error> {
    /// let request = ExportUsersRequest { filter: "role = ADMIN".into(), ..Default::default() };
    /// let mut export = client.export(request).await?;
    /// println!("{} users", export.total_size());
    /// while let Some(user) = export.next().await? {
    ///     println!("{}", user.email);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Why it did not begin, such as `FILTER_INVALID`.
    pub async fn export(&self, request: ExportUsersRequest) -> Result<Export, Error> {
        Export::begin(self.users(), Request::new(request)).await
    }
}

/// What a stream that is not whole is: nobody says so who speaks this API.
fn cut_short(what: &str) -> Error {
    Status::data_loss(what).into()
}
