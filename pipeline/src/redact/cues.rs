//! Phrases that say what a number or a name is that stands near them, or that somebody asks for one.

use sotto_events::Redaction;

use super::words::Words;

/// What a cue speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Personal(Redaction),
    /// Numbers of things, not of people: orders, tickets, rooms.
    Harmless,
}

/// A cue found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    pub subject: Subject,
    pub words: std::ops::Range<usize>,
    /// Whoever hears it will probably answer with the thing itself.
    pub asks: bool,
}

use Redaction::{Account, Card, DateOfBirth, Email, Name, NationalId, Phone};

/// Phrases by subject; the longest that fits at a place counts. True when the phrase by itself asks for the thing.
const CUES: &[(Subject, bool, &[&str])] = &[
    (Subject::Personal(Email), true, &["email address", "e-mail address", "your email", "your e-mail"]),
    (
        Subject::Personal(Card),
        true,
        &[
            "card number",
            "credit card number",
            "debit card number",
            "card details",
            "long number",
            "sixteen digits",
            "sixteen digit number",
            "16 digits",
            "16 digit number",
            "security code",
            "three digits on the back",
            "cvv",
            "cvc",
            "cvv2",
            "expiration date",
            "expiry date",
            "pin",
            "pin number",
            "digits of the card",
            "digits of your card",
            "digits on the card",
            "number on the card",
            "number on the front",
            "card no",
        ],
    ),
    (
        Subject::Personal(Card),
        false,
        &[
            "card",
            "credit card",
            "debit card",
            "visa",
            "mastercard",
            "master card",
            "amex",
            "american express",
            "discover card",
            "expires",
            "expiring",
        ],
    ),
    (
        Subject::Personal(Account),
        true,
        &[
            "account number",
            "routing number",
            "sort code",
            "iban",
            "policy number",
            "member number",
            "member id",
            "membership number",
            "customer number",
            "customer id",
            "account no",
            "bank account",
            "patient number",
        ],
    ),
    (Subject::Personal(Account), false, &["account", "checking", "savings", "iban is"]),
    (
        Subject::Personal(NationalId),
        true,
        &[
            "social security",
            "social security number",
            "social",
            "ssn",
            "national insurance",
            "insurance number",
            "passport number",
            "passport",
            "driver's license",
            "driver's licence",
            "drivers license",
            "license number",
            "licence number",
            "tax id",
            "tax number",
            "national id",
            "identity number",
            "id number",
        ],
    ),
    (
        Subject::Personal(Phone),
        true,
        &[
            "phone number",
            "telephone number",
            "mobile number",
            "cell number",
            "cell phone number",
            "contact number",
            "callback number",
            "call back number",
            "number to reach you",
            "best number",
            "fax number",
        ],
    ),
    (
        Subject::Personal(Phone),
        false,
        &[
            "phone",
            "telephone",
            "mobile",
            "cell",
            "call me at",
            "call me on",
            "call me back at",
            "call me back on",
            "reach me at",
            "reach me on",
            "text me at",
            "text me on",
            "fax",
            "my number is",
            "the number is",
            "call us at",
        ],
    ),
    (
        Subject::Personal(DateOfBirth),
        true,
        &["date of birth", "birth date", "birthdate", "dob", "d o b", "birthday", "when were you born"],
    ),
    (Subject::Personal(DateOfBirth), false, &["born", "born on", "born in"]),
    (
        Subject::Personal(Name),
        true,
        &[
            "your name",
            "your full name",
            "your first name",
            "your last name",
            "first and last name",
            "full name",
            "name please",
            "who am i speaking with",
            "who am i speaking to",
            "who's calling",
            "spell your last name",
            "spell your name",
            "spell that",
            "maiden name",
        ],
    ),
    (
        Subject::Harmless,
        false,
        &[
            "order number",
            "order",
            "ticket number",
            "ticket",
            "case number",
            "case",
            "invoice",
            "invoice number",
            "reference number",
            "confirmation number",
            "tracking number",
            "flight",
            "room",
            "gate",
            "extension",
            "model",
            "model number",
            "serial number",
            "version",
            "zip code",
            "post code",
            "postcode",
            "year",
            "page",
            "step",
            "option",
            "window",
            "line",
            "item number",
            "part number",
        ],
    ),
];

/// Every cue in `words`, in order.
pub fn cues(words: &Words<'_>) -> Vec<Cue> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let longest = CUES
            .iter()
            .flat_map(|(subject, asks, phrases)| phrases.iter().map(move |phrase| (*subject, *asks, *phrase)))
            .filter_map(|(subject, asks, phrase)| Some((words.phrase_at(at, phrase)?, subject, asks)))
            .max_by_key(|(length, ..)| *length);
        match longest {
            Some((length, subject, asks)) => {
                found.push(Cue { subject, words: at..at + length, asks });
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_cue_counts() {
        let subjects =
            |text: &str| cues(&Words::of(text)).into_iter().map(|cue| (cue.subject, cue.asks)).collect::<Vec<_>>();
        assert_eq!(subjects("Can I have your card number?"), [(Subject::Personal(Card), true)]);
        assert_eq!(subjects("I lost my credit card"), [(Subject::Personal(Card), false)]);
        assert_eq!(
            subjects("the order number of that phone"),
            [(Subject::Harmless, false), (Subject::Personal(Phone), false)]
        );
        assert!(subjects("what a lovely day").is_empty());
    }
}
