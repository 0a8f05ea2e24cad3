//! E-mail addresses, written ("ann@example.com") or spoken ("ann dot lee at example dot com").

use std::ops::Range;

use super::words::Words;

const ENDINGS: [&str; 22] = [
    "com", "net", "org", "edu", "gov", "io", "co", "uk", "us", "de", "fr", "es", "it", "nl", "ca", "au", "info", "biz",
    "me", "eu", "ie", "mail",
];
/// Words before an address that are not of it.
const OUTSIDE: [&str; 24] = [
    "is", "it's", "its", "email", "e-mail", "mail", "address", "to", "me", "yes", "sure", "my", "at", "the", "and",
    "so", "okay", "ok", "that's", "use", "under", "with", "reach", "write",
];
/// What is near an address that is written, and near one that is spoken without its "at".
const WRITTEN: [&str; 6] = ["email", "e-mail", "mail", "address", "write", "reach"];
const SPOKEN: [&str; 4] = ["email", "e-mail", "mail", "underscore"];
/// Most words of the part before "at".
const LOCAL: usize = 10;

/// Whether one may follow, or be what is said.
pub fn are_spoken_of(words: &Words<'_>) -> bool {
    (0..words.len()).any(|at| matches!(words.at(at), "email" | "e-mail"))
}

/// Stretches of words that are addresses. `expected`: somebody has asked for one.
pub fn emails(words: &Words<'_>, expected: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for at in 0..words.len() {
        let word = words.at(at);
        if word.contains('@') || misheard(word) {
            found.push(announced(words, at)..at + 1);
        } else if word == "dot" && ENDINGS.contains(&words.at(at + 1)) && (expected || is_announced(words, at, &SPOKEN))
        {
            // "at" was not heard
            found.push(local(words, at)..at + 2);
        } else if word == "at"
            && let Some(end) = domain(words, at + 1)
        {
            found.push(local(words, at)..end);
        }
    }
    found
}

/// An address in which "at" or a dot was taken for a sound of the name.
fn misheard(word: &str) -> bool {
    const HOSTS: [&str; 6] = ["gmail", "outlook", "hotmail", "yahoo", "icloud", "proton"];
    let ending = word.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending));
    ending && (word.contains('_') || HOSTS.iter().any(|host| word.contains(host)))
}

/// Where an address begins whose last word is `at`: after "email is", however many words that are.
fn announced(words: &Words<'_>, at: usize) -> usize {
    if is_announced(words, at, &WRITTEN) { local(words, at) } else { at }
}

fn is_announced(words: &Words<'_>, at: usize, cues: &[&str]) -> bool {
    (at.saturating_sub(LOCAL)..at).any(|index| cues.contains(&words.at(index)))
}

/// "example dot co dot uk" or "example.com", perhaps in several words; gives its end.
fn domain(words: &Words<'_>, from: usize) -> Option<usize> {
    let mut end = None;
    for at in from..(from + 8).min(words.len()) {
        let word = words.at(at);
        let dotted = word.rsplit_once('.').is_some_and(|(name, ending)| !name.is_empty() && ENDINGS.contains(&ending));
        let spoken = words.at(at.wrapping_sub(1)) == "dot" && at > from && ENDINGS.contains(&word);
        if dotted || spoken {
            end = Some(at + 1);
        } else if end.is_some() && word != "dot" {
            break;
        }
    }
    end
}

fn local(words: &Words<'_>, at: usize) -> usize {
    let earliest = at.saturating_sub(LOCAL);
    (earliest..at).rev().take_while(|&index| !OUTSIDE.contains(&words.at(index))).last().unwrap_or(at)
}
