//! To 16 kHz, streaming: blocks are aligned to the first sample after a reset, never to frame borders, so the output
//! does not depend on how the input was cut into frames. Buffers are made once.
//!
//! The rate of telephones is doubled in a way of its own, which hardly touches memory: with a hundred channels that is what a
//! Fourier transform of each block costs.

mod doubler;

use audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use self::doubler::Doubler;
use crate::SPEECH_RATE;

/// Nominal length of one block; rounded to what the ratio of rates allows.
const BLOCK_MS: usize = 32;

enum Stage {
    /// The input already has the right rate.
    Through,
    /// It has half of it.
    Twice(Doubler),
    Fft {
        resampler: Box<Fft<f32>>,
        block_in: Vec<f32>,
        block_out: Vec<f32>,
        /// Samples waiting in `block_in`.
        filled: usize,
        /// Filter delay still to be dropped from the output, so that media time stays exact.
        delay_left: usize,
    },
}

/// Resamples one channel.
pub struct Resampler {
    stage: Stage,
}

impl Resampler {
    /// For input at `rate` samples a second.
    ///
    /// # Errors
    /// When the ratio of rates cannot be resampled.
    pub fn new(rate: u32) -> Result<Self, rubato::ResamplerConstructionError> {
        if rate == SPEECH_RATE {
            return Ok(Self { stage: Stage::Through });
        }
        if 2 * rate == SPEECH_RATE {
            return Ok(Self { stage: Stage::Twice(Doubler::default()) });
        }
        let block = rate as usize * BLOCK_MS / 1000;
        let resampler = Fft::new(rate as usize, SPEECH_RATE as usize, block, 1, FixedSync::Both)?;
        let (block_in, block_out) = (resampler.input_frames_max(), resampler.output_frames_max());
        let delay_left = resampler.output_delay();
        Ok(Self {
            stage: Stage::Fft {
                resampler: Box::new(resampler),
                block_in: vec![0.0; block_in],
                block_out: vec![0.0; block_out],
                filled: 0,
                delay_left,
            },
        })
    }

    /// Forgets everything heard; the next sample is the first.
    pub fn reset(&mut self) {
        match &mut self.stage {
            Stage::Through => {}
            Stage::Twice(doubler) => doubler.reset(),
            Stage::Fft { resampler, filled, delay_left, .. } => {
                resampler.reset();
                *filled = 0;
                *delay_left = resampler.output_delay();
            }
        }
    }

    /// Takes in 16-bit samples and appends what is ready, in -1..1 at 16 kHz, to `out`.
    pub fn push(&mut self, input: &[i16], out: &mut Vec<f32>) {
        match &mut self.stage {
            Stage::Through => out.extend(input.iter().map(|&s| to_float(s))),
            Stage::Twice(doubler) => doubler.push(input.iter().map(|&s| to_float(s)), out),
            Stage::Fft { resampler, block_in, block_out, filled, delay_left } => {
                for &sample in input {
                    block_in[*filled] = to_float(sample);
                    *filled += 1;
                    if *filled == block_in.len() {
                        *filled = 0;
                        process(resampler, block_in, block_out, delay_left, out);
                    }
                }
            }
        }
    }

    /// Pushes out what the filter still holds, by letting silence follow. Call once, at the end of the audio.
    pub fn flush(&mut self, out: &mut Vec<f32>) {
        match &mut self.stage {
            Stage::Through => {}
            Stage::Twice(doubler) => doubler.flush(out),
            Stage::Fft { resampler, block_in, block_out, filled, delay_left } => {
                block_in[*filled..].fill(0.0);
                process(resampler, block_in, block_out, delay_left, out);
                block_in.fill(0.0);
                process(resampler, block_in, block_out, delay_left, out);
                *filled = 0;
            }
        }
    }
}

fn to_float(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

fn process(
    resampler: &mut Fft<f32>,
    block_in: &[f32],
    block_out: &mut [f32],
    delay_left: &mut usize,
    out: &mut Vec<f32>,
) {
    let frames_out = block_out.len();
    let (Ok(input), Ok(mut output)) =
        (SequentialSlice::new(block_in, 1, block_in.len()), SequentialSlice::new_mut(block_out, 1, frames_out))
    else {
        unreachable!("one channel of a block always fits its own slice")
    };
    match resampler.process_into_buffer(&input, &mut output, None) {
        Ok((_, written)) => {
            let skip = written.min(*delay_left);
            *delay_left -= skip;
            out.extend_from_slice(&block_out[skip..written]);
        }
        Err(error) => unreachable!("blocks have the size the resampler asked for: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tone(rate: u32, seconds: f64, hertz: f64) -> Vec<i16> {
        (0..(f64::from(rate) * seconds) as usize)
            .map(|i| ((i as f64 * hertz * std::f64::consts::TAU / f64::from(rate)).sin() * 16_000.0) as i16)
            .collect()
    }

    fn all(rate: u32, input: &[i16]) -> Vec<f32> {
        let mut resampler = Resampler::new(rate).unwrap();
        let mut out = Vec::new();
        resampler.push(input, &mut out);
        resampler.flush(&mut out);
        out
    }

    #[test]
    fn a_tone_keeps_its_place_and_height_at_every_rate() {
        for rate in sotto_events::SAMPLE_RATES {
            let out = all(rate, &tone(rate, 1.0, 440.0));
            let worst = (1600..14_400)
                .map(|i| {
                    let want = (i as f64 * 440.0 * std::f64::consts::TAU / 16_000.0).sin() as f32 * 16_000.0 / 32_768.0;
                    (out[i] - want).abs()
                })
                .fold(0.0_f32, f32::max);
            assert!(worst < 2e-3, "{rate} Hz: off by {worst}");
        }
    }

    #[test]
    fn a_reset_forgets() {
        let mut resampler = Resampler::new(8_000).unwrap();
        let mut first = Vec::new();
        resampler.push(&tone(8_000, 0.5, 300.0), &mut first);
        resampler.reset();
        let mut second = Vec::new();
        resampler.push(&tone(8_000, 0.5, 300.0), &mut second);
        assert_eq!(first, second);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn frame_borders_leave_no_trace(rate in prop::sample::select(&sotto_events::SAMPLE_RATES[..]), sizes in prop::collection::vec(1_usize..3000, 1..40)) {
            let input = tone(rate, 0.6, 710.0);
            let whole = all(rate, &input);
            let mut resampler = Resampler::new(rate).unwrap();
            let (mut out, mut at) = (Vec::new(), 0);
            for size in sizes.iter().cycle() {
                let end = (at + size).min(input.len());
                resampler.push(&input[at..end], &mut out);
                at = end;
                if at == input.len() { break }
            }
            resampler.flush(&mut out);
            prop_assert_eq!(whole, out);
        }
    }
}
