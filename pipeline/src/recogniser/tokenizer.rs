//! Moonshine's vocabulary file: for each token a length (one byte, or two when the first is 128 or more: `second * 128 +
//! first - 128`) and that many bytes; U+2581 marks the space before a word. Ids up to 2 are marks without text.

const SPACE: &str = "\u{2581}";
const LAST_MARK: u32 = 2;

/// The pieces of text tokens stand for.
#[derive(Debug)]
pub struct Tokenizer {
    pieces: Vec<Vec<u8>>,
}

impl Tokenizer {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// Says where the file breaks off.
    pub fn parse(mut bytes: &[u8]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        while let Some((&first, rest)) = bytes.split_first() {
            bytes = rest;
            let mut length = usize::from(first);
            if first >= 128 {
                let (&second, rest) = bytes.split_first().ok_or("the tokenizer breaks off inside a length")?;
                bytes = rest;
                length = usize::from(second) * 128 + length - 128;
            }
            if length > bytes.len() {
                return Err(format!("the tokenizer breaks off inside token {}", pieces.len()));
            }
            let (piece, rest) = bytes.split_at(length);
            bytes = rest;
            pieces.push(piece.to_vec());
        }
        Ok(Self { pieces })
    }

    /// Number of tokens.
    #[expect(clippy::len_without_is_empty, reason = "no vocabulary is empty")]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    fn piece(&self, token: u32) -> &[u8] {
        if token <= LAST_MARK {
            return &[];
        }
        self.pieces.get(token as usize).map_or(&[], Vec::as_slice)
    }
}

impl Tokenizer {
    /// The text of tokens. Spaces stand where words begin.
    pub fn text(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.piece(token)).copied().collect();
        String::from_utf8_lossy(&bytes).replace(SPACE, " ").trim().to_owned()
    }

    /// The least of the values of the tokens of each word of [`text`](Self::text); a space by itself belongs to the word behind
    /// it. NaN stands for a value that is not known.
    pub fn least_by_word(&self, tokens: &[u32], values: &[f32]) -> Vec<f32> {
        let (mut least, mut inside) = (Vec::<f32>::new(), false);
        let mut space = f32::NAN;
        for (&token, &value) in tokens.iter().zip(values) {
            let piece = String::from_utf8_lossy(self.piece(token)).replace(SPACE, " ");
            if !piece.is_empty() && piece.trim().is_empty() {
                (inside, space) = (false, space.min(value));
            }
            for c in piece.chars() {
                if c.is_whitespace() {
                    inside = false;
                } else if let (true, Some(least)) = (inside, least.last_mut()) {
                    *least = least.min(value);
                } else {
                    least.push(value.min(space));
                    (inside, space) = (true, f32::NAN);
                }
            }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tokenizer {
        let pieces = ["", "<s>", "</s>", "\u{2581}he", "llo", "\u{2581}you", "\u{2581}", "5", ":\u{2009}"];
        let bytes: Vec<u8> = pieces.iter().flat_map(|p| [&[p.len() as u8][..], p.as_bytes()].concat()).collect();
        Tokenizer::parse(&bytes).unwrap()
    }

    #[test]
    fn joins_pieces() {
        let tokenizer = sample();
        assert_eq!(tokenizer.text(&[3, 4, 5, 2]), "hello you");
    }

    #[test]
    fn a_word_has_the_least_value_of_its_tokens() {
        let tokenizer = sample();
        assert_eq!(tokenizer.least_by_word(&[3, 4, 5, 2], &[-0.1, -0.3, -0.2, -9.0]), [-0.3, -0.2]);
        assert_eq!(tokenizer.least_by_word(&[4, 4, 3], &[-0.1, -0.3, -0.2]), [-0.3, -0.2]);
        // a number has its space by itself
        assert_eq!(
            tokenizer.least_by_word(&[3, 6, 7, 7, 6, 7], &[-0.1, -0.4, -0.2, -0.3, -0.1, -0.2]),
            [-0.1, -0.4, -0.2]
        );
        assert_eq!(tokenizer.text(&[3, 6, 7, 7, 6, 7]), "he 55 5");
        assert_eq!(tokenizer.least_by_word(&[3, 4, 5], &[f32::NAN, -0.3, -0.2]), [-0.3, -0.2]);
        assert_eq!(tokenizer.text(&[3, 8, 4]), "he:\u{2009}llo");
        assert_eq!(tokenizer.least_by_word(&[3, 8, 4], &[-0.1, -0.2, -0.3]), [-0.2, -0.3]);
        assert_eq!(tokenizer.least_by_word(&[], &[]), [0.0; 0]);
    }

    #[test]
    fn reads_two_byte_lengths_and_refuses_a_torn_file() {
        let mut bytes = vec![128 + 2, 1];
        bytes.extend(vec![b'x'; 130]);
        assert_eq!(Tokenizer::parse(&bytes).unwrap().len(), 1);
        assert!(Tokenizer::parse(&bytes[..50]).is_err());
    }
}
