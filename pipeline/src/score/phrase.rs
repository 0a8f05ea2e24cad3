//! Phrases in what a channel says, heard exactly or nearly, also across two utterances.

use std::collections::VecDeque;

use sotto_events::{Evidence, Final, LONGEST_PHRASE, MediaTime};

/// A pause of this length is no part of a phrase.
const PAUSE: u64 = 5_000_000;
/// A phrase counts as said when it is as near as this, unless its rule says otherwise.
const NEAR: f64 = 0.8;

/// Words of a rule, ready to be compared.
#[derive(Debug, Clone)]
pub struct Phrases {
    phrases: Vec<Vec<String>>,
    nearness: Option<f64>,
}

/// One of the phrases was said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said {
    pub evidence: Evidence,
    /// When the last word of it ended.
    pub end: MediaTime,
    /// 0 to 1; two decimals.
    pub nearness: f64,
}

impl Phrases {
    pub fn new(phrases: &[String], nearness: Option<f64>) -> Self {
        Self { phrases: phrases.iter().map(|phrase| plain(phrase).collect()).collect(), nearness }
    }

    /// The nearest of them among the words that `speech` took in last, with what came before them.
    pub fn find(&self, speech: &Speech) -> Option<Said> {
        let found = self.phrases.iter().filter_map(|phrase| {
            let usual = if phrase.len() == 1 { 1.0 } else { NEAR };
            speech.find(phrase, self.nearness.unwrap_or(usual))
        });
        found.max_by(|a, b| a.nearness.total_cmp(&b.nearness))
    }
}

/// Lower case, letters and digits only.
fn plain(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '/'))
        .map(|word| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>())
        .filter(|word| !word.is_empty())
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    evidence: Evidence,
    end: MediaTime,
}

/// The last words of one channel. Bounded by the longest utterance.
#[derive(Debug, Clone, Default)]
pub struct Speech {
    tokens: VecDeque<Token>,
    /// Index of the first word of the last final.
    fresh: usize,
}

impl Speech {
    /// Takes in a final.
    pub fn add(&mut self, made: &Final) {
        let pause = self.tokens.back().is_some_and(|last| made.start.micros() > last.end.micros() + PAUSE);
        let kept = if pause { 0 } else { LONGEST_PHRASE };
        self.tokens.drain(..self.tokens.len().saturating_sub(kept));
        self.fresh = self.tokens.len();
        for word in &made.words {
            let evidence = Evidence { channel: made.channel, utterance: made.utterance, at: word.start };
            self.tokens.extend(plain(&word.text).map(|text| Token { text, evidence, end: word.end }));
        }
    }

    /// The nearest place of `phrase` that ends in a fresh word: as many words, one more or one less.
    fn find(&self, phrase: &[String], near: f64) -> Option<Said> {
        let wanted = phrase.concat();
        let mut best: Option<Said> = None;
        for last in self.fresh..self.tokens.len() {
            for length in phrase.len().saturating_sub(1).max(1)..=phrase.len() + 1 {
                let Some(first) = (last + 1).checked_sub(length) else { continue };
                let window = || self.tokens.range(first..=last);
                // most windows share no word with a longer phrase, and comparing letters is dear
                if phrase.len() > 1 && !window().any(|token| phrase.contains(&token.text)) {
                    continue;
                }
                let heard: String = window().map(|token| token.text.as_str()).collect();
                let nearness = (strsim::normalized_levenshtein(&wanted, &heard) * 100.0).floor() / 100.0;
                let better = best.is_none_or(|best| nearness > best.nearness);
                if let (true, Some(begin)) = (nearness >= near && better, self.tokens.get(first)) {
                    best = Some(Said { evidence: begin.evidence, end: self.tokens[last].end, nearness });
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::said;

    fn find(phrases: &[&str], nearness: Option<f64>, said: &[Final]) -> Option<Said> {
        let phrases = Phrases::new(&phrases.iter().map(ToString::to_string).collect::<Vec<_>>(), nearness);
        let mut speech = Speech::default();
        said.iter()
            .filter_map(|made| {
                speech.add(made);
                phrases.find(&speech)
            })
            .next()
    }

    #[test]
    fn mh13_a_phrase_is_heard_whatever_its_case_and_punctuation() {
        let found = find(&["cancel my contract"], None, &[said(1, 3, 2.0, "Look, I want to Cancel my contract.")]);
        let found = found.unwrap();
        assert_eq!((found.nearness, found.evidence.utterance, found.evidence.channel), (1.0, 3, 1));
        assert!((found.evidence.at.seconds() - 4.0).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn mh13_near_matches_count_and_say_how_near() {
        let found =
            find(&["thank you for calling harbor bank"], None, &[said(0, 1, 0.0, "Thank you for calling Harper Bank")]);
        assert!((0.8..1.0).contains(&found.unwrap().nearness));
        assert_eq!(find(&["thank you for calling"], None, &[said(0, 1, 0.0, "thank you very much")]), None);
        // one word is itself or another
        assert_eq!(find(&["cancel"], None, &[said(0, 1, 0.0, "the cancer ward")]), None);
        assert!(find(&["cancel"], Some(0.8), &[said(0, 1, 0.0, "the cancer ward")]).is_some());
    }

    #[test]
    fn a_phrase_may_lie_across_two_utterances_but_not_across_a_pause() {
        let halves = |second: f64| [said(0, 1, 0.0, "is there anything"), said(0, 2, second, "else I can do")];
        assert_eq!(find(&["anything else I can do"], None, &halves(4.0)).unwrap().evidence.utterance, 1);
        assert_eq!(find(&["anything else I can do"], None, &halves(20.0)), None);
    }

    #[test]
    fn what_was_found_is_not_found_again() {
        let phrases = Phrases::new(&["my card".to_owned()], None);
        let mut speech = Speech::default();
        speech.add(&said(0, 1, 0.0, "it is my card"));
        assert!(phrases.find(&speech).is_some());
        speech.add(&said(0, 2, 5.0, "yes"));
        assert!(phrases.find(&speech).is_none());
    }
}
