//! What is never shown or kept of what was said.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of personal data that is hidden where it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redaction {
    /// Numbers, dates and security codes of payment cards.
    Card,
    NationalId,
    Account,
    Phone,
    DateOfBirth,
    Email,
    Name,
    /// Digits that may be the beginning of any of these; only in partials.
    Digits,
}

impl Redaction {
    /// Every kind, the one that wins where two overlap first.
    pub const ALL: [Self; 8] = [
        Self::Card,
        Self::NationalId,
        Self::Account,
        Self::Phone,
        Self::DateOfBirth,
        Self::Email,
        Self::Name,
        Self::Digits,
    ];

    /// What stands in a text in its place; one word.
    pub const fn marker(self) -> &'static str {
        match self {
            Self::Card => "[card]",
            Self::NationalId => "[national-id]",
            Self::Account => "[account]",
            Self::Phone => "[phone]",
            Self::DateOfBirth => "[date-of-birth]",
            Self::Email => "[email]",
            Self::Name => "[name]",
            Self::Digits => "[digits]",
        }
    }

    /// The kind whose marker a word is, punctuation around it aside.
    pub fn of_marker(word: &str) -> Option<Self> {
        let word = word.trim_matches(|c: char| !matches!(c, '[' | ']') && !c.is_alphanumeric());
        Self::ALL.into_iter().find(|kind| kind.marker() == word)
    }

    /// The name in configuration and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::NationalId => "national_id",
            Self::Account => "account",
            Self::Phone => "phone",
            Self::DateOfBirth => "date_of_birth",
            Self::Email => "email",
            Self::Name => "name",
            Self::Digits => "digits",
        }
    }
}

impl fmt::Display for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
