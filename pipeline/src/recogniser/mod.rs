//! Windows of sound to tokens. The engine knows only jobs and passes; a recogniser knows only sound and tokens.

mod arithmetic;
mod decoder;
pub mod draft;
mod encoder;
mod front_end;
mod kept;
mod kernels;
mod moonshine;
mod operators;
mod stem;
mod tokenizer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::{
    decoder::Decoder,
    encoder::{Encoded, Encoder},
    front_end::{Fed, FrontEnd},
    kept::Kept,
    moonshine::Moonshine,
    tokenizer::Tokenizer,
};

use crate::SPEECH_RATE;

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
    /// Samples of silence that are to follow it.
    pub padding: usize,
    /// Tokens the hypothesis must begin with.
    pub prefix: Vec<u32>,
    /// Tokens that probably follow the prefix. They are verified, so they change how soon the hypothesis is there and
    /// nothing else.
    pub draft: Vec<u32>,
}

impl Job {
    /// Seconds of sound that have to be encoded, about: a measure of what it costs.
    pub fn seconds(&self) -> f64 {
        let samples =
            if self.rolling { self.length.min(self.audio.len() + kept::AGAIN) } else { self.length + self.padding };
        samples as f64 / f64::from(SPEECH_RATE)
    }
}

/// What a model heard. Depends on the window and the prefix alone, unless it is rolling.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hypothesis {
    /// Prefix included, end mark not.
    pub tokens: Vec<u32>,
    /// Geometric mean of the probabilities of the tokens after the prefix.
    pub confidence: f32,
    /// Natural logarithms of the probabilities of the tokens after the prefix.
    pub log_probabilities: Vec<f32>,
    /// True when the guard against repetition or the length limit ended it.
    pub cut_short: bool,
}

/// A job that is done.
#[derive(Debug)]
pub struct Done {
    /// The number it was given.
    pub number: u64,
    pub hypothesis: Hypothesis,
}

pub(crate) fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // whoever panicked has added whole frames or sequences, or none
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
