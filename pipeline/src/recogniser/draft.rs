//! Greedy decoding helpers that do not depend on a model.

/// Longest repeated tail, in tokens, that counts as a loop.
const LONGEST_LOOP: usize = 6;

/// When the last `n` tokens (1 to 6) have been said three times in a row, how many tokens to keep; else `None`.
/// Three single repeats of a short word happen in real speech ("no no no"), so a loop of one token needs five.
pub fn loop_start(tokens: &[u32]) -> Option<usize> {
    (1..=LONGEST_LOOP).find_map(|n| {
        let times = if n == 1 { 5 } else { 3 };
        let tail = tokens.len().checked_sub(n * times)?;
        let (pattern, rest) = tokens[tail..].split_at(n);
        rest.chunks(n).all(|chunk| chunk == pattern).then_some(tokens.len() - n * (times - 1))
    })
}

/// How many tokens two hypotheses share from the start.
pub fn agreement(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// Most tokens a window of this many 16 kHz samples may give: speech has at most some 6.5 a second.
pub fn token_limit(samples: usize) -> usize {
    (samples * 13 / 32_000 + 4).max(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_loops_and_keeps_their_first_turn() {
        assert_eq!(loop_start(&[9, 1, 2, 1, 2, 1, 2]), Some(3));
        assert_eq!(loop_start(&[9, 7, 7, 7]), None);
        assert_eq!(loop_start(&[9, 7, 7, 7, 7, 7]), Some(2));
        assert_eq!(loop_start(&[1, 2, 3, 1, 2, 4, 1, 2, 3]), None);
        assert_eq!(loop_start(&[]), None);
    }

    #[test]
    fn agreement_is_the_common_beginning() {
        assert_eq!(agreement(&[1, 2, 3], &[1, 2, 4]), 2);
        assert_eq!(agreement(&[], &[1]), 0);
    }

    #[test]
    fn token_limit_follows_length() {
        assert_eq!(token_limit(16_000), 10);
        assert_eq!(token_limit(100), 8);
        assert_eq!(token_limit(160_000), 69);
    }
}
