//! Which numbers stand for somebody: by their length and form, by a cue near them, by what was asked for before.

use sotto_events::Redaction;

use super::{
    cues::{Cue, Subject},
    words::Run,
};

/// Words before and after a number within which a cue speaks of it.
const BEFORE: usize = 9;
const AFTER: usize = 6;

/// Words before a number that begins an answer.
const ANSWER: usize = 3;

/// Fewest digits that are redacted when nothing says what they are.
const LONG: usize = 7;

/// What a number is, if it stands for somebody. `asked` is what the call expects to be answered now.
pub fn kind(run: &Run, cues: &[Cue], asked: Option<Redaction>) -> Option<Redaction> {
    let count = run.digits.len();
    let near = nearest(run, cues);
    // written like a time of day it is one, unless it begins the answer to a question for a number
    let read_out = asked.is_some_and(|kind| kind != Redaction::DateOfBirth) && run.words.start <= ANSWER;
    if (run.amount && count < 9) || (run.time && !read_out) {
        return None;
    }
    // a recogniser may drop a digit of a card or hear one too many: length alone decides
    if count >= 12 {
        return Some(Redaction::Card);
    }
    let subject = near.or(asked.map(Subject::Personal));
    match subject {
        Some(Subject::Personal(kind)) if count >= fewest(kind) => Some(kind),
        Some(Subject::Harmless) => None,
        _ => by_form(run),
    }
}

/// What a number of this many digits is taken for when nothing says what it is.
pub fn by_length(count: usize) -> Option<Redaction> {
    match count {
        12.. => Some(Redaction::Card),
        10 | LONG => Some(Redaction::Phone),
        8.. => Some(Redaction::Account),
        _ => None,
    }
}

fn by_form(run: &Run) -> Option<Redaction> {
    match run.digits.len() {
        9 if run.groups == [3, 2, 4] => Some(Redaction::NationalId),
        11 if run.digits.starts_with(['0', '1']) => Some(Redaction::Phone),
        count => by_length(count),
    }
}

/// Fewest digits that are redacted near a cue.
const fn fewest(kind: Redaction) -> usize {
    match kind {
        Redaction::Card => 3,
        Redaction::DateOfBirth => 2,
        _ => 4,
    }
}

fn nearest(run: &Run, cues: &[Cue]) -> Option<Subject> {
    let other = [Redaction::Name, Redaction::Email].map(Subject::Personal);
    let about_numbers = |cue: &&Cue| !other.contains(&cue.subject);
    let before = cues
        .iter()
        .filter(about_numbers)
        .rfind(|cue| cue.words.end <= run.words.start && run.words.start - cue.words.end <= BEFORE);
    let after = || {
        cues.iter()
            .filter(about_numbers)
            .find(|cue| cue.words.start >= run.words.end && cue.words.start - run.words.end <= AFTER)
    };
    before.or_else(after).map(|cue| cue.subject)
}
