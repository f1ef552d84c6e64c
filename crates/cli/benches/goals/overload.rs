//! Goal 16: what is still done when ten times as much comes as can be done.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::{
    goals::{SEARCH, Setting, WARM_UP, seeded},
    load::Requests,
    open_loop::{OpenLoad, Outcome},
    process::Server,
    report::{Floor, Row, median, rate, time},
    sign_in,
    users::{self, Random},
};

/// How much comes, in capacities.
const FACTORS: [f64; 3] = [1.0, 2.0, 10.0];
/// What a caller waits for. Whatever is done later is done for nobody.
const DEADLINE: Duration = Duration::from_secs(1);
/// Calls in flight, as connections and calls on each, by which the capacity is found.
const CLOSED: (usize, usize) = (4, 2);
/// Connections that the overload comes by.
const CONNECTIONS: usize = 8;

/// What is measured at one factor.
struct Figures {
    goodput: f64,
    /// The same, per second of the server's processor time.
    per_cpu: f64,
    p99: f64,
    shed: f64,
    late: f64,
}

/// One after the other, at all factors.
struct Round {
    capacity: f64,
    /// The same, per second of the server's processor time.
    capacity_per_cpu: f64,
    figures: Vec<Figures>,
}

impl Round {
    /// The most that was done in time, at whichever factor.
    fn peak(&self) -> f64 {
        self.figures.iter().map(|figures| figures.goodput).fold(self.capacity, f64::max)
    }
}

/// Goal 16.
///
/// The load comes from the same machine, so calls are of a kind that costs the server a hundred times what they cost the
/// client: reads from memory or creates at ten times the capacity would take the processor from the server, and not ask
/// more of it.
pub fn shedding(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let (server, _) = seeded(setting, "overload.db", &sign_in::TRUSTING, users::get)?;
    let searches: Requests = Arc::new(|random: &mut Random| Some(users::search(&users::fragment(random)[..2])));
    let mut rows = measure(setting, &server, ("searches of two letters", SEARCH), &searches)?;
    let sign_ins = sign_in::sign_ins(&server)?;
    rows.extend(measure(setting, &server, ("sign-ins", sign_in::SIGN_IN), &sign_ins)?);
    Ok(rows)
}

fn measure(
    setting: &Setting,
    server: &Server,
    (what, path): (&str, &'static str),
    requests: &Requests,
) -> anyhow::Result<Vec<Row>> {
    let mut rounds = Vec::new();
    for _ in 0..setting.rounds {
        let closed = setting.sample(server, path, requests, CLOSED)?;
        let (capacity, capacity_per_cpu) = (closed.rate(), closed.calls_per_cpu());
        let figures = FACTORS.iter().map(|factor| {
            let load = OpenLoad {
                addr: server.addr,
                path,
                requests: Arc::clone(requests),
                connections: CONNECTIONS,
                rate: capacity * factor,
                deadline: DEADLINE,
                warm_up: WARM_UP + DEADLINE,
                duration: setting.duration,
            };
            let (before, begun) = (server.cpu_time()?, Instant::now());
            let outcome = load.run()?;
            // It is as busy before and after what is counted.
            let busy = (server.cpu_time()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
            let cpu = setting.duration.mul_f64(busy);
            figures(&outcome, setting.duration, cpu)
        });
        rounds.push(Round { capacity, capacity_per_cpu, figures: figures.collect::<anyhow::Result<_>>()? });
    }
    let over_rounds = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let row = |index: usize| {
        let at = |figure: fn(&Figures) -> f64| over_rounds(&|round| figure(&round.figures[index]));
        let last = index == FACTORS.len() - 1;
        Row {
            goal: 16,
            what: format!(
                "{what} at {} × capacity: done in time, against the peak; p99 {}, {} shed, {} late",
                FACTORS[index],
                time(at(|figures| figures.p99)),
                rate(at(|figures| figures.shed), "/s"),
                rate(at(|figures| figures.late), "/s"),
            ),
            measured: rate(at(|figures| figures.goodput), "/s"),
            limit: rate(over_rounds(&Round::peak), "/s"),
            figure: over_rounds(&|round| round.figures[index].goodput / round.peak()),
            floor: if last { Floor::AtLeast(0.9) } else { Floor::None },
        }
    };
    let mut rows: Vec<Row> = (0..FACTORS.len()).map(row).collect();
    let last = FACTORS.len() - 1;
    rows.push(Row {
        goal: 16,
        what: format!(
            "{what} at 10 × capacity: done in time per second of the server's processor time, against 8 at once"
        ),
        measured: rate(over_rounds(&|round| round.figures[last].per_cpu), "/CPU-s"),
        limit: rate(over_rounds(&|round| round.capacity_per_cpu), "/CPU-s"),
        figure: over_rounds(&|round| round.figures[last].per_cpu / round.capacity_per_cpu),
        floor: Floor::None,
    });
    let p99 = |index: usize| over_rounds(&|round| round.figures[index].p99);
    rows.push(Row {
        goal: 16,
        what: format!("{what}: p99 of those that were let in at 10 × capacity, against 1 ×"),
        measured: time(p99(last)),
        limit: time(p99(0)),
        figure: over_rounds(&|round| round.figures[last].p99 / round.figures[0].p99),
        floor: Floor::AtMost(2.0),
    });
    Ok(rows)
}

fn figures(outcome: &Outcome, duration: Duration, cpu: Duration) -> anyhow::Result<Figures> {
    ensure!(outcome.failed == 0, "{} calls failed that were neither shed nor late", outcome.failed);
    let each = |count: u64| count as f64 / duration.as_secs_f64();
    Ok(Figures {
        goodput: each(outcome.done.len()),
        per_cpu: outcome.done.len() as f64 / cpu.as_secs_f64(),
        p99: outcome.done.value_at_quantile(0.99) as f64 / 1e9,
        shed: each(outcome.shed),
        late: each(outcome.late),
    })
}
