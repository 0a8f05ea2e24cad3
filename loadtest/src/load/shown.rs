//! When each word of an utterance was first shown.

use tokio::time::Instant;

use crate::bench::normalise;

/// What partials have shown of an utterance.
#[derive(Debug)]
pub struct Shown {
    /// When the last one came.
    pub last: Instant,
    /// The words of that one, and when each was shown first and has stood since.
    words: Vec<String>,
    since: Vec<Instant>,
}

impl Shown {
    /// Nothing yet, at the time of the first partial.
    pub const fn new(now: Instant) -> Self {
        Self { last: now, words: Vec::new(), since: Vec::new() }
    }

    /// A partial with this text came.
    pub fn show(&mut self, text: &str, now: Instant) {
        // each by itself, as the words of a final come
        let words = text.split_whitespace().flat_map(normalise::words).collect::<Vec<_>>();
        self.since = self.times(&words, now);
        (self.words, self.last) = (words, now);
    }

    /// When each of `words` was shown, those that were not before only `now`.
    pub fn times(&self, words: &[String], now: Instant) -> Vec<Instant> {
        let mut times = vec![now; words.len()];
        for (old, new, count) in normalise::common(&self.words, words) {
            times[new..new + count].copy_from_slice(&self.since[old..old + count]);
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_word_is_shown_from_when_it_has_stood_in_its_place() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut shown = Shown::new(at(0));
        shown.show("So the quick", at(1));
        shown.show("The quick brown", at(2));
        shown.show("The quick crown fox", at(3));
        let words = normalise::words("Oh, the quick brown fox!");
        let seconds: Vec<u64> = shown.times(&words, at(4)).iter().map(|time| (*time - begun).as_secs()).collect();
        assert_eq!(seconds, [4, 1, 1, 4, 3]);
    }
}
