//! Made-up things that callers say: personal data in the forms it is spoken and written down, and what only looks like
//! it. The same seed gives the same lines.

use serde::Serialize;
use sotto_events::Redaction;

/// One thing said, in one utterance or several of the same speaker.
#[derive(Debug, Clone, Serialize)]
pub struct Saying {
    /// What is in it; `None` for what must stay.
    pub kind: Option<Redaction>,
    /// What the other side asked before, if anything.
    pub question: Option<&'static str>,
    pub utterances: Vec<String>,
    /// Words that must not be left, in order, by utterance.
    pub secrets: Vec<Vec<String>>,
}

/// SplitMix64: small, seeded, good enough to choose with.
pub struct Choice(u64);

impl Choice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

/// `count` sayings of every kind and as many harmless ones.
pub fn sayings(seed: u64, count: usize) -> Vec<Saying> {
    let mut choice = Choice::new(seed);
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(card(&mut choice));
        all.push(phone(&mut choice));
        all.push(account(&mut choice));
        all.push(national_id(&mut choice));
        all.push(birth(&mut choice));
        all.push(email(&mut choice));
        all.push(name(&mut choice));
        all.push(harmless(&mut choice));
    }
    all
}

const UNITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const TEENS: [&str; 10] =
    ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Ways to say a row of digits, group by group.
fn spoken(choice: &mut Choice, digits: &str, groups: &[usize]) -> Vec<String> {
    let mut rest = digits;
    let mut out = Vec::new();
    let form = choice.below(6);
    for &size in groups {
        let (group, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        if group.is_empty() {
            break;
        }
        out.extend(match form {
            0 | 1 => vec![group.to_owned()],
            2 => group.chars().map(String::from).collect(),
            3 => singles(group),
            4 => doubled(group),
            _ => pairs(group),
        });
    }
    if !rest.is_empty() {
        out.push(rest.to_owned());
    }
    if form == 1 {
        out.iter_mut().rev().skip(1).for_each(|word| word.push(','));
    }
    out
}

fn unit(digit: char) -> &'static str {
    UNITS[digit as usize - '0' as usize]
}

fn singles(group: &str) -> Vec<String> {
    group.chars().map(|digit| if digit == '0' { "oh".to_owned() } else { unit(digit).to_owned() }).collect()
}

fn doubled(group: &str) -> Vec<String> {
    let digits: Vec<char> = group.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < digits.len() {
        if digits.get(at + 1) == Some(&digits[at]) {
            out.extend(["double".to_owned(), unit(digits[at]).to_owned()]);
            at += 2;
        } else {
            out.push(unit(digits[at]).to_owned());
            at += 1;
        }
    }
    out
}

fn pairs(group: &str) -> Vec<String> {
    let digits: Vec<usize> = group.chars().map(|digit| digit as usize - '0' as usize).collect();
    let mut out = Vec::new();
    for pair in digits.chunks(2) {
        match *pair {
            [1, unit] => out.push(TEENS[unit].to_owned()),
            [tens, 0] if tens > 1 => out.push(TENS[tens].to_owned()),
            [tens, unit] if tens > 1 => out.extend([TENS[tens].to_owned(), UNITS[unit].to_owned()]),
            _ => out.extend(pair.iter().map(|&digit| UNITS[digit].to_owned())),
        }
    }
    out
}

/// Puts the secret into a sentence with `{}`.
fn said(kind: Redaction, question: Option<&'static str>, template: &str, secret: Vec<String>) -> Saying {
    let text = template.replace("{}", &secret.join(" "));
    Saying { kind: Some(kind), question, utterances: vec![text], secrets: vec![secret] }
}

fn luhn(digits: &str) -> char {
    let sum: u32 = digits
        .chars()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let value = digit as u32 - '0' as u32;
            match index % 2 {
                0 if value > 4 => value * 2 - 9,
                0 => value * 2,
                _ => value,
            }
        })
        .sum();
    char::from(b'0' + ((10 - sum % 10) % 10) as u8)
}

fn card(choice: &mut Choice) -> Saying {
    let amex = choice.below(5) == 0;
    let (prefix, length, groups): (&str, usize, &[usize]) = if amex {
        (choice.of(&["34", "37"]), 15, &[4, 6, 5])
    } else {
        (choice.of(&["4", "51", "55", "6011"]), 16, &[4, 4, 4, 4])
    };
    let mut digits = format!("{prefix}{}", choice.digits(length - 1 - prefix.len()));
    digits.push(luhn(&digits));
    // what a recogniser makes of it: a digit too many, one too few
    match choice.below(6) {
        0 => digits.insert(length / 2, char::from(b'0' + choice.below(10) as u8)),
        1 => drop(digits.remove(length / 2)),
        _ => {}
    }
    let question = choice.of(&[
        Some("Can you read me the card number, please?"),
        Some("What's the long number on the front of the card?"),
        None,
    ]);
    if choice.below(3) == 0 {
        return card_in_pieces(choice, question, &digits, groups);
    }
    let template = choice.of(&[
        "It's {}.",
        "Sure, {}.",
        "My card number is {}.",
        "Yes, so {}",
        "the visa is {} if that helps",
        "{}",
    ]);
    let secret = spoken(choice, &digits, groups);
    said(Redaction::Card, question, template, secret)
}

/// Read out with pauses, an utterance a group.
fn card_in_pieces(choice: &mut Choice, question: Option<&'static str>, digits: &str, groups: &[usize]) -> Saying {
    let mut rest = digits;
    let (mut utterances, mut secrets) = (Vec::new(), Vec::new());
    for (index, &size) in groups.iter().enumerate() {
        let size = if index + 1 == groups.len() { rest.len() } else { size.min(rest.len()) };
        let (group, after) = rest.split_at(size);
        rest = after;
        let secret = spoken(choice, group, &[group.len()]);
        let lead = if index == 0 { choice.of(&["", "It's ", "Okay, "]) } else { choice.of(&["", "", "uh "]) };
        utterances.push(format!("{lead}{}.", secret.join(" ")));
        secrets.push(secret);
    }
    Saying { kind: Some(Redaction::Card), question, utterances, secrets }
}

fn phone(choice: &mut Choice) -> Saying {
    let (digits, groups): (String, &[usize]) = match choice.below(3) {
        0 => (format!("555{}", choice.digits(4)), &[3, 4]),
        1 => (format!("{}{}", choice.of(&["212", "415", "650"]), choice.digits(7)), &[3, 3, 4]),
        _ => (format!("1{}{}", choice.of(&["212", "415"]), choice.digits(7)), &[1, 3, 3, 4]),
    };
    let question = choice.of(&[Some("What's the best number to reach you?"), None]);
    let template = choice.of(&[
        "My phone number is {}.",
        "You can call me at {}.",
        "It's {}.",
        "My cell is {} and it's always on",
    ]);
    let secret = spoken(choice, &digits, groups);
    said(Redaction::Phone, question, template, secret)
}

fn account(choice: &mut Choice) -> Saying {
    let length = 5 + choice.below(6);
    let digits = choice.digits(length);
    let asked = Some("Can I have your account number?");
    let (question, template) = choice.of(&[
        (asked, "It's {}."),
        (asked, "Yes, {}"),
        (None, "My account number is {}."),
        (None, "the policy number is {} I think"),
        (None, "The routing number is {}."),
    ]);
    let secret = spoken(choice, &digits, &[4, 4, 4]);
    said(Redaction::Account, question, template, secret)
}

fn national_id(choice: &mut Choice) -> Saying {
    let digits = choice.digits(9);
    let asked = Some("And your social security number?");
    let (question, template) = choice.of(&[
        (asked, "It's {}."),
        (asked, "{}"),
        (None, "My social security number is {}."),
        (None, "My social is {}."),
        (None, "the passport number is {}"),
    ]);
    let secret = spoken(choice, &digits, &[3, 2, 4]);
    said(Redaction::NationalId, question, template, secret)
}

fn birth(choice: &mut Choice) -> Saying {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (day, month, year) = (2 + choice.below(27), choice.of(&MONTHS), 1930 + choice.below(75));
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let year_words = pairs(&year.to_string()).join(" ");
    let secret = match choice.below(4) {
        0 => words(format!("{month} {day}, {year}")),
        1 => words(format!("{month} {day}th {year}")),
        2 => words(format!("{}/{day}/{year}", 1 + choice.below(12))),
        _ => words(format!("{} {} {year_words}", month.to_lowercase(), pairs(&format!("{day:02}")).join(" "))),
    };
    let asked = Some("Can you confirm your date of birth?");
    let (question, template) = choice.of(&[
        (asked, "{}."),
        (asked, "Yes, it's {}."),
        (None, "My date of birth is {}."),
        (None, "I was born on {}."),
    ]);
    said(Redaction::DateOfBirth, question, template, secret)
}

const FIRST: [&str; 16] = [
    "Daniel", "Patricia", "Wei", "Aisha", "Jennifer", "Tomas", "Olga", "Priya", "James", "Linda", "Robert", "Michelle",
    "Ahmed", "Sofia", "Kevin", "Grace",
];
const LAST: [&str; 16] = [
    "Foster", "Brown", "Zhang", "Okafor", "Garcia", "Novak", "Petrova", "Sharma", "Smith", "Nguyen", "O'Brien",
    "Müller", "Hassan", "Rossi", "Johnson", "Clark",
];

fn email(choice: &mut Choice) -> Saying {
    let (first, last) = (choice.of(&FIRST).to_lowercase(), choice.of(&["foster", "brown", "zhang", "lee", "garcia"]));
    let (host, ending) = (choice.of(&["gmail", "example", "outlook", "company"]), choice.of(&["com", "org", "net"]));
    let number = choice.below(100);
    let secret = match choice.below(4) {
        0 => format!("{first}.{last}@{host}.{ending}"),
        1 => format!("{first} dot {last} at {host} dot {ending}"),
        2 => format!("{first} {last} {number} at {host}.{ending}"),
        _ => format!("{first} underscore {last} at {host} dot co dot uk"),
    };
    let template = choice.of(&["My email is {}.", "It's {}.", "you can write to {} any time", "Yes, {}"]);
    said(Redaction::Email, None, template, secret.split(' ').map(str::to_owned).collect())
}

fn name(choice: &mut Choice) -> Saying {
    let (first, last) = (choice.of(&FIRST), choice.of(&LAST));
    let (lower, both) = (choice.below(4) == 0, choice.below(2) == 0);
    let mut secret = vec![first.to_owned()];
    if both {
        secret.push(last.to_owned());
    }
    let asked = Some("May I have your full name, please?");
    let (question, template, cased) = choice.of(&[
        (None, "My name is {}.", false),
        (None, "Hi, my name is {} and I have a question.", false),
        (None, "This is {}.", true),
        (None, "Thank you, {}.", true),
        (None, "Am I speaking with {}?", false),
        (asked, "{}.", true),
        (asked, "Sure. {}.", true),
    ]);
    if lower && !cased {
        secret.iter_mut().for_each(|word| *word = word.to_lowercase());
    }
    said(Redaction::Name, question, template, secret)
}

fn harmless(choice: &mut Choice) -> Saying {
    let number = choice.below(900) + 20;
    let long = choice.digits(8);
    let year = 2016 + choice.below(12);
    let text = match choice.below(18) {
        0 => format!("The order number is {long}."),
        1 => format!("It's order {long}."),
        2 => format!("That comes to {number} dollars."),
        3 => format!("That comes to ${number}.50."),
        4 => format!("I have been a customer since {year}."),
        5 => format!("I waited for {number} minutes."),
        6 => "We are open from nine to five thirty.".to_owned(),
        7 => format!("The meeting is on May {}, 2027.", 1 + choice.below(28)),
        8 => "I called three times and nobody helped me.".to_owned(),
        9 => format!("It was one hundred and {} dollars.", TENS[2 + choice.below(8)]),
        10 => format!("My ticket number is {}.", choice.digits(6)),
        11 => "How can I help you today?".to_owned(),
        12 => "I'm sorry to hear that. Let me have a look.".to_owned(),
        13 => format!("The flight is at {} {}.", 1 + choice.below(12), TENS[2 + choice.below(4)]),
        14 => format!("About {}% of it is gone.", choice.below(100)),
        15 => format!("In {year} we moved to room {number}."),
        16 => "Thank you very much for calling.".to_owned(),
        _ => format!("I bought {} of them for {number} euros.", UNITS[2 + choice.below(8)]),
    };
    Saying { kind: None, question: None, utterances: vec![text], secrets: vec![Vec::new()] }
}
