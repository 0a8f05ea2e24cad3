//! Attention of some queries over the places of one sequence, one head at a time.
//!
//! Keys and values are kept as 16-bit numbers, each place and head with a step of its own: half the memory, and an error
//! far below that of the bytes they are made of.
//!
//! A query's result depends on the query and the places it sees, bit by bit: how many queries are worked on together only
//! saves loads.

#![allow(clippy::needless_range_loop, reason = "loops over fixed numbers of indices become vector instructions")]

use super::lanes::{LANES, Lanes, exp, larger, largest_of, short, sum_of};

/// Of this many numbers of a head, the first ones are turned by their position.
pub const TURNED: usize = 32;

/// Heads of every Moonshine.
pub const HEADS: usize = 8;

/// Keys and values of one layer of one sequence, [`LANES`] places in a block. It grows by blocks: nothing moves.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    blocks: Vec<Block>,
}

/// Keys `[head][number][place]`, values `[head][place][number]`, the steps of both `[head][place]`.
#[derive(Debug, Clone)]
struct Block {
    keys: Vec<i16>,
    values: Vec<i16>,
    key_steps: [Lanes; HEADS],
    value_steps: [Lanes; HEADS],
}

impl Memory {
    /// Writes keys and values (all heads side by side) of one place.
    #[inline(always)]
    pub fn write(&mut self, place: usize, keys: &[f32], values: &[f32]) {
        let (block, lane) = (place / LANES, place % LANES);
        while self.blocks.len() <= block {
            self.blocks.push(Block::new(keys.len()));
        }
        self.blocks[block].write(lane, keys, values);
    }
}

impl Block {
    fn new(width: usize) -> Self {
        let (numbers, steps) = (vec![0; width * LANES], [[0.0; LANES]; HEADS]);
        Self { keys: numbers.clone(), values: numbers, key_steps: steps, value_steps: steps }
    }

    #[inline(always)]
    fn write(&mut self, lane: usize, keys: &[f32], values: &[f32]) {
        let head = keys.len() / HEADS;
        for index in 0..HEADS {
            let (keys, values) = (&keys[index * head..][..head], &values[index * head..][..head]);
            let (step, factor) = step_of(keys);
            self.key_steps[index][lane] = step;
            for (kept, &key) in self.keys[index * head * LANES..].chunks_exact_mut(LANES).zip(keys) {
                kept[lane] = short(key, factor);
            }
            let (step, factor) = step_of(values);
            self.value_steps[index][lane] = step;
            for (kept, &value) in self.values[(index * LANES + lane) * head..].iter_mut().zip(values) {
                *kept = short(value, factor);
            }
        }
    }
}

/// The step of 16-bit numbers that hold these (a multiple of four), and what makes whole steps of them.
#[inline(always)]
fn step_of(numbers: &[f32]) -> (f32, f32) {
    const MOST: f32 = i16::MAX as f32;
    let mut most = [0.0; 4];
    for group in numbers.as_chunks::<4>().0 {
        for lane in 0..4 {
            most[lane] = larger(group[lane].abs(), most[lane]);
        }
    }
    let most = most.into_iter().fold(0.0, larger);
    (most / MOST, if most > 0.0 { MOST / most } else { 0.0 })
}

/// Turns the first [`TURNED`] numbers of every head by the angles of a position, in neighbouring pairs.
#[inline(always)]
pub fn turn(row: &mut [f32], head: usize, cosines: &[f32], sines: &[f32]) {
    for numbers in row.chunks_exact_mut(head) {
        let pairs = numbers[..TURNED].as_chunks_mut::<2>().0;
        for ((pair, &cosine), &sine) in pairs.iter_mut().zip(cosines).zip(sines) {
            let [x, y] = *pair;
            *pair = [x.mul_add(cosine, -(y * sine)), x.mul_add(sine, y * cosine)];
        }
    }
}

/// Room that is used again.
#[derive(Debug, Default)]
pub struct Scratch {
    scores: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Attention of `queries` (rows of all heads, scaled, so wide) over `memory`; query `i` sees the first `seen(i)` places.
/// Results go to the same places of `out`.
#[inline(always)]
pub fn attend(
    (queries, width): (&[f32], usize),
    memory: &Memory,
    seen: impl Fn(usize) -> usize,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let blocks = &memory.blocks;
    // blocks whose scores are made at once, and queries whose values are mixed at once: what there are registers for
    match (width / HEADS, has_wide_registers()) {
        (36, true) => heads::<36, 2, 2, 4>(queries, blocks, seen, scratch, out),
        (36, false) => heads::<36, 2, 1, 1>(queries, blocks, seen, scratch, out),
        (52, true) => heads::<52, 3, 2, 2>(queries, blocks, seen, scratch, out),
        (52, false) => heads::<52, 3, 1, 1>(queries, blocks, seen, scratch, out),
        // the model's shape is checked when it is loaded
        _ => out.fill(f32::NAN),
    }
}

/// Whether there are 32 registers of 16 numbers here; it is 16 of eight with AVX2, and 32 of four on ARM.
fn has_wide_registers() -> bool {
    #[cfg(target_arch = "x86_64")]
    return pulp::x86::V4::try_new().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Queries that are worked on together.
const TOGETHER: usize = 4;

/// Of heads of `HEAD` numbers: `WIDE` times [`LANES`] and four. Scores are made of `B` blocks at once, values mixed for `M`
/// queries.
#[inline(always)]
fn heads<const HEAD: usize, const WIDE: usize, const B: usize, const M: usize>(
    queries: &[f32],
    blocks: &[Block],
    seen: impl Fn(usize) -> usize,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let count = queries.len() / (HEADS * HEAD);
    let most = (0..count).map(&seen).max().unwrap_or(0);
    // there may be room from longer sequences
    let blocks = &blocks[..most.div_ceil(LANES)];
    let together = count - count % TOGETHER;
    let Scratch { scores, keys, values } = scratch;
    scores.resize(TOGETHER * blocks.len() * LANES, 0.0);
    for index in 0..HEADS {
        let place = |query: usize| (query * HEADS + index) * HEAD;
        let take = |query: usize| Query { numbers: &queries[place(query)..place(query) + HEAD], seen: seen(query) };
        let mut give = |query: usize, mixed: &[f32]| out[place(query)..place(query) + HEAD].copy_from_slice(mixed);
        let kept = Kept { blocks, index };
        if together > 0 {
            let places = Widened::<HEAD>::of(kept, keys, values);
            for first in (0..together).step_by(TOGETHER) {
                let group = std::array::from_fn(|i| take(first + i));
                some::<TOGETHER, B, HEAD, WIDE, M>(&group, &places, scores, |i, mixed| give(first + i, mixed));
            }
        }
        for query in together..count {
            some::<1, 4, HEAD, WIDE, 1>(&[take(query)], &kept, scores, |_, mixed| give(query, mixed));
        }
    }
}

/// A query's numbers of one head, and the places it sees.
struct Query<'a> {
    numbers: &'a [f32],
    seen: usize,
}

/// One head of the places, [`LANES`] in a block.
trait Places<const HEAD: usize> {
    type Number: Copy + Into<f32>;

    /// `[number][place]`
    fn keys(&self, block: usize) -> &[[Self::Number; LANES]];
    /// `[place][number]`
    fn values(&self, block: usize) -> &[[Self::Number; HEAD]];
    /// Of the keys and of the values.
    fn steps(&self, block: usize) -> (&Lanes, &Lanes);
}

/// As it is kept.
#[derive(Clone, Copy)]
struct Kept<'a> {
    blocks: &'a [Block],
    index: usize,
}

impl<const HEAD: usize> Places<HEAD> for Kept<'_> {
    type Number = i16;

    #[inline(always)]
    fn keys(&self, block: usize) -> &[[i16; LANES]] {
        &self.blocks[block].keys[self.index * HEAD * LANES..].as_chunks().0[..HEAD]
    }

    #[inline(always)]
    fn values(&self, block: usize) -> &[[i16; HEAD]] {
        &self.blocks[block].values[self.index * HEAD * LANES..].as_chunks().0[..LANES]
    }

    #[inline(always)]
    fn steps(&self, block: usize) -> (&Lanes, &Lanes) {
        let block = &self.blocks[block];
        (&block.key_steps[self.index], &block.value_steps[self.index])
    }
}

/// Its numbers made floats.
struct Widened<'a, const HEAD: usize> {
    kept: Kept<'a>,
    keys: &'a [[f32; LANES]],
    values: &'a [[f32; HEAD]],
}

impl<'a, const HEAD: usize> Widened<'a, HEAD> {
    #[inline(always)]
    fn of(kept: Kept<'a>, keys: &'a mut Vec<f32>, values: &'a mut Vec<f32>) -> Self {
        keys.resize(kept.blocks.len() * LANES * HEAD, 0.0);
        values.resize(keys.len(), 0.0);
        let rooms = keys
            .as_chunks_mut::<LANES>()
            .0
            .chunks_exact_mut(HEAD)
            .zip(values.as_chunks_mut::<HEAD>().0.chunks_exact_mut(LANES));
        for (block, (keys, values)) in rooms.enumerate() {
            for (to, from) in keys.iter_mut().zip(Places::<HEAD>::keys(&kept, block)) {
                *to = from.map(f32::from);
            }
            for (to, from) in values.iter_mut().zip(Places::<HEAD>::values(&kept, block)) {
                *to = from.map(f32::from);
            }
        }
        Self { kept, keys: keys.as_chunks().0, values: values.as_chunks().0 }
    }
}

impl<const HEAD: usize> Places<HEAD> for Widened<'_, HEAD> {
    type Number = f32;

    #[inline(always)]
    fn keys(&self, block: usize) -> &[[f32; LANES]] {
        &self.keys[block * HEAD..][..HEAD]
    }

    #[inline(always)]
    fn values(&self, block: usize) -> &[[f32; HEAD]] {
        &self.values[block * LANES..][..LANES]
    }

    #[inline(always)]
    fn steps(&self, block: usize) -> (&Lanes, &Lanes) {
        Places::<HEAD>::steps(&self.kept, block)
    }
}

/// Scores of `Q` queries over `B` neighbouring blocks.
#[inline(always)]
fn block_scores<const Q: usize, const B: usize, const HEAD: usize>(
    group: &[Query<'_>; Q],
    places: &impl Places<HEAD>,
    first: usize,
) -> [[Lanes; B]; Q] {
    let kept: [_; B] = std::array::from_fn(|block| (places.keys(first + block), places.steps(first + block).0));
    let mut sums = [[[0.0; LANES]; B]; Q];
    for number in 0..HEAD {
        for block in 0..B {
            let key: Lanes = kept[block].0[number].map(Into::into);
            for query in 0..Q {
                let factor = group[query].numbers[number];
                for lane in 0..LANES {
                    sums[query][block][lane] = factor.mul_add(key[lane], sums[query][block][lane]);
                }
            }
        }
    }
    for query in 0..Q {
        for block in 0..B {
            for lane in 0..LANES {
                sums[query][block][lane] *= kept[block].1[lane];
            }
        }
    }
    sums
}

#[inline(always)]
fn some<const Q: usize, const B: usize, const HEAD: usize, const WIDE: usize, const M: usize>(
    group: &[Query<'_>; Q],
    places: &impl Places<HEAD>,
    scores: &mut [f32],
    mut give: impl FnMut(usize, &[f32]),
) {
    let most = group.iter().map(|query| query.seen).max().unwrap_or(0);
    let count = most.div_ceil(LANES);
    let length = count * LANES;
    let mut block = 0;
    while block < count {
        if count - block >= B {
            let sums = block_scores::<Q, B, HEAD>(group, places, block);
            for query in 0..Q {
                let to = query * length + block * LANES;
                scores[to..to + B * LANES].copy_from_slice(sums[query].as_flattened());
            }
            block += B;
        } else {
            let sums = block_scores::<Q, 1, HEAD>(group, places, block);
            for query in 0..Q {
                let to = query * length + block * LANES;
                scores[to..to + LANES].copy_from_slice(&sums[query][0]);
            }
            block += 1;
        }
    }
    let mut wholes = [0.0; Q];
    for query in 0..Q {
        let line = &mut scores[query * length..(query + 1) * length];
        line[group[query].seen..].fill(f32::NEG_INFINITY);
        wholes[query] = soften(line);
        let shares = line.as_chunks_mut::<LANES>().0;
        for block in 0..count {
            let steps = places.steps(block).1;
            for lane in 0..LANES {
                shares[block][lane] *= steps[lane];
            }
        }
    }
    let shares = scores.as_chunks::<LANES>().0;
    for first in (0..Q).step_by(M) {
        let shares: [_; M] = std::array::from_fn(|query| &shares[(first + query) * count..(first + query + 1) * count]);
        let mixed = mix::<M, HEAD, WIDE>(&shares, places);
        for query in 0..M {
            let share = 1.0 / wholes[first + query];
            let (wide, rest) = &mixed[query];
            let mut row = [0.0; HEAD];
            let (to, left) = row.as_chunks_mut::<LANES>();
            for part in 0..WIDE {
                for lane in 0..LANES {
                    to[part][lane] = wide[part][lane] * share;
                }
            }
            for lane in 0..4 {
                left[lane] = rest[lane] * share;
            }
            give(first + query, &row);
        }
    }
}

/// Sums of values, [`LANES`] numbers together and four that are left.
type Sums<const WIDE: usize> = ([Lanes; WIDE], [f32; 4]);

/// Sum of values, each times a query's share of it, which is nothing where a place is not seen. Two sums take turns, so
/// that one need not wait for the other.
#[inline(always)]
fn mix<const Q: usize, const HEAD: usize, const WIDE: usize>(
    shares: &[&[Lanes]; Q],
    places: &impl Places<HEAD>,
) -> [Sums<WIDE>; Q] {
    let none: [Sums<WIDE>; Q] = [([[0.0; LANES]; WIDE], [0.0; 4]); Q];
    let (mut even, mut odd) = (none, none);
    for block in 0..shares[0].len() {
        for (pair, values) in places.values(block).as_chunks::<2>().0.iter().enumerate() {
            add(&mut even, &values[0], |query| shares[query][block][2 * pair]);
            add(&mut odd, &values[1], |query| shares[query][block][2 * pair + 1]);
        }
    }
    for query in 0..Q {
        for part in 0..WIDE {
            for lane in 0..LANES {
                even[query].0[part][lane] += odd[query].0[part][lane];
            }
        }
        for lane in 0..4 {
            even[query].1[lane] += odd[query].1[lane];
        }
    }
    even
}

/// Adds each query's share of one place's values to its sum.
#[inline(always)]
fn add<const Q: usize, const HEAD: usize, const WIDE: usize>(
    sums: &mut [Sums<WIDE>; Q],
    values: &[impl Copy + Into<f32>; HEAD],
    share: impl Fn(usize) -> f32,
) {
    let (wide, rest) = values.as_chunks::<LANES>();
    for part in 0..WIDE {
        let values: Lanes = wide[part].map(Into::into);
        for query in 0..Q {
            let share = share(query);
            for lane in 0..LANES {
                sums[query].0[part][lane] = share.mul_add(values[lane], sums[query].0[part][lane]);
            }
        }
    }
    for query in 0..Q {
        let share = share(query);
        for lane in 0..4 {
            sums[query].1[lane] = share.mul_add(rest[lane].into(), sums[query].1[lane]);
        }
    }
}

/// Exponentials of scores less the largest; their sum.
#[inline(always)]
fn soften(scores: &mut [f32]) -> f32 {
    let most = larger(largest_of(scores, f32::NEG_INFINITY, |x| x), -1e30);
    for score in scores.iter_mut() {
        let share = exp(*score - most);
        *score = if *score == f32::NEG_INFINITY { 0.0 } else { share };
    }
    sum_of(scores, |x| x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }

    fn memory(head: usize, places: usize) -> (Memory, Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let mut memory = Memory::default();
        let keys: Vec<_> = (0..places).map(|i| noise(HEADS * head, i as u32)).collect();
        let values: Vec<_> = (0..places).map(|i| noise(HEADS * head, 1000 + i as u32)).collect();
        for place in 0..places {
            memory.write(place, &keys[place], &values[place]);
        }
        (memory, keys, values)
    }

    /// What is held of keys and values of one place.
    fn held(memory: &Memory, head: usize, place: usize) -> (Vec<f32>, Vec<f32>) {
        let (block, lane) = (&memory.blocks[place / LANES], place % LANES);
        (0..HEADS * head)
            .map(|at| {
                let (index, number) = (at / head, at % head);
                let key = f32::from(block.keys[(index * head + number) * LANES + lane]);
                let value = f32::from(block.values[(index * LANES + lane) * head + number]);
                (key * block.key_steps[index][lane], value * block.value_steps[index][lane])
            })
            .unzip()
    }

    #[test]
    fn what_is_held_is_within_half_a_step() {
        let (memory, keys, values) = memory(52, 40);
        for place in 0..40 {
            let (held_keys, held_values) = held(&memory, 52, place);
            for (held, given) in [(held_keys, &keys[place]), (held_values, &values[place])] {
                for (held, given) in held.chunks(52).zip(given.chunks(52)) {
                    let most = given.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
                    assert!(held.iter().zip(given).all(|(a, b)| (a - b).abs() <= 0.51 * most / 32_767.0));
                }
            }
        }
    }

    #[test]
    fn is_softmax_of_products_times_values() {
        for (head, places) in [(36, 1), (36, 50), (52, 33)] {
            let (memory, ..) = memory(head, places);
            let (keys, values): (Vec<_>, Vec<_>) = (0..places).map(|place| held(&memory, head, place)).unzip();
            let query = noise(HEADS * head, 77);
            let mut out = vec![0.0; HEADS * head];
            attend((&query, HEADS * head), &memory, |_| places, &mut Scratch::default(), &mut out);
            for index in 0..HEADS {
                let part = index * head..(index + 1) * head;
                let scores: Vec<f64> = keys
                    .iter()
                    .map(|key| query[part.clone()].iter().zip(&key[part.clone()]).map(|(a, b)| f64::from(a * b)).sum())
                    .collect();
                let total: f64 = scores.iter().map(|s| s.exp()).sum();
                for number in part {
                    let want: f64 =
                        scores.iter().zip(&values).map(|(s, v)| s.exp() / total * f64::from(v[number])).sum();
                    assert!((f64::from(out[number]) - want).abs() < 1e-5, "head {head}, places {places}");
                }
            }
        }
    }

    #[test]
    fn a_query_does_not_depend_on_those_beside_it() {
        for head in [36, 52] {
            let (memory, ..) = memory(head, 70);
            let width = HEADS * head;
            let queries = noise((2 * TOGETHER + 3) * width, 5);
            let seen = |i: usize| 40 + 2 * i;
            let mut together = vec![0.0; queries.len()];
            attend((&queries, width), &memory, seen, &mut Scratch::default(), &mut together);
            for (i, query) in queries.chunks(width).enumerate() {
                let mut alone = vec![0.0; width];
                attend((query, width), &memory, |_| seen(i), &mut Scratch::default(), &mut alone);
                let same = alone.iter().zip(&together[i * width..]).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "head {head}, query {i}");
            }
        }
    }

    #[test]
    fn turning_keeps_lengths_and_leaves_the_rest() {
        let mut row = noise(2 * 36, 3);
        let before = row.clone();
        let angles: Vec<f32> = (0..16).map(|i| 0.3 + i as f32).collect();
        let (cosines, sines): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
        turn(&mut row, 36, &cosines, &sines);
        for head in [0, 36] {
            assert_eq!(row[head + TURNED..head + 36], before[head + TURNED..head + 36]);
            let length = |x: &[f32], i: usize| x[head + 2 * i].hypot(x[head + 2 * i + 1]);
            assert!((0..16).all(|i| (length(&row, i) - length(&before, i)).abs() < 1e-5));
            assert!((row[head] - (before[head] * cosines[0] - before[head + 1] * sines[0])).abs() < 1e-6);
        }
    }
}
