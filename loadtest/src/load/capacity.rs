//! The search for the largest number of calls that keeps the objective: doubling, then halving what is left between a
//! number that does and one that does not, then both once more. One run may be lucky or unlucky, so the number that is
//! told has kept the objective in most of its runs, and the next one tried has not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::objective::Broken;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// The largest number of calls that keeps the objective; 0 when not even the smallest does.
    pub calls: usize,
    /// Runs with that number, and how many of them kept it.
    pub runs: usize,
    pub passed: usize,
    /// The smallest number that does not; `None` when the search ended before one was found.
    pub failing: Option<usize>,
    /// What was exceeded there, the worst first: the limit that comes first as calls become more.
    pub first_limit: Vec<Broken>,
    /// Faults there.
    pub faults: u64,
    /// Why the search could not go on.
    pub ended_early: Option<String>,
}

/// How to search.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    pub from: usize,
    pub most: usize,
    /// Numbers closer than so many percent are not told apart.
    pub resolution_percent: f64,
    /// Further runs of the number that is told.
    pub confirm: usize,
}

/// A number of calls and how often it kept the objective.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    passed: usize,
    failed: usize,
}

impl Level {
    const fn runs(self) -> usize {
        self.passed + self.failed
    }

    const fn keeps(self) -> bool {
        self.passed > self.failed
    }

    /// As often kept as not: one more run decides.
    const fn is_tied(self) -> bool {
        self.passed == self.failed
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Try(usize),
    Done,
}

/// A search under way.
#[derive(Debug)]
pub struct Progress {
    search: Search,
    levels: BTreeMap<usize, Level>,
}

impl Progress {
    pub fn new(search: Search) -> Self {
        Self { search, levels: BTreeMap::new() }
    }

    pub fn record(&mut self, calls: usize, passed: bool) {
        let level = self.levels.entry(calls).or_default();
        if passed {
            level.passed += 1;
        } else {
            level.failed += 1;
        }
    }

    /// The smallest number that does not keep the objective.
    pub fn high(&self) -> Option<usize> {
        self.levels.iter().find(|(_, level)| !level.keeps()).map(|(calls, _)| *calls)
    }

    /// The largest below it that does; 0 when none does.
    pub fn low(&self) -> usize {
        let high = self.high().unwrap_or(usize::MAX);
        self.levels.range(..high).next_back().map_or(0, |(calls, _)| *calls)
    }

    fn runs(&self, calls: usize) -> usize {
        self.levels.get(&calls).map_or(0, |level| level.runs())
    }

    /// Ends: each number is run a limited number of times, and there are as many numbers as the resolution allows.
    pub fn next(&self) -> Next {
        let (low, high) = (self.low(), self.high());
        if let Some(high) = high.filter(|high| self.levels.get(high).is_some_and(|level| level.is_tied())) {
            return Next::Try(high);
        }
        let wanted = 1 + self.search.confirm;
        match high {
            None if low == 0 => return Next::Try(self.search.from.min(self.search.most)),
            None if low < self.search.most => return Next::Try((2 * low).min(self.search.most)),
            None => {}
            Some(high) => {
                let apart = ((high as f64 * self.search.resolution_percent / 100.0) as usize).max(1);
                if high - low > apart {
                    return Next::Try(low + (high - low) / 2);
                }
            }
        }
        if low > 0 && self.runs(low) < wanted {
            return Next::Try(low);
        }
        match high {
            // one unlucky run must not decide
            Some(high) if self.runs(high) < wanted.min(2) => Next::Try(high),
            _ => Next::Done,
        }
    }

    pub fn found(&self) -> Capacity {
        let calls = self.low();
        let level = self.levels.get(&calls).copied().unwrap_or_default();
        Capacity { calls, runs: level.runs(), passed: level.passed, failing: self.high(), ..Capacity::default() }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    use super::*;

    const SEARCH: Search = Search { from: 4, most: 10_000, resolution_percent: 2.0, confirm: 2 };

    /// Runs a search against a server made up by a function; gives what was found and how many runs it took.
    fn search(search: Search, mut keeps: impl FnMut(usize) -> bool) -> (Capacity, usize) {
        let mut progress = Progress::new(search);
        for runs in 0..200 {
            match progress.next() {
                Next::Try(calls) => {
                    let passed = keeps(calls);
                    progress.record(calls, passed);
                }
                Next::Done => return (progress.found(), runs),
            }
        }
        panic!("the search never ends");
    }

    #[test]
    fn finds_the_edge_of_a_sharp_server() {
        for edge in [1, 3, 4, 5, 37, 500, 2_000] {
            let (found, runs) = search(SEARCH, |calls| calls <= edge);
            let off = edge as f64 - found.calls as f64;
            assert!((0.0..=(edge as f64 * 0.021).max(0.0)).contains(&off), "{edge}: {found:?}");
            assert!(found.failing.is_some_and(|failing| failing > edge) && runs < 25, "{edge}: {found:?}, {runs} runs");
            assert_eq!((found.runs, found.passed), (3, 3));
        }
    }

    #[test]
    fn a_server_that_is_never_good_enough_or_always() {
        let (found, _) = search(SEARCH, |_| false);
        assert_eq!((found.calls, found.failing), (0, Some(1)));
        let (found, _) = search(Search { most: 100, ..SEARCH }, |_| true);
        assert_eq!((found.calls, found.failing, found.runs), (100, None, 3));
    }

    #[test]
    fn a_noisy_server_is_found_within_its_noise() {
        // latency as of a queue, with noise of a tenth: the objective of 500 ms is at 80 % of 100 calls
        let mut rng = Pcg64Mcg::seed_from_u64(5);
        for _ in 0..50 {
            let latency = |calls: usize, noise: f64| 100.0 / (1.0 - (calls as f64 / 100.0).min(0.999)) * noise;
            let (found, runs) = search(SEARCH, |calls| latency(calls, rng.random_range(0.9..1.1)) <= 500.0);
            assert!((75..=84).contains(&found.calls) && runs < 40, "{found:?}, {runs} runs");
            assert!(2 * found.passed > found.runs);
        }
    }
}
