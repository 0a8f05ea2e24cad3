//! Speech models behind one trait. The engine knows only windows and passes; a model knows only sound and tokens.

pub mod draft;
mod kept;
pub mod kernels;
pub mod moonshine;
mod operators;
mod stem;
mod tokenizer;

use std::sync::{Arc, Mutex};

pub use kept::Kept;

use crate::models::ModelError;

/// One window of speech to write down.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// What is known of the window from earlier hypotheses; empty at first. At most one rolling job at a time has it.
    pub kept: Arc<Mutex<Kept>>,
    /// Whether it goes on from what the last rolling hypothesis of this window left, which costs less. The others are
    /// exact: made of the window alone.
    pub rolling: bool,
    /// Sound of the window from sample `from` to its end: 16 kHz, -1..1.
    pub audio: Vec<f32>,
    /// Not after what is not known yet.
    pub from: usize,
    /// Samples of the whole window.
    pub length: usize,
    /// Tokens the hypothesis must begin with.
    pub prefix: Vec<u32>,
    /// Tokens that probably follow the prefix. They are verified, so they change how soon the hypothesis is there and
    /// nothing else.
    pub draft: Vec<u32>,
}

/// What a model heard. Depends on the window and the prefix alone, unless it is rolling.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hypothesis {
    /// Prefix included, end mark not.
    pub tokens: Vec<u32>,
    /// Geometric mean of the probabilities of the tokens after the prefix.
    pub confidence: f32,
    /// True when the guard against repetition or the length limit ended it.
    pub cut_short: bool,
}

/// A job that is done.
#[derive(Debug)]
pub struct Done {
    /// The number it was admitted with.
    pub number: u64,
    pub hypothesis: Hypothesis,
}

/// A recogniser, owned by one thread. Jobs come and go between passes.
pub trait SpeechModel: Send {
    /// Names weights, graphs and precision: goes into every final.
    fn version(&self) -> &str;

    /// What its tokens stand for.
    fn vocabulary(&self) -> Arc<dyn Vocabulary>;

    /// Takes jobs in, each under a number: encodes their windows.
    ///
    /// # Errors
    /// When the runtime fails; none of these jobs is then taken in.
    fn admit(&mut self, jobs: Vec<(u64, Job)>) -> Result<(), ModelError>;

    /// Jobs that are under way.
    fn live(&self) -> usize;

    /// One decoder pass over everything that is under way; gives what is done.
    ///
    /// # Errors
    /// When the runtime fails; nothing is under way any more then.
    fn pass(&mut self) -> Result<Vec<Done>, ModelError>;
}

/// The text of tokens, shared by everyone who shows them.
pub trait Vocabulary: Send + Sync {
    /// The text of tokens.
    fn text(&self, tokens: &[u32]) -> String;
}
