//! Rows of bytes times a matrix, for x86 processors that lack an instruction for sums of four products of bytes.
//!
//! AVX2 multiplies bytes in pairs and adds each pair up in sixteen bits. To go on in thirty-two bits takes a second
//! multiplication, so ONNX Runtime widens bytes before, which is no dearer and cannot overflow. Here two pairs are added up
//! before that: three multiplications do what takes four there. That no sum can overflow is seen to when the graphs are
//! built (`models/build_graphs/pairs.py`): weights come in an order of their own, in which those of either sign that are
//! added up in sixteen bits come to no more than 128.
//!
//! Sums are exact, so what comes out is the same number as ONNX Runtime's.

#![allow(clippy::needless_range_loop, reason = "loops over fixed numbers of indices become vector instructions")]

/// Columns that are worked on together.
const PANEL: usize = 16;
/// Numbers of a row that are multiplied together.
const GROUP: usize = 4;
/// Rows that share a load of the weights.
const ROWS: usize = 4;
// each number of rows up to that has code of its own
const _: () = assert!(ROWS == 4);
/// Rows that are laid out at once: they stay in the nearer caches.
const AT_ONCE: usize = 32 * ROWS;

/// The weights of a panel for four numbers of a row: `[half of the columns][column][number]`.
type Weights = [[i8; PANEL * GROUP / 2]; 2];
/// Two of them, which sixteen bits hold the sums of.
type Two = [Weights; 2];

/// A matrix for rows of `numbers` bytes.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    pub numbers: usize,
    /// `[two][2][column][number]`, panel after panel.
    pub weights: &'a [i8],
    /// Which four numbers of a row each half of a two belongs to.
    pub sources: &'a [u16],
    /// The first two of each panel, and where the last one ends.
    pub starts: &'a [i64],
    /// What the sum of each column has too much, since bytes are counted from nought.
    pub much: &'a [i32],
    /// What a step of each column is worth.
    pub steps: &'a [f32],
}

/// Rows as they are multiplied: `[tile][group][row]`. Room that is used again.
pub type Tiles = Vec<[u8; GROUP]>;

impl Product<'_> {
    /// Whether the parts fit each other, and so many bytes.
    pub fn fits(&self, bytes: usize) -> bool {
        let groups = self.numbers / GROUP;
        let twos = self.sources.len() / 2;
        self.numbers > 0
            && !self.steps.is_empty()
            && self.numbers.is_multiple_of(GROUP)
            && bytes.is_multiple_of(self.numbers)
            && self.sources.iter().all(|&source| usize::from(source) < groups)
            && self.weights.len() == size_of::<Two>() * twos
            && self.sources.len() == 2 * twos
            && self.starts.len() == self.steps.len() / PANEL + 1
            && self.starts.is_sorted()
            && self.starts.first() == Some(&0)
            && self.starts.last() == Some(&(twos as i64))
            && self.steps.len().is_multiple_of(PANEL)
            && self.much.len() == self.steps.len()
    }

    /// Of rows of bytes around 128, in steps of each row. A row's result depends on that row alone.
    pub fn of(&self, bytes: &[u8], tiles: &mut Tiles, out: &mut [f32]) {
        let columns = self.steps.len();
        for (bytes, out) in bytes.chunks(AT_ONCE * self.numbers).zip(out.chunks_mut(AT_ONCE * columns)) {
            lay_out(bytes, self.numbers, tiles);
            self.multiply(tiles, out.as_chunks_mut().0);
        }
    }

    /// Tiles times the matrix, `[row][panel]`.
    fn multiply(&self, tiles: &Tiles, out: &mut [[f32; PANEL]]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return x86::multiply(simd, self, tiles, out);
        }
        self.multiply_plainly(tiles, out);
    }

    fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        let (twos, sources) = (as_twos(self.weights), self.sources.as_chunks().0);
        let (much, steps) = (self.much.as_chunks().0, self.steps.as_chunks().0);
        self.starts.windows(2).zip(much.iter().zip(steps)).map(move |(ends, (much, steps))| {
            let place = ends[0] as usize..ends[1] as usize;
            Panel { twos: &twos[place.clone()], sources: &sources[place], much, steps }
        })
    }

    fn multiply_plainly(&self, tiles: &Tiles, out: &mut [[f32; PANEL]]) {
        let (groups, panels) = (self.numbers / GROUP, self.much.len() / PANEL);
        for (index, panel) in self.panels().enumerate() {
            for (tile, out) in tiles.chunks(ROWS * groups).zip(out.chunks_mut(ROWS * panels)) {
                let rows = tile.len() / groups;
                for row in 0..rows {
                    let mut sums = panel.much.map(|much| -much);
                    for (weights, &source) in panel.twos.iter().flatten().zip(panel.sources.iter().flatten()) {
                        let numbers = tile[usize::from(source) * rows + row];
                        for (sum, weights) in sums.iter_mut().zip(weights.as_flattened().as_chunks::<GROUP>().0) {
                            *sum +=
                                numbers.iter().zip(weights).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum::<i32>();
                        }
                    }
                    out[row * panels + index] = std::array::from_fn(|column| sums[column] as f32 * panel.steps[column]);
                }
            }
        }
    }
}

/// Some columns of a matrix.
struct Panel<'a> {
    twos: &'a [Two],
    /// Which numbers they belong to.
    sources: &'a [[u16; 2]],
    much: &'a [i32; PANEL],
    steps: &'a [f32; PANEL],
}

fn as_twos(weights: &[i8]) -> &[Two] {
    weights.as_chunks().0.as_chunks().0.as_chunks().0
}

/// Rows of a tile side by side, group by group.
fn lay_out(bytes: &[u8], numbers: usize, tiles: &mut Tiles) {
    tiles.clear();
    for tile in bytes.chunks(ROWS * numbers) {
        for group in 0..numbers / GROUP {
            tiles.extend(tile.chunks_exact(numbers).map(|row| row.as_chunks().0[group]));
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m256i};

    use pulp::{cast, x86::V3};

    use super::{GROUP, PANEL, Panel, Product, ROWS, Tiles};

    struct Work<'a> {
        simd: V3,
        product: &'a Product<'a>,
        tiles: &'a Tiles,
        out: &'a mut [[f32; PANEL]],
    }

    impl pulp::NullaryFnOnce for Work<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let (groups, panels) = (self.product.numbers / GROUP, self.product.much.len() / PANEL);
            for (index, panel) in self.product.panels().enumerate() {
                for (tile, out) in self.tiles.chunks(ROWS * groups).zip(self.out.chunks_mut(ROWS * panels)) {
                    let out = out.iter_mut().skip(index).step_by(panels);
                    match tile.len() / groups {
                        1 => of_tile::<1>(self.simd, &panel, tile, out),
                        2 => of_tile::<2>(self.simd, &panel, tile, out),
                        3 => of_tile::<3>(self.simd, &panel, tile, out),
                        _ => of_tile::<ROWS>(self.simd, &panel, tile, out),
                    }
                }
            }
        }
    }

    /// A tile of `R` rows times a panel.
    #[inline(always)]
    fn of_tile<'a, const R: usize>(
        simd: V3,
        panel: &Panel<'_>,
        tile: &[[u8; GROUP]],
        out: impl Iterator<Item = &'a mut [f32; PANEL]>,
    ) {
        let (avx, avx2) = (simd.avx, simd.avx2);
        let much: [__m256i; 2] = cast(*panel.much);
        let steps: [__m256; 2] = cast(*panel.steps);
        for (sums, out) in sums_of::<R>(simd, panel, tile.as_chunks().0).into_iter().zip(out) {
            *out = cast([0, 1].map(|half| {
                let sums = avx._mm256_cvtepi32_ps(avx2._mm256_sub_epi32(sums[half], much[half]));
                avx._mm256_mul_ps(sums, steps[half])
            }));
        }
    }

    #[inline(always)]
    fn sums_of<const R: usize>(simd: V3, panel: &Panel<'_>, groups: &[[[u8; GROUP]; R]]) -> [[__m256i; 2]; R] {
        let (avx, avx2) = (simd.avx, simd.avx2);
        let ones = avx._mm256_set1_epi16(1);
        let mut sums = [[avx._mm256_setzero_si256(); 2]; R];
        for (two, from) in panel.twos.iter().zip(panel.sources) {
            let weights: [[__m256i; 2]; 2] = cast(*two);
            let [first, second] = from.map(|source| &groups[usize::from(source)]);
            for row in 0..R {
                let (first, second) =
                    (avx._mm256_set1_epi32(cast(first[row])), avx._mm256_set1_epi32(cast(second[row])));
                for half in 0..2 {
                    let pairs = avx2._mm256_add_epi16(
                        avx2._mm256_maddubs_epi16(first, weights[0][half]),
                        avx2._mm256_maddubs_epi16(second, weights[1][half]),
                    );
                    sums[row][half] = avx2._mm256_add_epi32(sums[row][half], avx2._mm256_madd_epi16(pairs, ones));
                }
            }
        }
        sums
    }

    pub fn multiply(simd: V3, product: &Product<'_>, tiles: &Tiles, out: &mut [[f32; PANEL]]) {
        simd.vectorize(Work { simd, product, tiles, out });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUMBERS: usize = 5 * GROUP;
    const PANELS: usize = 3;
    /// More than are laid out at once.
    const MOST_ROWS: usize = AT_ONCE + 7;
    /// What the weights of either sign that share sixteen bits may come to.
    const MOST: i32 = 128;

    #[derive(Debug)]
    struct Made {
        weights: Vec<i8>,
        sources: Vec<u16>,
        starts: Vec<i64>,
        much: Vec<i32>,
        steps: Vec<f32>,
    }

    impl Made {
        fn product(&self) -> Product<'_> {
            let Self { weights, sources, starts, much, steps } = self;
            Product { numbers: NUMBERS, weights, sources, starts, much, steps }
        }
    }

    prop_compose! {
        /// Weights that share sixteen bits: of either sign they come to 128 at most, and often to nearly that.
        fn together()(weights in prop::array::uniform4(-128i32..=127)) -> [i8; 4] {
            let side = |sign: i32| weights.iter().map(|weight| (weight * sign).max(0)).sum::<i32>();
            let most = side(1).max(side(-1)).max(MOST);
            // towards nought, so that no side grows
            weights.map(|weight| (weight * MOST / most) as i8)
        }
    }

    prop_compose! {
        fn made()(twos in prop::collection::vec(0usize..6, PANELS))(
            weights in prop::collection::vec(together(), twos.iter().sum::<usize>() * 2 * PANEL),
            sources in prop::collection::vec(0..(NUMBERS / GROUP) as u16, 2 * twos.iter().sum::<usize>()),
            much in prop::collection::vec(-1_000_000..1_000_000, PANELS * PANEL),
            steps in prop::collection::vec(0.0f32..0.1, PANELS * PANEL),
            twos in Just(twos),
        ) -> Made {
            let starts = (0..=PANELS).map(|panel| twos[..panel].iter().sum::<usize>() as i64).collect();
            // two numbers of each belong to the first half of a two, two to the second
            let two = |weights: &[[i8; 4]]| {
                let half = |from: usize| weights.iter().flat_map(move |w| [w[from], w[from + 1]]);
                half(0).chain(half(2)).collect::<Vec<_>>()
            };
            let weights = weights.chunks(2 * PANEL).flat_map(two).collect();
            Made { weights, sources, starts, much, steps }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn is_the_exact_product(made in made(), rows in prop_oneof![0usize..=9, Just(MOST_ROWS)], seed: u32) {
            // now and then as large as a byte can be
            let bytes: Vec<u8> = (0..rows * NUMBERS)
                .map(|i| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed).rotate_left(13) as u8)
                .map(|byte| if byte > 200 { 255 } else { byte })
                .collect();
            let product = made.product();
            prop_assert!(product.fits(bytes.len()));
            let mut out = vec![f32::NAN; rows * PANELS * PANEL];
            product.of(&bytes, &mut Tiles::new(), &mut out);
            // in whichever way this processor does it, and in the other
            let mut plain = vec![[f32::NAN; PANEL]; rows * PANELS];
            let mut tiles = Tiles::new();
            lay_out(&bytes, NUMBERS, &mut tiles);
            product.multiply_plainly(&tiles, &mut plain);
            prop_assert_eq!(plain.as_flattened(), &out);
            let mut dense = vec![[0i32; NUMBERS]; PANELS * PANEL];
            for (panel, Panel { twos, sources, .. }) in product.panels().enumerate() {
                for (weights, &source) in twos.iter().flatten().zip(sources.iter().flatten()) {
                    for (column, weights) in weights.as_flattened().as_chunks::<GROUP>().0.iter().enumerate() {
                        for (number, &weight) in weights.iter().enumerate() {
                            dense[panel * PANEL + column][usize::from(source) * GROUP + number] += i32::from(weight);
                        }
                    }
                }
            }
            for (row, out) in bytes.chunks(NUMBERS).zip(out.chunks(PANELS * PANEL)) {
                for (column, (weights, out)) in dense.iter().zip(out).enumerate() {
                    let sum: i32 = row.iter().zip(weights).map(|(&x, &weight)| i32::from(x) * weight).sum();
                    prop_assert_eq!(*out, (sum - made.much[column]) as f32 * made.steps[column]);
                }
            }
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let made = || Made {
            weights: vec![1; 2 * 2 * PANEL * GROUP],
            sources: vec![0, 4, 1, 1],
            starts: vec![0, 1, 2],
            much: vec![0; 2 * PANEL],
            steps: vec![1.0; 2 * PANEL],
        };
        assert!(made().product().fits(3 * NUMBERS));
        assert!(!made().product().fits(NUMBERS + 1));
        let spoiled: [fn(&mut Made); 9] = [
            |made| made.sources[1] = 5,
            |made| made.sources.push(0),
            |made| made.weights.truncate(100),
            |made| made.starts = vec![0, 1],
            |made| made.starts = vec![0, 3, 2],
            |made| made.starts = vec![1, 1, 2],
            |made| made.starts = vec![0, 1, 1],
            |made| made.much.truncate(3),
            |made| made.steps.truncate(PANEL),
        ];
        for (index, spoil) in spoiled.iter().enumerate() {
            let mut made = made();
            spoil(&mut made);
            assert!(!made.product().fits(NUMBERS), "{index}");
        }
        let nothing = Made { weights: vec![], sources: vec![], starts: vec![0], much: vec![], steps: vec![] };
        assert!(!nothing.product().fits(NUMBERS));
    }
}
