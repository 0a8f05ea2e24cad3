//! The rolling text of one utterance: what is committed, what may still change, and the words of the final.
//!
//! **Stable text.** At fixed media times of an utterance (every [`COMMIT_GRID`]) the window so far is decoded exactly.
//! Tokens on which two such decodings in a row agree, all but the last [`COMMIT_LAG`], are committed: every later
//! hypothesis and the final begin with them. Both depend on the sound alone, so stable text never changes and finals
//! stay the same at any load. A commit that load makes late is still made, in order.

use sotto_events::{MediaTime, Word};

use crate::{SPEECH_RATE, engine::Heard, recogniser::draft::agreement, vad::FRAME};

/// Samples between two exact decodings of an utterance that goes on.
pub const COMMIT_GRID: usize = 2 * SPEECH_RATE as usize;
/// Tokens at the end of an agreement that stay open.
pub const COMMIT_LAG: usize = 8;

/// Names the grid and the lag: they shape finals.
pub fn commit_name() -> String {
    format!("commit-{}s-{COMMIT_LAG}", COMMIT_GRID / SPEECH_RATE as usize)
}

/// Text state of the utterance that is being spoken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rolling {
    /// Tokens that will not change.
    pub committed: Vec<u32>,
    /// The last exact hypothesis.
    exact: Vec<u32>,
    /// The last hypothesis of any kind: the next draft.
    latest: Vec<u32>,
    /// Exact decodings done.
    pub commits: usize,
    /// Partials shown.
    pub revisions: u32,
}

impl Rolling {
    /// The last hypothesis after what is committed.
    pub fn draft(&self) -> Vec<u32> {
        let common = agreement(&self.committed, &self.latest);
        if common == self.committed.len() { self.latest[common..].to_vec() } else { Vec::new() }
    }

    /// Remembers a hypothesis.
    pub fn heard(&mut self, heard: &Heard) {
        self.latest.clone_from(&heard.tokens);
    }

    /// Takes in an exact hypothesis.
    pub fn commit(&mut self, heard: &Heard) {
        self.commits += 1;
        let agreed = agreement(&self.exact, &heard.tokens);
        let keep = heard.whole_words(agreed.saturating_sub(COMMIT_LAG));
        if keep > self.committed.len() {
            self.committed = heard.tokens[..keep].to_vec();
        }
        self.exact.clone_from(&heard.tokens);
        self.heard(heard);
    }
}

/// Words of `text` with estimated times: voiced time is shared out by length in characters, pauses are kept out.
/// `voiced` has a flag a 32 ms frame from `start` on.
pub fn words(text: &str, start: MediaTime, end: MediaTime, voiced: &[bool]) -> Vec<Word> {
    let frame = 1_000_000 * FRAME as u64 / u64::from(SPEECH_RATE);
    let mut frames: Vec<u64> = (0..voiced.len() as u64)
        .filter(|&index| voiced[index as usize])
        .map(|index| start.micros() + index * frame)
        .collect();
    if frames.is_empty() {
        frames.push(start.micros());
    }
    let at = |share: f64, closing: bool| {
        let place = share * frames.len() as f64;
        // a word that closes at a frame border ends with the frame before it, not with the one after a pause
        let index = if closing { (place.ceil() as usize).max(1) - 1 } else { place as usize }.min(frames.len() - 1);
        let micros = frames[index] + ((place - index as f64) * frame as f64) as u64;
        MediaTime::from_micros(micros.min(end.micros()))
    };
    let weight = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).count().max(1) as f64 + 1.0;
    let total: f64 = text.split_whitespace().map(weight).sum();
    let mut spent = 0.0;
    text.split_whitespace()
        .map(|word| {
            let from = at(spent / total, false);
            spent += weight(word);
            Word { text: word.to_owned(), start: from, end: at(spent / total, true).max(from) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(tokens: &[u32]) -> Heard {
        Heard { tokens: tokens.to_vec(), begins_word: vec![true; tokens.len()], ..Heard::default() }
    }

    #[test]
    fn commits_what_two_exact_hypotheses_agree_on_but_the_last() {
        let mut rolling = Rolling::default();
        let first: Vec<u32> = (10..22).collect();
        rolling.commit(&heard(&first));
        assert!(rolling.committed.is_empty());
        let second: Vec<u32> = (10..20).chain(50..60).collect();
        rolling.commit(&heard(&second));
        assert_eq!(rolling.committed, [10, 11]);
        assert_eq!(rolling.draft(), second[2..]);
    }

    #[test]
    fn never_takes_back_what_is_committed() {
        let mut rolling = Rolling::default();
        let long: Vec<u32> = (10..30).collect();
        rolling.commit(&heard(&long));
        rolling.commit(&heard(&long));
        let committed = rolling.committed.clone();
        rolling.commit(&heard(&long[..15]));
        assert_eq!(rolling.committed, committed);
    }

    #[test]
    fn word_times_skip_pauses_and_stay_in_order() {
        let voiced = [vec![true; 10], vec![false; 20], vec![true; 10]].concat();
        let words = words("abcd efgh", MediaTime::ZERO, MediaTime::from_micros(1_280_000), &voiced);
        assert_eq!(words[0].start.micros(), 0);
        assert_eq!(words[0].end.micros(), 320_000);
        assert_eq!(words[1].start.micros(), 960_000);
        assert_eq!(words[1].end.micros(), 1_280_000);
    }

    #[test]
    fn text_without_voice_still_has_times() {
        assert_eq!(words("a b", MediaTime::ZERO, MediaTime::ZERO, &[]).len(), 2);
        assert!(words("", MediaTime::ZERO, MediaTime::ZERO, &[]).is_empty());
    }
}
