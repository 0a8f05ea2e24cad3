//! How loud the frequencies of a frame are, as the voice model wants to know it.

use std::sync::Arc;

use realfft::{FftError, RealFftPlanner, RealToComplex, num_complex::Complex32};

use super::{CONTEXT, FRAME};

/// Samples of a window, and from one to the next.
const SPAN: usize = 256;
const HOP: usize = SPAN / 2;
/// Frequencies of a window.
const BINS: usize = SPAN / 2 + 1;
/// Windows of a frame.
pub const WINDOWS: usize = 4;
/// Numbers of a window between its neighbours.
pub const WIDE: usize = 3 * BINS;
/// Samples before the end of a frame that are heard again behind it, backwards.
const REFLECTED: usize = (WINDOWS - 1) * HOP + SPAN - CONTEXT - FRAME;

/// Makes spectra, with room of its own.
pub struct Spectra {
    transform: Arc<dyn RealToComplex<f32>>,
    shape: Vec<f32>,
    /// Context, frame and what is reflected.
    sound: Vec<f32>,
    window: Vec<f32>,
    waves: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// The windows of a frame, one of zeros before and one behind them.
    spectrum: Vec<f32>,
}

impl Spectra {
    pub fn new() -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(SPAN);
        let turn = std::f64::consts::TAU / SPAN as f64;
        Self {
            // Hann's
            shape: (0..SPAN).map(|place| (0.5 - 0.5 * (turn * place as f64).cos()) as f32).collect(),
            sound: Vec::with_capacity(CONTEXT + FRAME + REFLECTED),
            window: transform.make_input_vec(),
            waves: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            spectrum: vec![0.0; (WINDOWS + 2) * BINS],
            transform,
        }
    }

    /// Adds magnitudes of a frame and what was before it to `out`: [`WINDOWS`] times [`WIDE`] numbers, each window between its
    /// neighbours.
    ///
    /// # Errors
    /// Never: it would be for a window of another length.
    pub fn of(&mut self, context: &[f32], frame: &[f32], out: &mut Vec<f32>) -> Result<(), FftError> {
        self.sound.clear();
        self.sound.extend_from_slice(context);
        self.sound.extend_from_slice(frame);
        self.sound.extend(frame.iter().rev().skip(1).take(REFLECTED));
        let spectrum = self.spectrum.chunks_exact_mut(BINS).skip(1);
        for (sound, magnitudes) in self.sound.windows(SPAN).step_by(HOP).zip(spectrum) {
            for ((to, sample), shape) in self.window.iter_mut().zip(sound).zip(&self.shape) {
                *to = sample * shape;
            }
            self.transform.process_with_scratch(&mut self.window, &mut self.waves, &mut self.scratch)?;
            for (magnitude, wave) in magnitudes.iter_mut().zip(&self.waves) {
                *magnitude = wave.norm_sqr().sqrt();
            }
        }
        self.spectrum.windows(WIDE).step_by(BINS).for_each(|wide| out.extend_from_slice(wide));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_a_product_with_every_wave_gives() {
        let wave = |from: usize, count: usize| -> Vec<f32> {
            (from..from + count).map(|i| (i as f32 * 0.37).sin() * 0.4 + (i as f32 * 1.9).cos() * 0.1).collect()
        };
        let (context, frame) = (wave(0, CONTEXT), wave(CONTEXT, FRAME));
        let mut made = vec![7.0];
        let mut spectra = Spectra::new();
        spectra.of(&context, &frame, &mut made).unwrap();
        assert_eq!((made.len(), made[0]), (1 + WINDOWS * WIDE, 7.0));
        let mut sound = [context.clone(), frame.clone()].concat();
        sound.extend((0..REFLECTED).map(|i| sound[CONTEXT + FRAME - 2 - i]).collect::<Vec<_>>());
        let padded = [
            vec![0.0; BINS],
            made[1..].chunks_exact(WIDE).flat_map(|wide| wide[BINS..2 * BINS].to_vec()).collect(),
            vec![0.0; BINS],
        ]
        .concat();
        for (window, wide) in made[1..].chunks_exact(WIDE).enumerate() {
            assert_eq!(wide, &padded[window * BINS..][..WIDE]);
            let made = &wide[BINS..2 * BINS];
            for (bin, made) in made.iter().enumerate() {
                let turn = std::f64::consts::TAU / SPAN as f64;
                let (mut real, mut imaginary) = (0.0, 0.0);
                for place in 0..SPAN {
                    let shape = 0.5 - 0.5 * (turn * place as f64).cos();
                    let x = f64::from(sound[window * HOP + place]) * shape;
                    let angle = turn * (bin * place) as f64;
                    (real, imaginary) = (real + x * angle.cos(), imaginary + x * angle.sin());
                }
                let exact = real.hypot(imaginary);
                assert!((f64::from(*made) - exact).abs() < 1e-5 * exact.max(1.0), "{window} {bin}: {made} {exact}");
            }
        }
        // nothing is left over from the frame before
        let mut again = Vec::new();
        spectra.of(&context, &frame, &mut again).unwrap();
        assert_eq!(again, made[1..]);
    }
}
