//! Identifiers that travel through every room. They appear in row keys, paths and the sealing context, so their
//! alphabet is narrow and their length bounded.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("an id must not be empty")]
    Empty,
    #[error("an id may have at most {max} characters, this one has {got}")]
    TooLong { max: usize, got: usize },
    #[error("an id may hold letters, digits, '-', '_', '.' and ':'; character {position} is something else")]
    Character { position: usize },
}

fn check(text: &str, max: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong { max, got: text.len() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    match text.chars().position(|c| !allowed(c)) {
        Some(position) => Err(IdError::Character { position }),
        None => Ok(()),
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text, $max).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check(&text, $max).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier!(
    /// A customer of the platform; everything kept belongs to exactly one. At most 64 characters.
    TenantId,
    64
);
identifier!(
    /// A call, unique within its tenant and chosen by the caller. At most 128 characters. Must not hold personal data:
    /// ids appear in logs and URLs.
    CallId,
    128
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_what_is_wrong() {
        assert_eq!("".parse::<CallId>(), Err(IdError::Empty));
        assert_eq!("a|b".parse::<CallId>(), Err(IdError::Character { position: 1 }));
        assert_eq!("x".repeat(65).parse::<TenantId>(), Err(IdError::TooLong { max: 64, got: 65 }));
        assert_eq!("CA12-x_9.a:b".parse::<CallId>().map(|id| id.to_string()), Ok("CA12-x_9.a:b".to_owned()));
    }
}
