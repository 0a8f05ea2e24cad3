//! From bytes to samples: linear PCM, ITU-T G.711, and Opus through [`crate::opus`].

use sotto_events::{AudioFormat, Encoding};

use crate::opus::{OpusDecoder, OpusError};

const fn mulaw(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = ((((byte & 0x0f) as i16) << 3) + 0x84) << ((byte >> 4) & 7);
    if byte & 0x80 != 0 { 0x84 - magnitude } else { magnitude - 0x84 }
}

const fn alaw(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let mantissa = ((byte & 0x0f) as i16) << 4;
    let exponent = (byte >> 4) & 7;
    let magnitude = if exponent == 0 { mantissa + 8 } else { (mantissa + 0x108) << (exponent - 1) };
    if byte & 0x80 != 0 { magnitude } else { -magnitude }
}

macro_rules! table {
    ($decode:ident) => {{
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            table[index] = $decode(index as u8);
            index += 1;
        }
        table
    }};
}

static MULAW: [i16; 256] = table!(mulaw);
static ALAW: [i16; 256] = table!(alaw);

/// Bytes one sample of one channel takes; `None` where a packet holds many.
const fn width(encoding: Encoding) -> Option<usize> {
    match encoding {
        Encoding::S16le => Some(2),
        Encoding::Mulaw | Encoding::Alaw => Some(1),
        Encoding::Opus => None,
    }
}

/// Why bytes are not the audio that was announced, with what would be right.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("{bytes} bytes are not whole samples of every channel; send multiples of {frame}")]
    OddByteCount { bytes: usize, frame: usize },
    #[error("{0}; send one whole packet a message")]
    Opus(#[from] OpusError),
}

impl CodecError {
    /// The name in the protocol.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OddByteCount { .. } => "odd_byte_count",
            Self::Opus(_) => "opus_packet",
        }
    }
}

/// Decodes the messages of one call.
pub struct CallDecoder {
    format: AudioFormat,
    opus: Option<OpusDecoder>,
}

impl CallDecoder {
    /// For a call of this format.
    ///
    /// # Errors
    /// When libopus has no memory for a stream.
    pub fn new(format: AudioFormat) -> Result<Self, CodecError> {
        let opus = match format.encoding {
            Encoding::Opus => Some(OpusDecoder::new(format.rate, format.channels.len())?),
            _ => None,
        };
        Ok(Self { format, opus })
    }

    /// Samples of one message, one vector a channel.
    ///
    /// # Errors
    /// When the bytes are not whole frames, or not a packet.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Vec<Vec<i16>>, CodecError> {
        let channels = self.format.channels.len();
        if let Some(opus) = &mut self.opus {
            return Ok(apart(channels, opus.decode(bytes)?.iter().copied()));
        }
        let frame = width(self.format.encoding).unwrap_or(1) * channels;
        if !bytes.len().is_multiple_of(frame) {
            return Err(CodecError::OddByteCount { bytes: bytes.len(), frame });
        }
        Ok(decode(self.format.encoding, channels, bytes))
    }

    /// Messages begin at multiples of their length, so a call is taken up again at the start of a message.
    pub const fn in_packets(&self) -> bool {
        self.opus.is_some()
    }
}

/// Takes interleaved samples of G.711 or linear PCM apart; bytes that are no whole sample are left out.
pub fn decode(encoding: Encoding, channels: usize, bytes: &[u8]) -> Vec<Vec<i16>> {
    match encoding {
        Encoding::S16le => apart(channels, bytes.as_chunks::<2>().0.iter().map(|&pair| i16::from_le_bytes(pair))),
        Encoding::Mulaw => apart(channels, bytes.iter().map(|&byte| MULAW[usize::from(byte)])),
        Encoding::Alaw => apart(channels, bytes.iter().map(|&byte| ALAW[usize::from(byte)])),
        Encoding::Opus => vec![Vec::new(); channels],
    }
}

fn apart(channels: usize, samples: impl ExactSizeIterator<Item = i16>) -> Vec<Vec<i16>> {
    let mut out = vec![Vec::with_capacity(samples.len() / channels.max(1)); channels];
    for (index, sample) in samples.enumerate() {
        out[index % channels].push(sample);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_matches_the_standards_corner_values() {
        let ends = |encoding, bytes: &[u8]| decode(encoding, 1, bytes).remove(0);
        assert_eq!(ends(Encoding::Mulaw, &[0x00, 0x80, 0xff, 0x7f, 0x8f]), [-32_124, 32_124, 0, 0, 16_764]);
        assert_eq!(ends(Encoding::Alaw, &[0x2a, 0xaa, 0xd5, 0x55]), [-32_256, 32_256, 8, -8]);
    }

    #[test]
    fn channels_come_apart() {
        assert_eq!(decode(Encoding::S16le, 2, &[1, 0, 2, 0, 3, 0, 4, 0]), [[1, 3], [2, 4]]);
    }
}
