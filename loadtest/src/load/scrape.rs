//! The server's own metrics (Prometheus text format): counters as differences, histograms as percentiles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One look at the metrics: values by name and labels, as they are written.
#[derive(Debug, Clone, Default)]
pub struct Scrape(BTreeMap<String, f64>);

/// Percentiles of one of the server's histograms, in its own unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Scrape {
    /// Lines that are not a number are left out.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            lines
                .filter_map(|line| line.rsplit_once(' '))
                .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// What counters rose by since `before`; those that did not are left out.
    pub fn counted_since(&self, before: &Self) -> BTreeMap<String, f64> {
        let counters =
            self.0.iter().filter(|(name, _)| name.split('{').next().is_some_and(|name| name.ends_with("_total")));
        counters
            .map(|(name, value)| (name.clone(), value - before.get(name).unwrap_or(0.0)))
            .filter(|(_, by)| *by > 0.0)
            .collect()
    }

    /// The sum of what the counters of a family rose by, over all labels.
    pub fn rise(&self, before: &Self, family: &str) -> f64 {
        let of = |name: &str| name.split('{').next() == Some(family);
        self.0.iter().filter(|(name, _)| of(name)).map(|(name, value)| value - before.get(name).unwrap_or(0.0)).sum()
    }

    /// Percentiles of all histograms that grew since `before`, by name and labels.
    pub fn timed_since(&self, before: &Self) -> BTreeMap<String, Percentiles> {
        let mut families: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (name, value) in &self.0 {
            if let Some((family, bound)) = bucket(name) {
                let by = value - before.get(name).unwrap_or(0.0);
                families.entry(family).or_default().push((bound, by));
            }
        }
        families.into_iter().filter_map(|(family, buckets)| Some((family, percentiles(buckets)?))).collect()
    }
}

/// `a_bucket{x="y",le="0.5"}` belongs to `a{x="y"}`, bound 0.5.
fn bucket(name: &str) -> Option<(String, f64)> {
    let (family, labels) = name.strip_suffix('}')?.split_once("_bucket{")?;
    let (mut bound, mut others) = (None, Vec::new());
    for label in labels.split(',') {
        match label.strip_prefix("le=\"") {
            Some(text) => bound = text.trim_end_matches('"').replace("+Inf", "inf").parse().ok(),
            None => others.push(label),
        }
    }
    let others = if others.is_empty() { String::new() } else { format!("{{{}}}", others.join(",")) };
    Some((format!("{family}{others}"), bound?))
}

/// From cumulative buckets, evenly within one, as Prometheus does.
fn percentiles(mut buckets: Vec<(f64, f64)>) -> Option<Percentiles> {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = buckets.last()?.1;
    if count <= 0.0 {
        return None;
    }
    let at = |quantile: f64| {
        let wanted = quantile * count;
        let (mut from, mut below) = (0.0, 0.0);
        for &(bound, cumulative) in &buckets {
            if cumulative >= wanted {
                let share = (wanted - below) / (cumulative - below).max(f64::MIN_POSITIVE);
                // what lies above the last bound is only known to be that much
                return if bound.is_finite() { from + (bound - from) * share } else { from };
            }
            (from, below) = (bound, cumulative);
        }
        from
    };
    Some(Percentiles { count: count as u64, p50: at(0.5), p95: at(0.95), p99: at(0.99) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_rise_and_histograms_have_percentiles() {
        let before = Scrape::parse(
            "# HELP x\na_total{b=\"c\"} 3\nh_bucket{w=\"f\",le=\"0.1\"} 5\nh_bucket{w=\"f\",le=\"0.2\"} 5\nh_bucket{w=\"f\",le=\"+Inf\"} 5\n",
        );
        let after = Scrape::parse(
            "a_total{b=\"c\"} 5\na_total{b=\"d\"} 1\ng 7\nh_bucket{w=\"f\",le=\"0.1\"} 5\nh_bucket{w=\"f\",le=\"0.2\"} 105\nh_bucket{w=\"f\",le=\"+Inf\"} 105\n",
        );
        assert_eq!(after.rise(&before, "a_total"), 3.0);
        assert_eq!(after.counted_since(&before).len(), 2);
        let timed = &after.timed_since(&before)["h{w=\"f\"}"];
        assert_eq!(timed.count, 100);
        assert!((timed.p50 - 0.15).abs() < 1e-9 && (timed.p95 - 0.195).abs() < 1e-9, "{timed:?}");
    }
}
