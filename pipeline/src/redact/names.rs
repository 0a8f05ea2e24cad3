//! Names where a phrase gives them: "my name is …", "this is …", "thank you, …", or an answer to "your name, please?".

use std::ops::Range;

use super::words::Words;

/// Phrases that a name follows whatever its case.
const GIVEN: [&str; 17] = [
    "name is",
    "name's",
    "names",
    "name was",
    "i'm called",
    "last name",
    "first name",
    "surname is",
    "surname",
    "speaking with",
    "speaking to",
    "mr",
    "mrs",
    "ms",
    "miss",
    "dr",
    "on behalf of",
];
/// Phrases that a name follows when it is written with a capital.
const PERHAPS: [&str; 15] = [
    "this is",
    "i'm",
    "i am",
    "it's",
    "call me",
    "thank you",
    "thanks",
    "hello",
    "hi",
    "hey",
    "sorry",
    "bye",
    "okay",
    "name",
    "ask for",
];
/// Words with a capital that are no names, and small words that end one.
const NOT_NAMES: &[&str] = &[
    "a",
    "about",
    "afternoon",
    "again",
    "all",
    "also",
    "am",
    "an",
    "and",
    "any",
    "april",
    "are",
    "as",
    "at",
    "august",
    "back",
    "bank",
    "be",
    "because",
    "been",
    "bye",
    "but",
    "by",
    "calling",
    "can",
    "card",
    "center",
    "correct",
    "could",
    "customer",
    "day",
    "december",
    "did",
    "do",
    "does",
    "english",
    "evening",
    "february",
    "fine",
    "for",
    "friday",
    "from",
    "give",
    "go",
    "going",
    "good",
    "goodbye",
    "great",
    "had",
    "happy",
    "has",
    "have",
    "hello",
    "help",
    "here",
    "hey",
    "hi",
    "how",
    "i",
    "i'd",
    "i'll",
    "i'm",
    "i've",
    "if",
    "in",
    "is",
    "it",
    "it's",
    "january",
    "july",
    "june",
    "just",
    "let",
    "like",
    "looking",
    "ma'am",
    "madam",
    "march",
    "may",
    "me",
    "monday",
    "morning",
    "my",
    "need",
    "night",
    "no",
    "not",
    "november",
    "now",
    "october",
    "of",
    "oh",
    "ok",
    "okay",
    "on",
    "one",
    "or",
    "our",
    "please",
    "right",
    "saturday",
    "september",
    "she",
    "he",
    "sir",
    "so",
    "sorry",
    "spelled",
    "still",
    "sunday",
    "sure",
    "thank",
    "thanks",
    "that",
    "that's",
    "the",
    "then",
    "there",
    "they",
    "this",
    "thursday",
    "to",
    "today",
    "tomorrow",
    "trying",
    "tuesday",
    "uh",
    "um",
    "very",
    "wait",
    "was",
    "we",
    "wednesday",
    "welcome",
    "well",
    "what",
    "what's",
    "when",
    "where",
    "which",
    "who",
    "why",
    "will",
    "with",
    "wonderful",
    "would",
    "yeah",
    "yes",
    "yep",
    "you",
    "you're",
    "your",
    "absolutely",
    "perfect",
    "actually",
    "spell",
    "number",
    "id",
    "and the",
    "address",
    "speaking",
    "only",
    "everything",
    "much",
    "everyone",
    "guys",
    "both",
];
/// A phrase with one of these near it names a company.
const COMPANY: [&str; 16] = [
    "bank",
    "company",
    "support",
    "service",
    "services",
    "insurance",
    "inc",
    "corporation",
    "department",
    "group",
    "airlines",
    "hotel",
    "hospital",
    "clinic",
    "team",
    "credit",
];
/// Most words of a name.
const LONGEST: usize = 3;

/// Stretches of words that are names. `expected`: somebody has asked for one. `unfinished`: more words may follow, and
/// the last ones may still get a capital, so whatever stands there after a cue counts.
pub fn names(words: &Words<'_>, expected: bool, unfinished: bool) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in 0..words.len() {
        if let Some(length) = longest(words, at, &GIVEN) {
            let from = skip(words, at + length);
            found.extend(name(words, from, true));
        } else if let Some(length) = longest(words, at, &PERHAPS) {
            let from = skip(words, at + length);
            let last = unfinished.then(|| name(words, from, true)).flatten().filter(|span| span.end == words.len());
            found.extend(last.or_else(|| name(words, from, false)));
        }
    }
    if unfinished {
        // the first letter of what follows a name
        for span in &mut found {
            let letter = words.at(span.end);
            let last = span.end + 1 == words.len();
            span.end += usize::from(last && letter.len() == 1 && letter.chars().all(char::is_alphabetic));
        }
    }
    if expected {
        // a last name may have lost its capital: "Olga, stone."
        for span in &mut found {
            span.end += usize::from(goes_on(words, span.end));
        }
    }
    found.extend(spelled(words, expected));
    if expected && found.is_empty() && words.len() <= 6 {
        let answer = (0..words.len()).find_map(|at| name(words, at, false));
        let short = || (0..words.len()).filter(|_| words.len() <= 3).find_map(|at| name(words, at, true));
        let answer = answer.map(|span| span.start..span.end + usize::from(goes_on(words, span.end)));
        found.extend(answer.or_else(short));
    }
    found
}

/// Whether the word at `at` may be the rest of the name before it.
fn goes_on(words: &Words<'_>, at: usize) -> bool {
    let ended = at > 0 && words.shown[at - 1].ends_with(['.', '!', '?', ';']);
    !ended && is_name(words, at, true)
}

fn longest(words: &Words<'_>, at: usize, phrases: &[&str]) -> Option<usize> {
    phrases.iter().filter_map(|phrase| words.phrase_at(at, phrase)).max()
}

/// "my name is, uh, …", "last name is …"
fn skip(words: &Words<'_>, mut at: usize) -> usize {
    while matches!(words.at(at), "is" | "uh" | "um" | "er" | "mr" | "mrs" | "ms" | "miss" | "dr") {
        at += 1;
    }
    at
}

fn name(words: &Words<'_>, from: usize, given: bool) -> Option<Range<usize>> {
    let mut end = from;
    while end < words.len() && end < from + LONGEST {
        // "James and Nyan": what a recogniser makes of a name it does not know
        let joint = usize::from(end > from && words.at(end) == "and");
        let lower = !given && end == from && words.at(end + 1).len() > 1 && is_name(words, end, true);
        let known = is_name(words, end + joint, given && joint == 0);
        // "way Smith": the first part may have lost its capital
        let lost_capital = || lower && is_name(words, end + 1, false);
        if !known && !lost_capital() {
            break;
        }
        end += joint + 1;
        // a full stop or a comma ends it
        if words.shown[end - 1].ends_with(['.', ',', '!', '?', ';']) && words.shown[end - 1].len() > 2 {
            break;
        }
    }
    let company = || (from..(end + 3).min(words.len())).any(|index| COMPANY.contains(&words.at(index)));
    (end > from && (given || !company())).then_some(from..end)
}

fn is_name(words: &Words<'_>, at: usize, given: bool) -> bool {
    if at >= words.len() {
        return false;
    }
    let word = words.at(at);
    let letters = !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '-' | '.'));
    let capital = words.shown[at].chars().find(|c| c.is_alphanumeric()).is_some_and(char::is_uppercase);
    let stem = word.strip_suffix("'s").unwrap_or(word);
    letters && (capital || given) && word.len() > 1 && !NOT_NAMES.contains(&stem)
}

/// Three single letters and more, or "S-M-I-T-H".
fn spelled(words: &Words<'_>, expected: bool) -> Option<Range<usize>> {
    let letter = |at: &usize| {
        let word = words.at(*at).replace(['-', '.'], "");
        let dashed = words.at(*at).matches('-').count() >= 2 && words.at(*at).split('-').all(|part| part.len() <= 1);
        dashed || (word.len() == 1 && word.chars().all(char::is_alphabetic))
    };
    let cue = expected || (0..words.len()).any(|at| matches!(words.at(at), "name" | "spell" | "spelled" | "spelling"));
    let start = (0..words.len()).find(|at| letter(at) && (letter(&(at + 1)) || words.at(*at).contains('-')))?;
    let end = (start..words.len()).take_while(letter).count() + start;
    let letters: usize = (start..end).map(|at| words.at(at).chars().filter(|c| c.is_alphabetic()).count()).sum();
    (cue && letters >= 3).then_some(start..end)
}
