//! Whether there is room for one more live call: from what a call has cost lately, since what comes in a burst shows in how
//! busy the threads are only when it is too late.

use std::time::Duration;

/// How long a share of busy time is measured.
const SPAN: Duration = Duration::from_secs(1);
/// What calls took this many of their seconds ago still counts for a third: a minute of 16 calls. What is said differs much
/// from one second to the next, and the first ones of a call are silent.
const MEMORY: f64 = 1000.0;
/// Above this share of busy time finals wait for each other.
const FULL: f64 = 0.65;
/// Seconds of a thread's time that a second of a call is expected to take before there were any: half of it for finals, and
/// half for a partial a second.
const EXPECTED: f64 = 0.05;

/// Time that threads were busy with live calls.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Busy {
    /// With what finals wait for.
    pub exact: Duration,
    /// With what is only shown.
    pub shown: Duration,
}

/// What a live call costs, in seconds of a thread's time a second.
#[derive(Debug)]
pub struct Load {
    exact: f64,
    /// With a partial a second.
    shown: f64,
    /// Calls that are live, since when, and seconds of calls in the present measurement before that.
    live: usize,
    at: Duration,
    taken: f64,
    /// When the present measurement began, and busy time before it.
    since: Duration,
    before: Busy,
}

impl Default for Load {
    fn default() -> Self {
        let half = EXPECTED / 2.0;
        let none = Duration::ZERO;
        Self { exact: half, shown: half, live: 0, at: none, taken: 0.0, since: none, before: Busy::default() }
    }
}

impl Load {
    /// One call more, or one less, is live.
    pub fn count(&mut self, now: Duration, begins: bool) {
        self.pass(now);
        self.live = if begins { self.live + 1 } else { self.live.saturating_sub(1) };
    }

    fn pass(&mut self, now: Duration) {
        self.taken += self.live as f64 * now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
    }

    /// Takes note of the busy time of all threads so far, and of the seconds between two partials. True when that ended a
    /// measurement, so that there may be more room, or less.
    pub fn observe(&mut self, now: Duration, busy: Busy, interval: f64) -> bool {
        if now.saturating_sub(self.since) < SPAN {
            return false;
        }
        self.pass(now);
        let taken = std::mem::take(&mut self.taken);
        if taken > 0.0 {
            let new = 1.0 - (-taken / MEMORY).exp();
            let cost = |busy: Duration, before: Duration| busy.saturating_sub(before).as_secs_f64() / taken;
            self.exact += new * (cost(busy.exact, self.before.exact) - self.exact);
            self.shown += new * (cost(busy.shown, self.before.shown) * interval - self.shown);
        }
        (self.since, self.before) = (now, busy);
        true
    }

    /// How many calls `threads` have time for when partials come every `slowest` seconds: one at least, since without any
    /// nothing would be learned of what they cost.
    pub fn room(&self, threads: usize, slowest: f64) -> usize {
        ((FULL * threads as f64 / (self.exact + self.shown / slowest)) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `calls` that each take these seconds of a thread a second, with so many seconds between two partials.
    fn load(calls: usize, (exact, shown): (f64, f64), interval: f64, seconds: u32) -> Load {
        let mut load = Load::default();
        (0..calls).for_each(|_| load.count(Duration::ZERO, true));
        let of = |share: f64, second: u32| SPAN.mul_f64(share * calls as f64 * f64::from(second));
        for second in 1..=seconds {
            load.observe(SPAN * second, Busy { exact: of(exact, second), shown: of(shown, second) }, interval);
        }
        load
    }

    #[test]
    fn before_there_are_calls_some_are_expected_to_fit() {
        assert_eq!(Load::default().room(2, 1.0), 26);
    }

    #[test]
    fn there_is_room_for_what_fits_once_partials_are_stretched() {
        // 2 threads, 65 % of their time: with a partial a second a call takes 0.05, with one every 2 seconds 0.04
        let calls = load(20, (0.03, 0.04), 0.5, 200);
        assert!(calls.room(2, 1.0).abs_diff(26) <= 1, "{}", calls.room(2, 1.0));
        assert!(calls.room(2, 2.0).abs_diff(32) <= 1, "{}", calls.room(2, 2.0));
        // stretched already, they take less and say the same
        let stretched = load(20, (0.03, 0.02), 1.0, 200);
        assert_eq!(stretched.room(2, 1.0), calls.room(2, 1.0));
    }

    #[test]
    fn a_burst_is_counted_before_it_costs_anything() {
        let mut calls = load(20, (0.05, 0.02), 1.0, 100);
        let before = calls.room(2, 1.0);
        // twenty more, who have said nothing in the first second
        (0..20).for_each(|_| calls.count(SPAN * 100, true));
        let busy = |seconds: f64, share: f64| SPAN.mul_f64(20.0 * share * seconds);
        calls.observe(SPAN * 101, Busy { exact: busy(101.0, 0.05), shown: busy(101.0, 0.02) }, 1.0);
        assert!(calls.room(2, 1.0) < 40);
        assert!(calls.room(2, 1.0).abs_diff(before) <= 2);
    }

    #[test]
    fn one_call_that_costs_much_for_a_moment_closes_no_door() {
        let calls = load(1, (2.0, 0.0), 0.2, 1);
        assert!(calls.room(2, 1.0) > 16, "{}", calls.room(2, 1.0));
    }

    #[test]
    fn a_quiet_night_teaches_nothing() {
        let mut calls = load(20, (0.05, 0.02), 1.0, 100);
        let before = calls.room(2, 1.0);
        (0..20).for_each(|_| calls.count(SPAN * 100, false));
        let busy = Busy { exact: SPAN * 100, shown: SPAN * 40 };
        // the first call of the day
        calls.count(SPAN * 40_000, true);
        calls.observe(SPAN * 40_000, busy, 0.2);
        assert_eq!(calls.room(2, 1.0), before);
    }

    #[test]
    fn however_much_a_call_costs_one_is_let_in() {
        assert_eq!(load(1, (2.0, 2.0), 4.0, 10_000).room(2, 1.0), 1);
    }
}
