//! How many multiply-adds the products of a recogniser's graphs take: with the time spent, how far they are from what the
//! processor can do. Attention and what lies between the products is not counted.

use super::{
    operators::{SECOND, THIRD},
    stem::ROW,
};
use crate::models::Shape;

/// Rows in sixteen bits are multiplied twice, coarse and fine, or once with numbers that take twice the room.
const FINE: usize = 2;
/// A layer of the encoder, in squares of the width: query, key, value and output; up to four times the width and back.
const ENCODER_LAYER: usize = 4 + 4 + 4;
/// A layer of the decoder: its own attention; query and output of the cross attention; up to eight times the width, half of
/// it a gate, and back.
const DECODER_LAYER: usize = 4 + 2 + 8 + 4;

/// Of the stem: frames of its first convolution, rows of its second.
pub fn stem(shape: &Shape, frames: usize, rows: usize) -> u64 {
    (frames * ROW * shape.width + FINE * rows * SECOND.0 * shape.width * shape.stem) as u64
}

/// Of the encoder, with the cross keys and values of every layer.
pub fn encoder(shape: &Shape, frames: usize) -> u64 {
    let third = FINE * THIRD.0 * shape.stem * shape.width;
    let layers = (ENCODER_LAYER + 2) * shape.layers * shape.width * shape.width;
    (frames * (third + layers)) as u64
}

/// Of a decoder pass over so many tokens, of which some are judged.
pub fn decoder(shape: &Shape, tokens: usize, judged: usize) -> u64 {
    let layers = DECODER_LAYER * shape.layers * shape.width * shape.width;
    (tokens * layers + judged * shape.width * shape.vocabulary) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_sound_takes_as_much_as_is_known_of_moonshine_tiny() {
        let tiny = Shape { layers: 6, width: 288, heads: 8, stem: 576, vocabulary: 32_768 };
        let millions = |count: u64| (count as f64 / 1e6).round();
        assert_eq!(millions(stem(&tiny, 250, 0)), 9.0);
        assert_eq!(millions(stem(&tiny, 0, 83)), 193.0);
        assert_eq!(millions(encoder(&tiny, 42)), 334.0);
        assert_eq!(millions(decoder(&tiny, 1, 1)), 18.0);
    }
}
