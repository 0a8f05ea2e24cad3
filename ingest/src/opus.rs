//! Opus (RFC 6716) by libopus, decoded at the rate that is wanted.

use opus::{Channels, Decoder};
use sotto_events::{MAX_OPUS_CHANNELS, OPUS_RATES};

/// The longest audio a packet may hold, in seconds over 1000.
const LONGEST_MS: usize = 120;

/// Why a packet has no sound.
#[derive(Debug, thiserror::Error)]
pub enum OpusError {
    #[error("not an Opus packet ({0})")]
    Packet(#[from] opus::Error),
    #[error("not an Opus packet (empty)")]
    Empty,
}

/// One stream's decoder. Packets must come in the order in which they were sent.
pub struct OpusDecoder {
    decoder: Decoder,
    channels: usize,
    /// Room for the longest packet.
    buffer: Vec<i16>,
}

impl OpusDecoder {
    /// Gives `channels` (1 or 2) at `rate`, whatever the packets hold.
    ///
    /// # Errors
    /// For a rate or number of channels that Opus does not know.
    pub fn new(rate: u32, channels: usize) -> Result<Self, OpusError> {
        debug_assert!(OPUS_RATES.contains(&rate) && channels <= MAX_OPUS_CHANNELS);
        let layout = if channels == 2 { Channels::Stereo } else { Channels::Mono };
        let longest = rate as usize * LONGEST_MS / 1000;
        Ok(Self { decoder: Decoder::new(rate, layout)?, channels, buffer: vec![0; longest * channels] })
    }

    /// Loudness that a file's head asks for, in 1/256 dB.
    ///
    /// # Errors
    /// Never, for any `i16`.
    pub fn gain(&mut self, gain: i16) -> Result<(), OpusError> {
        Ok(self.decoder.set_gain(i32::from(gain))?)
    }

    /// Decodes one packet; the samples are interleaved.
    ///
    /// # Errors
    /// When the packet is damaged or empty; the next one may be good.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[i16], OpusError> {
        if packet.is_empty() {
            // to libopus this would mean a lost packet
            return Err(OpusError::Empty);
        }
        let frames = self.decoder.decode(packet, &mut self.buffer, false)?;
        Ok(&self.buffer[..frames * self.channels])
    }
}

#[cfg(test)]
mod tests {
    use opus::{Application, Encoder};

    use super::*;

    const RATE: u32 = 16_000;

    fn packets(channels: Channels) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(RATE, channels, Application::Voip).unwrap();
        let width = channels as usize;
        let sample =
            |index: usize| ((index as f32 / RATE as f32 * 440.0 * std::f32::consts::TAU).sin() * 8_000.0) as i16;
        (0..50)
            .map(|frame| {
                let tone: Vec<i16> = (0..320 * width).map(|i| sample(frame * 320 + i / width)).collect();
                encoder.encode_vec(&tone, 1_500).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_tone_comes_back_and_stereo_folds_to_mono() {
        for channels in [Channels::Mono, Channels::Stereo] {
            let mut decoder = OpusDecoder::new(RATE, 1).unwrap();
            let mut out = Vec::new();
            for packet in packets(channels) {
                out.extend_from_slice(decoder.decode(&packet).unwrap());
            }
            assert_eq!(out.len(), RATE as usize);
            let loud = (out[8_000..].iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 8_000.0).sqrt();
            assert!((5_000.0..6_300.0).contains(&loud), "{loud}");
        }
    }

    #[test]
    fn damaged_packets_are_told_and_the_stream_goes_on() {
        let mut decoder = OpusDecoder::new(RATE, 1).unwrap();
        for (index, packet) in packets(Channels::Mono).iter().enumerate() {
            match index % 10 {
                4 => assert!(decoder.decode(&[]).is_err()),
                // code 3 with no count of frames
                5 => assert!(decoder.decode(&[0xff]).is_err()),
                _ => assert_eq!(decoder.decode(packet).unwrap().len(), 320),
            }
        }
    }
}
