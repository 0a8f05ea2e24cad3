//! Two reports: what differs, and whether it is more than noise.
//!
//! Events of one moment are alike, so the noise is not that of single events: the run is cut into stretches of time,
//! and percentiles are taken again and again from as many stretches drawn at random (a bootstrap over blocks). What
//! that gives is the noise within a run. That between runs, machines and days it cannot know: repeat runs to see it.

use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{
    figures::Timed,
    report::{Bars, Report, Run, quantile},
};

/// How often blocks are drawn.
const DRAWS: usize = 400;
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// One figure of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub figure: String,
    pub unit: &'static str,
    pub a: f64,
    pub b: f64,
    /// Half of the 95 % interval of the difference; `None` when it cannot be told.
    pub noise: Option<f64>,
    /// More of it is worse.
    pub more_is_worse: bool,
}

impl Difference {
    pub fn by(&self) -> f64 {
        self.b - self.a
    }

    /// Whether the difference is more than noise, as far as that is known.
    pub fn beyond_noise(&self) -> bool {
        self.noise.is_some_and(|noise| self.by().abs() > noise)
    }

    /// B is worse than A beyond noise, and by more than `tolerance` percent.
    pub fn worse(&self, tolerance: f64) -> bool {
        let by = if self.more_is_worse { self.by() } else { -self.by() };
        self.beyond_noise() && by > self.a.abs() * tolerance / 100.0
    }
}

/// All that can be compared.
pub fn compare(a: &Report, b: &Report) -> Vec<Difference> {
    let mut differences = Vec::new();
    if let (Some(a), Some(b)) = (&a.capacity, &b.capacity) {
        // the numbers that keep it and those that do not bound what a search can tell
        let apart = |calls: usize, failing: Option<usize>| failing.map(|failing| failing.saturating_sub(calls) as f64);
        let noise = apart(a.calls, a.failing).zip(apart(b.calls, b.failing)).map(|(a, b)| a + b);
        differences.push(Difference {
            figure: "capacity".to_owned(),
            unit: "calls",
            a: a.calls as f64,
            b: b.calls as f64,
            noise,
            more_is_worse: false,
        });
    }
    let (Some(a), Some(b)) = (a.main_run(), b.main_run()) else { return differences };
    for timed in Timed::WINDOWED {
        for (name, share) in QUANTILES {
            differences.extend(latency(a, b, timed, name, share));
        }
    }
    let mut plain = |figure: &str, unit: &'static str, a: Option<f64>, b: Option<f64>, noise: Option<f64>| {
        if let (Some(a), Some(b)) = (a, b) {
            differences.push(Difference { figure: figure.to_owned(), unit, a, b, noise, more_is_worse: true });
        }
    };
    let cores = |run: &Run| run.server.as_ref().and_then(|server| server.cores);
    plain("server CPU", "cores", cores(a), cores(b), core_noise(a, b));
    let memory = |run: &Run| Some(run.server.as_ref()?.memory_bytes? as f64 / 1e6);
    plain("server memory", "MB", memory(a), memory(b), None);
    let words = |run: &Run| (run.words.words > 0).then(|| run.words.percent());
    plain("word errors", "%", words(a), words(b), word_noise(a, b));
    plain("faults", "", Some(a.verdict.faults as f64), Some(b.verdict.faults as f64), Some(0.0));
    differences
}

fn latency(a: &Run, b: &Run, timed: Timed, name: &str, share: f64) -> Option<Difference> {
    let blocks = |run: &Run| {
        let blocks: Vec<Bars> = run.blocks.iter().filter_map(|block| block.get(&timed).cloned()).collect();
        (!blocks.iter().all(Vec::is_empty)).then_some(blocks)
    };
    let (in_a, in_b) = (blocks(a)?, blocks(b)?);
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let mut drawn: Vec<f64> =
        (0..DRAWS).map(|_| quantile(&draw(&in_b, &mut rng), share) - quantile(&draw(&in_a, &mut rng), share)).collect();
    drawn.sort_by(f64::total_cmp);
    let noise = (drawn[DRAWS * 39 / 40] - drawn[DRAWS / 40]) / 2.0;
    Some(Difference {
        figure: format!("{} {name}", timed.name()),
        unit: "ms",
        a: quantile(&merged(in_a.iter()), share),
        b: quantile(&merged(in_b.iter()), share),
        // few stretches know little of their noise
        noise: (in_a.len() >= 5 && in_b.len() >= 5).then_some(noise),
        more_is_worse: true,
    })
}

fn draw(blocks: &[Bars], rng: &mut Pcg64Mcg) -> Bars {
    merged((0..blocks.len()).map(|_| &blocks[rng.random_range(0..blocks.len())]))
}

fn merged<'a>(blocks: impl Iterator<Item = &'a Bars>) -> Bars {
    let mut all: Bars = blocks.flatten().copied().collect();
    all.sort_unstable();
    all
}

/// Twice the standard error of the difference, from the samples of each second.
fn core_noise(a: &Run, b: &Run) -> Option<f64> {
    let squared = |run: &Run| {
        let within = |seconds: f64| (run.measured.0..=run.measured.1).contains(&seconds);
        let cores: Vec<f64> = run
            .samples
            .iter()
            .filter(|sample| within(sample.seconds))
            .filter_map(|sample| sample.server_cores)
            .collect();
        let count = cores.len() as f64;
        let mean = cores.iter().sum::<f64>() / count;
        (cores.len() >= 10).then(|| cores.iter().map(|core| (core - mean).powi(2)).sum::<f64>() / (count - 1.0) / count)
    };
    Some(2.0 * (squared(a)? + squared(b)?).sqrt())
}

/// As if each word were right or wrong by itself, which is too hopeful by some.
fn word_noise(a: &Run, b: &Run) -> Option<f64> {
    let squared = |run: &Run| {
        let share = run.words.percent() / 100.0;
        share * (1.0 - share).max(0.0) / run.words.words.max(1) as f64
    };
    Some(200.0 * (squared(a) + squared(b)).sqrt())
}

/// As a table.
pub fn table(differences: &[Difference], tolerance: f64) -> String {
    let mut out = format!("{:<28} {:>12} {:>12} {:>12} {:>12}\n", "", "A", "B", "B - A", "noise");
    for difference in differences {
        let digits = if difference.unit == "ms" || difference.unit == "calls" { 0 } else { 2 };
        let noise = difference.noise.map_or_else(|| "unknown".to_owned(), |noise| format!("± {noise:.digits$}"));
        let word = match (difference.beyond_noise(), difference.worse(tolerance)) {
            (_, true) => "worse",
            (true, _) => "differs",
            _ if difference.noise.is_none() => "",
            _ => "within noise",
        };
        let figure = format!("{} {}", difference.figure, difference.unit);
        let (a, b, by) = (difference.a, difference.b, difference.by());
        // writing into a string cannot fail
        _ = writeln!(out, "{figure:<28} {a:>12.digits$} {b:>12.digits$} {by:>+12.digits$} {noise:>12}  {word}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::tests::{report, run};

    fn final_p95(differences: &[Difference]) -> &Difference {
        differences.iter().find(|difference| difference.figure == "final p95").unwrap()
    }

    #[test]
    fn the_same_twice_is_within_noise() {
        let (a, b) = (report(vec![run(10, 100)]), report(vec![run(10, 101)]));
        let differences = compare(&a, &b);
        assert!(!differences.iter().any(|difference| difference.worse(2.0)), "{}", table(&differences, 2.0));
        assert!(final_p95(&differences).noise.is_some_and(|noise| noise > 0.0 && noise < 10.0));
    }

    #[test]
    fn slower_is_worse_and_faster_is_not() {
        let (a, b) = (report(vec![run(10, 100)]), report(vec![run(10, 130)]));
        assert!(final_p95(&compare(&a, &b)).worse(5.0));
        assert!(!final_p95(&compare(&a, &b)).worse(50.0));
        let faster = compare(&b, &a);
        assert!(final_p95(&faster).beyond_noise() && !final_p95(&faster).worse(0.0));
        assert!(table(&faster, 0.0).contains("differs"));
    }
}
