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
    /// When the present measurement began, and busy time before it.
    since: Duration,
    before: Busy,
}

impl Default for Load {
    fn default() -> Self {
        let half = EXPECTED / 2.0;
        Self { exact: half, shown: half, since: Duration::ZERO, before: Busy::default() }
    }
}

impl Load {
    /// Takes note of the busy time of all threads so far, of how many calls are live and of the seconds between two
    /// partials.
    pub fn observe(&mut self, now: Duration, busy: Busy, calls: usize, interval: f64) {
        let span = now.saturating_sub(self.since);
        if span < SPAN {
            return;
        }
        let taken = calls as f64 * span.as_secs_f64();
        if taken > 0.0 {
            let new = 1.0 - (-taken / MEMORY).exp();
            let cost = |busy: Duration, before: Duration| busy.saturating_sub(before).as_secs_f64() / taken;
            self.exact += new * (cost(busy.exact, self.before.exact) - self.exact);
            self.shown += new * (cost(busy.shown, self.before.shown) * interval - self.shown);
        }
        (self.since, self.before) = (now, busy);
    }

    /// How many calls `threads` have time for when partials come every `slowest` seconds.
    pub fn room(&self, threads: usize, slowest: f64) -> usize {
        (FULL * threads as f64 / (self.exact + self.shown / slowest)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What two threads come to with `calls` that each take these shares of a thread.
    fn load(calls: usize, (exact, shown): (f64, f64), interval: f64, seconds: u32) -> Load {
        let mut load = Load::default();
        let of = |share: f64, second: u32| SPAN.mul_f64(share * calls as f64 * f64::from(second));
        for second in 1..=seconds {
            let busy = Busy { exact: of(exact, second), shown: of(shown, second) };
            load.observe(SPAN * second, busy, calls, interval);
        }
        load
    }

    #[test]
    fn before_there_are_calls_some_are_expected_to_fit() {
        assert_eq!(Load::default().room(2, 1.0), 32);
    }

    #[test]
    fn there_is_room_for_what_fits_once_partials_are_stretched() {
        // 2 threads of 0.8 hold 1.6: with a partial a second a call takes 0.05, with one every 2 seconds 0.04
        let calls = load(20, (0.03, 0.04), 0.5, 200);
        assert!(calls.room(2, 1.0).abs_diff(32) <= 1, "{}", calls.room(2, 1.0));
        assert!(calls.room(2, 2.0).abs_diff(39) <= 1, "{}", calls.room(2, 2.0));
        // stretched already, they take less and say the same
        let stretched = load(20, (0.03, 0.02), 1.0, 200);
        assert_eq!(stretched.room(2, 1.0), calls.room(2, 1.0));
    }

    #[test]
    fn a_burst_is_counted_before_it_costs_anything() {
        let mut calls = load(20, (0.05, 0.02), 1.0, 100);
        let before = calls.room(2, 1.0);
        // twenty more, who have said nothing in the first second
        let busy = |seconds: f64, share: f64| SPAN.mul_f64(20.0 * share * seconds);
        let so_far = Busy { exact: busy(101.0, 0.05), shown: busy(101.0, 0.02) };
        calls.observe(SPAN * 101, so_far, 40, 1.0);
        assert!(calls.room(2, 1.0) < 40);
        assert!(calls.room(2, 1.0).abs_diff(before) <= 2);
    }

    #[test]
    fn one_call_that_costs_much_for_a_moment_closes_no_door() {
        let calls = load(1, (2.0, 0.0), 0.2, 1);
        assert!(calls.room(2, 1.0) > 16, "{}", calls.room(2, 1.0));
    }
}
