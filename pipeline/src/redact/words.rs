//! A text as words, and the numbers said in it, whether written as digits or spoken.

use std::ops::Range;

/// Words of a text with what is compared: lower case, without the punctuation around.
pub struct Words<'a> {
    pub shown: Vec<&'a str>,
    pub bare: Vec<String>,
}

impl<'a> Words<'a> {
    pub fn of(text: &'a str) -> Self {
        let shown: Vec<&str> = text.split_whitespace().collect();
        let bare = shown.iter().map(|word| bare(word)).collect();
        Self { shown, bare }
    }

    pub fn len(&self) -> usize {
        self.bare.len()
    }

    /// The bare word, or nothing beyond the ends.
    pub fn at(&self, index: usize) -> &str {
        self.bare.get(index).map_or("", String::as_str)
    }

    /// Whether `phrase` (bare words with spaces between) stands at `index`; gives its length in words.
    pub fn phrase_at(&self, index: usize, phrase: &str) -> Option<usize> {
        let mut count = 0;
        for word in phrase.split(' ') {
            if self.at(index + count) != word {
                return None;
            }
            count += 1;
        }
        Some(count)
    }
}

fn bare(word: &str) -> String {
    let trimmed =
        word.trim_matches(|c: char| !(c.is_alphanumeric() || matches!(c, '$' | '£' | '€' | '%' | '@' | '[' | ']')));
    trimmed.to_lowercase().replace('’', "'")
}

/// A number said in one go: "4111, 1111", "four one double seven", "five five five dash oh one nine nine".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub words: Range<usize>,
    pub digits: String,
    /// Digits in each of its words.
    pub groups: Vec<usize>,
    /// Money, a share, a time or a count, not a number that stands for somebody.
    pub amount: bool,
    /// Written like a time of day and nothing else.
    pub time: bool,
}

/// Words that may stand inside a number.
const FILLERS: [&str; 14] =
    ["uh", "um", "er", "erm", "a", "i", "and", "then", "dash", "hyphen", "space", "again", "slash", "minus"];
/// Words after a number that make it an amount.
const UNITS: [&str; 39] = [
    "a.m", "p.m", "dollars", "dollar", "euros", "euro", "pounds", "pound", "cents", "cent", "percent", "%", "o'clock",
    "am", "pm", "days", "day", "minutes", "minute", "hours", "hour", "seconds", "weeks", "week", "months", "month",
    "years", "year", "times", "people", "items", "million", "billion", "miles", "units", "degrees", "points", "bucks",
    "calls",
];

/// Whether there is nothing in `words` but what may stand inside a number, if anything.
pub fn are_fillers(words: &Words<'_>) -> bool {
    words.len() <= 2 && words.bare.iter().all(|word| FILLERS.contains(&word.as_str()))
}

/// Every number in `words`, as long as it goes. `expected`: a number was asked for or is being read out, so words that
/// sound like digits beside digits are digits.
pub fn runs(words: &Words<'_>, expected: bool) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let found = digits_at(words, at).or_else(|| homophone(words, at).filter(|_| expected));
        let Some((digits, taken, mut amount)) = found else {
            at += 1;
            continue;
        };
        let mut time = is_time(words.at(at));
        let (start, mut all, mut groups, mut end) = (at, digits.clone(), vec![digits.len()], at + taken);
        loop {
            let mut next = end;
            while next < end + 2 && FILLERS.contains(&words.at(next)) {
                next += 1;
            }
            let heard = digits_at(words, next).or_else(|| homophone(words, next).filter(|_| expected));
            let Some((digits, taken, more)) = heard else { break };
            time &= is_time(words.at(next));
            all.push_str(&digits);
            groups.push(digits.len());
            amount |= more;
            end = next + taken;
        }
        amount |= UNITS.contains(&words.at(end));
        runs.push(Run { words: start..end, digits: all, groups, amount, time });
        at = end;
    }
    runs
}

/// The digits said from word `at` on, how many words they take, and whether they are an amount.
fn digits_at(words: &Words<'_>, at: usize) -> Option<(String, usize, bool)> {
    let word = words.at(at);
    if let Some(digits) = joined_by_hyphens(word) {
        return Some((digits, 1, false));
    }
    if let Some(times) = match word {
        "double" => Some(2),
        "triple" | "treble" => Some(3),
        _ => None,
    } {
        let digit = single(words.at(at + 1))?;
        return Some((digit.to_string().repeat(times), 2, false));
    }
    if let Some(digits) = written(word) {
        return Some((digits, 1, false));
    }
    let (mut number, mut taken) = small(words, at)?;
    let mut amount = false;
    for (name, factor) in [("hundred", 100), ("thousand", 1000)] {
        if words.at(at + taken) == name {
            (number, taken, amount) = (number * factor, taken + 1, true);
            let skip = usize::from(words.at(at + taken) == "and");
            if let Some((rest, more)) = small(words, at + taken + skip).filter(|(rest, _)| *rest > 0 && *rest < factor)
            {
                (number, taken) = (number + rest, taken + skip + more);
            }
        }
    }
    Some((number.to_string(), taken, amount))
}

/// "five-five-five"
fn joined_by_hyphens(word: &str) -> Option<String> {
    let parts: Option<Vec<String>> = word.split('-').map(|part| Some(single(part)?.to_string())).collect();
    parts.filter(|parts| parts.len() > 1 && word.contains(char::is_alphabetic)).map(|parts| parts.concat())
}

/// What a digit is heard as, before digits that are no amount: "555 for 555", not "three to five days".
fn homophone(words: &Words<'_>, at: usize) -> Option<(String, usize, bool)> {
    let digit = match words.at(at) {
        "won" => "1",
        "to" | "too" => "2",
        "for" | "fore" => "4",
        "ate" => "8",
        _ => return None,
    };
    let (following, taken, amount) = digits_at(words, at + 1)?;
    let counts = following.len() >= 3 && !amount && !UNITS.contains(&words.at(at + 1 + taken));
    counts.then(|| (digit.to_owned(), 1, false))
}

fn is_time(word: &str) -> bool {
    let half = ["am", "pm", "a.m", "p.m"].into_iter().find_map(|half| word.strip_suffix(half));
    let word = half.unwrap_or(word);
    word.split_once(':').is_some_and(|(hour, minutes)| {
        let below = |text: &str, end: u32| text.parse::<u32>().is_ok_and(|number| number < end);
        minutes.len() == 2 && hour.len() <= 2 && below(hour, 24) && below(minutes, 60)
    })
}

/// A number below a hundred in words: "seven", "oh", "nineteen", "twenty one", "twenty-one".
fn small(words: &Words<'_>, at: usize) -> Option<(u64, usize)> {
    let word = words.at(at);
    if let Some((tens, unit)) = word.split_once('-') {
        return Some((tens_value(tens)? + single(unit).filter(|unit| *unit > 0)?, 1));
    }
    if let Some(tens) = tens_value(word) {
        return Some(match single(words.at(at + 1)).filter(|unit| *unit > 0 && words.at(at + 1).len() > 1) {
            Some(unit) => (tens + unit, 2),
            None => (tens, 1),
        });
    }
    const TEENS: [&str; 10] =
        ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"];
    let teen = TEENS.iter().position(|&teen| teen == word).map(|index| index as u64 + 10);
    Some((teen.or_else(|| single(word))?, 1))
}

fn tens_value(word: &str) -> Option<u64> {
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    TENS.iter().position(|&tens| tens == word).map(|index| index as u64 * 10 + 20)
}

/// One digit, spoken or written.
fn single(word: &str) -> Option<u64> {
    const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    match word {
        "oh" | "o" | "nought" | "naught" => Some(0),
        "niner" => Some(9),
        word if word.len() == 1 => word.parse().ok(),
        word => DIGITS.iter().position(|&digit| digit == word).map(|digit| digit as u64),
    }
}

/// Digits with the separators that people and recognisers write, and with what a recogniser makes of a sound beside
/// them: "A0438", "47:411/2368". Not money, shares or ordinals.
fn written(word: &str) -> Option<String> {
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let plain = word.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | ',' | '/' | '(' | ')' | '+' | '#'));
    let money = word.starts_with(['$', '£', '€']) || word.ends_with('%');
    let smeared = digits.len() >= 3 && !money;
    ((plain && !digits.is_empty()) || smeared).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<(String, bool)> {
        let runs = runs(&Words::of(text), false);
        runs.into_iter().filter(|run| !run.time).map(|run| (run.digits, run.amount)).collect()
    }

    #[test]
    fn numbers_are_heard_however_they_are_said() {
        let one = |digits: &str| vec![(digits.to_owned(), false)];
        assert_eq!(digits("It's 4111, 1111, 1111, 11111."), one("41111111111111111"));
        assert_eq!(digits("four one double seven"), one("4177"));
        assert_eq!(digits("triple five, oh one nine nine"), one("5550199"));
        assert_eq!(digits("five five five dash oh one nine nine"), one("5550199"));
        assert_eq!(digits("forty one eleven uh twenty-two"), one("411122"));
        assert_eq!(digits("(555) 010-9999"), one("5550109999"));
        assert_eq!(digits("nineteen eighty four"), one("1984"));
        assert_eq!(digits("A0438"), one("0438"));
        assert_eq!(digits("It's 47:411/2368."), one("474112368"));
        assert_eq!(digits("at 10:30 on the 21st"), vec![]);
        assert_eq!(digits("it's 47:41"), one("4741"));
        assert_eq!(digits("five-five-five oh one"), one("55501"));
        assert_eq!(digits("555 for 555"), vec![("555".to_owned(), false), ("555".to_owned(), false)]);
        let expected = |text: &str| {
            let runs = runs(&Words::of(text), true);
            runs.into_iter().map(|run| run.digits).collect::<Vec<_>>()
        };
        assert_eq!(expected("555 for 555"), ["5554555"]);
        assert_eq!(expected("I ate 805s"), ["8805"]);
        assert_eq!(expected("three to five days"), ["3", "5"]);
        assert_eq!(expected("88231 for 200 dollars"), ["88231", "200"]);
        assert!(runs(&Words::of("at 12:30pm"), false)[0].time);
    }

    #[test]
    fn amounts_are_told_apart() {
        assert_eq!(digits("one hundred and thirty five dollars"), vec![("135".to_owned(), true)]);
        assert_eq!(digits("25 percent"), vec![("25".to_owned(), true)]);
        assert_eq!(digits("$45.50 or the 3rd"), vec![]);
        assert_eq!(digits("two thousand six"), vec![("2006".to_owned(), true)]);
    }
}
