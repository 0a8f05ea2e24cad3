//! What was written down against what was said, and against what other calls with the same sound got.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use super::{check::HeardFinal, tape::Said};
use crate::bench::{normalise, word_error::WordErrors};

/// Word errors of one call: `frame` is the length of a frame in seconds.
pub fn errors(said: &[Said], finals: &[HeardFinal], frame: f64) -> WordErrors {
    let mut errors = WordErrors::default();
    for said in said {
        let Some(reference) = &said.words else { continue };
        // what is heard from here on belongs to a turn that the end of the call cuts off
        let known = said.frames as f64 * frame;
        let mut finals: Vec<&HeardFinal> =
            finals.iter().filter(|made| said.channel.is_none_or(|channel| channel == made.channel)).collect();
        finals.sort_by(|a, b| a.start.total_cmp(&b.start));
        let words = finals.iter().flat_map(|made| &made.words).filter(|word| word.start < known);
        let text: Vec<&str> = words.map(|word| word.text.as_str()).collect();
        errors += WordErrors::between(reference, &normalise::words(&text.join(" ")));
    }
    errors
}

/// Where a final comes from: the tape, the frame the call began with, the channel and the utterance; and whether the
/// call came from Twilio, which may be coded otherwise.
pub type Place = (usize, usize, u8, u64, bool);

/// Finals are compared with those of so many places; those beyond are not looked at.
const PLACES: usize = 200_000;

/// Finals depend on the sound alone, so that two calls with the same sound must get the same.
#[derive(Default)]
pub struct Same {
    seen: Mutex<HashMap<Place, u64>>,
}

impl Same {
    /// False when another call had something else there.
    pub fn agrees(&self, place: Place, made: &HeardFinal) -> bool {
        let mut hasher = DefaultHasher::new();
        (made.start.to_bits(), made.end.to_bits(), &made.text).hash(&mut hasher);
        let hash = hasher.finish();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= PLACES && !seen.contains_key(&place) {
            return true;
        }
        *seen.entry(place).or_insert(hash) == hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::check::Word;

    fn made(channel: u8, start: f64, text: &str) -> HeardFinal {
        let words = text.split(' ').map(|word| Word { text: word.to_owned(), start, end: start }).collect();
        HeardFinal { channel, utterance: 1, start, end: start + 1.0, text: text.to_owned(), words }
    }

    fn said(channel: Option<u8>, text: &str, frames: usize) -> Said {
        Said { channel, words: Some(normalise::words(text)), frames }
    }

    #[test]
    fn each_side_is_compared_up_to_where_its_words_are_known() {
        let finals = [made(1, 3.0, "cut off"), made(0, 2.0, "Four."), made(0, 0.5, "One two"), made(1, 1.0, "six")];
        let said = [said(Some(0), "one two three four", 500), said(Some(1), "six", 100)];
        assert_eq!(errors(&said, &finals, 0.02), WordErrors { errors: 1, words: 5 });
    }

    #[test]
    fn the_same_sound_gives_the_same() {
        let same = Same::default();
        let place = (0, 0, 0, 1, false);
        assert!(same.agrees(place, &made(0, 1.0, "a")) && same.agrees(place, &made(0, 1.0, "a")));
        assert!(!same.agrees(place, &made(0, 1.0, "b")));
        assert!(same.agrees((0, 0, 0, 1, true), &made(0, 1.0, "b")));
    }
}
