//! The page that Prometheus reads: the [text format](https://prometheus.io/docs/instrumenting/exposition_formats/), version
//! 0.0.4.

use std::fmt::Write as _;

use super::{Histogram, Kind, Metric};

/// A page under way. All samples of a family are to be put on it one after the other.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    families: Vec<&'static str>,
}

impl Page {
    /// The `content-type` of the page.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Puts a sample of a counter or gauge on the page. `labels` are the values of the family's labels, in their order.
    pub fn value(&mut self, metric: &'static Metric, labels: &[&str], value: impl Number) {
        self.begin(metric);
        self.sample((metric, ""), labels, None, value.to_f64());
    }

    /// Puts a histogram on the page.
    pub fn histogram(&mut self, metric: &'static Metric, labels: &[&str], histogram: &Histogram) {
        self.begin(metric);
        let snapshot = histogram.snapshot();
        for (upto, count) in &snapshot.upto {
            self.sample((metric, "_bucket"), labels, Some(&upto.to_string()), count.to_f64());
        }
        self.sample((metric, "_bucket"), labels, Some("+Inf"), snapshot.count.to_f64());
        self.sample((metric, "_sum"), labels, None, snapshot.sum);
        self.sample((metric, "_count"), labels, None, snapshot.count.to_f64());
    }

    /// The page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn begin(&mut self, metric: &'static Metric) {
        if self.families.last() == Some(&metric.name) {
            return;
        }
        debug_assert!(!self.families.contains(&metric.name), "{} is in two places", metric.name);
        self.families.push(metric.name);
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {} {}\n# TYPE {} {kind}", metric.name, metric.help, metric.name);
    }

    fn sample(&mut self, (metric, suffix): (&Metric, &str), labels: &[&str], upto: Option<&str>, value: f64) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        self.text.push_str(metric.name);
        self.text.push_str(suffix);
        let named = metric.labels.iter().copied().zip(labels.iter().copied()).chain(upto.map(|upto| ("le", upto)));
        for (index, (name, value)) in named.enumerate() {
            let _ = write!(self.text, "{}{name}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(value));
        }
        if !metric.labels.is_empty() || upto.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// What can be a sample.
pub trait Number {
    /// As Prometheus has it.
    fn to_f64(&self) -> f64;
}

impl Number for u64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers than doubles")]
    fn to_f64(&self) -> f64 {
        *self as f64
    }
}

impl Number for usize {
    fn to_f64(&self) -> f64 {
        (*self as u64).to_f64()
    }
}

impl Number for bool {
    fn to_f64(&self) -> f64 {
        f64::from(u8::from(*self))
    }
}

impl Number for f64 {
    fn to_f64(&self) -> f64 {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::COUNTS;

    static PLAIN: Metric = Metric { name: "plain", kind: Kind::Gauge, labels: &[], help: "Plain." };
    static NAMED: Metric = Metric { name: "named_total", kind: Kind::Counter, labels: &["a", "b"], help: "Named." };
    static SIZES: Metric = Metric { name: "sizes", kind: Kind::Histogram, labels: &["a"], help: "Sizes." };

    #[test]
    fn the_format_is_prometheus_own() {
        let mut page = Page::default();
        page.value(&PLAIN, &[], 1.5);
        page.value(&NAMED, &["x", "y"], 7_u64);
        page.value(&NAMED, &["say \"hi\"", "back\\slash\nline"], 1_u64);
        let sizes = Histogram::new(&COUNTS);
        sizes.record(3);
        page.histogram(&SIZES, &["x"], &sizes);
        let text = page.into_text();
        let (start, rest) = text.split_at(text.find("sizes_bucket").unwrap());
        assert_eq!(
            start,
            "# HELP plain Plain.\n# TYPE plain gauge\nplain 1.5\n\
             # HELP named_total Named.\n# TYPE named_total counter\nnamed_total{a=\"x\",b=\"y\"} 7\n\
             named_total{a=\"say \\\"hi\\\"\",b=\"back\\\\slash\\nline\"} 1\n\
             # HELP sizes Sizes.\n# TYPE sizes histogram\n"
        );
        assert!(rest.starts_with("sizes_bucket{a=\"x\",le=\"1\"} 0\nsizes_bucket{a=\"x\",le=\"2\"} 0\n"));
        assert!(rest.ends_with("sizes_bucket{a=\"x\",le=\"+Inf\"} 1\nsizes_sum{a=\"x\"} 3\nsizes_count{a=\"x\"} 1\n"));
    }
}
