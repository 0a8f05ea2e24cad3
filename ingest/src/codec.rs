//! From bytes to samples: linear PCM and ITU-T G.711.

use sotto_events::Encoding;

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

/// Takes interleaved bytes apart into one vector of samples a channel. `bytes` must hold whole frames.
pub fn decode(encoding: Encoding, channels: usize, bytes: &[u8]) -> Vec<Vec<i16>> {
    let width = encoding.bytes_per_sample();
    let frame = width * channels;
    let sample = |chunk: &[u8]| match encoding {
        Encoding::S16le => i16::from_le_bytes([chunk[0], chunk[1]]),
        Encoding::Mulaw => MULAW[usize::from(chunk[0])],
        Encoding::Alaw => ALAW[usize::from(chunk[0])],
    };
    (0..channels)
        .map(|channel| bytes.chunks_exact(frame).map(|chunk| sample(&chunk[channel * width..])).collect())
        .collect()
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
