//! What a caller may send: encodings, rates, channels and the role that speaks on each.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Sample rates that are accepted, in samples a second.
pub const SAMPLE_RATES: [u32; 6] = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000];

/// The largest number of interleaved channels in one call.
pub const MAX_CHANNELS: usize = 8;

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
}

impl Encoding {
    /// Bytes one sample of one channel takes.
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::S16le => 2,
            Self::Mulaw | Self::Alaw => 1,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S16le => "s16le",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
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
    #[error("unknown encoding; use one of s16le, mulaw, alaw")]
    Encoding,
    #[error("sample rate {0} is not supported; use one of 8000, 16000, 22050, 24000, 44100, 48000")]
    Rate(u32),
    #[error("{0} channels are not supported; use 1 to {MAX_CHANNELS}")]
    Channels(usize),
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
        Ok(Self { encoding, rate, channels })
    }

    /// Bytes that one sample of every channel takes together.
    pub fn bytes_per_frame(&self) -> usize {
        self.encoding.bytes_per_sample() * self.channels.len()
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
        assert_eq!("g729".parse::<Encoding>(), Err(FormatError::Encoding));
    }
}
