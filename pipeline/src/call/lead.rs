//! Whether a call is live: how far its sound is ahead of the time that it took to come.

use std::time::Instant;

/// A call that was taken up again sends at once what is not acknowledged: the longest utterance and its silence, more
/// than once if it breaks again. So much may come early from a live call, in seconds.
const HEAD_START: f64 = 20.0;

/// How far the sound of a call is ahead of time.
#[derive(Debug)]
pub(super) struct Lead {
    seconds: f64,
    /// Samples heard, and when.
    heard: Option<u64>,
    at: Instant,
}

impl Lead {
    pub fn new(now: Instant) -> Self {
        Self { seconds: 0.0, heard: None, at: now }
    }

    /// True when a call that has been heard up to sample `heard` of `rate` a second gets its sound faster than anybody
    /// speaks it.
    pub fn is_great(&mut self, heard: u64, rate: u32, now: Instant) -> bool {
        // where it begins or was taken up is no lead
        let before = self.heard.replace(heard).unwrap_or(heard);
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.seconds = (self.seconds - passed).max(0.0) + heard.saturating_sub(before) as f64 / f64::from(rate);
        self.seconds > HEAD_START
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Hears `seconds` of sound from `from` on, `speed` times as fast as it was spoken; whether it ever hurried.
    fn feed(lead: &mut Lead, (from, seconds): (u64, u64), speed: f64, now: &mut Instant) -> bool {
        let mut hurried = false;
        for second in from..from + seconds {
            *now += Duration::from_secs_f64(1.0 / speed);
            hurried |= lead.is_great((second + 1) * 8_000, 8_000, *now);
        }
        hurried
    }

    #[test]
    fn a_live_call_may_catch_up_and_a_recorded_one_is_found_out() {
        let mut now = Instant::now();
        let mut lead = Lead::new(now);
        // taken up at its thirtieth second, with what was not acknowledged
        assert!(!feed(&mut lead, (30, 15), 100.0, &mut now));
        assert!(!feed(&mut lead, (45, 600), 1.0, &mut now));
        // clocks differ
        assert!(!feed(&mut lead, (645, 600), 1.001, &mut now));
        assert!(feed(&mut lead, (1_245, 60), 2.0, &mut now));
        // and is live again when it has been waited for
        now += Duration::from_secs(40);
        assert!(!feed(&mut lead, (1_305, 60), 1.0, &mut now));
    }
}
