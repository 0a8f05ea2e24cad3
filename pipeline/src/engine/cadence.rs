//! How often partials are made: often on a quiet machine, less often before anything else suffers.

use std::time::Duration;

/// Steps in seconds of media time between two partials.
const STEPS: [f64; 5] = [0.2, 0.5, 1.0, 2.0, SLOWEST];
pub const SLOWEST: f64 = 4.0;
/// How long a share of busy time is measured.
const SPAN: Duration = Duration::from_secs(1);
/// Below this share of busy time partials come more often. The next faster step costs at most 2.5 times as much, which
/// must stay below `SLOWER`.
const FASTER: f64 = 0.25;
/// Above this share they come less often than on a quiet machine, not less often than asked for.
const SLOWER: f64 = 0.7;
/// Above this share for some seconds, or when work waits, they come less often than asked for. What is said differs much
/// from one second to the next: one that is full means nothing.
const STRETCHED: f64 = 0.95;
/// So much of what is taken for the share of some seconds is that of the last one.
const LAST: f64 = 0.25;
/// Below this share they come more often again, up to what was asked for: twice as often costs at most twice as much.
const RELAXED: f64 = 0.45;
/// After so many spans between `RELAXED` and `SLOWER` they come more often too: not all of the work is for partials, so
/// twice as many may cost far less than twice as much.
const CALM: u32 = 5;
/// Above this share there is so much to do that what is under way waits for others too.
const CROWDED: f64 = 0.88;
/// Work that waits this long is late.
const LATE: Duration = Duration::from_millis(400);

/// Chooses the cadence from how busy the threads are.
#[derive(Debug)]
pub struct Cadence {
    step: usize,
    /// Time the present measurement began, and busy time before it.
    since: Duration,
    busy_before: Duration,
    /// Share of busy time in the last span.
    share: f64,
    /// The same over some seconds.
    lasting: f64,
    /// Spans in a row that were neither busy nor quiet.
    calm: u32,
}

impl Default for Cadence {
    fn default() -> Self {
        Self { step: 1, since: Duration::ZERO, busy_before: Duration::ZERO, share: 0.0, lasting: 0.0, calm: 0 }
    }
}

impl Cadence {
    /// Seconds between partials for someone who asked for `interval` and allows them down to `fastest`.
    pub fn interval(&self, interval: f64, fastest: f64) -> f64 {
        match self.step {
            0 => fastest.min(interval),
            1 => interval,
            step => interval.max(STEPS[step]),
        }
    }

    /// True while partials come less often than asked for.
    pub fn stretched(&self) -> bool {
        self.step > 1
    }

    /// True when so little is done that nothing need wait to share a batch.
    pub fn idle(&self) -> bool {
        self.share < FASTER
    }

    /// True when so much is done that what is under way waits for others too.
    pub fn crowded(&self) -> bool {
        self.share > CROWDED
    }

    /// Takes note of the busy time of all `threads` so far and of how long work has waited, both for live calls.
    pub fn observe(&mut self, now: Duration, busy: Duration, threads: usize, waited: Duration) {
        let span = now.saturating_sub(self.since);
        if span < SPAN {
            return;
        }
        let share = busy.saturating_sub(self.busy_before).as_secs_f64() / (span.as_secs_f64() * threads as f64);
        (self.since, self.busy_before, self.share) = (now, busy, share);
        self.calm =
            if self.step > 1 && (RELAXED..SLOWER).contains(&share) && waited <= LATE { self.calm + 1 } else { 0 };
        self.lasting += LAST * (share - self.lasting);
        if self.lasting > STRETCHED || waited > LATE {
            self.step = (self.step + 1).min(STEPS.len() - 1);
            // what that changes is still to be seen
            self.lasting = self.lasting.min(SLOWER);
        } else if share > SLOWER && self.step == 0 {
            self.step = 1;
        } else if share < FASTER || (self.step > 1 && share < RELAXED) || self.calm >= CALM {
            self.calm = 0;
            self.step = self.step.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of one span at a share of busy time of two threads.
    struct Turn {
        cadence: Cadence,
        now: Duration,
        busy: Duration,
    }

    impl Turn {
        fn new() -> Self {
            Self { cadence: Cadence::default(), now: Duration::ZERO, busy: Duration::ZERO }
        }

        fn run(&mut self, steps: usize, share: f64, waited: Duration) -> f64 {
            for _ in 0..steps {
                self.now += SPAN;
                self.busy += SPAN.mul_f64(2.0 * share);
                self.cadence.observe(self.now, self.busy, 2, waited);
            }
            self.cadence.interval(0.5, 0.2)
        }
    }

    #[test]
    fn a_quiet_machine_gives_partials_more_often() {
        let mut turn = Turn::new();
        assert_eq!(turn.cadence.interval(0.5, 0.2), 0.5);
        assert_eq!(turn.run(2, 0.1, Duration::ZERO), 0.2);
        assert!(turn.cadence.idle());
        assert!(!turn.cadence.crowded());
        assert_eq!(turn.run(5, 0.5, Duration::ZERO), 0.2);
        assert!(!turn.cadence.idle());
        assert_eq!(turn.run(1, 0.8, Duration::ZERO), 0.5);
        assert_eq!(turn.cadence.interval(0.5, 0.5), 0.5);
    }

    #[test]
    fn overload_stretches_partials_step_by_step_and_says_so() {
        let mut turn = Turn::new();
        assert_eq!(turn.run(1, 0.98, Duration::ZERO), 0.5);
        assert!(turn.cadence.crowded());
        assert_eq!(turn.run(15, 0.98, Duration::ZERO), 1.0);
        assert!(turn.cadence.stretched());
        assert_eq!(turn.run(1, 0.5, Duration::from_secs(1)), 2.0);
        assert_eq!(turn.run(15, 1.0, Duration::ZERO), 4.0);
        assert_eq!(turn.run(1, 0.6, Duration::ZERO), 4.0);
        assert_eq!(turn.run(3, 0.3, Duration::ZERO), 0.5);
        assert!(!turn.cadence.stretched());
    }

    #[test]
    fn a_moment_of_lateness_does_not_stretch_partials_for_ever() {
        let mut turn = Turn::new();
        assert_eq!(turn.run(1, 0.6, Duration::from_secs(1)), 1.0);
        assert_eq!(turn.run(CALM as usize - 1, 0.6, Duration::ZERO), 1.0);
        assert_eq!(turn.run(1, 0.6, Duration::ZERO), 0.5);
        // a busy machine is given no such try
        turn.run(1, 0.6, Duration::from_secs(1));
        assert_eq!(turn.run(20, 0.8, Duration::ZERO), 1.0);
    }

    #[test]
    fn asking_for_less_is_never_overruled() {
        let mut turn = Turn::new();
        turn.run(2, 0.0, Duration::ZERO);
        assert_eq!(turn.cadence.interval(2.0, 2.0), 2.0);
        turn.run(1, 0.95, Duration::from_secs(1));
        assert_eq!(turn.cadence.interval(2.0, 2.0), 2.0);
    }
}
