//! Recordings as the server will hear them: decoded and brought to the call's rate, once, before anything is timed.

use std::path::{Path, PathBuf};

use audioadapter_buffers::direct::SequentialSlice;
use clap::ValueEnum;
use rubato::{Fft, FixedSync, Resampler as _};
use serde::{Deserialize, Serialize};
use sotto_ingest::file;

use super::Failure;
use crate::bench::corpus;

/// How samples go over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// G.711 mu-law, one byte a sample, as telephony has it.
    Mulaw,
    /// Linear PCM, two bytes a sample.
    S16le,
}

impl Coding {
    /// Bytes one sample of one channel takes.
    pub const fn width(self) -> usize {
        match self {
            Self::Mulaw => 1,
            Self::S16le => 2,
        }
    }

    /// The name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mulaw => "mulaw",
            Self::S16le => "s16le",
        }
    }

    /// Appends one sample.
    pub fn put(self, sample: i16, out: &mut Vec<u8>) {
        match self {
            Self::Mulaw => out.push(mulaw(sample)),
            Self::S16le => out.extend_from_slice(&sample.to_le_bytes()),
        }
    }
}

/// ITU-T G.711 mu-law.
pub const fn mulaw(sample: i16) -> u8 {
    const BIAS: u32 = 0x84;
    const CLIP: u32 = 32_635;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs() as u32;
    let magnitude = if magnitude > CLIP { CLIP } else { magnitude } + BIAS;
    let exponent = 31 - magnitude.leading_zeros() - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !((sign | (exponent << 4) | mantissa) as u8)
}

/// One recording at the call's rate.
#[derive(Debug, Clone)]
pub struct Clip {
    pub name: String,
    /// One vector of samples a channel, all of one length.
    pub channels: Vec<Vec<i16>>,
    /// What is said in it, when that is known.
    pub transcript: Option<String>,
}

/// Reads single recordings, and all recordings of a corpus folder.
///
/// # Errors
/// When one cannot be read, or there is none.
pub fn read(files: &[PathBuf], corpora: &[PathBuf], rate: u32) -> Result<Vec<Clip>, Failure> {
    let mut clips = Vec::new();
    for path in files {
        let beside = path.with_extension("txt");
        let transcript = (beside != *path).then(|| std::fs::read_to_string(&beside).ok()).flatten();
        clips.push(clip(path, transcript, rate)?);
    }
    for folder in corpora {
        for found in corpus::read(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            clips.push(clip(&found.audio, Some(found.transcript), rate)?);
        }
    }
    if clips.is_empty() {
        return Err("there is nothing to play: give --audio FILE or --corpus FOLDER".into());
    }
    Ok(clips)
}

fn clip(path: &Path, transcript: Option<String>, rate: u32) -> Result<Clip, Failure> {
    let recording = file::read(path)?;
    let from = recording.rate;
    let channels: Result<Vec<_>, _> =
        recording.channels.into_iter().map(|samples| resampled(samples, from, rate)).collect();
    Ok(Clip { name: path.display().to_string(), channels: channels?, transcript })
}

/// Brings samples from one rate to another. The length is exactly that of the original, in time.
fn resampled(samples: Vec<i16>, from: u32, to: u32) -> Result<Vec<i16>, Failure> {
    if from == to {
        return Ok(samples);
    }
    let wanted = (samples.len() as u64 * u64::from(to) / u64::from(from)) as usize;
    let mut resampler = Fft::<f32>::new(from as usize, to as usize, from as usize / 50, 1, FixedSync::Both)?;
    let (block_in, block_out) = (resampler.input_frames_max(), resampler.output_frames_max());
    let delay = resampler.output_delay();
    let (mut input, mut output) = (vec![0.0_f32; block_in], vec![0.0_f32; block_out]);
    let mut out = Vec::with_capacity(wanted + delay + block_out);
    let mut at = 0;
    while out.len() < wanted + delay {
        let piece = samples.get(at..samples.len().min(at + block_in)).unwrap_or_default();
        at += block_in;
        for (place, &sample) in input.iter_mut().zip(piece) {
            *place = f32::from(sample);
        }
        // silence pushes out what the filter still holds
        input[piece.len()..].fill(0.0);
        let heard = SequentialSlice::new(&input, 1, block_in)?;
        let mut made = SequentialSlice::new_mut(&mut output, 1, block_out)?;
        let (_, written) = resampler.process_into_buffer(&heard, &mut made, None)?;
        out.extend(output[..written].iter().map(|&sample| sample.clamp(-32_768.0, 32_767.0) as i16));
    }
    Ok(out[delay..delay + wanted].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mulaw_matches_the_servers_table() {
        for sample in [0_i16, 1, -1, 8, 100, -100, 1_000, -5_000, 16_764, 32_124, -32_124, i16::MAX, i16::MIN] {
            let heard = sotto_ingest::codec::decode(sotto_events::Encoding::Mulaw, 1, &[mulaw(sample)])[0][0];
            let off = (i32::from(heard) - i32::from(sample)).abs();
            assert!(off <= 16 + i32::from(sample).abs() / 16, "{sample} is heard as {heard}");
        }
        assert_eq!([mulaw(0), mulaw(32_124), mulaw(-32_124)], [0xff, 0x80, 0x00]);
    }

    #[test]
    fn a_tone_keeps_its_length_place_and_height() {
        let tone = |rate: f64, index: usize| ((index as f64 * 440.0 * std::f64::consts::TAU / rate).sin() * 8e3) as i16;
        let samples: Vec<i16> = (0..16_000).map(|index| tone(16_000.0, index)).collect();
        let out = resampled(samples, 16_000, 8_000).unwrap();
        assert_eq!(out.len(), 8_000);
        for (index, &sample) in out.iter().enumerate().take(7_000).skip(1_000) {
            assert!((sample - tone(8_000.0, index)).abs() < 60, "{index}");
        }
    }

    #[test]
    fn says_what_to_give() {
        assert!(read(&[], &[], 8_000).unwrap_err().to_string().contains("--corpus"));
    }
}
