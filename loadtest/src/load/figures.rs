//! The times of a run: histograms of each kind, and of each stretch of the run, so that drift and noise can be seen.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Failure, check::Fault};
use crate::bench::word_error::WordErrors;

/// Stretches that a run is divided into, at most; each is at least a second.
const WINDOWS: u32 = 240;
/// Examples that are kept of faults.
const EXAMPLES: usize = 20;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timed {
    /// From the audio that shows the end of an utterance being due, to its final.
    Final,
    /// From the last voiced sound of an utterance to its final.
    FinalAfterSpeech,
    /// From the end of a word to its first being shown, in a partial or the final, where it stands in the final.
    Word,
    /// From the last audio that a partial has heard being due, to the partial.
    Partial,
    /// Between two partials of one utterance.
    PartialGap,
    /// From a call being due to the server being ready for it.
    Setup,
    /// From the stop being due to the end of the call, last finals and their storing included.
    Ending,
    /// Finals whose audio was due while the call was broken off, from when the server was ready again.
    FinalAfterResume,
    /// How late audio was sent because of sotto-load itself.
    Lateness,
    /// How late audio was sent because the server did not take it.
    Held,
}

impl Timed {
    pub const ALL: [Self; 10] = [
        Self::Final,
        Self::FinalAfterSpeech,
        Self::Word,
        Self::Partial,
        Self::PartialGap,
        Self::Setup,
        Self::Ending,
        Self::FinalAfterResume,
        Self::Lateness,
        Self::Held,
    ];
    /// Those that are also kept for each window.
    pub const WINDOWED: [Self; 3] = [Self::Final, Self::Partial, Self::PartialGap];

    /// What it is called in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::FinalAfterSpeech => "final after speech",
            Self::Word => "word shown",
            Self::Partial => "partial",
            Self::PartialGap => "gap between partials",
            Self::Setup => "setup",
            Self::Ending => "ending",
            Self::FinalAfterResume => "final after a resume",
            Self::Lateness => "lateness of sotto-load",
            Self::Held => "held up by the server",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    CallsStarted,
    CallsCompleted,
    CallsRefused,
    /// The server could not be reached.
    CallsFailed,
    /// Sockets that broke without us breaking them.
    SocketsDropped,
    /// Sockets that sotto-load broke on purpose.
    SocketsBroken,
    Resumes,
    SlowReaders,
    Finals,
    /// So long, with so little silence after them, that the wire does not tell whether they were cut; not in the latency
    /// of finals.
    FinalsUntimed,
    Partials,
    PartialsDegraded,
    /// Frames of audio sent.
    Frames,
    /// Of those, later than one frame because of sotto-load itself.
    FramesLate,
    /// Calls from Twilio that nobody followed, so that nothing of them was checked.
    Unfollowed,
}

impl Counted {
    /// What it is called in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallsStarted => "calls begun",
            Self::CallsCompleted => "calls completed",
            Self::CallsRefused => "calls refused",
            Self::CallsFailed => "calls that did not reach the server",
            Self::SocketsDropped => "sockets dropped",
            Self::SocketsBroken => "sockets broken on purpose",
            Self::Resumes => "calls resumed",
            Self::SlowReaders => "slow readers",
            Self::Finals => "finals",
            Self::FinalsUntimed => "finals that may have been cut, not timed",
            Self::Partials => "partials",
            Self::PartialsDegraded => "partials degraded",
            Self::Frames => "frames sent",
            Self::FramesLate => "frames sent late by sotto-load itself",
            Self::Unfollowed => "calls of Twilio that nobody followed",
        }
    }
}

/// The counters, by name.
pub type Counts = BTreeMap<Counted, u64>;

/// Audio that was sent in one go.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Whose fault it is if it was late.
    pub timed: Timed,
    /// When its first frame was due, from the start of the run.
    pub due: Duration,
    pub late: Duration,
    pub frames: u64,
}

/// All that is kept of a run while it goes on.
pub struct Figures {
    inner: Mutex<Inner>,
    /// A frame that is later than its own length has missed its time.
    frame: Duration,
}

/// See [`Figures`].
pub struct Inner {
    /// Only what was due within is timed.
    measured: Range<Duration>,
    pub width: Duration,
    pub totals: BTreeMap<Timed, Histogram<u64>>,
    pub windows: Vec<BTreeMap<Timed, Histogram<u64>>>,
    pub counts: Counts,
    pub faults: BTreeMap<Fault, u64>,
    pub examples: Vec<String>,
    /// Why calls were refused, by the server's codes.
    pub refusals: BTreeMap<String, u64>,
    /// Why sockets were dropped.
    pub drops: BTreeMap<String, u64>,
    pub words: WordErrors,
}

/// Microseconds, two or three digits.
fn histogram(digits: u8) -> Result<Histogram<u64>, Failure> {
    let mut histogram = Histogram::new(digits)?;
    histogram.auto(true);
    Ok(histogram)
}

impl Figures {
    /// For a run of `span`, of which only `measured` is timed.
    ///
    /// # Errors
    /// Never, with the precision used.
    pub fn new(span: Duration, measured: Range<Duration>, frame: Duration) -> Result<Self, Failure> {
        let width = (span / WINDOWS).max(Duration::from_secs(1));
        let totals: Result<BTreeMap<_, _>, Failure> =
            Timed::ALL.into_iter().map(|timed| Ok((timed, histogram(3)?))).collect();
        let inner = Inner {
            measured,
            width,
            totals: totals?,
            windows: Vec::new(),
            counts: Counts::new(),
            faults: BTreeMap::new(),
            examples: Vec::new(),
            refusals: BTreeMap::new(),
            drops: BTreeMap::new(),
            words: WordErrors::default(),
        };
        Ok(Self { inner: Mutex::new(inner), frame })
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `at`: when the thing was due, from the start of the run.
    pub fn time(&self, timed: Timed, at: Duration, took: Duration) {
        self.lock().time(timed, at, took);
    }

    pub fn count(&self, counted: Counted, by: u64) {
        self.lock().count(counted, by);
    }

    pub fn refused(&self, why: &str) {
        let mut inner = self.lock();
        inner.count(Counted::CallsRefused, 1);
        *inner.refusals.entry(why.to_owned()).or_default() += 1;
    }

    pub fn dropped(&self, why: &str) {
        let mut inner = self.lock();
        inner.count(Counted::SocketsDropped, 1);
        *inner.drops.entry(why.to_owned()).or_default() += 1;
    }

    /// Audio that was sent. It is told in lots, so that calls do not wait for each other; `all` tells what is left.
    pub fn sent(&self, lot: &mut Vec<Sent>, all: bool) {
        const LOT: usize = 64;
        if lot.len() < LOT && !all {
            return;
        }
        let mut inner = self.lock();
        for sent in lot.drain(..) {
            if inner.measured.contains(&sent.due) {
                let late = sent.timed == Timed::Lateness && sent.late > self.frame;
                inner.count(Counted::Frames, sent.frames);
                inner.count(Counted::FramesLate, if late { sent.frames } else { 0 });
            }
            inner.time(sent.timed, sent.due, sent.late);
        }
    }

    pub fn faults(&self, call: &str, faults: &[(Fault, String)]) {
        let mut inner = self.lock();
        for (fault, what) in faults {
            *inner.faults.entry(*fault).or_default() += 1;
            if inner.examples.len() < EXAMPLES {
                inner.examples.push(format!("{call}: {}: {what}", fault.name()));
            }
        }
    }
}

impl Inner {
    pub fn count(&mut self, counted: Counted, by: u64) {
        *self.counts.entry(counted).or_default() += by;
    }

    pub fn time(&mut self, timed: Timed, at: Duration, took: Duration) {
        if !self.measured.contains(&at) {
            return;
        }
        // 0 has no place in a histogram that counts from 1
        let micros = took.as_micros().clamp(1, u128::from(u32::MAX)) as u64;
        if let Some(histogram) = self.totals.get_mut(&timed) {
            // it grows as needed, so there is room for every value
            _ = histogram.record(micros);
        }
        if !Timed::WINDOWED.contains(&timed) {
            return;
        }
        // what comes after the end belongs to the last window
        let index = ((at.as_nanos() / self.width.as_nanos()) as usize).min(2 * WINDOWS as usize);
        if self.windows.len() <= index {
            self.windows.resize_with(index + 1, BTreeMap::new);
        }
        let window = &mut self.windows[index];
        if !window.contains_key(&timed)
            && let Ok(histogram) = histogram(2)
        {
            window.insert(timed, histogram);
        }
        if let Some(histogram) = window.get_mut(&timed) {
            _ = histogram.record(micros);
        }
    }

    /// Windows merged.
    pub fn merged(&self, timed: Timed, windows: Range<usize>) -> Option<Histogram<u64>> {
        let mut all = histogram(2).ok()?;
        for window in self.windows.get(windows)? {
            if let Some(histogram) = window.get(&timed) {
                all.add(histogram).ok()?;
            }
        }
        Some(all)
    }

    /// How much the median rose from the first third of what was measured to the last, in milliseconds. Partials have
    /// it when there are enough, else finals; `None` when neither has.
    pub fn drift_ms(&self) -> Option<f64> {
        const ENOUGH: u64 = 30;
        let from = self.windows.iter().position(|window| !window.is_empty())?;
        let third = (self.windows.len() - from) / 3;
        if third == 0 {
            return None;
        }
        let last = self.windows.len();
        [Timed::Partial, Timed::Final].into_iter().find_map(|timed| {
            let first = self.merged(timed, from..from + third)?;
            let end = self.merged(timed, last - third..last)?;
            let median = |histogram: &Histogram<u64>| histogram.value_at_quantile(0.5) as f64 / 1e3;
            (first.len() >= ENOUGH && end.len() >= ENOUGH).then(|| median(&end) - median(&first))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_what_was_due_in_the_measured_time_is_timed() {
        let figures = Figures::new(seconds(60), seconds(10)..seconds(60), FRAME).unwrap();
        for at in [5, 9, 10, 59, 60] {
            figures.time(Timed::Final, seconds(at), Duration::from_millis(at));
        }
        let inner = figures.lock();
        assert_eq!(inner.totals[&Timed::Final].len(), 2);
        assert_eq!(inner.windows[59][&Timed::Final].len(), 1);
    }

    #[test]
    fn frames_that_missed_their_time_are_counted_when_it_was_our_fault() {
        let figures = Figures::new(seconds(60), seconds(0)..seconds(60), FRAME).unwrap();
        let sent = |timed, late| Sent { timed, due: seconds(1), late: Duration::from_millis(late), frames: 1 };
        let mut lot = vec![sent(Timed::Lateness, 3), sent(Timed::Lateness, 21), sent(Timed::Held, 900)];
        figures.sent(&mut lot, false);
        assert_eq!(lot.len(), 3);
        figures.sent(&mut lot, true);
        let inner = figures.lock();
        assert_eq!((inner.counts[&Counted::Frames], inner.counts[&Counted::FramesLate]), (3, 1));
    }

    #[test]
    fn drift_is_the_rise_of_the_median() {
        let figures = Figures::new(seconds(90), seconds(0)..seconds(90), FRAME).unwrap();
        assert_eq!(figures.lock().drift_ms(), None);
        for at in 0..90 {
            for _ in 0..3 {
                figures.time(Timed::Partial, seconds(at), Duration::from_millis(50 + 2 * at));
            }
        }
        let drift = figures.lock().drift_ms().unwrap();
        assert!((drift - 120.0).abs() < 4.0, "{drift}");
    }
}
