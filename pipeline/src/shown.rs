//! What partials show of the hypotheses of an utterance (`docs/decisions/0022-words-shown.md`).

use crate::{SPEECH_RATE, transcript::bare};

/// How likely the final keeps a word must be for it to be shown.
const LIKELY: f32 = 0.8;
/// The same for the first word, behind which all others wait.
const LIKELY_FIRST: f32 = 0.5;
/// How much less likely it may be for each hypothesis in a row that has had it, but for two, or for each half second, but for
/// one, for which they have had it: under load there are few.
const REPEATED: f32 = 0.05;
const HALF_SECOND: usize = SPEECH_RATE as usize / 2;

/// The words that the final is likely to keep, up to the first that it may not. What is shown stays until what would be shown
/// says otherwise.
#[derive(Debug, Default)]
pub struct Shown {
    last: Vec<String>,
    /// For each word of the last hypothesis, how many in a row have had it and all before it, and the window of the first.
    said: Vec<(usize, usize)>,
    /// The hypothesis that what is shown is from, and how many of its words that is.
    hypothesis: Vec<String>,
    shown: usize,
}

impl Shown {
    /// Takes in a hypothesis of a window of `length` samples, with the natural logarithm of the probability of each of its
    /// words, NaN where it is not known.
    pub fn take(&mut self, length: usize, text: &str, log_probabilities: &[f32]) {
        let new: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut ready = self.likely(length, &new, log_probabilities);
        let shown = &self.hypothesis[..self.shown];
        let agreed = common(&new, shown);
        let otherwise = agreed < ready.min(shown.len());
        if otherwise {
            ready += still_said(&shown[agreed..], &new[agreed..], ready - agreed);
        } else if agreed == shown.len() {
            ready = ready.max(agreed);
        }
        if otherwise || ready >= shown.len() {
            (self.hypothesis, self.shown) = (new.clone(), ready);
        }
        self.last = new;
    }

    /// What to show.
    pub fn text(&self) -> String {
        self.hypothesis[..self.shown].join(" ")
    }

    /// The hypothesis that this is the beginning of.
    pub fn hypothesis(&self) -> String {
        self.hypothesis.join(" ")
    }

    /// How many words of a hypothesis the final is likely to keep.
    fn likely(&mut self, length: usize, new: &[String], log_probabilities: &[f32]) -> usize {
        self.said.truncate(common(new, &self.last));
        self.said.resize(new.len(), (0, length));
        self.said.iter_mut().for_each(|(times, _)| *times += 1);
        let known = |place: usize| log_probabilities.get(place).map(|x| x.exp()).filter(|p| !p.is_nan()).unwrap_or(0.5);
        let is_likely = |&place: &usize| {
            let (times, first) = self.said[place];
            let next = Some(place + 1).filter(|&next| next < new.len()).map(known);
            // what is shown is not changed by one hypothesis that may be as wrong
            let keeps = || times > 1 || self.shown == 0 || is_same(&self.hypothesis[0], &new[0]);
            let least = if place == 0 && keeps() { LIKELY_FIRST } else { LIKELY };
            let half_seconds = length.saturating_sub(first) / HALF_SECOND;
            let patience = times.saturating_sub(2).max(half_seconds.saturating_sub(1));
            chance(known(place), next, times > 1) >= least - REPEATED * patience as f32
        };
        (0..new.len()).take_while(is_likely).count()
    }
}

/// How many words of `new` behind the first `ready` ones are still as they were shown.
fn still_said(shown: &[String], new: &[String], ready: usize) -> usize {
    let mut behind = shown.iter();
    for word in &new[..ready] {
        let mut ahead = behind.clone();
        if ahead.any(|shown| is_same(shown, word)) {
            behind = ahead;
        }
    }
    new[ready..].iter().take_while(|word| behind.any(|shown| is_same(shown, word))).count()
}

/// How likely the final keeps a word, given its probability, that of the word behind it if there is one, and whether the
/// hypothesis before had it too: a logistic regression.
fn chance(word: f32, next: Option<f32>, repeated: bool) -> f32 {
    let odds = (word + 0.01) / (1.01 - word);
    let score = -0.1 + 0.8 * odds.ln() + next.map_or(0.6, |next| 0.9 * next) - if repeated { 0.0 } else { 0.7 };
    1.0 / (1.0 + (-score).exp())
}

/// How many words two texts share from the start.
fn common(a: &[String], b: &[String]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| is_same(a, b)).count()
}

/// Case and punctuation come and go, and do not count.
fn is_same(a: &str, b: &str) -> bool {
    bare(a).eq(bare(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows hypotheses that come so many samples after each other.
    fn showing(every: usize) -> impl FnMut(&str, &[f32]) -> String {
        let (mut shown, mut length) = (Shown::default(), 0);
        move |text, probabilities| {
            length += every;
            shown.take(length, text, &probabilities.iter().map(|x| x.ln()).collect::<Vec<_>>());
            shown.text()
        }
    }

    #[test]
    fn what_is_shown_is_likely_to_stay() {
        let mut show = showing(HALF_SECOND);
        // of what is heard for the first time what is sure, and the first word when it is more likely than not
        assert_eq!(show("Eye won", &[0.4, 0.7]), "");
        assert_eq!(show("I want to", &[0.6, 0.95, 0.8]), "I want");
        assert_eq!(show("I want to buy", &[0.6, 0.8, 0.8, 0.6]), "I want to");
        // what is in doubt takes nothing back, the first word neither
        assert_eq!(show("I wanted", &[0.7, 0.6]), "I want to");
        assert_eq!(show("Eye want to", &[0.7, 0.9, 0.9]), "I want to");
        assert_eq!(show("", &[]), "I want to");
        for _ in 0..3 {
            assert_eq!(show("Eye want to", &[0.7, 0.9, 0.9]), "I want to");
            assert_eq!(show("Aye want to", &[0.7, 0.9, 0.9]), "I want to");
        }
        // the second time less is enough
        assert_eq!(show("I want two", &[0.7, 0.9, 0.8]), "I want to");
        assert_eq!(show("I want two cars", &[0.7, 0.9, 0.9, 0.3]), "I want two");
        // one that is sure takes back what others said, and what it still says behind stays
        let text = "I sold two";
        assert_eq!(show(&format!("{text} bikes"), &[0.95, 0.95, 0.5, 0.5]), text);
        assert_eq!(show("I have sold two", &[0.95, 0.97, 0.5, 0.5]), "I have sold two");
        assert_eq!(show("I have two", &[0.95, 0.97, 0.9]), "I have two");
        // the first word when it is said otherwise twice
        assert_eq!(show("Have two", &[0.5, 0.5]), "I have two");
        assert_eq!(show("Have two", &[0.5, 0.5]), "Have two");
    }

    #[test]
    fn what_is_in_doubt_holds_back_what_is_behind_it_but_not_for_ever() {
        let (text, probabilities) = ("two cars please now", [0.95, 0.3, 0.95, 0.95]);
        for (every, patient) in [(HALF_SECOND, 8), (HALF_SECOND / 5, 8), (2 * HALF_SECOND, 5), (4 * HALF_SECOND, 3)] {
            let mut show = showing(every);
            let times = (1..20).find(|_| show(text, &probabilities) == text);
            assert_eq!(times, Some(patient), "every {every}");
        }
        let mut show = showing(HALF_SECOND);
        assert_eq!((1..20).find(|_| !show("Hi I want", &[0.1, 0.9, 0.9]).is_empty()), Some(7));
    }

    #[test]
    fn what_is_not_known_of_a_word_may_be_either() {
        let mut show = showing(HALF_SECOND);
        assert_eq!(show("well yes", &[f32::NAN, 0.5]), "");
        assert_eq!(show("well yes", &[f32::NAN, 0.5]), "well");
    }

    #[test]
    fn what_is_shown_is_the_beginning_of_a_hypothesis() {
        let mut shown = Shown::default();
        let mut take = |text: &str, log_probabilities: &[f32]| {
            shown.take(0, text, log_probabilities);
            (shown.text(), shown.hypothesis())
        };
        let (text, whole) = ("my email is ann at".to_owned(), "my email is ann at example dot com");
        assert_eq!(take(&text, &[-0.01; 5]), (text.clone(), text.clone()));
        // what is shown stays, as a part of the last one that says so
        let in_doubt = [-0.01, -0.01, -0.01, -0.01, -0.01, -2.0, -0.01, -0.01];
        assert_eq!(take(whole, &in_doubt), (text.clone(), whole.to_owned()));
        assert_eq!(take("my", &[-0.01]), (text, whole.to_owned()));
    }

    #[test]
    fn a_word_that_comes_twice_was_shown_as_often_as_it_was_said() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(still_said(&words("go to the shop"), &words("please go to to"), 3), 0);
        assert_eq!(still_said(&words("go to the shop"), &words("please go to the shop now"), 3), 2);
        assert_eq!(still_said(&words("want two cars"), &words("sold two cars"), 1), 2);
    }

    #[test]
    fn a_word_is_likely_to_stay_for_what_it_and_the_next_are_and_when_it_was_heard_before() {
        let (often, seldom) = (chance(0.7, Some(0.9), true), chance(0.7, Some(0.2), false));
        assert!(seldom < chance(0.7, Some(0.9), false) && chance(0.7, Some(0.9), false) < often);
        assert!(chance(0.7, Some(0.2), true) < chance(0.7, None, true) && chance(0.7, None, true) < often);
        assert!(chance(0.0, None, false) > 0.0 && chance(1.0, Some(1.0), true) < 1.0);
    }
}
