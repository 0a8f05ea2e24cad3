//! When each part of a call's audio is due. A frame is due when its last sample exists, as with a real caller: the
//! frame that begins at media time t leaves one frame's length after that.

use std::time::Duration;

use tokio::time::Instant;

/// The clock of one call.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// When the call was due to come: media time 0.
    pub origin: Instant,
    pub frame: Duration,
    /// Samples of a frame, of one channel.
    pub samples: u64,
    /// Frames of the whole call.
    pub frames: u64,
}

impl Pace {
    /// When frame `index` is due.
    pub fn due(&self, index: u64) -> Instant {
        self.origin + self.frame * (index as u32 + 1)
    }

    /// When the audio up to a media time was due: with the frame that holds its last sample.
    pub fn due_at(&self, seconds: f64) -> Instant {
        let frames = (seconds.max(0.0) / self.frame.as_secs_f64() - 1e-6).ceil().max(0.0);
        self.origin + self.frame * frames as u32
    }

    /// How many frames are due by `now`.
    pub fn due_by(&self, now: Instant) -> u64 {
        let past = now.saturating_duration_since(self.origin).as_nanos();
        ((past / self.frame.as_nanos().max(1)) as u64).min(self.frames)
    }

    /// Samples of one channel in the whole call.
    pub const fn length(&self) -> u64 {
        self.frames * self.samples
    }

    /// Media time of the end, in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames as f64 * self.frame.as_secs_f64()
    }

    /// When the last frame is due, and `stop` with it.
    pub fn end(&self) -> Instant {
        self.origin + self.frame * self.frames as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_due_with_the_frame_that_holds_its_last_sample() {
        let origin = Instant::now();
        let pace = Pace { origin, frame: Duration::from_millis(20), samples: 160, frames: 100 };
        let at = |ms: u64| origin + Duration::from_millis(ms);
        assert_eq!(pace.due(0), at(20));
        assert_eq!([pace.due_at(0.02), pace.due_at(0.021), pace.due_at(3.508)], [at(20), at(40), at(3520)]);
        assert_eq!([pace.due_by(at(19)), pace.due_by(at(20)), pace.due_by(at(60_000))], [0, 1, 100]);
        assert_eq!((pace.length(), pace.end()), (16_000, at(2000)));
    }
}
