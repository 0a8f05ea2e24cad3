//! Scores of a call: a fold over its own finals, so whoever holds the events comes to the same numbers.

mod conversation;

pub use conversation::{Conversation, VERSION};
