//! Twice the rate: every sample stays as it is, and between two goes a number that the samples around it tell, by a
//! windowed sinc. The filter reaches 6 ms to both sides; it is level up to 0.45 of the input's rate.

use std::{array, f64::consts::PI, sync::LazyLock};

use crate::vectors::vectorised;

/// Samples on either side of a place that count.
const REACH: usize = 48;
/// Places that are worked on together.
const AT_ONCE: usize = 32;

/// What the two samples count that are nearest to a place, those behind them, and so on: a sinc in a Blackman-Harris window.
static TAPS: LazyLock<[f32; REACH]> = LazyLock::new(|| {
    array::from_fn(|nth| {
        let angle = PI * (nth as f64 + 0.5);
        let turn = angle / REACH as f64;
        let window = 0.358_75 + 0.488_29 * turn.cos() + 0.141_28 * (2.0 * turn).cos() + 0.011_68 * (3.0 * turn).cos();
        (angle.sin() / angle * window) as f32
    })
});

/// Doubles the rate of one channel.
#[derive(Debug)]
pub struct Doubler {
    /// Samples that are still needed: `REACH` - 1 that came before the next one to be given, that one, and those behind it.
    held: Vec<f32>,
}

impl Default for Doubler {
    /// Nothing was heard yet: silence came before.
    fn default() -> Self {
        Self { held: vec![0.0; REACH - 1] }
    }
}

impl Doubler {
    /// Forgets everything heard.
    pub fn reset(&mut self) {
        self.held.clear();
        self.held.resize(REACH - 1, 0.0);
    }

    /// Takes in samples and appends two for each whose neighbours are known.
    pub fn push(&mut self, samples: impl Iterator<Item = f32>, out: &mut Vec<f32>) {
        self.held.extend(samples);
        let ready = (self.held.len() + 1).saturating_sub(2 * REACH);
        let from = out.len();
        out.resize(from + 2 * ready, 0.0);
        let (taps, held, out) = (&*TAPS, &self.held[..], &mut out[from..]);
        vectorised(
            #[inline(always)]
            || double(taps, held, out),
        );
        self.held.drain(..ready);
    }

    /// Gives what is left: silence follows.
    pub fn flush(&mut self, out: &mut Vec<f32>) {
        self.push([0.0; REACH].into_iter(), out);
    }
}

/// Writes two numbers for each sample that has `REACH` others behind it.
#[inline(always)]
fn double(taps: &[f32; REACH], held: &[f32], out: &mut [f32]) {
    let (groups, rest) = out.as_chunks_mut::<{ 2 * AT_ONCE }>();
    let whole = groups.len() * AT_ONCE;
    for (group, at) in groups.iter_mut().zip((0..).step_by(AT_ONCE)) {
        some::<AT_ONCE>(taps, &held[at..], group);
    }
    for (pair, at) in rest.as_chunks_mut::<2>().0.iter_mut().zip(whole..) {
        some::<1>(taps, &held[at..], pair);
    }
}

/// The same for `N` samples. Each sum is added up in one order, however many there are.
#[inline(always)]
fn some<const N: usize>(taps: &[f32; REACH], held: &[f32], out: &mut [f32]) {
    let mut sums = [0.0_f32; N];
    for (nth, tap) in taps.iter().enumerate() {
        let (before, after) = (&held[REACH - 1 - nth..][..N], &held[REACH + nth..][..N]);
        for i in 0..N {
            sums[i] += tap * (before[i] + after[i]);
        }
    }
    for (i, pair) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        *pair = [held[REACH - 1 + i], sums[i]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubled(samples: &[f32]) -> Vec<f32> {
        let (mut doubler, mut out) = (Doubler::default(), Vec::new());
        doubler.push(samples.iter().copied(), &mut out);
        doubler.flush(&mut out);
        out
    }

    #[test]
    fn samples_stay_and_between_them_goes_what_was_sampled() {
        for turns in [0.01, 0.1, 0.3, 0.4, 0.45] {
            let wave = |place: f64| (place * turns * std::f64::consts::TAU).sin() as f32;
            let samples: Vec<f32> = (0..400).map(|place| wave(f64::from(place))).collect();
            let out = doubled(&samples);
            assert_eq!(out.iter().step_by(2).copied().take(400).collect::<Vec<_>>(), samples);
            let off = (200..600).map(|at| (out[at] - wave(at as f64 / 2.0)).abs()).fold(0.0, f32::max);
            assert!(off < 2e-3, "{turns}: {off}");
        }
    }

    #[test]
    fn every_sample_makes_two() {
        for count in [0, 1, 5, 47, 48, 49, 200] {
            assert_eq!(doubled(&vec![0.25; count]).len(), 2 * count);
        }
    }
}
