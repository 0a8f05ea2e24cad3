//! Whether a call is live: how far its sound is ahead of the time that it took to come.

use std::time::Instant;

/// So much may come early from a live call, in seconds: a client may have been looking for a server.
const HEAD_START: f64 = 20.0;
/// So much time in which less came than was spoken is remembered, in seconds: a client whose connection broke or stood
/// still sends what it held meanwhile.
const HELD: f64 = 60.0;
/// A lead is worked off by so much of the time that passes.
const LEAK: f64 = 0.05;

/// How far the sound of a call is ahead of time.
#[derive(Debug)]
pub(super) struct Lead {
    seconds: f64,
    /// Samples heard, and when.
    heard: Option<u64>,
    at: Instant,
}

impl Lead {
    /// Of a call that begins or, when it was `taken_up` again, has been waited for.
    pub fn new(taken_up: bool, now: Instant) -> Self {
        Self { seconds: if taken_up { -HELD } else { 0.0 }, heard: None, at: now }
    }

    /// True when a call that has been heard up to sample `heard` of `rate` a second gets its sound faster than anybody
    /// speaks it.
    pub fn is_great(&mut self, heard: u64, rate: u32, now: Instant) -> bool {
        // where it begins or was taken up is no lead
        let before = self.heard.replace(heard).unwrap_or(heard);
        let passed = now.saturating_duration_since(self.at).as_secs_f64() * (1.0 + LEAK);
        self.at = now;
        self.seconds = (self.seconds - passed).max(-HELD) + heard.saturating_sub(before) as f64 / f64::from(rate);
        self.seconds > HEAD_START
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Hears `seconds` of sound from `from` on, `speed` times as fast as it was spoken; whether it hurried at the end.
    fn feed(lead: &mut Lead, (from, seconds): (u64, u64), speed: f64, now: &mut Instant) -> bool {
        let mut hurried = false;
        for second in from..from + seconds {
            *now += Duration::from_secs_f64(1.0 / speed);
            hurried = lead.is_great((second + 1) * 8_000, 8_000, *now);
        }
        hurried
    }

    #[test]
    fn a_live_call_may_catch_up() {
        let mut now = Instant::now();
        let mut lead = Lead::new(true, now);
        // taken up at its thirtieth second, with what was held meanwhile
        assert!(!feed(&mut lead, (30, 60), 100.0, &mut now));
        assert!(!feed(&mut lead, (90, 600), 1.0, &mut now));
        // clocks differ
        assert!(!feed(&mut lead, (690, 600), 1.001, &mut now));
        // a connection that stood still
        now += Duration::from_secs(40);
        assert!(!feed(&mut lead, (1_290, 40), 100.0, &mut now));
    }

    #[test]
    fn one_that_is_played_fast_is_found_out_until_it_has_been_waited_for() {
        let mut now = Instant::now();
        let mut lead = Lead::new(false, now);
        assert!(!feed(&mut lead, (0, 15), 100.0, &mut now));
        assert!(feed(&mut lead, (15, 15), 100.0, &mut now));
        assert!(feed(&mut lead, (30, 60), 1.0, &mut now));
        assert!(!feed(&mut lead, (90, 300), 1.0, &mut now));
    }
}
