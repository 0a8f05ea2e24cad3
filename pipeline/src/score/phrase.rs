//! Phrases in what a channel says, heard exactly or nearly, also across two utterances.

use std::collections::VecDeque;

use rapidfuzz::distance::levenshtein::{Args, BatchComparator};
use sotto_events::{Evidence, Final, LONGEST_PHRASE, MediaTime};

use crate::transcript::bare;

/// A pause of this length is no part of a phrase.
const PAUSE: u64 = 5_000_000;
/// How near counts unless a rule says otherwise, in percent: of one word and of two themselves, of more what a
/// recogniser makes of them.
const NEAR: [usize; 3] = [100, 100, 80];
/// Phrases of so many words are looked for in one word more and one less too.
const LOOSE: usize = 3;

/// Words of a rule, ready to be compared.
pub struct Phrases(Vec<Phrase>);

struct Phrase {
    words: Vec<String>,
    /// Letters.
    length: usize,
    letters: BatchComparator<char>,
    negates: bool,
    /// In percent.
    near: usize,
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

/// First and last word of what was said, and how near it is in percent.
#[derive(Clone, Copy)]
struct Place {
    first: usize,
    last: usize,
    nearness: usize,
}

impl Phrases {
    pub fn new(phrases: &[String], nearness: Option<f64>) -> Self {
        Self(phrases.iter().map(|phrase| Phrase::new(phrase, nearness)).collect())
    }

    /// Where they were said, oldest first, so that the last word is among those that `speech` took in last. Of places
    /// that overlap the nearest counts.
    pub fn places(&self, speech: &Speech) -> Vec<Said> {
        let mut places: Vec<Place> = self.0.iter().flat_map(|phrase| phrase.places(speech)).collect();
        places.sort_by_key(|place| (place.first, place.last));
        let mut apart: Vec<Place> = Vec::new();
        for place in places {
            match apart.last_mut() {
                Some(other) if place.first <= other.last => {
                    if place.nearness > other.nearness {
                        *other = place;
                    }
                }
                _ => apart.push(place),
            }
        }
        apart.into_iter().map(|place| speech.said(place)).collect()
    }
}

impl Phrase {
    fn new(phrase: &str, nearness: Option<f64>) -> Self {
        let words: Vec<String> = plain(phrase).collect();
        let letters: Vec<char> = words.iter().flat_map(|word| word.chars()).collect();
        let usual = NEAR[words.len().clamp(1, NEAR.len()) - 1];
        Self {
            length: letters.len(),
            letters: BatchComparator::new(letters),
            negates: words.iter().any(|word| negates(word)),
            near: nearness.map_or(usual, |nearness| (nearness * 100.0).round() as usize),
            words,
        }
    }

    fn places(&self, speech: &Speech) -> Vec<Place> {
        let mut places = Vec::new();
        // what ended in an older final was found in that one
        let before = speech.fresh.checked_sub(1).and_then(|last| self.nearest(speech, last));
        for last in speech.fresh..speech.tokens.len() {
            let place = self.nearest(speech, last);
            places.extend(place.filter(|place| {
                place.first >= speech.fresh || before.is_none_or(|before| before.nearness < place.nearness)
            }));
        }
        places
    }

    /// The nearest stretch of words that ends in `last`.
    fn nearest(&self, speech: &Speech, last: usize) -> Option<Place> {
        let count = self.words.len();
        let slack = usize::from(count >= LOOSE);
        let stretches = (count - slack..=count + slack).filter_map(|words| {
            let first = (last + 1).checked_sub(words)?;
            let nearness = self.nearness(speech, first, last)?;
            Some(Place { first, last, nearness })
        });
        stretches.max_by_key(|place| place.nearness)
    }

    /// In percent; none when that is not near enough.
    fn nearness(&self, speech: &Speech, first: usize, last: usize) -> Option<usize> {
        let heard = || speech.tokens.range(first..=last);
        let length: usize = heard().map(|token| token.length).sum();
        let longest = length.max(self.length);
        let most = longest * (100 - self.near) / 100;
        // most stretches are ruled out by their length, or share no word, and comparing letters is dear
        if length.abs_diff(self.length) > most {
            return None;
        }
        if self.words.len() > 1 && !heard().any(|token| self.words.contains(&token.text)) {
            return None;
        }
        // "is not recorded" is not "is recorded"
        if !self.negates && heard().any(|token| token.negates) {
            return None;
        }
        let letters: Vec<char> = heard().flat_map(|token| token.text.chars()).collect();
        let distance = self.letters.distance_with_args(letters, &Args::default().score_cutoff(most))?;
        Some(100 * (longest - distance) / longest.max(1))
    }
}

/// Lower case, letters and digits only.
fn plain(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '/'))
        .map(|word| bare(word).collect::<String>())
        .filter(|word| !word.is_empty())
}

/// Of a plain word: "not", "cannot", "don't".
fn negates(word: &str) -> bool {
    const SHORT: [&str; 14] = [
        "dont", "doesnt", "didnt", "isnt", "arent", "wasnt", "werent", "wont", "wouldnt", "cant", "couldnt",
        "shouldnt", "havent", "hasnt",
    ];
    matches!(word, "not" | "never" | "cannot") || SHORT.contains(&word)
}

struct Token {
    text: String,
    /// Letters.
    length: usize,
    negates: bool,
    evidence: Evidence,
    end: MediaTime,
}

/// The last words of one channel. Bounded by the longest utterance.
#[derive(Default)]
pub struct Speech {
    tokens: VecDeque<Token>,
    /// Index of the first word of the last final.
    fresh: usize,
}

impl Speech {
    /// Takes in a final.
    pub fn add(&mut self, made: &Final) {
        let pause = self.tokens.back().is_some_and(|last| made.start.micros() > last.end.micros() + PAUSE);
        let kept = if pause { 0 } else { LONGEST_PHRASE + 1 };
        self.tokens.drain(..self.tokens.len().saturating_sub(kept));
        self.fresh = self.tokens.len();
        for word in &made.words {
            let evidence = Evidence { channel: made.channel, utterance: made.utterance, at: word.start };
            self.tokens.extend(plain(&word.text).map(|text| Token {
                length: text.chars().count(),
                negates: negates(&text),
                text,
                evidence,
                end: word.end,
            }));
        }
    }

    fn said(&self, place: Place) -> Said {
        let nearness = place.nearness as f64 / 100.0;
        Said { evidence: self.tokens[place.first].evidence, end: self.tokens[place.last].end, nearness }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::said;

    /// The first place of them.
    fn find(phrases: &[&str], nearness: Option<f64>, said: &[Final]) -> Option<Said> {
        let phrases = Phrases::new(&phrases.iter().map(ToString::to_string).collect::<Vec<_>>(), nearness);
        let mut speech = Speech::default();
        said.iter().find_map(|made| {
            speech.add(made);
            phrases.places(&speech).first().copied()
        })
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
    fn a_short_phrase_is_not_half_of_itself_and_not_its_opposite() {
        for text in ["is there a guarantee on it", "we can not guarantee that", "we cannot guarantee it"] {
            assert_eq!(find(&["I guarantee"], None, &[said(0, 1, 0.0, text)]), None, "{text}");
        }
        let recorded = |text| find(&["this call is recorded"], None, &[said(0, 1, 0.0, text)]);
        assert!(recorded("so this call is recorded").is_some());
        assert_eq!(recorded("no this call is not recorded"), None);
        assert_eq!(recorded("no this call isn't recorded"), None);
    }

    #[test]
    fn what_was_found_is_not_found_again_but_what_is_said_again_is() {
        let phrases = Phrases::new(&["cancel my contract".to_owned()], None);
        let mut speech = Speech::default();
        let mut places = |utterance, start, text: &str| {
            speech.add(&said(1, utterance, start, text));
            phrases.places(&speech).len()
        };
        assert_eq!(places(1, 0.0, "I want to cancel my contract"), 1);
        assert_eq!(places(2, 5.0, "I really do"), 0);
        assert_eq!(places(3, 8.0, "cancel my contract yes cancel my contract"), 2);
    }
}
