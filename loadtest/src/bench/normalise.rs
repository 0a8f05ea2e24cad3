//! Makes texts comparable: case, punctuation, spelling of numbers and contractions are not what is measured.
//!
//! Numbers become single digits on both sides, however they are written: "twenty nine", "29" and "two nine" are the same
//! words. "Hundred" and "thousand" multiply what stands before them. Marks such as `[noise]` and `<unk>` are dropped.

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Runs of words that stand in the same order in both: where each begins in `before` and in `now`, and how many they are.
pub fn common(before: &[String], now: &[String]) -> impl Iterator<Item = (usize, usize, usize)> {
    capture_diff_slices(Algorithm::Myers, before, now).into_iter().filter_map(|op| match op {
        DiffOp::Equal { old_index, new_index, len } => Some((old_index, new_index, len)),
        _ => None,
    })
}

/// The words of a text, comparable.
pub fn words(text: &str) -> Vec<String> {
    let plain: String = unmarked(text).to_lowercase().replace('’', "'");
    let mut words = Vec::new();
    for word in plain.split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '.' | ','))) {
        let word = number_commas(word.trim_matches(|c| matches!(c, '\'' | '.' | ',')));
        for part in word.split(['.', ',']).filter(|part| !part.is_empty()) {
            expand(part, &mut words);
        }
    }
    numbers(&words)
}

fn unmarked(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|c| match c {
            '[' | '<' => {
                depth += 1;
                false
            }
            ']' | '>' => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
        .collect()
}

/// "1,250" is one number.
fn number_commas(word: &str) -> String {
    let digits = word.chars().all(|c| c.is_ascii_digit() || c == ',');
    if digits { word.replace(',', "") } else { word.to_owned() }
}

fn expand(word: &str, out: &mut Vec<String>) {
    let short =
        [("won't", "will not"), ("can't", "can not"), ("cannot", "can not"), ("let's", "let us"), ("ok", "okay")];
    if let Some((_, long)) = short.iter().find(|(short, _)| *short == word) {
        out.extend(long.split(' ').map(str::to_owned));
        return;
    }
    let endings =
        [("n't", "not"), ("'re", "are"), ("'ve", "have"), ("'ll", "will"), ("'d", "would"), ("'m", "am"), ("'s", "s")];
    for (ending, long) in endings {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            out.extend([stem.to_owned(), long.to_owned()]);
            return;
        }
    }
    out.push(word.replace('\'', ""));
}

fn value(word: &str) -> Option<u64> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let small = SMALL.iter().position(|&small| small == word).map(|value| value as u64);
    small.or_else(|| TENS.iter().position(|&tens| tens == word).map(|index| index as u64 * 10 + 20))
}

/// Ordinals and digits with letters: "29th", "third".
fn ordinal(word: &str) -> Option<u64> {
    const FIRST: [&str; 12] = [
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
        "twelfth",
    ];
    if let Some(index) = FIRST.iter().position(|&first| first == word) {
        return Some(index as u64 + 1);
    }
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let ending = &word[digits.len()..];
    matches!(ending, "st" | "nd" | "rd" | "th").then(|| digits.parse().ok()).flatten()
}

fn numbers(words: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let mut pending: Option<u64> = None;
    let flush = |pending: &mut Option<u64>, out: &mut Vec<String>| {
        if let Some(number) = pending.take() {
            out.extend(number.to_string().chars().map(|digit| digit.to_string()));
        }
    };
    for word in words {
        match (value(word).or_else(|| ordinal(word)), word.as_str(), pending) {
            (None, "hundred", Some(before)) if before > 0 => pending = Some(before * 100),
            (None, "thousand", Some(before)) if before > 0 => pending = Some(before * 1000),
            // "two hundred and five"
            (None, "and", Some(before)) if before >= 100 && before.is_multiple_of(100) => {}
            (Some(next), _, Some(before)) if next > 0 && fits(before, next) => pending = Some(before + next),
            (Some(next), _, _) => {
                flush(&mut pending, &mut out);
                pending = Some(next);
            }
            (None, word, _) => {
                flush(&mut pending, &mut out);
                match word {
                    word if word.chars().all(|c| c.is_ascii_digit()) => out.extend(word.chars().map(String::from)),
                    "oh" | "o" => out.push("0".to_owned()),
                    word => out.push(word.to_owned()),
                }
            }
        }
    }
    flush(&mut pending, &mut out);
    out
}

/// Whether `next` goes on where `before` has its zeros: "twenty" and "nine", "three hundred" and "twelve".
fn fits(before: u64, next: u64) -> bool {
    let zeros = if before.is_multiple_of(1000) {
        1000
    } else if before.is_multiple_of(100) {
        100
    } else {
        10
    };
    before >= 20 && before.is_multiple_of(10) && next < zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) {
        assert_eq!(words(a), words(b), "{a} / {b}");
    }

    #[test]
    fn numbers_are_the_same_however_written() {
        same("enter nine one six nine", "Enter 9169.");
        same("twelve twenty nine fifty nine", "12 29 59");
        same("one hundred and thirty five dollars", "135 dollars");
        same("two thousand six", "2,006");
        same("oh one nine nine", "0199");
        same("the third of may", "The 3rd of May");
        same("twenty two", "22");
        assert_ne!(words("twenty two"), words("20 2 2"));
    }

    #[test]
    fn case_marks_and_contractions_do_not_count() {
        same("[noise] I'm sure it's fine <unk>", "I am sure it's fine.");
        same("we don't", "we do not");
        same("Hello, world!", "hello world");
    }
}
