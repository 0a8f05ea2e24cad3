//! What came out, as it is written to JSON and read again. All else that is told is made from this.

use std::{collections::BTreeMap, path::Path};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    Failure,
    capacity::Capacity,
    check::Fault,
    figures::{Counted, Counts, Inner, Timed},
    objective::{Objective, Verdict},
    scrape::Percentiles,
    server::Sample,
};
use crate::bench::word_error::WordErrors;

/// Of the JSON; another one is not read.
pub const VERSION: u32 = 1;
/// Stretches whose histograms are kept whole, so that the noise between them can be told.
const BLOCKS: usize = 20;

/// One histogram as value in microseconds and how often.
pub type Bars = Vec<(u64, u64)>;

/// Times in milliseconds. There is no mean on purpose: a mean of latencies describes no call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    pub count: u64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub bars: Bars,
}

impl Distribution {
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
            bars: bars(histogram),
        }
    }
}

fn bars(histogram: &Histogram<u64>) -> Bars {
    histogram.iter_recorded().map(|bar| (bar.value_iterated_to(), bar.count_at_value())).collect()
}

/// The value below which a share of what is in the bars lies, in milliseconds.
pub fn quantile(bars: &[(u64, u64)], quantile: f64) -> f64 {
    let wanted = (bars.iter().map(|(_, count)| count).sum::<u64>() as f64 * quantile).ceil().max(1.0) as u64;
    let mut below = 0;
    for (value, count) in bars {
        below += count;
        if below >= wanted {
            return *value as f64 / 1e3;
        }
    }
    0.0
}

/// A stretch of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Window {
    /// From the start of the run.
    pub seconds: f64,
    /// On air, the most in that stretch.
    pub calls: usize,
    pub latency: BTreeMap<Timed, WindowTimes>,
}

/// In milliseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WindowTimes {
    pub count: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// Words against references.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub errors: u64,
    pub words: u64,
}

impl Words {
    pub fn percent(self) -> f64 {
        WordErrors { errors: self.errors, words: self.words }.percent()
    }
}

/// What the server did while it was measured, by its own account and that of its machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Server {
    pub seconds: f64,
    pub cores: Option<f64>,
    pub memory_bytes: Option<u64>,
    /// Counters that rose.
    pub counted: BTreeMap<String, f64>,
    /// Its histograms.
    pub timed: BTreeMap<String, Percentiles>,
}

/// One run under one load.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Run {
    pub label: String,
    /// Planned.
    pub calls: usize,
    /// Of those at once, by the plan.
    pub peak: usize,
    pub seed: u64,
    pub seconds: f64,
    /// From and to, in seconds from the start.
    pub measured: (f64, f64),
    pub interrupted: bool,
    pub latency: BTreeMap<Timed, Distribution>,
    pub windows: Vec<Window>,
    pub blocks: Vec<BTreeMap<Timed, Bars>>,
    pub drift_ms: Option<f64>,
    pub counts: Counts,
    pub faults: BTreeMap<Fault, u64>,
    pub examples: Vec<String>,
    pub refusals: BTreeMap<String, u64>,
    pub drops: BTreeMap<String, u64>,
    pub words: Words,
    pub samples: Vec<Sample>,
    pub load_cores: Option<f64>,
    pub server: Option<Server>,
    pub verdict: Verdict,
}

impl Run {
    /// Takes over what was measured.
    pub fn take(&mut self, inner: &Inner) {
        self.latency = inner.totals.iter().map(|(timed, times)| (*timed, Distribution::of(times))).collect();
        let width = inner.width.as_secs_f64();
        self.windows = inner
            .windows
            .iter()
            .enumerate()
            .map(|(index, times)| self.window(index as f64 * width, width, times))
            .collect();
        let each = inner.windows.len().div_ceil(BLOCKS).max(1);
        let block = |from: usize| {
            let to = (from + each).min(inner.windows.len());
            let merged = |timed: Timed| Some((timed, bars(&inner.merged(timed, from..to)?)));
            Timed::WINDOWED.into_iter().filter_map(merged).collect::<BTreeMap<_, _>>()
        };
        let blocks = (0..inner.windows.len()).step_by(each).map(block);
        self.blocks = blocks.filter(|block| block.values().any(|bars| !bars.is_empty())).collect();
        self.drift_ms = inner.drift_ms();
        self.counts.clone_from(&inner.counts);
        self.faults.clone_from(&inner.faults);
        self.examples.clone_from(&inner.examples);
        self.refusals.clone_from(&inner.refusals);
        self.drops.clone_from(&inner.drops);
        self.words = Words { errors: inner.words.errors, words: inner.words.words };
    }

    fn window(&self, seconds: f64, width: f64, times: &BTreeMap<Timed, Histogram<u64>>) -> Window {
        let within = |sample: &&Sample| (seconds..seconds + width.max(1.5)).contains(&sample.seconds);
        let calls = self.samples.iter().filter(within).map(|sample| sample.calls).max().unwrap_or(0);
        let latency = times.iter().map(|(timed, times)| {
            let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
            (*timed, WindowTimes { count: times.len(), p50: at(0.5), p95: at(0.95), p99: at(0.99) })
        });
        Window { seconds, calls, latency: latency.collect() }
    }

    pub fn count(&self, counted: Counted) -> u64 {
        self.counts.get(&counted).copied().unwrap_or(0)
    }

    /// Frames that sotto-load sent more than a frame late, in percent.
    pub fn late_percent(&self) -> f64 {
        100.0 * self.count(Counted::FramesLate) as f64 / self.count(Counted::Frames).max(1) as f64
    }

    /// Partials that the server says it left out.
    pub fn partials_dropped(&self) -> f64 {
        let counted = |server: &Server| server.counted.get("sotto_partials_dropped_total").copied();
        self.server.as_ref().and_then(counted).unwrap_or(0.0)
    }

    /// sotto-load's own CPU over the server's, in percent.
    pub fn cpu_share_percent(&self) -> Option<f64> {
        let server = self.server.as_ref()?.cores?;
        self.load_cores.filter(|_| server > 0.0).map(|load| 100.0 * load / server)
    }
}

/// What a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Run,
    Capacity,
}

/// The whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    pub kind: Kind,
    pub name: String,
    pub at: String,
    /// Without keys and tokens.
    pub command: String,
    pub target: String,
    pub audio: String,
    pub machine: serde_json::Value,
    pub objective: Objective,
    pub capacity: Option<Capacity>,
    pub runs: Vec<Run>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Report {
    /// # Errors
    /// When the file is not a report of this version.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let file = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        let wrong = |error: &dyn std::fmt::Display| format!("{file} is not a report of sotto-load: {error}");
        let head: Head = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        if head.version != VERSION {
            return Err(format!("{file} has version {}; this sotto-load reads version {VERSION}", head.version).into());
        }
        Ok(serde_json::from_str(&text).map_err(|error| wrong(&error))?)
    }

    /// The run that stands for the whole: of a search the last that passed with the most calls.
    pub fn main_run(&self) -> Option<&Run> {
        let found = self.capacity.as_ref().map(|capacity| capacity.calls);
        let fits = |run: &&Run| found.is_none_or(|calls| run.calls == calls && run.verdict.passed());
        self.runs.iter().rfind(fits).or_else(|| self.runs.last())
    }
}

/// The command line as it was, but for secrets.
pub fn command(arguments: impl Iterator<Item = String>) -> String {
    const SECRET: [&str; 2] = ["--key", "--twilio-token"];
    let mut hide = false;
    let masked = arguments.map(|argument| {
        if std::mem::take(&mut hide) {
            return "…".to_owned();
        }
        let name = argument.split('=').next().unwrap_or_default();
        if !SECRET.contains(&name) {
            return argument;
        }
        if argument.len() > name.len() {
            return format!("{name}=…");
        }
        hide = true;
        argument
    });
    masked.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{figures::Figures, objective::tests::DEFAULT};

    /// A run of a minute whose finals take `milliseconds` and up to a third more.
    pub fn run(calls: usize, milliseconds: u64) -> Run {
        let span = Duration::from_secs(60);
        let figures = Figures::new(span, Duration::ZERO..span, Duration::from_millis(20)).unwrap();
        for index in 0..600_u64 {
            let took = Duration::from_micros(milliseconds * 1000 + (index * 7919 % 100) * milliseconds * 10 / 3);
            figures.time(Timed::Final, Duration::from_millis(index * 100), took);
        }
        figures.count(Counted::CallsStarted, calls as u64);
        let samples = (0..60).map(|second| Sample {
            seconds: f64::from(second),
            calls,
            load_cores: Some(0.01),
            server_cores: Some(0.1 * calls as f64),
            ..Sample::default()
        });
        let mut run = Run { calls, peak: calls, seconds: 60.0, samples: samples.collect(), ..Run::default() };
        run.take(&figures.lock());
        run.verdict = DEFAULT.judge(&run);
        run
    }

    pub fn report(runs: Vec<Run>) -> Report {
        Report {
            version: VERSION,
            kind: Kind::Run,
            name: "a <test>".to_owned(),
            at: "2026-11-25T00:00:00Z".to_owned(),
            command: "sotto-load run".to_owned(),
            target: "ws://127.0.0.1:7300/v1/stream".to_owned(),
            audio: "nothing".to_owned(),
            machine: serde_json::Value::Null,
            objective: DEFAULT,
            capacity: None,
            runs,
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let report = report(vec![run(10, 100)]);
        std::fs::write(&file, serde_json::to_string(&report).unwrap()).unwrap();
        let read = Report::read(file.path()).unwrap();
        assert_eq!(read.runs[0].latency, report.runs[0].latency);
        assert_eq!(read.runs[0].blocks.len(), 20);
        let times = &read.runs[0].latency[&Timed::Final];
        assert!((quantile(&times.bars, 0.95) - times.p95).abs() < 0.2, "{}", times.p95);
        std::fs::write(&file, r#"{"version": 99}"#).unwrap();
        assert!(Report::read(file.path()).unwrap_err().to_string().contains("version 99"));
        std::fs::write(&file, "{}").unwrap();
        assert!(Report::read(file.path()).unwrap_err().to_string().contains("not a report"));
    }

    #[test]
    fn secrets_stay_out_of_reports() {
        let line = "sotto-load run --key sk_1 --twilio-token=x --calls 3";
        assert_eq!(command(line.split(' ').map(str::to_owned)), "sotto-load run --key … --twilio-token=… --calls 3");
    }
}
