//! Attention of some queries over the places of one sequence, one head at a time.
//!
//! A query's result depends on the query and the places it sees, bit by bit: how many queries are worked on together only
//! saves loads.

#![allow(clippy::needless_range_loop, reason = "loops over fixed numbers of indices become vector instructions")]

use super::lanes::{LANES, Lanes, exp, larger, largest_of, sum_of};

/// Of this many numbers of a head, the first ones are turned by their position.
pub const TURNED: usize = 32;

/// Keys and values of one layer of one sequence.
///
/// Keys lie in blocks of [`LANES`] places, `[head][block][number][place]`, values in rows, `[head][place][number]`.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    keys: Vec<f32>,
    values: Vec<f32>,
    heads: usize,
    head: usize,
    blocks: usize,
}

impl Memory {
    /// Forgets everything and makes room for `places`; what was allocated is used again.
    pub fn reset(&mut self, heads: usize, head: usize, places: usize) {
        let blocks = places.div_ceil(LANES);
        self.keys.clear();
        self.keys.resize(heads * blocks * LANES * head, 0.0);
        self.values.clear();
        self.values.resize(heads * blocks * LANES * head, 0.0);
        (self.heads, self.head, self.blocks) = (heads, head, blocks);
    }

    /// Makes room for `places`, and for some more, so that not each new place moves all; what is there stays. For a
    /// memory that was [`reset`](Self::reset) once.
    pub fn grow(&mut self, places: usize) {
        let mut blocks = places.div_ceil(LANES);
        if blocks <= self.blocks {
            return;
        }
        blocks = blocks.max(self.blocks * 3 / 2);
        let (old, new) = (self.blocks * LANES * self.head, blocks * LANES * self.head);
        for numbers in [&mut self.keys, &mut self.values] {
            numbers.resize(self.heads * new, 0.0);
            // from the last head on, so that none is written over before it has moved
            for head in (1..self.heads).rev() {
                numbers.copy_within(head * old..(head + 1) * old, head * new);
            }
        }
        self.blocks = blocks;
    }

    /// Writes keys and values (all heads side by side) of one place.
    #[inline(always)]
    pub fn write(&mut self, place: usize, keys: &[f32], values: &[f32]) {
        let head = self.head;
        for index in 0..self.heads {
            let from = index * head..(index + 1) * head;
            let block = ((index * self.blocks) + place / LANES) * head * LANES + place % LANES;
            for (number, &key) in keys[from.clone()].iter().enumerate() {
                self.keys[block + number * LANES] = key;
            }
            let row = (index * self.blocks * LANES + place) * head;
            self.values[row..row + head].copy_from_slice(&values[from]);
        }
    }

    fn of_head(&self, index: usize) -> (&[f32], &[f32]) {
        let size = self.blocks * LANES * self.head;
        (&self.keys[index * size..(index + 1) * size], &self.values[index * size..(index + 1) * size])
    }
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

/// Attention of `queries` (rows of all heads, scaled) over `memory`; query `i` sees the first `seen(i)` places. Results
/// go to the same places of `out`. `scores` is scratch.
#[inline(always)]
pub fn attend(queries: &[f32], memory: &Memory, seen: impl Fn(usize) -> usize, scores: &mut Vec<f32>, out: &mut [f32]) {
    match memory.head {
        36 => heads::<36>(queries, memory, seen, scores, out),
        52 => heads::<52>(queries, memory, seen, scores, out),
        // the model's shape is checked when it is loaded
        _ => out.fill(f32::NAN),
    }
}

#[inline(always)]
fn heads<const HEAD: usize>(
    queries: &[f32],
    memory: &Memory,
    seen: impl Fn(usize) -> usize,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let width = memory.heads * HEAD;
    let count = queries.len() / width;
    scores.resize(4 * memory.blocks * LANES, 0.0);
    for index in 0..memory.heads {
        let (keys, values) = memory.of_head(index);
        let (keys, values) = (keys.as_chunks::<LANES>().0, values.as_chunks::<HEAD>().0);
        let mut at = 0;
        while at < count {
            let place = |i: usize| (at + i) * width + index * HEAD;
            let take = |i: usize| -> &[f32] { &queries[place(i)..place(i) + HEAD] };
            if count - at >= 4 {
                let group: [_; 4] = std::array::from_fn(|i| (take(i), seen(at + i)));
                some::<4, 2, HEAD>(&group, keys, values, scores, |i, mixed| {
                    out[place(i)..place(i) + HEAD].copy_from_slice(mixed);
                });
                at += 4;
            } else {
                let group = [(take(0), seen(at))];
                some::<1, 4, HEAD>(&group, keys, values, scores, |i, mixed| {
                    out[place(i)..place(i) + HEAD].copy_from_slice(mixed);
                });
                at += 1;
            }
        }
    }
}

/// Scores of `Q` queries over `B` neighbouring blocks of keys.
#[inline(always)]
fn block_scores<const Q: usize, const B: usize, const HEAD: usize>(
    group: &[(&[f32], usize); Q],
    keys: &[Lanes],
) -> [[Lanes; B]; Q] {
    let mut sums = [[[0.0; LANES]; B]; Q];
    for number in 0..HEAD {
        for block in 0..B {
            let key = keys[block * HEAD + number];
            for query in 0..Q {
                let factor = group[query].0[number];
                for lane in 0..LANES {
                    sums[query][block][lane] = factor.mul_add(key[lane], sums[query][block][lane]);
                }
            }
        }
    }
    sums
}

#[inline(always)]
fn some<const Q: usize, const B: usize, const HEAD: usize>(
    group: &[(&[f32], usize); Q],
    keys: &[Lanes],
    values: &[[f32; HEAD]],
    scores: &mut [f32],
    mut give: impl FnMut(usize, &[f32]),
) {
    let most = group.iter().map(|(_, seen)| *seen).max().unwrap_or(0);
    let blocks = most.div_ceil(LANES);
    let length = blocks * LANES;
    let mut block = 0;
    while block < blocks {
        if blocks - block >= B {
            let sums = block_scores::<Q, B, HEAD>(group, &keys[block * HEAD..(block + B) * HEAD]);
            for query in 0..Q {
                let to = query * length + block * LANES;
                scores[to..to + B * LANES].copy_from_slice(sums[query].as_flattened());
            }
            block += B;
        } else {
            let sums = block_scores::<Q, 1, HEAD>(group, &keys[block * HEAD..(block + 1) * HEAD]);
            for query in 0..Q {
                let to = query * length + block * LANES;
                scores[to..to + LANES].copy_from_slice(&sums[query][0]);
            }
            block += 1;
        }
    }
    for query in 0..Q {
        let seen = group[query].1;
        let line = &mut scores[query * length..(query + 1) * length];
        line[seen..].fill(f32::NEG_INFINITY);
        let share = 1.0 / soften(line);
        let mixed = mix(&line[..seen], values).map(|number| number * share);
        give(query, &mixed);
    }
}

/// Sum of values, each times its share. Two sums take turns, so that one need not wait for the other.
#[inline(always)]
fn mix<const HEAD: usize>(shares: &[f32], values: &[[f32; HEAD]]) -> [f32; HEAD] {
    let (mut even, mut odd) = ([0.0; HEAD], [0.0; HEAD]);
    let (pairs, rest) = shares.as_chunks::<2>();
    for (share, value) in pairs.iter().zip(values.as_chunks::<2>().0) {
        for number in 0..HEAD {
            even[number] = share[0].mul_add(value[0][number], even[number]);
        }
        for number in 0..HEAD {
            odd[number] = share[1].mul_add(value[1][number], odd[number]);
        }
    }
    if let [share] = rest {
        let value = &values[shares.len() - 1];
        for number in 0..HEAD {
            even[number] = share.mul_add(value[number], even[number]);
        }
    }
    for number in 0..HEAD {
        even[number] += odd[number];
    }
    even
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

    const HEADS: usize = 8;

    fn empty(head: usize, places: usize) -> Memory {
        let mut memory = Memory::default();
        memory.reset(HEADS, head, places);
        memory
    }

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
        let mut memory = empty(head, places);
        let keys: Vec<_> = (0..places).map(|i| noise(HEADS * head, i as u32)).collect();
        let values: Vec<_> = (0..places).map(|i| noise(HEADS * head, 1000 + i as u32)).collect();
        for place in 0..places {
            memory.write(place, &keys[place], &values[place]);
        }
        (memory, keys, values)
    }

    #[test]
    fn is_softmax_of_products_times_values() {
        for (head, places) in [(36, 1), (36, 50), (52, 33)] {
            let (memory, keys, values) = memory(head, places);
            let query = noise(HEADS * head, 77);
            let mut out = vec![0.0; HEADS * head];
            attend(&query, &memory, |_| places, &mut Vec::new(), &mut out);
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
    fn what_is_kept_is_the_same_after_it_has_grown() {
        let (whole, keys, values) = memory(36, 100);
        let mut grown = empty(36, 10);
        for place in 0..100 {
            grown.grow(place + 1);
            grown.write(place, &keys[place], &values[place]);
        }
        let query = noise(HEADS * 36, 9);
        let attended = |memory: &Memory| {
            let mut out = vec![0.0; HEADS * 36];
            attend(&query, memory, |_| 100, &mut Vec::new(), &mut out);
            out
        };
        assert_eq!(attended(&grown), attended(&whole));
    }

    #[test]
    fn a_query_does_not_depend_on_those_beside_it() {
        let (memory, ..) = memory(36, 70);
        let queries = noise(7 * HEADS * 36, 5);
        let seen = |i: usize| 40 + 4 * i;
        let mut together = vec![0.0; queries.len()];
        attend(&queries, &memory, seen, &mut Vec::new(), &mut together);
        for (i, query) in queries.chunks(HEADS * 36).enumerate() {
            let mut alone = vec![0.0; HEADS * 36];
            attend(query, &memory, |_| seen(i), &mut Vec::new(), &mut alone);
            let same = alone.iter().zip(&together[i * HEADS * 36..]).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "query {i}");
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
