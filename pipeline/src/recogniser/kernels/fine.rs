//! Rows of sixteen bits times a matrix, for x86 processors that lack an instruction for sums of four products of bytes.
//!
//! A row of sixteen bits can be multiplied as two rows of bytes, which is what ONNX Runtime is given where it multiplies.
//! AVX2 multiplies numbers of sixteen bits as they are, sixteen of them with one instruction, so here they are multiplied once.
//!
//! Sums are whole numbers, so what comes out is the same number either way.

#![allow(clippy::needless_range_loop, reason = "loops over fixed numbers of indices become vector instructions")]

/// Columns that are worked on together.
const PANEL: usize = 16;
/// Rows that share a load of the weights: as many as there are registers for.
const ROWS: usize = 6;
// each number of rows up to that has code of its own
const _: () = assert!(ROWS == 6);
/// Rows that go along with a panel of weights at once: they stay in the caches.
const AT_ONCE: usize = 20 * ROWS;

/// Two neighbours of a row, or their weights.
type Pair = [i16; 2];
/// The weights of a panel for two numbers of a row.
type Weights = [Pair; PANEL];

/// A matrix for rows of `numbers` numbers of sixteen bits. Sums must fit in 32 bits: it is seen to when the graphs are built.
#[derive(Clone, Copy)]
pub struct FineProduct<'a> {
    pub numbers: usize,
    /// `[panel][pair of numbers][column][number]`.
    pub weights: &'a [i16],
    /// What a step of each column is worth.
    pub steps: &'a [f32],
}

impl FineProduct<'_> {
    /// Whether the parts fit each other, and so many rows of so many numbers together.
    pub fn fits(&self, numbers: usize, rows: usize) -> bool {
        self.numbers > 0
            && self.numbers.is_multiple_of(2)
            && !self.steps.is_empty()
            && self.steps.len().is_multiple_of(PANEL)
            && self.weights.len() == self.numbers * self.steps.len()
            && numbers == rows * self.numbers
    }

    /// Of rows in steps of their own. A row's result depends on that row alone.
    pub fn of(&self, rows: &[i16], row_steps: &[f32], out: &mut [f32]) {
        let columns = self.steps.len();
        let outs = out.chunks_mut(AT_ONCE * columns);
        for ((rows, row_steps), out) in rows.chunks(AT_ONCE * self.numbers).zip(row_steps.chunks(AT_ONCE)).zip(outs) {
            self.multiply(rows.as_chunks().0, row_steps, out.as_chunks_mut().0);
        }
    }

    /// Rows times the matrix, `[row][panel]`.
    fn multiply(&self, rows: &[Pair], row_steps: &[f32], out: &mut [[f32; PANEL]]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return x86::multiply(simd, self, rows, row_steps, out);
        }
        self.multiply_plainly(rows, row_steps, out);
    }

    fn panels(&self) -> impl Iterator<Item = (&[Weights], &[f32; PANEL])> {
        let weights: &[Weights] = self.weights.as_chunks().0.as_chunks().0;
        weights.chunks_exact(self.numbers / 2).zip(self.steps.as_chunks().0)
    }

    fn multiply_plainly(&self, rows: &[Pair], row_steps: &[f32], out: &mut [[f32; PANEL]]) {
        let panels = self.steps.len() / PANEL;
        for (index, (weights, steps)) in self.panels().enumerate() {
            for ((row, step), out) in rows.chunks(self.numbers / 2).zip(row_steps).zip(out.chunks_mut(panels)) {
                let mut sums = [0i32; PANEL];
                for (numbers, weights) in row.iter().zip(weights) {
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum += numbers.iter().zip(weights).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum::<i32>();
                    }
                }
                out[index] = std::array::from_fn(|column| sums[column] as f32 * steps[column] * step);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m256i};

    use pulp::{cast, x86::V3};

    use super::{FineProduct, PANEL, Pair, ROWS, Weights};

    struct Work<'a> {
        simd: V3,
        product: &'a FineProduct<'a>,
        rows: &'a [Pair],
        row_steps: &'a [f32],
        out: &'a mut [[f32; PANEL]],
    }

    impl pulp::NullaryFnOnce for Work<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let (pairs, panels) = (self.product.numbers / 2, self.product.steps.len() / PANEL);
            for (index, (weights, steps)) in self.product.panels().enumerate() {
                let tiles = self.rows.chunks(ROWS * pairs).zip(self.row_steps.chunks(ROWS));
                for ((rows, row_steps), out) in tiles.zip(self.out.chunks_mut(ROWS * panels)) {
                    let tile = Tile { simd: self.simd, weights, steps, rows, row_steps };
                    let out = out.iter_mut().skip(index).step_by(panels);
                    match row_steps.len() {
                        1 => tile.of::<1>(out),
                        2 => tile.of::<2>(out),
                        3 => tile.of::<3>(out),
                        4 => tile.of::<4>(out),
                        5 => tile.of::<5>(out),
                        _ => tile.of::<ROWS>(out),
                    }
                }
            }
        }
    }

    /// Some rows times a panel.
    struct Tile<'a> {
        simd: V3,
        weights: &'a [Weights],
        steps: &'a [f32; PANEL],
        rows: &'a [Pair],
        row_steps: &'a [f32],
    }

    impl Tile<'_> {
        #[inline(always)]
        fn of<'a, const R: usize>(&self, out: impl Iterator<Item = &'a mut [f32; PANEL]>) {
            let avx = self.simd.avx;
            let steps: [__m256; 2] = cast(*self.steps);
            for ((sums, step), out) in self.sums::<R>().into_iter().zip(self.row_steps).zip(out) {
                let step = avx._mm256_set1_ps(*step);
                *out = cast([0, 1].map(|half| {
                    avx._mm256_mul_ps(avx._mm256_mul_ps(avx._mm256_cvtepi32_ps(sums[half]), steps[half]), step)
                }));
            }
        }

        #[inline(always)]
        fn sums<const R: usize>(&self) -> [[__m256i; 2]; R] {
            let (avx, avx2) = (self.simd.avx, self.simd.avx2);
            let pairs = self.weights.len();
            let rows: [&[Pair]; R] = std::array::from_fn(|row| &self.rows[row * pairs..][..pairs]);
            let mut sums = [[avx._mm256_setzero_si256(); 2]; R];
            for pair in 0..pairs {
                let weights: [__m256i; 2] = cast(self.weights[pair]);
                for row in 0..R {
                    let numbers = avx._mm256_set1_epi32(cast(rows[row][pair]));
                    for half in 0..2 {
                        let products = avx2._mm256_madd_epi16(numbers, weights[half]);
                        sums[row][half] = avx2._mm256_add_epi32(sums[row][half], products);
                    }
                }
            }
            sums
        }
    }

    pub fn multiply(simd: V3, product: &FineProduct<'_>, rows: &[Pair], row_steps: &[f32], out: &mut [[f32; PANEL]]) {
        simd.vectorize(Work { simd, product, rows, row_steps, out });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recogniser::kernels::rows::{FINE_REACH, halves, join};

    const NUMBERS: usize = 10;
    const PANELS: usize = 2;
    const COLUMNS: usize = PANELS * PANEL;

    fn number() -> impl Strategy<Value = i16> {
        let reach = FINE_REACH as i16;
        prop_oneof![-reach..=reach, Just(reach), Just(-reach)]
    }

    /// `[number][column]` as panels.
    fn packed(weights: &[i16]) -> Vec<i16> {
        let weight =
            |panel: usize, pair: usize, i: usize| weights[(2 * pair + i % 2) * COLUMNS + panel * PANEL + i / 2];
        let places = (0..PANELS).flat_map(|panel| (0..NUMBERS / 2).map(move |pair| (panel, pair)));
        places.flat_map(|(panel, pair)| (0..2 * PANEL).map(move |i| weight(panel, pair, i))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn is_what_two_rows_of_bytes_come_to(
            weights in prop::collection::vec(-255i16..=255, NUMBERS * COLUMNS),
            steps in prop::collection::vec(1e-3f32..0.1, COLUMNS),
            (rows, row_steps) in prop_oneof![0usize..=13, Just(AT_ONCE + 7)].prop_flat_map(|count| (
                prop::collection::vec(number(), count * NUMBERS),
                prop::collection::vec(1e-6f32..1e-3, count),
            )),
        ) {
            let packed = packed(&weights);
            let product = FineProduct { numbers: NUMBERS, weights: &packed, steps: &steps };
            prop_assert!(product.fits(rows.len(), row_steps.len()));
            let mut out = vec![f32::NAN; row_steps.len() * COLUMNS];
            product.of(&rows, &row_steps, &mut out);
            // in whichever way this processor does it, and in the other
            let mut plain = vec![[f32::NAN; PANEL]; row_steps.len() * PANELS];
            product.multiply_plainly(rows.as_chunks().0, &row_steps, &mut plain);
            prop_assert_eq!(plain.as_flattened(), &out);
            for ((row, step), out) in rows.chunks(NUMBERS).zip(row_steps).zip(out.chunks(COLUMNS)) {
                let (mut coarse, mut fine) = ([0; NUMBERS], [0; NUMBERS]);
                halves(row, &mut coarse, &mut fine);
                let sums = |bytes: [u8; NUMBERS]| -> Vec<f32> {
                    let times = |column: usize| {
                        let product = |i: usize| (i32::from(bytes[i]) - 128) * i32::from(weights[i * COLUMNS + column]);
                        (0..NUMBERS).map(product).sum::<i32>() as f32
                    };
                    (0..COLUMNS).map(times).collect()
                };
                let mut joined = vec![f32::NAN; COLUMNS];
                join(&sums(coarse), &sums(fine), &steps, step, &mut joined);
                prop_assert_eq!(&joined, out);
            }
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let (weights, steps) = (vec![1; NUMBERS * COLUMNS], vec![1.0; COLUMNS]);
        let fits = |numbers: usize, weights: &[i16], steps: &[f32]| {
            FineProduct { numbers, weights, steps }.fits(3 * NUMBERS, 3)
        };
        assert!(fits(NUMBERS, &weights, &steps));
        assert!(!fits(NUMBERS, &weights[1..], &steps));
        assert!(!fits(NUMBERS, &weights, &steps[PANEL..]));
        assert!(!fits(NUMBERS, &weights[NUMBERS..], &steps[1..]));
        assert!(!fits(NUMBERS - 2, &weights[2 * COLUMNS..], &steps));
        assert!(!fits(NUMBERS / 2, &weights[..NUMBERS / 2 * COLUMNS], &steps));
        assert!(!fits(0, &[], &steps) && !fits(NUMBERS, &[], &[]));
    }
}
