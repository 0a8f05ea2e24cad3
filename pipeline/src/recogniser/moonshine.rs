//! Moonshine through ONNX Runtime.
//!
//! **A hypothesis depends on its window and prefix alone.** Products of bytes are exact, every row has an activation scale
//! of its own, and Sotto's operators work on rows without looking at their neighbours (see [`super::operators`]). So
//! windows and sequences of any length go together, a sequence may take in several tokens of a draft at once, and new
//! sequences join while others are half done, all without changing a bit of what comes out. Rolling hypotheses are the
//! exception: they go on from frames and tokens that an earlier one left (see [`super::kept`]).

use std::{fs, path::Path, sync::Arc};

use ort::environment::Environment;

use super::{Decoder, Encoder, FrontEnd, Tokenizer, kernels::attention::HEADS};
use crate::models::{ModelError, Shape, hearing_of};

/// A recogniser. Its parts go to whichever thread uses them next.
pub struct Moonshine {
    /// Names weights, graphs and precision: goes into every final.
    pub version: Arc<str>,
    pub tokenizer: Arc<Tokenizer>,
    pub front_end: FrontEnd,
    pub encoder: Encoder,
    pub decoder: Decoder,
}

impl Moonshine {
    /// Loads graphs and tokenizer from a folder.
    ///
    /// # Errors
    /// When a file is not of the expected kind.
    pub fn load(environment: &Environment, folder: &Path, version: &str, shape: Shape) -> Result<Self, ModelError> {
        let bytes = fs::read(folder.join("tokenizer.bin"))
            .map_err(|_| ModelError::Missing { file: "tokenizer.bin".to_owned(), folder: folder.to_owned() })?;
        let tokenizer = Tokenizer::parse(&bytes).map_err(ModelError::Inference)?;
        if tokenizer.len() < shape.vocabulary {
            return Err(ModelError::Inference(format!(
                "the tokenizer has {} tokens, not {}",
                tokenizer.len(),
                shape.vocabulary
            )));
        }
        if shape.heads != HEADS || !matches!(shape.width / HEADS, 36 | 52) {
            return Err(ModelError::Inference(format!("no Moonshine has heads like this: {shape:?}")));
        }
        let hearing = hearing_of(folder);
        Ok(Self {
            version: version.into(),
            tokenizer: Arc::new(tokenizer),
            front_end: FrontEnd::load(environment, &hearing, shape)?,
            encoder: Encoder::load(environment, &hearing, shape)?,
            decoder: Decoder::load(environment, folder, shape)?,
        })
    }
}
