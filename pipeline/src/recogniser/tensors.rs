//! Plain buffers with the shapes of the decoder's caches, and the copying between them.

/// Decoder layers.
pub const LAYERS: usize = 6;
/// Attention heads.
pub const HEADS: usize = 8;
/// Width of one head.
pub const HEAD: usize = 36;

/// A `[rows, HEADS, length, HEAD]` buffer whose length grows.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    pub data: Vec<f32>,
    pub length: usize,
}

impl Cache {
    /// All zeros.
    pub fn new(rows: usize, length: usize) -> Self {
        Self { data: vec![0.0; rows * HEADS * length * HEAD], length }
    }

    /// Keeps `rows` (in their new order) with room for `length` places each.
    pub fn reshape(&self, rows: &[usize], length: usize) -> Self {
        let mut next = Self::new(rows.len(), length);
        let common = self.length.min(length) * HEAD;
        for (to, &from) in rows.iter().enumerate() {
            for head in 0..HEADS {
                let source = (from * HEADS + head) * self.length * HEAD;
                let target = (to * HEADS + head) * length * HEAD;
                next.data[target..target + common].copy_from_slice(&self.data[source..source + common]);
            }
        }
        next
    }

    /// Copies the first `count` of `fed` new places of `row` in `new` (`[rows, HEADS, fed, HEAD]`) to place `at`.
    pub fn append(&mut self, row: usize, at: usize, new: &[f32], fed: usize, count: usize) {
        for head in 0..HEADS {
            let source = (row * HEADS + head) * fed * HEAD;
            let target = ((row * HEADS + head) * self.length + at) * HEAD;
            self.data[target..target + count * HEAD].copy_from_slice(&new[source..source + count * HEAD]);
        }
    }
}

/// Cross-attention keys `[rows, HEADS, HEAD, frames]` and values `[rows, HEADS, frames, HEAD]`, one pair a layer.
#[derive(Debug, Clone, Default)]
pub struct Cross {
    pub keys: Vec<Vec<f32>>,
    pub values: Vec<Vec<f32>>,
    pub frames: usize,
}

impl Cross {
    /// Puts rows together, each padded to `frames`.
    pub fn pack(rows: &[&Cross], frames: usize) -> Self {
        let pack = |pick: &dyn Fn(&Cross) -> &[f32], by_frame: bool| -> Vec<f32> {
            let mut out = vec![0.0; rows.len() * HEADS * HEAD * frames];
            for (row, cross) in rows.iter().enumerate() {
                let source = pick(cross);
                let target = &mut out[row * HEADS * HEAD * frames..(row + 1) * HEADS * HEAD * frames];
                // keys are rows of frames, values are frames of rows
                let (lines, from, to) = if by_frame {
                    (HEADS, cross.frames * HEAD, frames * HEAD)
                } else {
                    (HEADS * HEAD, cross.frames, frames)
                };
                for line in 0..lines {
                    let width = from.min(to);
                    target[line * to..line * to + width].copy_from_slice(&source[line * from..line * from + width]);
                }
            }
            out
        };
        Self {
            keys: (0..LAYERS).map(|layer| pack(&|cross| &cross.keys[layer], false)).collect(),
            values: (0..LAYERS).map(|layer| pack(&|cross| &cross.values[layer], true)).collect(),
            frames,
        }
    }

    /// Row `row` of a pack.
    pub fn row(&self, row: usize) -> Self {
        let size = HEADS * HEAD * self.frames;
        let cut = |buffers: &[Vec<f32>]| buffers.iter().map(|b| b[row * size..(row + 1) * size].to_vec()).collect();
        Self { keys: cut(&self.keys), values: cut(&self.values), frames: self.frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_out_of_a_pack_as_it_went_in() {
        let cross = |frames: usize, seed: f32| Cross {
            keys: vec![(0..HEADS * HEAD * frames).map(|i| i as f32 + seed).collect(); LAYERS],
            values: vec![(0..HEADS * HEAD * frames).map(|i| -(i as f32) - seed).collect(); LAYERS],
            frames,
        };
        let (a, b) = (cross(3, 0.5), cross(5, 0.25));
        let packed = Cross::pack(&[&a, &b], 8);
        let again = Cross::pack(&[&packed.row(1)], 5);
        assert_eq!((again.keys, again.values), (b.keys, b.values));
        let again = Cross::pack(&[&packed.row(0)], 3);
        assert_eq!((again.keys, again.values), (a.keys, a.values));
    }

    #[test]
    fn a_cache_grows_and_keeps_rows() {
        let mut cache = Cache::new(2, 4);
        let new: Vec<f32> = (0..2 * HEADS * 2 * HEAD).map(|i| i as f32).collect();
        cache.append(1, 1, &new, 2, 2);
        let kept = cache.reshape(&[1], 8);
        let mut want = Cache::new(1, 8);
        want.append(0, 1, &new[HEADS * 2 * HEAD..], 2, 2);
        assert_eq!(kept.data, want.data);
    }
}
