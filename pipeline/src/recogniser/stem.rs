//! What is kept of a growing window between two hypotheses: the part of the encoder that is local in time.

use super::operators::{SECOND, THIRD, places};

/// Samples that a frame of the first convolution sees, and every how many.
const FIRST: (usize, usize) = (127, 64);
/// Width of a row of samples: two steps, of which the last sample does not count.
pub const ROW: usize = 2 * FIRST.1;
/// Samples between two rows of the second convolution.
const STEP: usize = FIRST.1 * SECOND.1;
/// Samples between two frames.
pub const HOP: usize = STEP * THIRD.1;
/// Shortest window that makes one frame.
pub const SHORTEST: usize = FIRST.0 + FIRST.1 * (SECOND.0 - 1 + SECOND.1 * (THIRD.0 - 1));

/// Frames after each of the encoder's three convolutions.
pub fn frames(samples: usize) -> [usize; 3] {
    let first = places(samples, FIRST);
    let second = places(first, SECOND);
    [first, second, places(second, THIRD)]
}

/// The second convolution's rows so far, and running sums over the first one's frames. Depends on the sound alone,
/// however it was cut.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stem {
    /// Rows from `first` on.
    linear: Vec<f32>,
    first: usize,
    rows: usize,
    /// Sum and sum of squares over all frames up to each one.
    sums: Vec<[f64; 2]>,
}

impl Stem {
    /// Rows of the second convolution that are known.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The sample from which on the sound is needed for the next feed.
    pub fn needs_from(&self) -> usize {
        self.rows * STEP
    }

    /// Whether a window of `samples` needs more than is here.
    pub fn lacks(&self, samples: usize) -> bool {
        frames(samples)[0] > self.sums.len()
    }

    /// Appends the rows of samples that are to be convolved: of the window up to `needs_from() + audio.len()`.
    pub fn rows_of(&self, audio: &[f32], to: &mut Vec<f32>) {
        let count = places(audio.len(), FIRST);
        for row in 0..count {
            let from = row * FIRST.1;
            let samples = &audio[from..(from + ROW).min(audio.len())];
            to.extend_from_slice(samples);
            // the last sample of a row has no weight
            to.resize(to.len() + ROW - samples.len(), 0.0);
        }
    }

    /// Takes in what came of the rows given from row `from` of the second convolution on: its new rows, `[sum, sum of
    /// squares]` a row given. Another job may have brought some of it meanwhile.
    pub fn feed(&mut self, from: usize, linear: &[f32], sums: &[f32], width: usize) {
        // some frames were seen before: rows overlap
        let first = from * SECOND.1;
        let (Some(seen), Some(had)) = (self.sums.len().checked_sub(first), self.rows.checked_sub(from)) else {
            debug_assert!(false, "rows from {from} on were given to a stem of {}", self.rows);
            return;
        };
        let mut running = self.sums.last().copied().unwrap_or_default();
        for frame in sums.as_chunks::<2>().0.iter().skip(seen) {
            running = [running[0] + f64::from(frame[0]), running[1] + f64::from(frame[1])];
            self.sums.push(running);
        }
        self.linear.extend_from_slice(linear.get(had * width..).unwrap_or_default());
        self.rows = self.first + self.linear.len() / width;
    }

    /// Rows of a window of `samples` from row `from` on, of `width` numbers; `None` when they have been let go.
    pub fn linear(&self, from: usize, samples: usize, width: usize) -> Option<&[f32]> {
        let (from, to) = (from.checked_sub(self.first)?, frames(samples)[1].checked_sub(self.first)?);
        self.linear.get(from * width..to * width)
    }

    /// Lets the rows before `first` go: nobody asks for them again.
    pub fn let_go(&mut self, first: usize) {
        let width = self.linear.len() / (self.rows - self.first).max(1);
        let count = first.min(self.rows).saturating_sub(self.first);
        self.linear.drain(..count * width);
        self.linear.shrink_to(2 * self.linear.len());
        self.first += count;
    }

    /// Whether rows have been let go.
    pub fn has_let_go(&self) -> bool {
        self.first > 0
    }

    /// Mean and inverse deviation of a window of `samples`, `width` numbers a frame.
    pub fn norm(&self, samples: usize, width: usize) -> [f32; 2] {
        let count = frames(samples)[0];
        let [sum, squares] = count.checked_sub(1).and_then(|last| self.sums.get(last)).copied().unwrap_or_default();
        let numbers = (count * width).max(1) as f64;
        let mean = sum / numbers;
        let variance = squares / numbers - mean * mean;
        [mean as f32, (1.0 / (variance + 1e-5).sqrt()) as f32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_frames_as_the_graph_does() {
        assert_eq!(frames(16_000), [249, 81, 40]);
        assert_eq!(frames(SHORTEST)[2], 1);
        assert_eq!(frames(SHORTEST - 1)[2], 0);
        assert_eq!(frames(10), [0, 0, 0]);
    }

    /// A stand-in for the convolutions: frames are sums of samples, rows are sums of frames.
    fn convolve(rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let frames: Vec<f32> = rows.chunks(ROW).map(|row| row[..FIRST.0].iter().sum()).collect();
        let linear = (0..places(frames.len(), SECOND))
            .map(|place| frames[place * SECOND.1..place * SECOND.1 + SECOND.0].iter().sum())
            .collect();
        (linear, frames.iter().flat_map(|&x| [x, x * x]).collect())
    }

    #[test]
    fn is_the_same_however_the_sound_comes() {
        let audio: Vec<f32> = (0..20_000).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 500.0).collect();
        let feed = |ends: &[usize]| {
            let mut stem = Stem::default();
            for &end in ends {
                let mut rows = Vec::new();
                stem.rows_of(&audio[stem.needs_from()..end], &mut rows);
                let (linear, sums) = convolve(&rows);
                let from = stem.rows();
                stem.feed(from, &linear, &sums, 1);
                // the same once more, as from another job
                stem.feed(from, &linear, &sums, 1);
            }
            stem
        };
        let whole = feed(&[20_000]);
        assert_eq!(feed(&[1_663, 1_700, 9_000, 20_000]), whole);
        let shorter = feed(&[9_000]);
        assert_eq!(whole.linear(0, 9_000, 1), shorter.linear(0, 9_000, 1));
        // what has been let go is missed by none of the rest
        let mut rest = whole.clone();
        rest.let_go(20);
        rest.let_go(10);
        assert_eq!((rest.rows(), rest.linear(19, 9_000, 1)), (whole.rows(), None));
        assert_eq!(rest.linear(20, 9_000, 1), whole.linear(20, 9_000, 1));
        assert_eq!(whole.norm(9_000, 1), shorter.norm(9_000, 1));
        assert!(!whole.lacks(20_000) && shorter.lacks(20_000));
    }
}
