//! The rolling text of one utterance: what is committed, what may still change, and the words of the final.
//!
//! **Stable text.** At fixed media times of an utterance (every [`COMMIT_GRID`]) the window so far is decoded exactly.
//! Tokens on which two such decodings in a row agree, all but the last [`COMMIT_LAG`], are committed: every later
//! hypothesis and the final begin with them. Both depend on the sound alone, so stable text never changes and finals
//! stay the same at any load. A commit that load makes late is still made, in order.

use std::sync::{Arc, Mutex, PoisonError};

use sotto_events::{MediaTime, Word};

use crate::{
    SPEECH_RATE,
    engine::Heard,
    recogniser::{Job, Stem, draft::agreement},
    vad::FRAME,
};

/// Samples between two exact decodings of an utterance that goes on.
pub const COMMIT_GRID: usize = 2 * SPEECH_RATE as usize;
/// Tokens at the end of an agreement that stay open.
pub const COMMIT_LAG: usize = 8;

/// Names the grid and the lag: they shape finals.
pub fn commit_name() -> String {
    format!("commit-{}s-{COMMIT_LAG}", COMMIT_GRID / SPEECH_RATE as usize)
}

/// What a hypothesis was made of: with the sound it tells everything there is to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Samples from the start of the utterance.
    pub length: usize,
    /// Committed tokens it began with.
    pub prefix: usize,
}

/// Text state of the utterance that is being spoken.
#[derive(Debug, Default)]
pub struct Rolling {
    /// Tokens that will not change.
    pub committed: Vec<u32>,
    /// The tokens of the last commit.
    exact: Vec<u32>,
    /// The last hypothesis: the next draft.
    pub latest: Heard,
    window: Window,
    /// What the recogniser keeps of the sound.
    stem: Arc<Mutex<Stem>>,
    /// Commits made.
    commits: usize,
    /// Partials shown.
    pub revisions: u32,
}

impl Rolling {
    /// Window of the next commit, in samples.
    pub fn next_commit(&self) -> usize {
        (self.commits + 1) * COMMIT_GRID
    }

    /// Whether the last hypothesis is that of a window of `length`, from all that is committed.
    pub fn knows(&self, length: usize) -> bool {
        self.window == Window { length, prefix: self.committed.len() }
    }

    /// The first sample that the recogniser does not know yet.
    pub fn needs_from(&self) -> usize {
        self.stem.lock().unwrap_or_else(PoisonError::into_inner).needs_from()
    }

    /// What to ask of the recogniser for a window, given its sound from `needs_from` on.
    pub fn job(&self, window: Window, sound: &[f32]) -> Job {
        Job {
            stem: Arc::clone(&self.stem),
            audio: sound.to_vec(),
            from: window.length - sound.len(),
            length: window.length,
            prefix: self.committed.clone(),
            draft: self.draft(),
        }
    }

    /// The last hypothesis after what is committed.
    fn draft(&self) -> Vec<u32> {
        let common = agreement(&self.committed, &self.latest.tokens);
        if common == self.committed.len() { self.latest.tokens[common..].to_vec() } else { Vec::new() }
    }

    /// A job that was given up may still change the stem: the next one begins a new one.
    pub fn forget_stem(&mut self) {
        self.stem = Arc::default();
    }

    /// Takes in a hypothesis.
    pub fn heard(&mut self, window: Window, heard: Heard) {
        (self.window, self.latest) = (window, heard);
    }

    /// Makes the last hypothesis the next commit, if it is that of the commit's window; up to `limit` samples.
    pub fn settle(&mut self, limit: usize) {
        let due = self.next_commit();
        if due > limit || !self.knows(due) {
            return;
        }
        self.commits += 1;
        let agreed = agreement(&self.exact, &self.latest.tokens);
        let keep = self.latest.whole_words(agreed.saturating_sub(COMMIT_LAG));
        if keep > self.committed.len() {
            self.committed = self.latest.tokens[..keep].to_vec();
        }
        self.exact.clone_from(&self.latest.tokens);
    }
}

/// What is shown of the hypotheses of one utterance: the words on which two in a row agree, since the last words of a
/// window are often heard otherwise with more sound. What is shown stays until two in a row agree on something else.
#[derive(Debug, Default)]
pub struct Shown {
    last: Vec<String>,
    words: Vec<String>,
}

impl Shown {
    /// Takes in a hypothesis and gives what to show: what stays, and the rest. Behind `whole` ones no word is missing.
    pub fn take(&mut self, stable: &str, tail: &str, whole: bool) -> (String, String) {
        let fixed = stable.split_whitespace().count();
        let new: Vec<String> = stable.split_whitespace().chain(tail.split_whitespace()).map(str::to_owned).collect();
        let agreed = if whole { new.len() } else { common(&new, &self.last).max(fixed) };
        if agreed >= self.words.len() || common(&new[..agreed], &self.words) < agreed {
            self.words = new[..agreed].to_vec();
        }
        for (shown, new) in self.words.iter_mut().zip(&new[..fixed]) {
            shown.clone_from(new);
        }
        self.last = new;
        (stable.to_owned(), self.words[fixed..].join(" "))
    }
}

/// How many words two texts share from the start; case and punctuation come and go, and do not count.
fn common(a: &[String], b: &[String]) -> usize {
    let bare =
        |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    a.iter().zip(b).take_while(|(a, b)| bare(a) == bare(b)).count()
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

    /// Hears the next commit's window.
    fn commit(rolling: &mut Rolling, tokens: &[u32]) {
        let window = Window { length: rolling.next_commit(), prefix: rolling.committed.len() };
        rolling.heard(window, heard(tokens));
        rolling.settle(usize::MAX);
    }

    #[test]
    fn commits_what_two_exact_hypotheses_agree_on_but_the_last() {
        let mut rolling = Rolling::default();
        let first: Vec<u32> = (10..22).collect();
        commit(&mut rolling, &first);
        assert!(rolling.committed.is_empty());
        let second: Vec<u32> = (10..20).chain(50..60).collect();
        commit(&mut rolling, &second);
        assert_eq!(rolling.committed, [10, 11]);
        assert_eq!(rolling.draft(), second[2..]);
    }

    #[test]
    fn never_takes_back_what_is_committed() {
        let mut rolling = Rolling::default();
        let long: Vec<u32> = (10..30).collect();
        commit(&mut rolling, &long);
        commit(&mut rolling, &long);
        let committed = rolling.committed.clone();
        commit(&mut rolling, &long[..15]);
        assert_eq!(rolling.committed, committed);
    }

    #[test]
    fn only_the_hypothesis_of_a_commits_window_is_committed() {
        let mut rolling = Rolling::default();
        rolling.heard(Window { length: COMMIT_GRID + 1, prefix: 0 }, heard(&[10, 11]));
        rolling.settle(usize::MAX);
        assert_eq!(rolling.next_commit(), COMMIT_GRID);
        rolling.heard(Window { length: COMMIT_GRID, prefix: 0 }, heard(&[10, 11]));
        rolling.settle(COMMIT_GRID - 1);
        assert_eq!(rolling.next_commit(), COMMIT_GRID);
        rolling.settle(COMMIT_GRID);
        assert_eq!(rolling.next_commit(), 2 * COMMIT_GRID);
        assert!(rolling.knows(COMMIT_GRID) && !rolling.knows(COMMIT_GRID + 1));
    }

    #[test]
    fn only_what_two_hypotheses_agree_on_is_shown() {
        let mut shown = Shown::default();
        let mut show = |tail, whole| shown.take("", tail, whole).1;
        assert_eq!(show("I won", false), "");
        assert_eq!(show("I want to.", false), "I");
        assert_eq!(show("I want to buy", false), "I want to");
        // one that says otherwise takes nothing back
        assert_eq!(show("Eye", false), "I want to");
        assert_eq!(show("I want two", false), "I want to");
        assert_eq!(show("I want two cars", false), "I want two");
        assert_eq!(show("I want two cars today.", true), "I want two cars today.");
    }

    #[test]
    fn what_is_committed_is_always_shown() {
        let mut shown = Shown::default();
        assert_eq!(shown.take("", "Good mourning", false).1, "");
        assert_eq!(shown.take("Good morning", "all", false), ("Good morning".to_owned(), String::new()));
        assert_eq!(shown.take("Good morning", "all of", false).1, "all");
        assert_eq!(shown.take("Good morning", "of", false).1, "all");
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
