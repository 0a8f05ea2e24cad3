//! What was said on a channel just before, as far as it is told: what is to be hidden of a final may show in it only.

use sotto_events::{Final, MediaTime};

use crate::redact::append;

/// The text before what is said next.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// Where the stretch of speech begins that the text belongs to.
    begun: MediaTime,
    /// As it was heard.
    text: String,
    /// The last final as it was kept: all that a call that is taken up behind a stretch knows of it.
    kept: String,
    end: MediaTime,
}

impl Told {
    /// After a final as it is kept.
    pub fn after(made: &Final) -> Self {
        Self { kept: made.text.clone(), end: made.end, ..Self::default() }
    }

    /// What was said before an utterance that begins at `start`, in the stretch that begins at `begun`: what was heard of that
    /// stretch, or else what was kept of another that ended no longer than `pause` ago.
    pub fn before(&self, begun: MediaTime, start: MediaTime, pause: MediaTime) -> &str {
        if !self.text.is_empty() && self.begun == begun {
            &self.text
        } else if start.micros() <= self.end.micros() + pause.micros() {
            &self.kept
        } else {
            ""
        }
    }

    /// Moves on over a final, as it was heard and as it was kept.
    pub fn add(&mut self, begun: MediaTime, pause: MediaTime, heard: &Final, kept: &str) {
        let mut text = self.before(begun, heard.start, pause).to_owned();
        append(&mut text, &heard.text);
        *self = Self { begun, text, kept: kept.to_owned(), end: heard.end };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: f64) -> MediaTime {
        MediaTime::from_micros((seconds * 1e6) as u64)
    }

    fn made(start: f64, text: &str) -> Final {
        Final {
            channel: 0,
            utterance: 1,
            start: time(start),
            end: time(start + 1.0),
            text: text.to_owned(),
            words: Vec::new(),
            confidence: 1.0,
            model: String::new(),
        }
    }

    #[test]
    fn a_stretch_is_read_as_it_was_heard_and_what_goes_on_after_it_as_it_was_kept() {
        let pause = time(0.7);
        let mut told = Told::default();
        told.add(time(1.0), pause, &made(1.0, "My name is."), "My name is.");
        told.add(time(1.0), pause, &made(2.2, "Ann."), "[name].");
        assert_eq!(told.before(time(1.0), time(3.3), pause), "My name is Ann.");
        // another stretch: soon, and later
        assert_eq!(told.before(time(3.5), time(3.5), pause), "[name].");
        assert_eq!(told.before(time(4.0), time(4.0), pause), "");
        // one that knows the events alone reads the same there
        assert_eq!(Told::after(&made(2.2, "[name].")).before(time(3.5), time(3.5), pause), "[name].");
    }
}
