//! Spans that are over, on their way to the collector: a bounded queue, and the task that empties it.
//!
//! The queue is ours and not the SDK's, because that one does not tell how many spans it has dropped.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter as _, SpanProcessor},
};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    time::{Instant, timeout_at},
};

use crate::metrics::{
    Counter, Page,
    names::{TRACE_QUEUE, TRACE_SPANS},
};

/// Spans that may wait; further ones are dropped.
const QUEUE_MAX: usize = 8_192;
/// Spans that are exported at once.
const BATCH_MAX: usize = 512;
/// How long a batch waits to become full.
const LINGER: Duration = Duration::from_secs(1);

/// What became of spans.
#[derive(Clone, Debug, Default)]
pub struct TraceStats {
    outcomes: Arc<Outcomes>,
    /// `None` without a collector.
    queue: Option<mpsc::WeakSender<SpanData>>,
}

#[derive(Debug, Default)]
struct Outcomes {
    exported: Counter,
    dropped: Counter,
    failed: Counter,
}

impl TraceStats {
    /// Puts them on the page.
    pub fn report(&self, page: &mut Page) {
        let Outcomes { exported, dropped, failed } = &*self.outcomes;
        page.value(&TRACE_SPANS, &["exported"], exported.get());
        page.value(&TRACE_SPANS, &["dropped"], dropped.get());
        page.value(&TRACE_SPANS, &["failed"], failed.get());
        let queue = self.queue.as_ref().and_then(mpsc::WeakSender::upgrade);
        page.value(&TRACE_QUEUE, &[], queue.map_or(0, |queue| queue.max_capacity() - queue.capacity()));
    }
}

/// Takes spans when they end. Never waits.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    outcomes: Arc<Outcomes>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        match self.spans.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.outcomes.dropped.increment(),
        }
    }

    /// Nobody waits here: the task is told when to flush.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The task.
#[derive(Debug)]
pub(super) struct Export {
    exporter: SpanExporter,
    spans: mpsc::Receiver<SpanData>,
    batch: Vec<SpanData>,
    outcomes: Arc<Outcomes>,
    /// So that the log has one line for each time that it begins to fail.
    is_failing: bool,
}

impl Export {
    /// The queue and the task behind it; `stats` hears of both.
    pub(super) fn new(exporter: SpanExporter, stats: &mut TraceStats) -> (Queue, Self) {
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        stats.queue = Some(queue.downgrade());
        let outcomes = Arc::clone(&stats.outcomes);
        let queue = Queue { spans: queue, outcomes: Arc::clone(&outcomes) };
        (queue, Self { exporter, spans, batch: Vec::new(), outcomes, is_failing: false })
    }

    /// Exports until `stop` turns true, and then what is left.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                // An error says that nobody is left to say stop: stop as well.
                _ = stop.wait_for(|stop| *stop) => break,
                is_open = self.gather() => if !is_open { break },
            }
            self.export().await;
        }
        self.spans.close();
        // What was gathered when it was told to stop is there yet.
        while !self.batch.is_empty() || self.spans.recv_many(&mut self.batch, BATCH_MAX).await > 0 {
            self.export().await;
        }
    }

    /// Waits for spans, and a little more for others to join them; `false` if no more will come.
    async fn gather(&mut self) -> bool {
        if self.spans.recv_many(&mut self.batch, BATCH_MAX).await == 0 {
            return false;
        }
        let until = Instant::now() + LINGER;
        while self.batch.len() < BATCH_MAX {
            let room = BATCH_MAX - self.batch.len();
            match timeout_at(until, self.spans.recv_many(&mut self.batch, room)).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        true
    }

    async fn export(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let count = batch.len() as u64;
        match self.exporter.export(batch).await {
            Ok(()) => {
                self.outcomes.exported.add(count);
                self.is_failing = false;
            }
            Err(error) => {
                self.outcomes.failed.add(count);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "traces cannot be exported; calls go on, and their spans are lost");
                }
            }
        }
    }
}
