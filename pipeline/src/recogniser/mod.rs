//! Speech models behind one trait. The scheduler knows only batches of jobs; a model knows only sound and tokens.

pub mod draft;
pub mod moonshine;
mod tensors;
mod tokenizer;

use std::sync::Arc;

use crate::models::ModelError;

/// One window of speech to write down.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// 16 kHz, -1..1.
    pub audio: &'a [f32],
    /// Tokens the hypothesis must begin with.
    pub prefix: &'a [u32],
    /// Tokens that probably follow the prefix: the previous hypothesis, verified and not trusted.
    pub draft: &'a [u32],
    /// The hypothesis must depend on `audio` and `prefix` alone, whatever is in the batch; the draft is then not used.
    pub exact: bool,
}

/// What a model heard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hypothesis {
    /// Prefix included, end mark not.
    pub tokens: Vec<u32>,
    /// Geometric mean of the token probabilities; 0 for a job that was not exact.
    pub confidence: f32,
    /// True when the guard against repetition or the length limit ended it.
    pub cut_short: bool,
}

/// Whoever waits for a batch.
pub trait Batch {
    /// Job `index` came to this.
    fn done(&mut self, index: usize, hypothesis: Hypothesis);

    /// Called now and then, so that urgent small work gets its turn.
    fn between(&mut self);
}

/// A recogniser, owned by one thread.
pub trait SpeechModel: Send {
    /// Names weights, graphs and precision: goes into every final.
    fn version(&self) -> &str;

    /// Most jobs in one batch.
    fn batch_limit(&self) -> usize;

    /// Writes down every job and tells `batch` of each as soon as it is done, in any order.
    ///
    /// # Errors
    /// When the runtime fails; jobs that were not told of have then no result.
    fn transcribe(&mut self, jobs: &[Job<'_>], batch: &mut dyn Batch) -> Result<(), ModelError>;

    /// What its tokens stand for.
    fn vocabulary(&self) -> Arc<dyn Vocabulary>;
}

/// The text of tokens, shared by everyone who shows them.
pub trait Vocabulary: Send + Sync {
    /// The text of tokens.
    fn text(&self, tokens: &[u32]) -> String;

    /// Whether a word begins with this token.
    fn begins_word(&self, token: u32) -> bool;
}
