//! What the service tells of itself in numbers, for Prometheus.
//!
//! Each part counts what it does in [`Counter`]s and [`Histogram`]s of its own, and puts them on a [`Page`] when it is
//! asked to. [`names`] has every family that there is; `docs/metrics.md` is made from it, and a test holds it against
//! what a server exports. Labels come from fixed sets, so their number is bounded: never an id, an address or a text
//! from outside.

mod counter;
mod histogram;
pub mod names;
mod page;
pub mod process;
mod reference;

pub use counter::Counter;
pub use histogram::{COUNTS, Histogram, LATENCIES};
pub use names::{Kind, Metric};
pub use page::Page;
pub use reference::reference;
