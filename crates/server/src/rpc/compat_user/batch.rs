//! `BatchCreateUsers`: rows in, some of them at the same time, and one answer at the end.

use roster_api::compat::user::{BatchCreateResponse, CreateUserRequest};
use tokio::task::JoinSet;
use tonic::{Response, Status, Streaming, metadata::MetadataMap};

use super::{convert, trailers::Trailers};
use crate::{
    model::Violations,
    ops::{Ctx, Error, Ops, reason::Code},
    rpc::{
        idempotency::{self, CallKey},
        own::Own,
        status,
    },
    trace::{self, Traced as _},
};

/// Rows of a batch.
const ROWS_MAX: u32 = 10_000;
/// Rows that are being created at the same time: they share commits.
const UNDER_WAY_MAX: usize = 64;
/// The trailing metadata that says how many rows were skipped.
const SKIPPED_COUNT: &str = "skipped-count";
/// The trailing metadata that names one of them.
const SKIPPED_ROW: &str = "skipped-row";
/// Bytes of all that name one; libraries take 8 KiB of headers.
const SKIPPED_MAX_BYTES: usize = 4 * 1024;

pub(super) struct Batch {
    ops: Own<Ops>,
    ctx: Ctx,
    key: Option<CallKey>,
    /// By row, counted from 1.
    created: Vec<(u32, String)>,
    skipped: Vec<(u32, String)>,
}

/// A row, and what came of it.
type Outcome = (u32, Result<String, Error>);

impl Batch {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx, key: Option<CallKey>) -> Self {
        Self { ops, ctx, key, created: Vec::new(), skipped: Vec::new() }
    }

    /// Creates the rows. What a client that goes away has sent by then stays.
    pub(super) async fn create(
        mut self,
        mut rows: Streaming<CreateUserRequest>,
    ) -> Result<Response<BatchCreateResponse>, Status> {
        let mut under_way = JoinSet::new();
        let mut row = 0;
        while let Some(request) = rows.message().await? {
            row += 1;
            if row > ROWS_MAX {
                self.settle_all(&mut under_way).await?;
                return Err(self.failed(too_many()));
            }
            if under_way.len() >= UNDER_WAY_MAX
                && let Some(outcome) = under_way.join_next().await
            {
                self.settle(outcome)?;
            }
            let ctx = idempotency::ctx_of_row(&self.ops, &self.ctx, self.key.as_ref(), row, &request).into_owned();
            under_way.spawn(create(self.ops.clone(), ctx, row, request).in_span(trace::current()));
        }
        self.settle_all(&mut under_way).await?;
        Ok(self.response())
    }

    async fn settle_all(&mut self, under_way: &mut JoinSet<Outcome>) -> Result<(), Status> {
        while let Some(outcome) = under_way.join_next().await {
            self.settle(outcome)?;
        }
        Ok(())
    }

    /// Notes what came of a row; an error that is not the row's own ends the batch.
    fn settle(&mut self, outcome: Result<Outcome, tokio::task::JoinError>) -> Result<(), Status> {
        let (row, outcome) = outcome.map_err(|error| self.failed(Error::Internal(error.to_string())))?;
        match outcome {
            Ok(id) => self.created.push((row, id)),
            Err(error) if is_of_row(&error) => self.skipped.push((row, told(error))),
            Err(error) => return Err(self.failed(error)),
        }
        Ok(())
    }

    fn failed(&self, error: Error) -> Status {
        status::of_error(&error, self.ctx.request_id.as_str())
    }

    fn response(mut self) -> Response<BatchCreateResponse> {
        // Rows are done in the order in which they came, but for a few that overtake each other.
        self.created.sort_unstable();
        self.skipped.sort_unstable();
        let user_ids: Vec<String> = self.created.into_iter().map(|(_, id)| id).collect();
        let created_count = i32::try_from(user_ids.len()).unwrap_or(i32::MAX);
        let mut response = Response::new(BatchCreateResponse { created_count, user_ids });
        if !self.skipped.is_empty() {
            response.extensions_mut().insert(Trailers(skipped_rows(&self.skipped).into_headers()));
        }
        response
    }
}

async fn create(ops: Own<Ops>, ctx: Ctx, row: u32, request: CreateUserRequest) -> Outcome {
    let created = ops.create_user_of_batch(&ctx, convert::create_input(request)).traced("create_user_of_batch").await;
    (row, created.and_then(|user| Ok(user.user()?.id.to_text())))
}

/// Whether the row is wrong, rather than that nothing can be done now.
fn is_of_row(error: &Error) -> bool {
    let code = error.reason().code();
    [Code::InvalidArgument, Code::AlreadyExists, Code::PermissionDenied, Code::FailedPrecondition].contains(&code)
}

/// The reason, and the fields that are wrong: ASCII, as names of ours are.
fn told(error: Error) -> String {
    let reason = error.reason().name();
    match convert::renamed(error) {
        Error::Invalid(violations) => {
            let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
            format!("{reason} {}", fields.join(","))
        }
        _ => reason.to_owned(),
    }
}

/// How many rows were skipped, and as many of them as fit.
fn skipped_rows(skipped: &[(u32, String)]) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert(SKIPPED_COUNT, skipped.len().into());
    let mut bytes = 0;
    for (row, why) in skipped {
        let text = format!("{row} {why}");
        bytes += text.len() + SKIPPED_ROW.len();
        let (true, Ok(value)) = (bytes <= SKIPPED_MAX_BYTES, text.parse()) else { break };
        metadata.append(SKIPPED_ROW, value);
    }
    metadata
}

fn too_many() -> Error {
    let mut violations = Violations::new();
    violations
        .add("requests", format!("a batch has at most {ROWS_MAX} rows; those were taken, and the others were not"));
    violations.into()
}
