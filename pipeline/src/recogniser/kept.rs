//! What is kept of a growing window between two hypotheses, so that the next one costs what is new.
//!
//! The stem is local in time and serves every job. Behind it every frame hears every other one, so keeping frames is an
//! approximation: only rolling hypotheses go on from them, and only from those that have heard enough of what follows.

use super::{
    kernels::attention::Memory,
    operators::{Sequence, THIRD},
    stem::{HOP, Stem},
};

/// Frames that must follow one before it is kept.
const FOLLOWING: usize = 42;
/// The same in samples: what is encoded again, besides what is new.
pub(super) const AGAIN: usize = FOLLOWING * HOP;

/// What is kept of one utterance. Jobs of several threads may have it at once.
#[derive(Debug, Default)]
pub struct Kept {
    pub(super) stem: Stem,
    /// What the last rolling hypothesis left; away from when the next one is encoded until it is made.
    pub(super) rolled: Option<Rolled>,
    /// Only rolling jobs have it, which never ask again for what they have done with.
    only_rolling: bool,
    over: bool,
}

impl Kept {
    /// For rolling jobs only, or for exact ones of the same recogniser too.
    pub fn new(only_rolling: bool) -> Self {
        Self { only_rolling, ..Self::default() }
    }

    /// The first sample of the window that is not known yet.
    pub fn needs_from(&self) -> usize {
        self.stem.needs_from()
    }

    /// The same for an exact job; `None` when only rolling ones have it.
    pub fn known_to_exact(&self) -> Option<usize> {
        (!self.only_rolling).then(|| self.needs_from())
    }

    /// Begins anew when a rolling job that failed took along what the next one would go on from. Call while none is under
    /// way.
    pub fn mend(&mut self) {
        if self.rolled.is_none() && self.stem.has_let_go() {
            self.stem = Stem::default();
        }
    }

    /// A copy of the stem, for a job that hears something behind the window that is not in the sound.
    pub(super) fn apart(&self) -> Self {
        Self { stem: self.stem.clone(), ..Self::default() }
    }

    /// No rolling hypothesis follows: lets go of what only those need, which is most of it. One that was asked for, and may
    /// be on its way to the encoder, still finds what it goes on from: its batch would fail with it.
    pub fn close(&mut self, asked: bool) {
        self.over = true;
        if !asked {
            self.rolled = None;
        }
    }

    /// What a rolling hypothesis leaves for the next.
    pub(super) fn leave(&mut self, rolled: Rolled) {
        if self.only_rolling {
            self.stem.let_go(THIRD.1 * rolled.frames);
        }
        self.rolled = Some(rolled).filter(|_| !self.over);
    }
}

/// Frames and tokens of the last rolling hypothesis.
#[derive(Debug, Default)]
pub(super) struct Rolled {
    /// Frames that stay as they are.
    pub frames: usize,
    /// Keys and values of the encoder's layers.
    pub encoder: Vec<Memory>,
    /// Cross keys and values of the frames, keys and values of the tokens.
    pub sequence: Sequence,
    /// The tokens that the sequence has taken in.
    pub tokens: Vec<u32>,
}

impl Rolled {
    /// Takes note of the frames that have now heard enough.
    pub fn settle(&mut self) {
        self.frames = self.frames.max(self.sequence.frames.saturating_sub(FOLLOWING));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_job_took_along_is_asked_for_again() {
        let mut kept = Kept::new(true);
        let frames = 42 + FOLLOWING;
        kept.stem.feed(0, &vec![0.5; THIRD.1 * frames], &vec![1.0; 20 * frames], 1);
        let mut rolled = Rolled::default();
        rolled.sequence.frames = frames;
        rolled.settle();
        kept.leave(rolled);
        assert!(kept.stem.has_let_go() && kept.needs_from() > 0);
        kept.mend();
        assert!(kept.needs_from() > 0);
        kept.rolled = None;
        kept.mend();
        assert_eq!((kept.needs_from(), kept.stem.has_let_go()), (0, false));
    }
}
