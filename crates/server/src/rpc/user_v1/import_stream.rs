//! The streams of `ImportUsers`: rows in, verdicts out.
//!
//! Nothing runs beside it: rows are read when the client reads verdicts, so a client that does not is not read from, and
//! whatever ends the call ends the import. While a piece of rows is written, the next one is read and checked.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use prost::Message as _;
use roster_api::user::v1 as api;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use crate::{
    model::{UserId, Violations},
    ops::{
        Ctx, Error, ImportOptionsInput, ImportOutcome, ImportRowInput, ImportRun, ImportVerdict, Ops, Reason, RequestId,
    },
    rpc::status,
};

/// Rows that are checked before other calls of this thread get their turn.
const ROWS_PER_TURN: usize = 64;
/// Pieces under way: twice what a store writes in one transaction, where a page that many rows change is written once, so that
/// the next ones gather meanwhile.
const PIECES_MAX: usize = 32;

type Begin = Pin<Box<dyn Future<Output = Result<ImportRun, Error>> + Send>>;
type Piece = Pin<Box<dyn Future<Output = Result<Vec<ImportVerdict>, Error>> + Send>>;

/// See the [module](self).
pub(in crate::rpc) struct ImportStream {
    request_id: RequestId,
    input: Input,
    stage: Stage,
    drain: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Oldest first.
    under_way: VecDeque<UnderWay>,
    /// To be sent.
    answers: VecDeque<api::ImportUsersResponse>,
    summary: api::ImportSummary,
}

/// Where the rows come from.
enum Input {
    Open(Box<Streaming<api::ImportUsersRequest>>),
    /// The client has sent all it has.
    Ended,
    /// It is of no use any more, and this is to be said after what is under way.
    Broken(Box<Status>),
}

enum Stage {
    /// The options are yet to come.
    Waiting(Arc<Ops>, Ctx),
    Beginning(Begin),
    Running(Box<ImportRun>),
    Over,
}

struct UnderWay {
    piece: Piece,
    done: Option<Result<Vec<ImportVerdict>, Error>>,
    /// Whether another piece may be begun beside it.
    is_plain: bool,
}

/// What a step came to.
enum Step {
    Done,
    Waits,
    Failed(Box<Status>),
}

impl ImportStream {
    pub(super) fn new(ops: Arc<Ops>, ctx: Ctx, rows: Streaming<api::ImportUsersRequest>) -> Self {
        let draining = Arc::clone(&ops);
        Self {
            request_id: ctx.request_id.clone(),
            input: Input::Open(Box::new(rows)),
            stage: Stage::Waiting(ops, ctx),
            drain: Box::pin(async move { draining.draining().await }),
            under_way: VecDeque::new(),
            answers: VecDeque::new(),
            summary: api::ImportSummary::default(),
        }
    }

    fn fail(&self, error: impl Into<Error>) -> Box<Status> {
        Box::new(status::of_error(&error.into(), self.request_id.as_str()))
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Step {
        if matches!(self.input, Input::Open(_)) && self.drain.as_mut().poll(cx).is_ready() {
            let message = "the server is stopping; rows without a verdict were not imported, send them again";
            self.input = Input::Broken(Box::new(status::of_reason(Reason::ShuttingDown, message)));
            if let Stage::Running(run) = &mut self.stage {
                run.forget_rows();
            }
        }
        match &mut self.stage {
            Stage::Waiting(..) => self.await_options(cx),
            Stage::Beginning(begin) => match begin.as_mut().poll(cx) {
                Poll::Pending => Step::Waits,
                Poll::Ready(Err(error)) => Step::Failed(self.fail(error)),
                Poll::Ready(Ok(run)) => {
                    let started = api::ImportStarted { last_row_done: run.last_row_done() };
                    self.say(api::import_users_response::Message::Started(started));
                    self.stage = Stage::Running(Box::new(run));
                    Step::Done
                }
            },
            Stage::Running(_) => self.go_on(cx),
            Stage::Over => Step::Waits,
        }
    }

    /// Reads the first message, which has the options.
    fn await_options(&mut self, cx: &mut Context<'_>) -> Step {
        let missing = || fault("options", "is required, in the first message");
        let message = match &mut self.input {
            Input::Open(rows) => match Pin::new(&mut **rows).poll_next(cx) {
                Poll::Pending => return Step::Waits,
                Poll::Ready(message) => message,
            },
            Input::Ended => None,
            Input::Broken(status) => return Step::Failed(status.clone()),
        };
        let options = match message {
            Some(Ok(api::ImportUsersRequest { message: Some(api::import_users_request::Message::Options(it)) })) => it,
            Some(Err(status)) => return Step::Failed(Box::new(status)),
            Some(Ok(_)) | None => return Step::Failed(self.fail(missing())),
        };
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if let Stage::Waiting(ops, ctx) = stage {
            self.stage = Stage::Beginning(Box::pin(ops.begin_import(ctx, options_input(options))));
        }
        Step::Done
    }

    /// Hears of what is under way, reads rows, and begins what has gathered.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Step {
        for piece in &mut self.under_way {
            if piece.done.is_none()
                && let Poll::Ready(done) = piece.piece.as_mut().poll(cx)
            {
                piece.done = Some(done);
            }
        }
        if let Some(UnderWay { done: Some(_), .. }) = self.under_way.front()
            && let Some(UnderWay { done: Some(done), .. }) = self.under_way.pop_front()
        {
            return match done {
                Ok(verdicts) => self.tell(verdicts),
                Err(error) => self.stop(error),
            };
        }
        let mut turn = ROWS_PER_TURN;
        let mut waits = false;
        while turn > 0 && !waits && !self.run_is(ImportRun::is_full) {
            turn -= 1;
            let Input::Open(rows) = &mut self.input else { break };
            match Pin::new(rows).poll_next(cx) {
                Poll::Pending => waits = true,
                Poll::Ready(None) => self.input = Input::Ended,
                Poll::Ready(Some(Err(status))) => self.input = Input::Broken(Box::new(status)),
                Poll::Ready(Some(Ok(message))) => {
                    if let Err(error) = self.take(message) {
                        self.input = Input::Broken(self.fail(error));
                    }
                }
            }
        }
        self.begin_piece(cx, turn == 0)
    }

    /// Takes no more rows after a piece has failed. What is under way may have been done, so its verdicts are told first.
    fn stop(&mut self, error: Error) -> Step {
        if !matches!(self.input, Input::Broken(_)) {
            self.input = Input::Broken(self.fail(error));
        }
        if let Stage::Running(run) = &mut self.stage {
            run.forget_rows();
        }
        Step::Done
    }

    /// Begins the piece that has gathered, if it is time; or ends the import.
    fn begin_piece(&mut self, cx: &mut Context<'_>, is_turn_over: bool) -> Step {
        let is_open = matches!(self.input, Input::Open(_));
        let Stage::Running(run) = &mut self.stage else { return Step::Waits };
        let is_full = run.is_full();
        if run.is_empty() && self.under_way.is_empty() && !is_open {
            return self.end();
        }
        // No row waits for others, unless there is something to wait for anyway.
        let is_time = is_full || !is_open || (self.under_way.is_empty() && !is_turn_over);
        let has_place = match self.under_way.back() {
            None => true,
            Some(last) => self.under_way.len() < PIECES_MAX && last.is_plain && run.is_plain(),
        };
        if is_time && has_place && !run.is_empty() {
            let is_plain = run.is_plain();
            self.under_way.push_back(UnderWay { piece: Box::pin(run.do_piece()), done: None, is_plain });
            return Step::Done;
        }
        if is_turn_over && !is_full {
            cx.waker().wake_by_ref();
        }
        Step::Waits
    }

    fn end(&mut self) -> Step {
        match std::mem::replace(&mut self.input, Input::Ended) {
            Input::Broken(status) => Step::Failed(status),
            Input::Open(_) | Input::Ended => {
                self.say(api::import_users_response::Message::Summary(self.summary));
                self.stage = Stage::Over;
                Step::Done
            }
        }
    }

    fn run_is(&self, what: fn(&ImportRun) -> bool) -> bool {
        matches!(&self.stage, Stage::Running(run) if what(run))
    }

    fn take(&mut self, message: api::ImportUsersRequest) -> Result<(), Error> {
        let Stage::Running(run) = &mut self.stage else { return Ok(()) };
        match message.message {
            Some(api::import_users_request::Message::Row(row)) => run.push(row_input(row)),
            Some(api::import_users_request::Message::Options(_)) => {
                Err(fault("options", "was given already; only the first message has it").into())
            }
            None => Err(fault("row", "is required").into()),
        }
    }

    fn tell(&mut self, verdicts: Vec<ImportVerdict>) -> Step {
        for verdict in verdicts {
            let count = match &verdict.result {
                Ok((ImportOutcome::Created, _)) => &mut self.summary.created_count,
                Ok((ImportOutcome::Updated, _)) => &mut self.summary.updated_count,
                Ok((ImportOutcome::Skipped, _)) => &mut self.summary.skipped_count,
                Err(_) => &mut self.summary.failed_count,
            };
            *count += 1;
            self.say(api::import_users_response::Message::Verdict(verdict_message(verdict)));
        }
        Step::Done
    }

    fn say(&mut self, message: api::import_users_response::Message) {
        self.answers.push_back(api::ImportUsersResponse { message: Some(message) });
    }
}

impl Stream for ImportStream {
    type Item = Result<api::ImportUsersResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return Poll::Ready(Some(Ok(answer)));
            }
            if matches!(self.stage, Stage::Over) {
                return Poll::Ready(None);
            }
            match self.step(cx) {
                Step::Done => {}
                Step::Waits => return Poll::Pending,
                Step::Failed(status) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(Some(Err(*status)));
                }
            }
        }
    }
}

fn fault(field: &str, description: &str) -> Violations {
    let mut violations = Violations::new();
    violations.add(field, description);
    violations
}

fn options_input(options: api::ImportOptions) -> ImportOptionsInput {
    ImportOptionsInput {
        import_key: options.import_key,
        existing_user_action: options.existing_user_action,
        validate_only: options.validate_only,
    }
}

fn row_input(row: api::ImportRow) -> ImportRowInput {
    ImportRowInput {
        bytes: row.encoded_len(),
        number: row.number,
        user: row.user.map(Into::into),
        status: row.status,
        created_at: row.created_at.map(|time| (time.seconds, time.nanos)),
    }
}

fn verdict_message(verdict: ImportVerdict) -> api::ImportVerdict {
    let mut message =
        api::ImportVerdict { number: verdict.number, done_before: verdict.done_before, ..Default::default() };
    match verdict.result {
        Ok((outcome, id)) => {
            message.user_id = id.as_ref().map(UserId::to_text).unwrap_or_default();
            message.outcome = match outcome {
                ImportOutcome::Created => api::ImportOutcome::Created,
                ImportOutcome::Updated => api::ImportOutcome::Updated,
                ImportOutcome::Skipped => api::ImportOutcome::Skipped,
            }
            .into();
        }
        Err(error) => {
            message.outcome = api::ImportOutcome::Failed.into();
            message.reason = error.reason().name().to_owned();
            message.message = status::message(&error);
            if let Error::Invalid(violations) = &error {
                message.violations = violations
                    .iter()
                    .map(|violation| api::FieldViolation {
                        field: violation.field.clone(),
                        description: violation.description.clone(),
                    })
                    .collect();
            }
        }
    }
    message
}
