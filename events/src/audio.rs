//! What a caller may send: encodings, rates, channels and the role that speaks on each.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Sample rates that are accepted, in samples a second.
pub const SAMPLE_RATES: [u32; 6] = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000];

/// The largest number of interleaved channels in one call.
pub const MAX_CHANNELS: usize = 8;

/// Sample rates that Opus can be decoded at, in samples a second.
pub const OPUS_RATES: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

/// The largest number of channels in an Opus packet.
pub const MAX_OPUS_CHANNELS: usize = 2;

/// How one sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Signed 16-bit little-endian linear PCM.
    #[serde(alias = "pcm_s16le", alias = "linear16")]
    S16le,
    /// ITU-T G.711 mu-law, 8 bits.
    #[serde(alias = "pcmu", alias = "ulaw")]
    Mulaw,
    /// ITU-T G.711 A-law, 8 bits.
    #[serde(alias = "pcma")]
    Alaw,
    /// Opus packets (RFC 6716), one a message, decoded at the call's rate.
    Opus,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S16le => "s16le",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
            Self::Opus => "opus",
        })
    }
}

impl FromStr for Encoding {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "s16le" | "pcm_s16le" | "linear16" => Ok(Self::S16le),
            "mulaw" | "ulaw" | "pcmu" => Ok(Self::Mulaw),
            "alaw" | "pcma" => Ok(Self::Alaw),
            "opus" => Ok(Self::Opus),
            _ => Err(FormatError::Encoding),
        }
    }
}

/// Who speaks on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelRole {
    Agent,
    Customer,
    /// Anyone else, or nobody knows.
    Other,
}

impl fmt::Display for ChannelRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Customer => "customer",
            Self::Other => "other",
        })
    }
}

/// Why an audio format is refused, with what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("unknown encoding; use one of s16le, mulaw, alaw, opus")]
    Encoding,
    #[error("sample rate {0} is not supported; use one of 8000, 16000, 22050, 24000, 44100, 48000")]
    Rate(u32),
    #[error("{0} channels are not supported; use 1 to {MAX_CHANNELS}")]
    Channels(usize),
    #[error("opus cannot be decoded at {0} samples a second; use one of 8000, 16000, 24000, 48000")]
    OpusRate(u32),
    #[error("an opus packet holds 1 or 2 channels, not {0}; send a call for each pair")]
    OpusChannels(usize),
}

/// A checked description of the audio of one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFormat {
    pub encoding: Encoding,
    /// Samples a second of one channel.
    pub rate: u32,
    /// One role a channel, in the order the channels are interleaved.
    pub channels: Vec<ChannelRole>,
}

impl AudioFormat {
    /// Checks rate and number of channels.
    pub fn new(encoding: Encoding, rate: u32, channels: Vec<ChannelRole>) -> Result<Self, FormatError> {
        if !SAMPLE_RATES.contains(&rate) {
            return Err(FormatError::Rate(rate));
        }
        if channels.is_empty() || channels.len() > MAX_CHANNELS {
            return Err(FormatError::Channels(channels.len()));
        }
        if encoding == Encoding::Opus && !OPUS_RATES.contains(&rate) {
            return Err(FormatError::OpusRate(rate));
        }
        if encoding == Encoding::Opus && channels.len() > MAX_OPUS_CHANNELS {
            return Err(FormatError::OpusChannels(channels.len()));
        }
        Ok(Self { encoding, rate, channels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_cannot_hear() {
        use ChannelRole::Agent;
        assert_eq!(AudioFormat::new(Encoding::Mulaw, 11_025, vec![Agent]), Err(FormatError::Rate(11_025)));
        assert_eq!(AudioFormat::new(Encoding::Mulaw, 8_000, vec![]), Err(FormatError::Channels(0)));
        assert_eq!(AudioFormat::new(Encoding::Opus, 44_100, vec![Agent]), Err(FormatError::OpusRate(44_100)));
        assert_eq!(AudioFormat::new(Encoding::Opus, 8_000, vec![Agent; 3]), Err(FormatError::OpusChannels(3)));
        assert_eq!("g729".parse::<Encoding>(), Err(FormatError::Encoding));
    }
}
