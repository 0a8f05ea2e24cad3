//! The likeliest token of a row, without the product of the row with the whole vocabulary.
//!
//! The weights of the vocabulary are half of what a pass of the decoder would read. So each token's are kept twice: in four
//! bits, in steps of its own, and in whole bytes. The four bits are read for all tokens. How far a logit made of them can be
//! from the exact one is known (Cauchy and Schwarz: not further than the row's length times that of what the bits leave
//! out), so only the bytes of tokens that can be the likeliest are read: **the token is the one that the whole product would
//! give**.
//!
//! Logits that are near the best by the four bits are made exact too. All others together have a hundredth of the
//! probability ([`NEAR`]); for that the four bits are near enough.

#![allow(clippy::needless_range_loop, reason = "loops over fixed numbers of indices become vector instructions")]

use super::lanes::{LANES, Lanes, exp, larger, largest, total};
use crate::vectors::vectorised;

/// Tokens that are worked on together.
const PANEL: usize = 16;
/// Numbers of a row that are worked on together.
const GROUP: usize = 4;
/// Groups whose sums are kept in sixteen bits: each adds two products of at most 15 * 128.
const HELD: usize = 8;
const _: () = assert!(HELD * 2 * 15 * 128 <= i16::MAX as usize);
/// A four-bit number less this is how many of its token's steps it stands for.
const MIDDLE: f32 = 7.5;
/// Panels that all rows are multiplied by before the next are read: they stay in the nearer caches.
const BLOCK: usize = 64;
/// Rows that share a load of the weights.
const ROWS: usize = 4;
/// Logits that are this near to the best by the four bits are made exact: the rest is a hundredth of the probability.
const NEAR: f32 = 8.0;
/// Logits this far from the best add next to nothing.
const NOTHING: f32 = 25.0;
/// Rows whose logits are held at once: those of a pass need not all have room.
const AT_ONCE: usize = 16;
/// The byte of a row that stands for nought.
const CENTRE: u8 = 128;

/// The weights of a vocabulary of `steps.len()` tokens, a multiple of [`PANEL`], for rows so wide, a multiple of
/// [`GROUP`] times [`HELD`].
#[derive(Clone, Copy)]
pub struct Vocabulary<'a> {
    pub width: usize,
    /// Bytes `[token][number]`; less `nought`, times `step`, they are the weights.
    pub table: &'a [u8],
    pub nought: u8,
    pub step: f32,
    /// Four bits each, `[panel][group][token][number]`: in the low halves of bytes for the first eight tokens of a panel,
    /// in the high ones for the others.
    pub coarse: &'a [u8],
    /// What a step of each token's four bits is worth.
    pub steps: &'a [f32],
    /// The length of what the four bits leave out of each token's weights, or more.
    pub errors: &'a [f32],
}

/// Room that is used again.
#[derive(Default)]
pub struct Scratch {
    /// Rows around nought.
    rows: Vec<i8>,
    /// What every token's sum has too much in a row, since the four bits are counted from nought.
    middles: Vec<f32>,
    /// `[row][token]`.
    logits: Vec<f32>,
}

impl Vocabulary<'_> {
    /// Whether the weights fit each other, and as many rows of bytes.
    pub fn fits(&self, bytes: usize, rows: usize) -> bool {
        let (tokens, width) = (self.steps.len(), self.width);
        tokens > 0
            && tokens.is_multiple_of(PANEL)
            && width > 0
            && width.is_multiple_of(GROUP * HELD)
            && self.table.len() == tokens * width
            && self.coarse.len() * 2 == self.table.len()
            && self.errors.len() == tokens
            && bytes == rows * width
    }

    /// Of rows of bytes around 128, with what a step of each is worth: the likeliest token (the first of equals), and the
    /// natural logarithm of its probability. A row's result depends on that row alone.
    pub fn best(
        &self,
        bytes: &[u8],
        row_steps: &[f32],
        scratch: &mut Scratch,
        mut give: impl FnMut(usize, usize, f32),
    ) {
        let Scratch { rows, middles, logits } = scratch;
        for (part, (bytes, steps)) in bytes.chunks(AT_ONCE * self.width).zip(row_steps.chunks(AT_ONCE)).enumerate() {
            rows.clear();
            rows.extend(bytes.iter().map(|&byte| byte.wrapping_sub(CENTRE) as i8));
            logits.resize(steps.len() * self.steps.len(), 0.0);
            middles.clear();
            middles.extend(rows.chunks_exact(self.width).map(middle));
            self.judge(rows, middles, logits);
            let rows = rows.chunks_exact(self.width).zip(logits.chunks_exact_mut(self.steps.len()));
            for (index, ((row, logits), &step)) in rows.zip(steps).enumerate() {
                let mut found = (0, 0.0);
                vectorised(
                    #[inline(always)]
                    || found = self.settle(row, logits, step),
                );
                give(part * AT_ONCE + index, found.0, found.1);
            }
        }
    }

    /// Logits by the four bits.
    fn judge(&self, rows: &[i8], middles: &[f32], logits: &mut [f32]) {
        let (logits, steps) = (logits.as_chunks_mut::<PANEL>().0, self.steps.as_chunks::<PANEL>().0);
        for (block, coarse) in self.coarse.chunks(BLOCK * self.width * PANEL / 2).enumerate() {
            for (part, rows) in rows.chunks(ROWS * self.width).enumerate() {
                dots(
                    self.width,
                    coarse,
                    rows,
                    #[inline(always)]
                    |panel, row, dots| {
                        let (panel, row) = (block * BLOCK + panel, part * ROWS + row);
                        let (to, steps, middle) = (&mut logits[row * steps.len() + panel], &steps[panel], middles[row]);
                        for token in 0..PANEL {
                            to[token] = (dots[token] as f32 - middle) * steps[token];
                        }
                    },
                );
            }
        }
    }

    /// Makes logits exact where they have to be.
    #[inline(always)]
    fn settle(&self, row: &[i8], logits: &mut [f32], step: f32) -> (usize, f32) {
        let squares: i32 = row.iter().map(|&x| i32::from(x) * i32::from(x)).sum();
        let reach = (squares as f32).sqrt() * 1.000_01;
        let logits = logits.as_chunks_mut::<LANES>().0;
        let (mut token, mut most) = (0, f32::NEG_INFINITY);
        for (group, logits) in logits.iter().enumerate() {
            if largest(*logits) > most {
                most = largest(*logits);
                token = group * LANES + logits.iter().position(|&x| x == most).unwrap_or(0);
            }
        }
        let mut best = self.exact(row, token);
        let near = NEAR / step;
        let groups = logits.iter_mut().zip(self.errors.as_chunks::<LANES>().0);
        for (group, (logits, errors)) in groups.enumerate() {
            let mut above: Lanes = [0.0; LANES];
            for lane in 0..LANES {
                above[lane] = larger(errors[lane].mul_add(reach, logits[lane]), logits[lane] + near);
            }
            if largest(above) < best {
                continue;
            }
            for lane in 0..LANES {
                if above[lane] >= best {
                    let place = group * LANES + lane;
                    let logit = self.exact(row, place);
                    logits[lane] = logit;
                    if logit > best || (logit == best && place < token) {
                        (best, token) = (logit, place);
                    }
                }
            }
        }
        let mut sums = [0.0; LANES];
        for group in logits.iter() {
            if (largest(*group) - best) * step > -NOTHING {
                for lane in 0..LANES {
                    sums[lane] += exp((group[lane] - best) * step);
                }
            }
        }
        (token, -total(sums).ln())
    }

    /// The logit of a token, in steps of the row.
    #[inline(always)]
    fn exact(&self, row: &[i8], token: usize) -> f32 {
        let weights = &self.table[token * self.width..][..self.width];
        let nought = i16::from(self.nought);
        let sum: i32 =
            row.iter().zip(weights).map(|(&x, &weight)| i32::from(x) * i32::from(i16::from(weight) - nought)).sum();
        sum as f32 * self.step
    }
}

fn middle(row: &[i8]) -> f32 {
    MIDDLE * row.iter().map(|&x| i32::from(x)).sum::<i32>() as f32
}

/// Sums of the products of rows with four-bit numbers, of each panel for each row.
fn dots(width: usize, coarse: &[u8], rows: &[i8], give: impl FnMut(usize, usize, &[i32; PANEL])) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return x86::dots(simd, width, coarse, rows, give);
    }
    plain(width, coarse, rows, give);
}

fn plain(width: usize, coarse: &[u8], rows: &[i8], mut give: impl FnMut(usize, usize, &[i32; PANEL])) {
    for (panel, bits) in coarse.chunks_exact(width * PANEL / 2).enumerate() {
        for (index, row) in rows.chunks_exact(width).enumerate() {
            let mut sums = [0; PANEL];
            for (bits, numbers) in bits.chunks_exact(GROUP * PANEL / 2).zip(row.chunks_exact(GROUP)) {
                for token in 0..PANEL / 2 {
                    for number in 0..GROUP {
                        let (both, x) = (bits[token * GROUP + number], i32::from(numbers[number]));
                        sums[token] += i32::from(both & 15) * x;
                        sums[token + PANEL / 2] += i32::from(both >> 4) * x;
                    }
                }
            }
            give(panel, index, &sums);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::__m256i;

    use pulp::{cast, x86::V3};

    use super::{GROUP, HELD, PANEL, ROWS};

    /// Of a panel, as much as sixteen bits hold the sums of.
    type Bits = [[u8; GROUP * PANEL / 2]; HELD];
    /// The same of a row.
    type Numbers = [[i8; GROUP]; HELD];

    struct Dots<'a, G> {
        simd: V3,
        width: usize,
        coarse: &'a [u8],
        rows: &'a [i8],
        give: G,
    }

    impl<G: FnMut(usize, usize, &[i32; PANEL])> pulp::NullaryFnOnce for Dots<'_, G> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            match self.rows.len() / self.width {
                1 => self.of::<1>(),
                2 => self.of::<2>(),
                3 => self.of::<3>(),
                _ => self.of::<ROWS>(),
            }
        }
    }

    impl<G: FnMut(usize, usize, &[i32; PANEL])> Dots<'_, G> {
        #[inline(always)]
        fn of<const R: usize>(mut self) {
            let rows: [&[Numbers]; R] =
                std::array::from_fn(|row| self.rows[row * self.width..][..self.width].as_chunks().0.as_chunks().0);
            for (panel, bits) in self.coarse.chunks_exact(self.width * PANEL / 2).enumerate() {
                let sums = panel_dots(self.simd, bits.as_chunks().0.as_chunks().0, &rows);
                for row in 0..R {
                    (self.give)(panel, row, &cast(sums[row]));
                }
            }
        }
    }

    #[inline(always)]
    fn panel_dots<const R: usize>(simd: V3, bits: &[Bits], rows: &[&[Numbers]; R]) -> [[__m256i; 2]; R] {
        let (avx, avx2) = (simd.avx, simd.avx2);
        let none = avx._mm256_setzero_si256();
        let (low, ones) = (avx._mm256_set1_epi8(15), avx._mm256_set1_epi16(1));
        let mut sums = [[none; 2]; R];
        let rows = rows.map(|row| &row[..bits.len()]);
        for (part, bits) in bits.iter().enumerate() {
            let mut short = [[none; 2]; R];
            for group in 0..HELD {
                let both: __m256i = cast(bits[group]);
                let halves = [both, avx2._mm256_srli_epi16::<4>(both)].map(|half| avx2._mm256_and_si256(half, low));
                for row in 0..R {
                    let numbers = avx._mm256_set1_epi32(cast(rows[row][part][group]));
                    for half in 0..2 {
                        let products = avx2._mm256_maddubs_epi16(halves[half], numbers);
                        short[row][half] = avx2._mm256_add_epi16(short[row][half], products);
                    }
                }
            }
            for row in 0..R {
                for half in 0..2 {
                    let wide = avx2._mm256_madd_epi16(short[row][half], ones);
                    sums[row][half] = avx2._mm256_add_epi32(sums[row][half], wide);
                }
            }
        }
        sums
    }

    pub fn dots(simd: V3, width: usize, coarse: &[u8], rows: &[i8], give: impl FnMut(usize, usize, &[i32; PANEL])) {
        simd.vectorize(Dots { simd, width, coarse, rows, give });
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use proptest::prelude::*;

    use super::*;

    const WIDTH: usize = 2 * GROUP * HELD;

    /// A table and what `models/build_graphs` would make of it.
    struct Made {
        table: Vec<u8>,
        coarse: Vec<u8>,
        steps: Vec<f32>,
        errors: Vec<f32>,
    }

    /// The byte of the table that stands for nought.
    const NOUGHT: u8 = 120;
    const STEP: f32 = 0.01;
    /// More than one block.
    const PANELS: usize = BLOCK + 2;
    /// More than are held at once.
    const ROWS_OF_ALL: usize = AT_ONCE + 3;

    fn made(table: Vec<u8>) -> Made {
        let (mut steps, mut errors, mut fours) = (Vec::new(), Vec::new(), Vec::new());
        for row in table.chunks_exact(WIDTH) {
            let numbers: Vec<f64> = row.iter().map(|&byte| f64::from(byte) - f64::from(NOUGHT)).collect();
            let step = numbers.iter().fold(1.0, |most: f64, x| most.max(x.abs())) / 7.5;
            let four = |x: &f64| ((x / step).floor() + 8.0).clamp(0.0, 15.0);
            let squares: f64 = numbers.iter().map(|x| (x - (four(x) - 7.5) * step).powi(2)).sum();
            steps.push(step as f32 * STEP);
            let whole: f64 = numbers.iter().map(|x| x * x).sum();
            errors.push(((squares.sqrt() * 1.00001 + whole.sqrt() * 1e-6) * f64::from(STEP)) as f32);
            fours.push(numbers.iter().map(|x| four(x) as u8).collect::<Vec<_>>());
        }
        let coarse = fours.chunks_exact(PANEL).flat_map(|panel| {
            (0..WIDTH / GROUP).flat_map(move |group| {
                (0..PANEL / 2).flat_map(move |token| {
                    (0..GROUP).map(move |number| {
                        let of = |token: usize| panel[token][group * GROUP + number];
                        of(token) | of(token + PANEL / 2) << 4
                    })
                })
            })
        });
        Made { coarse: coarse.collect(), table, steps, errors }
    }

    fn found(made: &Made, rows: &[u8], steps: &[f32]) -> Vec<(usize, f32)> {
        let Made { table, coarse, steps: token_steps, errors } = made;
        let vocabulary =
            Vocabulary { width: WIDTH, table, nought: NOUGHT, step: STEP, coarse, steps: token_steps, errors };
        let mut found = Vec::new();
        vocabulary.best(rows, steps, &mut Scratch::default(), |row, token, log| {
            assert_eq!(row, found.len());
            found.push((token, log));
        });
        found
    }

    /// By the whole product.
    fn exactly(made: &Made, row: &[u8], step: f32) -> (usize, f64) {
        let logit = |weights: &[u8]| -> i32 {
            row.iter().zip(weights).map(|(&x, &w)| (i32::from(x) - 128) * (i32::from(w) - i32::from(NOUGHT))).sum()
        };
        let logits: Vec<i32> = made.table.chunks_exact(WIDTH).map(logit).collect();
        let most = *logits.iter().max().unwrap();
        let share = |&x: &i32| (f64::from(x - most) * f64::from(STEP * step)).exp();
        let token = logits.iter().position(|&x| x == most).unwrap();
        (token, -logits.iter().map(share).sum::<f64>().ln())
    }

    /// Numbers of a range, many of them at its ends.
    fn bytes(count: usize, range: RangeInclusive<u8>) -> impl Strategy<Value = Vec<u8>> {
        let ends = [*range.start(), *range.end()];
        prop::collection::vec(prop_oneof![range, prop::sample::select(ends.to_vec())], count)
    }

    #[test]
    fn sixteen_bits_hold_the_largest_sums() {
        let coarse = vec![0xff; WIDTH * PANEL / 2];
        for number in [-128_i8, 127] {
            let mut sums = Vec::new();
            dots(WIDTH, &coarse, &[number; WIDTH], |_, _, found| sums.extend(*found));
            assert_eq!(sums, [i32::from(number) * 15 * WIDTH as i32; PANEL]);
        }
    }

    #[test]
    fn weights_of_another_shape_do_not_fit() {
        let Made { table, coarse, steps, errors } = made(vec![NOUGHT; PANEL * WIDTH]);
        let vocabulary = Vocabulary {
            width: WIDTH,
            table: &table,
            nought: NOUGHT,
            step: STEP,
            coarse: &coarse,
            steps: &steps,
            errors: &errors,
        };
        assert!(vocabulary.fits(3 * WIDTH, 3) && vocabulary.fits(0, 0));
        assert!(!vocabulary.fits(3 * WIDTH, 2));
        assert!(!Vocabulary { width: WIDTH / 2, ..vocabulary }.fits(0, 0));
        assert!(!Vocabulary { errors: &errors[1..], ..vocabulary }.fits(0, 0));
        assert!(!Vocabulary { steps: &[], ..vocabulary }.fits(0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_token_is_that_of_the_whole_product(
            // few different numbers have many ties
            table in prop_oneof![bytes(PANELS * PANEL * WIDTH, 0..=255), bytes(PANELS * PANEL * WIDTH, 118..=122)],
            rows in prop_oneof![bytes(ROWS_OF_ALL * WIDTH, 1..=255), bytes(ROWS_OF_ALL * WIDTH, 127..=129)],
            step in 0.0005_f32..0.05,
            twin in 0_usize..PANELS * PANEL,
        ) {
            let mut table = table;
            // the best of the first row twice: the first of equals is it
            let best = exactly(&made(table.clone()), &rows[..WIDTH], step).0;
            table.copy_within(best * WIDTH..(best + 1) * WIDTH, twin * WIDTH);
            let made = made(table);
            let together = found(&made, &rows, &[step; ROWS_OF_ALL]);
            for (row, &(token, log)) in rows.chunks_exact(WIDTH).zip(&together) {
                let (exact, exact_log) = exactly(&made, row, step);
                prop_assert_eq!(token, exact);
                prop_assert!((f64::from(log) - exact_log).abs() < 0.01, "{} instead of {}", log, exact_log);
                // alone it comes out the same, bit by bit
                prop_assert_eq!(found(&made, row, &[step])[0], (token, log));
            }
        }

        #[test]
        fn every_processor_adds_up_the_same(
            coarse in prop::collection::vec(any::<u8>(), 2 * WIDTH * PANEL / 2),
            rows in bytes(4 * WIDTH, 0..=255),
        ) {
            let rows: Vec<i8> = rows.into_iter().map(|byte| byte.wrapping_sub(128) as i8).collect();
            for count in 1..=ROWS {
                let rows = &rows[..count * WIDTH];
                let (mut here, mut there) = (Vec::new(), Vec::new());
                dots(WIDTH, &coarse, rows, |panel, row, sums| here.push((panel, row, *sums)));
                plain(WIDTH, &coarse, rows, |panel, row, sums| there.push((panel, row, *sums)));
                prop_assert_eq!(here, there);
            }
        }
    }
}
