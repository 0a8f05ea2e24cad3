//! Dates of birth: a date after a cue, or a whole date with a year that people are born in.

use std::ops::Range;

use super::words::{Run, Words};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const JOINTS: [&str; 6] = ["of", "the", "and", "uh", "um", "in"];
const ORDINALS: [&str; 22] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
    "thirtieth",
    "thirty-first",
];
/// Years that people now alive are born in; later dates are appointments.
const BIRTH_YEARS: Range<u32> = 1900..2016;

/// Stretches of words that are dates. `expected`: a date of birth has been named or asked for, so half a date counts.
pub fn births(words: &Words<'_>, runs: &[Run], expected: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let end = stretch(words, runs, at);
        if end == at {
            at += 1;
            continue;
        }
        let span = trimmed(words, at..end);
        let month = span.clone().any(|index| MONTHS.contains(&words.at(index)));
        let digits: Vec<&Run> =
            runs.iter().filter(|run| run.words.start >= span.start && run.words.end <= span.end).collect();
        let said: usize = digits.iter().map(|run| run.digits.len()).sum();
        let whole = (month && digits.iter().any(|run| ends_in_birth_year(run))) || numeric(words, &span);
        // "may" alone is a verb more often than a month
        let half = expected && (said >= 2 || (month && (said > 0 || span.len() > 1)));
        if !span.is_empty() && (whole || half) {
            found.push(span);
        }
        at = end;
    }
    found
}

/// Where a date begins that goes on to the end of the words: with a month, and not that alone, since "may" is a verb too,
/// or with what a month follows.
pub fn open(words: &Words<'_>, runs: &[Run]) -> Option<usize> {
    let date = |from: &usize| {
        let span = trimmed(words, *from..words.len());
        let month = span.len() > 1 && span.clone().any(|index| MONTHS.contains(&words.at(index)));
        let day = || ordinal(words.at(span.start)) && words.at(words.len() - 1) == "of";
        stretch(words, runs, *from) == words.len() && (month || day())
    };
    (0..words.len()).find(date)
}

fn stretch(words: &Words<'_>, runs: &[Run], from: usize) -> usize {
    let mut at = from;
    loop {
        let word = words.at(at);
        if let Some(run) = runs.iter().find(|run| run.words.start == at && !run.amount && !run.time) {
            at = run.words.end;
        } else if MONTHS.contains(&word) || ordinal(word) || JOINTS.contains(&word) {
            at += 1;
        } else {
            return at;
        }
    }
}

fn ordinal(word: &str) -> bool {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let written = !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit())
        && matches!(&word[digits.len()..], "st" | "nd" | "rd" | "th");
    written || ORDINALS.contains(&word) || word.split_once('-').is_some_and(|(_, unit)| ORDINALS.contains(&unit))
}

fn trimmed(words: &Words<'_>, span: Range<usize>) -> Range<usize> {
    let joint = |index: &usize| JOINTS.contains(&words.at(*index));
    let start = span.clone().find(|index| !joint(index)).unwrap_or(span.end);
    let end = span.clone().rfind(|index| !joint(index)).map_or(start, |last| last + 1);
    start..end.max(start)
}

fn ends_in_birth_year(run: &Run) -> bool {
    let year = run.digits.len().checked_sub(4).and_then(|from| run.digits[from..].parse().ok());
    year.is_some_and(|year: u32| BIRTH_YEARS.contains(&year))
}

/// "05/12/1984", "12-5-84".
fn numeric(words: &Words<'_>, span: &Range<usize>) -> bool {
    span.clone().any(|index| {
        let parts: Vec<&str> = words.at(index).split(['/', '-', '.']).collect();
        let sizes: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let day = |size: &usize| (1..=2).contains(size);
        let digits = parts.iter().all(|part| part.chars().all(|c| c.is_ascii_digit()));
        let born = parts
            .last()
            .and_then(|year| year.parse().ok())
            .is_some_and(|year: u32| BIRTH_YEARS.contains(&year) || (16..100).contains(&year));
        digits && sizes.len() == 3 && day(&sizes[0]) && day(&sizes[1]) && matches!(sizes[2], 2 | 4) && born
    })
}
