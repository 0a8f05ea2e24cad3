//! How much personal data is hidden, and what is hidden without need.

use std::collections::BTreeMap;

use serde::Serialize;
use sotto_events::{Final, MediaTime, Redaction, Word};
use sotto_pipeline::{
    RedactionSettings,
    redact::{Around, Following, Redactor},
};

use super::spoken::Saying;

/// Figures of one kind.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Hiding {
    /// Things said.
    pub said: usize,
    /// Of those, hidden to the last word, as whatever kind.
    pub hidden: usize,
    pub recall_percent: f64,
    /// Markers of this kind.
    pub markers: usize,
    /// Of those, where something of this kind was said.
    pub right: usize,
    pub precision_percent: f64,
}

/// What came of all sayings.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    pub kinds: BTreeMap<String, Hiding>,
    /// Harmless sayings, and those in which something was hidden.
    pub harmless: usize,
    pub false_alarms: usize,
    pub false_alarm_percent: f64,
    /// Sayings that kept a word they must not, and harmless ones that lost one: what was said and what was shown.
    #[serde(skip)]
    pub wrong: Vec<(Option<Redaction>, String, String)>,
}

/// Sends every saying through a redactor of its own, as a call would.
pub fn measure(sayings: &[Saying], settings: &RedactionSettings) -> Outcome {
    let mut outcome = Outcome::default();
    for saying in sayings {
        let shown = shown(saying, settings);
        let markers: Vec<Redaction> =
            shown.iter().flat_map(|text| text.split_whitespace()).filter_map(Redaction::of_marker).collect();
        let said = || (saying.utterances.join(" | "), shown.join(" | "));
        for marker in &markers {
            let figures = outcome.kinds.entry(marker.name().to_owned()).or_default();
            figures.markers += 1;
            figures.right += usize::from(saying.kind == Some(*marker));
        }
        let Some(kind) = saying.kind else {
            outcome.harmless += 1;
            if !markers.is_empty() {
                outcome.false_alarms += 1;
                outcome.wrong.push((None, said().0, said().1));
            }
            continue;
        };
        let figures = outcome.kinds.entry(kind.name().to_owned()).or_default();
        figures.said += 1;
        if leaks(saying, &shown) {
            outcome.wrong.push((Some(kind), said().0, said().1));
        } else {
            figures.hidden += 1;
        }
    }
    for figures in outcome.kinds.values_mut() {
        figures.recall_percent = percent(figures.hidden, figures.said);
        figures.precision_percent = percent(figures.right, figures.markers);
    }
    outcome.false_alarm_percent = percent(outcome.false_alarms, outcome.harmless);
    outcome
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Whether any word of the secret is left; words are taken off one by one, since "one" may also stand beside it.
fn leaks(saying: &Saying, shown: &[String]) -> bool {
    saying.utterances.iter().zip(&saying.secrets).zip(shown).any(|((said, secret), shown)| {
        let count = |text: &str, word: &str| text.split_whitespace().filter(|other| bare(other) == bare(word)).count();
        secret.iter().any(|word| {
            let beside = count(said, word) - secret.iter().filter(|other| bare(other) == bare(word)).count();
            count(shown, word) > beside
        })
    })
}

fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

fn shown(saying: &Saying, settings: &RedactionSettings) -> Vec<String> {
    let mut redactor = Redactor::new(settings.clone());
    let mut now = 0.0;
    if let Some(question) = saying.question {
        let asked = utterance(1, now, question);
        now = asked.end.seconds() + 1.0;
        redactor.redact(asked, Around::default());
    }
    let mut shown = Vec::new();
    for (index, text) in saying.utterances.iter().enumerate() {
        let made = utterance(0, now, text);
        now = made.end.seconds() + 0.8;
        let rest: Vec<Final> = saying.utterances[index + 1..].iter().map(|text| utterance(0, now, text)).collect();
        let mut rest = rest.iter();
        let after = redactor.after(&made, "", |_| rest.next().map_or(Following::Nothing, Following::Said));
        let after = after.unwrap_or_default();
        shown.push(redactor.redact(made, Around { before: "", after: &after }).text);
    }
    shown
}

/// A final with words of equal length.
fn utterance(channel: u8, start: f64, text: &str) -> Final {
    let at = |index: usize| MediaTime::from_micros(((start + index as f64 * 0.35) * 1e6) as u64);
    let words: Vec<Word> = text
        .split_whitespace()
        .enumerate()
        .map(|(index, word)| Word { text: word.to_owned(), start: at(index), end: at(index + 1) })
        .collect();
    let (start, end) = (at(0), at(words.len()));
    Final { channel, utterance: 1, start, end, text: text.to_owned(), words, confidence: 1.0, model: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::spoken::sayings;

    #[test]
    fn mr8_cards_are_hidden_nearly_always_and_a_redactor_that_sleeps_is_noticed() {
        let sayings = sayings(7, 300);
        let outcome = measure(&sayings, &RedactionSettings::default());
        for (kind, least) in
            [("card", 99.0), ("phone", 95.0), ("account", 95.0), ("national_id", 95.0), ("email", 95.0)]
        {
            assert!(outcome.kinds[kind].recall_percent >= least, "{kind}: {:?}", outcome.wrong);
        }
        assert!(outcome.false_alarm_percent <= 5.0, "{:?}", outcome.wrong);
        let asleep = measure(&sayings, &RedactionSettings::NONE);
        assert!(asleep.kinds.values().all(|figures| figures.hidden == 0), "{:?}", asleep.kinds);
    }
}
