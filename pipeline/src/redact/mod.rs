//! Personal data is taken out of what was said before it leaves the pipeline: card, account, phone and identity numbers,
//! dates of birth, e-mail addresses and names, written or spoken.
//!
//! **What a recogniser mishears.** A card's digits come with one too many or one missing, so no checksum decides:
//! every number of twelve digits and more is hidden, shorter ones by a cue near them, by what was asked for before, or
//! from seven digits on.
//!
//! **Over several utterances.** A pause may end an utterance anywhere, in a number too. So a final is read along with what
//! was said just before, and one that ends in what may be the beginning of something hidden (a few digits, half a date, an
//! address that was asked for) is held back until what follows on its channel is known ([`HOLD`]): "41", "11", "11" is
//! hidden from its first digit. What goes on where a hidden number broke off is hidden too ([`CHAIN`]).
//!
//! **State.** What was asked for, and which number is being read out, follow from the redacted finals before
//! ([`Redactor::follow`]), so a call that is taken up elsewhere comes out the same. All times are media time.

mod cues;
mod dates;
mod email;
mod names;
mod numbers;
mod words;

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};
use sotto_events::{Final, MediaTime, Redaction, Word};

use self::{
    cues::{Subject, cues},
    words::{Run, Words, runs},
};

/// How long an answer to a question is expected, in microseconds.
const ASKED: u64 = 30_000_000;
/// How soon speech must go on to belong to the number before it, in microseconds.
pub const HOLD: u64 = 2_500_000;
const CHAIN: u64 = 6_000_000;
/// Fewest digits, over several utterances, of a number that is read out in pieces.
const JOINED: usize = 5;
/// Most utterances that one is held back for.
const FOLLOWERS: usize = 6;
/// Fewest digits after what is written like a time of day that make it the beginning of a number.
const AFTER_TIME: usize = 3;
/// Digits at the end of a partial that are hidden until it is known what they become.
const OPEN: usize = 1;

/// Which kinds are hidden. Everything is, unless a tenant says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactionSettings {
    pub card: bool,
    pub national_id: bool,
    pub account: bool,
    pub phone: bool,
    pub date_of_birth: bool,
    pub email: bool,
    pub name: bool,
}

impl Default for RedactionSettings {
    fn default() -> Self {
        Self { card: true, national_id: true, account: true, phone: true, date_of_birth: true, email: true, name: true }
    }
}

impl RedactionSettings {
    /// Everything in the clear: for measuring what was heard.
    pub const NONE: Self = Self {
        card: false,
        national_id: false,
        account: false,
        phone: false,
        date_of_birth: false,
        email: false,
        name: false,
    };

    fn hides(&self, kind: Redaction) -> bool {
        match kind {
            Redaction::Card => self.card,
            Redaction::NationalId => self.national_id,
            Redaction::Account => self.account,
            Redaction::Phone => self.phone,
            Redaction::DateOfBirth => self.date_of_birth,
            Redaction::Email => self.email,
            Redaction::Name => self.name,
            Redaction::Digits => self.card || self.national_id || self.account || self.phone,
        }
    }
}

/// What is said around an utterance by who says it, as it was heard: just before it, and after it where that decides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    pub before: &'a str,
    pub after: &'a str,
}

impl Around<'_> {
    /// With `text` between, as if it were said in one go, and how many words come before it.
    fn with(&self, text: &str) -> (String, usize) {
        let mut whole = self.before.to_owned();
        let from = self.before.split_whitespace().count();
        for text in [text, self.after] {
            append(&mut whole, text);
        }
        (whole, from)
    }
}

/// Adds what is said next. Marks at the end of what was said before go: whether a sentence is over there is a guess.
pub fn append(whole: &mut String, text: &str) {
    let open = whole.trim_end_matches(['.', ',', '!', '?', ';', ':']);
    // a mark by itself counts as a word
    if !open.is_empty() && !open.ends_with(char::is_whitespace) {
        whole.truncate(open.len());
    }
    if !whole.is_empty() && !text.is_empty() {
        whole.push(' ');
    }
    whole.push_str(text);
}

/// What is said next on the channel of a final.
#[derive(Debug, Clone, Copy)]
pub enum Following<'a> {
    Said(&'a Final),
    /// Nothing as soon as was asked.
    Nothing,
    /// It is not known yet.
    Unknown,
}

/// Words that are hidden, and as what.
type Span = (Range<usize>, Redaction);

/// A number that is being read out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chain {
    kind: Redaction,
    until: MediaTime,
}

/// Takes personal data out of the texts of one call.
#[derive(Debug, Clone)]
pub struct Redactor {
    settings: RedactionSettings,
    /// What was asked for last, and until when an answer is expected.
    asked: Option<(Redaction, MediaTime)>,
    /// On which channel.
    asker: Option<u8>,
    /// By channel.
    chains: BTreeMap<u8, Chain>,
}

impl Redactor {
    pub fn new(settings: RedactionSettings) -> Self {
        Self { settings, asked: None, asker: None, chains: BTreeMap::new() }
    }

    /// What is said after a final that ends in what may be the beginning of something hidden, as far as that decides;
    /// nothing after others. `next` tells one after another what is said next, if it begins until a time; `None` when that
    /// is not known yet.
    pub fn after<'a>(
        &self,
        made: &Final,
        before: &str,
        mut next: impl FnMut(MediaTime) -> Following<'a>,
    ) -> Option<String> {
        let (mut after, mut end) = (String::new(), made.end);
        for _ in 0..FOLLOWERS {
            let Some(until) = self.open_until(made, Around { before, after: &after }, end) else { break };
            match next(until) {
                Following::Said(next) => {
                    append(&mut after, &next.text);
                    end = next.end;
                }
                Following::Nothing => break,
                Following::Unknown => return None,
            }
        }
        Some(after)
    }

    /// Until when what follows decides what is to be hidden of a final, when what is known of it ends then; `None` when
    /// nothing does.
    fn open_until(&self, made: &Final, around: Around<'_>, end: MediaTime) -> Option<MediaTime> {
        let after = |end: MediaTime| MediaTime::from_micros(end.micros() + HOLD);
        if self.number_is_open(made, around) {
            return Some(after(end));
        }
        (self.date_is_open(made, around) || self.address_is_open(made, around)).then(|| after(made.end))
    }

    /// It ends in digits that may be the beginning of a number that is hidden.
    fn number_is_open(&self, made: &Final, around: Around<'_>) -> bool {
        let words = Words::of(&made.text);
        let expected = self.number_expected(made.channel, made.start);
        let Some(last) = runs(&words, expected).pop().filter(|run| run.words.end == words.len() && !run.amount) else {
            return false;
        };
        let before = Around { after: "", ..around };
        let hidden = self.spans_in((made.channel, made.start), &made.text, before, false);
        let known = hidden.iter().any(|(span, _)| span.end == last.words.end);
        let after = Words::of(around.after);
        let rest = || runs(&after, expected).into_iter().next().filter(|run| run.words.start <= 2);
        let goes_on = |run: Run| run.words.end == after.len() && last.digits.len() + run.digits.len() < JOINED;
        let open = words::are_fillers(&after) || rest().is_some_and(goes_on);
        !known && self.settings.hides(Redaction::Digits) && open
    }

    /// It ends in a date that may be one of birth once its year is there.
    fn date_is_open(&self, made: &Final, around: Around<'_>) -> bool {
        let (text, _) = Around { before: "", ..around }.with(&made.text);
        let words = Words::of(&text);
        self.settings.hides(Redaction::DateOfBirth)
            && dates::open(&words, &runs(&words, false)).is_some_and(|from| from < Words::of(&made.text).len())
    }

    /// An address was asked for, and it has none yet.
    fn address_is_open(&self, made: &Final, around: Around<'_>) -> bool {
        let (text, _) = around.with(&made.text);
        let words = Words::of(&text);
        let asked = || self.address_expected(made.channel, made.start) || email::are_spoken_of(&words);
        self.settings.hides(Redaction::Email)
            && !made.text.ends_with('?')
            && asked()
            && email::emails(&words, true).is_empty()
    }

    /// Hides what must not be kept.
    pub fn redact(&mut self, made: Final, around: Around<'_>) -> Final {
        let mut spans = self.spans_in((made.channel, made.start), &made.text, around, false);
        let expected = self.number_expected(made.channel, made.start);
        let joined = joined(&Words::of(&made.text), around.after, expected);
        spans.extend(joined.filter(|(_, kind)| self.settings.hides(*kind)));
        settle(&mut spans);
        let made = hide(made, &spans);
        self.follow(&made);
        made
    }

    /// Moves on over a final that is redacted already.
    pub fn follow(&mut self, made: &Final) {
        let words = Words::of(&made.text);
        for cue in cues(&words).into_iter().filter(|cue| cue.asks) {
            if let Subject::Personal(kind) = cue.subject {
                self.asked = Some((kind, MediaTime::from_micros(made.end.micros() + ASKED)));
                self.asker = Some(made.channel);
            }
        }
        // the marker of a number at the end: it may go on
        let last = (0..words.len()).rev().take(2).find_map(|index| Redaction::of_marker(words.shown[index]));
        match last.filter(|&kind| kind != Redaction::Name) {
            Some(kind) => {
                let number = !matches!(kind, Redaction::Email | Redaction::DateOfBirth);
                let until = MediaTime::from_micros(made.end.micros() + if number { CHAIN } else { HOLD });
                self.chains.insert(made.channel, Chain { kind, until });
                // somebody who reads out a number in pieces is still answering
                if let Some((asked, end)) = &mut self.asked
                    && *asked == kind
                {
                    *end = (*end).max(MediaTime::from_micros(made.end.micros() + ASKED));
                }
            }
            None if words::are_fillers(&words) => {}
            None => drop(self.chains.remove(&made.channel)),
        }
    }

    /// Hides in a partial, which is the beginning of a hypothesis: what a final of either would hide, and digits whose end is not
    /// known yet. `before` was said just before.
    pub fn partial(&self, at: (u8, MediaTime), text: &str, hypothesis: &str, before: &str) -> String {
        let words = Words::of(text);
        let mut spans = self.open_spans(at, text, before);
        if hypothesis.len() > text.len() {
            let clipped = |span: Range<usize>| span.start.min(words.len())..span.end.min(words.len());
            let whole = self.open_spans(at, hypothesis, before);
            spans.extend(whole.into_iter().map(|(span, kind)| (clipped(span), kind)));
        }
        settle(&mut spans);
        masked(&words, &spans).join(" ")
    }

    /// What is to be hidden of a text that is not finished.
    fn open_spans(&self, at: (u8, MediaTime), text: &str, before: &str) -> Vec<Span> {
        let around = Around { before, after: "" };
        let mut spans = self.spans_in(at, text, around, true);
        // what a number is may change with every digit that follows
        let number = |kind: &Redaction| {
            matches!(kind, Redaction::Card | Redaction::NationalId | Redaction::Account | Redaction::Phone)
        };
        spans.iter_mut().filter(|(_, kind)| number(kind)).for_each(|(_, kind)| *kind = Redaction::Digits);
        let expected = self.number_expected(at.0, at.1);
        let (whole, from) = around.with(text);
        let whole = Words::of(&whole);
        // a time of day at the end may be the beginning of a number
        let may_grow = |run: &Run| expected || !run.time || run.words.end == whole.len();
        for run in runs(&whole, expected).into_iter().filter(may_grow) {
            let open = run.words.end == whole.len() && run.digits.len() >= OPEN;
            if self.settings.hides(Redaction::Digits)
                && (open || run.digits.len() >= 4 || (expected && run.digits.len() >= 2))
            {
                let own = run.words.start.saturating_sub(from)..run.words.end.saturating_sub(from);
                spans.push((own, Redaction::Digits));
            }
        }
        spans
    }

    /// What is to be hidden of a text: by itself, and as a part of what is said around it.
    fn spans_in(&self, at: (u8, MediaTime), text: &str, around: Around<'_>, unfinished: bool) -> Vec<Span> {
        let words = Words::of(text);
        let mut spans = self.spans(at, &words, unfinished);
        if !(around.before.is_empty() && around.after.is_empty()) {
            let (whole, from) = around.with(text);
            let own = |index: usize| index.saturating_sub(from).min(words.len());
            let parts = self.spans(at, &Words::of(&whole), unfinished);
            spans.extend(parts.into_iter().map(|(span, kind)| (own(span.start)..own(span.end), kind)));
        }
        spans.retain(|(span, _)| !span.is_empty());
        spans
    }

    fn spans(&self, (channel, start): (u8, MediaTime), words: &Words<'_>, unfinished: bool) -> Vec<Span> {
        let (runs, cues) = (runs(words, self.number_expected(channel, start)), cues(words));
        let asked = self.asked_at(start);
        let mut spans: Vec<Span> = Vec::new();
        let about_birth = |kind: Option<Redaction>| kind == Some(Redaction::DateOfBirth);
        let born =
            about_birth(asked) || cues.iter().any(|cue| cue.subject == Subject::Personal(Redaction::DateOfBirth));
        let births = dates::births(words, &runs, born);
        let chain = self.chain_at(channel, start);
        let in_date = |run: &&Run| births.iter().any(|span| span.start <= run.words.start && run.words.end <= span.end);
        for run in runs.iter().filter(|run| !in_date(run) || run.digits.len() >= 12) {
            let goes_on = chain.filter(|&kind| run.words.start <= 2 && kind != Redaction::Email);
            let kind =
                numbers::kind(run, &cues, asked.filter(|kind| !matches!(kind, Redaction::Name | Redaction::Email)))
                    .or(goes_on);
            spans.extend(kind.map(|kind| (run.words.clone(), kind)));
        }
        spans.extend(births.into_iter().map(|span| (span, Redaction::DateOfBirth)));
        spans.extend(
            email::emails(words, asked == Some(Redaction::Email) || chain == Some(Redaction::Email))
                .into_iter()
                .map(|span| (span, Redaction::Email)),
        );
        let named = asked == Some(Redaction::Name);
        spans.extend(names::names(words, named, unfinished).into_iter().map(|span| (span, Redaction::Name)));
        spans.retain(|(_, kind)| self.settings.hides(*kind));
        spans
    }

    /// Whether somebody else has asked for an address, or one is being said.
    fn address_expected(&self, channel: u8, time: MediaTime) -> bool {
        let asked = self.asked_at(time) == Some(Redaction::Email) && self.asker != Some(channel);
        asked || self.chain_at(channel, time) == Some(Redaction::Email)
    }

    /// Whether somebody has asked for a number, or one is being read out.
    fn number_expected(&self, channel: u8, time: MediaTime) -> bool {
        let asked = self.asked_at(time).is_some_and(|kind| !matches!(kind, Redaction::Name | Redaction::Email));
        asked || self.chain_at(channel, time).is_some_and(|kind| kind != Redaction::Email)
    }

    fn asked_at(&self, time: MediaTime) -> Option<Redaction> {
        self.asked.filter(|(_, until)| time <= *until).map(|(kind, _)| kind)
    }

    fn chain_at(&self, channel: u8, time: MediaTime) -> Option<Redaction> {
        self.chains.get(&channel).filter(|chain| time <= chain.until).map(|chain| chain.kind)
    }
}

/// The number at the end of `words`, when the one at the beginning of `next` makes it long enough to be hidden.
fn joined(words: &Words<'_>, next: &str, expected: bool) -> Option<Span> {
    let last = runs(words, expected).pop().filter(|run| run.words.end == words.len() && !run.amount)?;
    let next = Words::of(next);
    let first: Run = runs(&next, expected).into_iter().next().filter(|run| run.words.start <= 2 && !run.amount)?;
    let count = last.digits.len() + first.digits.len();
    // "at 10:30." "One moment." is a time and a word
    let goes_on = !last.time || first.digits.len() >= AFTER_TIME;
    (count >= JOINED && goes_on).then(|| (last.words, numbers::by_length(count).unwrap_or(Redaction::Account)))
}

/// Sorts spans and joins those that overlap; the kind that comes first in [`Redaction::ALL`] stays.
fn settle(spans: &mut Vec<Span>) {
    spans.retain(|(span, _)| !span.is_empty());
    spans.sort_by_key(|(span, kind)| (span.start, *kind));
    let mut settled: Vec<Span> = Vec::with_capacity(spans.len());
    for (span, kind) in spans.drain(..) {
        match settled.last_mut() {
            Some((last, other)) if span.start < last.end => {
                last.end = last.end.max(span.end);
                *other = (*other).min(kind);
            }
            _ => settled.push((span, kind)),
        }
    }
    *spans = settled;
}

/// The words as shown, each hidden stretch one marker with the punctuation that followed it.
fn masked(words: &Words<'_>, spans: &[Span]) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut at = 0;
    for (span, kind) in spans {
        out.extend(words.shown[at..span.start].iter().map(|word| (*word).to_owned()));
        out.push(marker(*kind, words.shown[span.end - 1]));
        at = span.end;
    }
    out.extend(words.shown[at..].iter().map(|word| (*word).to_owned()));
    out
}

fn marker(kind: Redaction, last: &str) -> String {
    let ending: String = last.chars().rev().take_while(|c| matches!(c, '.' | ',' | '!' | '?' | ';' | ':')).collect();
    kind.marker().to_owned() + &ending.chars().rev().collect::<String>()
}

fn hide(made: Final, spans: &[Span]) -> Final {
    if spans.is_empty() {
        return made;
    }
    let mut words = Vec::with_capacity(made.words.len());
    let mut rest = made.words.into_iter();
    let mut at = 0;
    for (span, kind) in spans {
        words.extend(rest.by_ref().take(span.start - at));
        let hidden: Vec<Word> = rest.by_ref().take(span.len()).collect();
        if let (Some(first), Some(last)) = (hidden.first(), hidden.last()) {
            words.push(Word { text: marker(*kind, &last.text), start: first.start, end: last.end });
        }
        at = span.end;
    }
    words.extend(rest);
    let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    Final { text, words, ..made }
}

#[cfg(test)]
mod tests;
