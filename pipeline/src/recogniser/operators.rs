//! The operators of Sotto's graphs (domain `sotto`): everything between the products of bytes, which ONNX Runtime does, and
//! the product with the vocabulary; for some processors those products too, of what hears.
//!
//! They work on rows: frames or tokens of any number of windows or sequences, one after the other, without padding.
//! A row of bytes stands for numbers: (byte - 128) times the row's step. Where eight bits are too few, rows have sixteen. Inputs
//! that come from a product are in steps too.

#![allow(clippy::needless_range_loop, reason = "rows of several tensors go along together")]

use std::sync::{Arc, Mutex, PoisonError};

use ort::{
    Error, Result,
    operator::{ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput},
    value::TensorElementType::{self, Float32, Int8, Int16, Int32, Int64, Uint8, Uint16},
};

use super::kernels::{
    attention::{self, HEADS, Memory, TURNED, attend, turn},
    fine::FineProduct,
    lanes::{squares_of, sum_of, tanh},
    product::{Product, Tiles},
    rows,
    vocabulary::{Scratch, Vocabulary},
};
use crate::vectors::vectorised;

/// Frames of the first convolution that one of the second sees, and every how many.
pub const SECOND: (usize, usize) = (7, 3);
/// The same for the second and the third.
pub const THIRD: (usize, usize) = (3, 2);

/// How many places a convolution has.
pub const fn places(length: usize, (taps, stride): (usize, usize)) -> usize {
    if length < taps { 0 } else { (length - taps) / stride + 1 }
}

/// A sequence on its way through the decoder.
#[derive(Debug, Default)]
pub struct Sequence {
    /// Places whose keys and values are kept.
    pub past: usize,
    /// Tokens of the present pass.
    pub fed: usize,
    /// Keys and values of its tokens, a layer each.
    pub own: Vec<Memory>,
    /// Keys and values of its frames, a layer each.
    pub cross: Vec<Memory>,
    /// Frames that count.
    pub frames: usize,
}

/// A window on its way through the encoder.
#[derive(Debug, Default)]
pub struct EncoderWindow {
    /// Frames before the rows that are given: their keys and values are kept in `memory`.
    pub past: usize,
    /// Keys and values of its frames, a layer each; empty when nothing of them is to be kept.
    pub memory: Vec<Memory>,
}

/// The windows of the present run, in the order of their rows. Shared like [`Sequences`].
pub type EncoderWindows = Arc<Mutex<Vec<EncoderWindow>>>;

/// The sequences of the present pass, in the order of their rows. Shared by a decoder and its operators, which one thread has at a time.
pub type Sequences = Arc<Mutex<Vec<Sequence>>>;

type Work = Box<dyn FnMut(&ComputeContext) -> Result<()> + Send>;

struct Own<M> {
    name: &'static str,
    inputs: &'static [TensorElementType],
    outputs: &'static [TensorElementType],
    make: M,
}

impl<M: Fn(&KernelContext<'_>) -> Result<Work> + Send + Sync> Operator for Own<M> {
    type Kernel<'attr> = Work;

    fn name(&self) -> &str {
        self.name
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        self.inputs.iter().map(|&kind| OperatorInput::required(kind))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        self.outputs.iter().map(|&kind| OperatorOutput::required(kind))
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> Result<Work> {
        (self.make)(context)
    }
}

/// Binds inputs of a node to names.
macro_rules! read {
    ($context:expr; $($name:ident: $kind:ty = $index:expr),+ $(,)?) => {
        $(
            let value = $context.input($index)?.ok_or_else(|| Error::new("an input is missing"))?;
            let $name = value.try_extract_tensor::<$kind>()?.1;
        )+
    };
}

/// Makes outputs of a node and binds them to names.
macro_rules! write {
    ($context:expr; $($name:ident: $kind:ty = $index:expr => $shape:expr),+ $(,)?) => {
        $(
            let mut value = $context.output($index, $shape)?.ok_or_else(|| Error::new("an output is missing"))?;
            let $name = value.try_extract_tensor_mut::<$kind>()?.1;
        )+
    };
}

/// An operator without attributes.
macro_rules! plain {
    ($name:literal, $inputs:expr, $outputs:expr, $make:expr) => {
        Own { name: $name, inputs: &$inputs, outputs: &$outputs, make: |_: &KernelContext<'_>| Ok($make) }
    };
}

/// An operator of one layer that knows what is under way.
macro_rules! of_layer {
    ($name:literal, $inputs:expr, $make:ident, $shared:expr) => {{
        let shared = Arc::clone($shared);
        let make = move |context: &KernelContext<'_>| Ok($make(layer(context)?, Arc::clone(&shared)));
        Own { name: $name, inputs: &$inputs, outputs: &[Uint8, Float32], make }
    }};
}

/// The operators of an encoder and its stem.
///
/// # Errors
/// When the runtime refuses one.
pub fn encoder_domain(windows: &EncoderWindows) -> Result<OperatorDomain> {
    between(OperatorDomain::new("sotto")?)?
        .add(plain!("TanhPatches", [Float32, Float32, Int64], [Int16, Float32, Float32], tanh_patches()))?
        .add(plain!("Halves", [Int16], [Uint8], Box::new(halves) as Work))?
        .add(plain!("Join", [Float32, Float32, Float32], [Float32], Box::new(join) as Work))?
        .add(plain!(
            "NormPatches",
            [Float32, Int64, Float32, Float32, Float32],
            [Int16, Float32, Int64],
            norm_patches()
        ))?
        .add(plain!("Frames", [Float32, Float32, Float32], [Float32, Uint8, Float32], frames()))?
        .add(plain!("Gelu", [Float32, Float32, Float32], [Uint8, Float32], gelu()))?
        .add(plain!("Product", [Uint8, Int8, Uint16, Int64, Int32, Float32], [Float32], product()))?
        .add(plain!("FineProduct", [Int16, Float32, Int16, Float32], [Float32], fine_product()))?
        .add(of_layer!("EncoderAttention", [Float32, Float32, Int64, Float32, Float32], encoder_attention, windows))
}

/// The operators of a decoder.
///
/// # Errors
/// When the runtime refuses one.
pub fn decoder_domain(sequences: &Sequences) -> Result<OperatorDomain> {
    between(OperatorDomain::new("sotto")?)?
        .add(plain!("Norm", [Float32, Float32], [Uint8, Float32], norm()))?
        .add(plain!("Gate", [Float32, Float32, Float32], [Uint8, Float32], gate()))?
        .add(of_layer!("SelfAttention", [Float32, Float32, Float32, Float32], self_attention, sequences))?
        .add(of_layer!("CrossAttention", [Float32, Float32], cross_attention, sequences))?
        .add(Own {
            name: "Vocabulary",
            inputs: &[Uint8, Float32, Uint8, Uint8, Float32, Float32],
            outputs: &[Int32, Float32],
            make: |context: &KernelContext<'_>| {
                let lacks = |name: &str| Error::new(format!("the vocabulary has no {name}"));
                let nought: i64 = context.get("nought").ok_or_else(|| lacks("nought"))?;
                let nought = u8::try_from(nought).map_err(|_| lacks("nought that is a byte"))?;
                Ok(vocabulary(nought, context.get("step").ok_or_else(|| lacks("step"))?))
            },
        })
}

/// What both have between two layers.
fn between(domain: OperatorDomain) -> Result<OperatorDomain> {
    domain.add(plain!("AddNorm", [Float32, Float32, Float32, Float32, Float32], [Float32, Uint8, Float32], add_norm()))
}

fn layer(context: &KernelContext<'_>) -> Result<usize> {
    let layer: i64 = context.get("layer").ok_or_else(|| Error::new("an attention node has no layer"))?;
    usize::try_from(layer).map_err(|_| Error::new("the layer of an attention node is below zero"))
}

/// How many numbers a row of an input has.
fn row_of(context: &ComputeContext, index: usize) -> Result<usize> {
    Ok(context.input(index)?.and_then(|rows| rows.shape().last().copied()).unwrap_or(0) as usize)
}

/// Ranges between neighbouring starts.
fn ranges(starts: &[i64]) -> impl Iterator<Item = std::ops::Range<usize>> + Clone {
    starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
}

fn tanh_patches() -> Work {
    let mut scratch: Vec<f32> = Vec::new();
    Box::new(move |context| {
        read!(context; y: f32 = 0, gain: f32 = 1, starts: i64 = 2);
        let width = gain.len();
        let patch = SECOND.0 * width;
        let total: usize = ranges(starts).map(|piece| places(piece.len(), SECOND)).sum();
        write!(context; shorts: i16 = 0 => [total, patch], steps: f32 = 1 => [total], sums: f32 = 2 => [y.len() / width, 2]);
        scratch.resize(y.len(), 0.0);
        vectorised(
            #[inline(always)]
            || {
                for ((y, out), sums) in
                    y.chunks_exact(width).zip(scratch.chunks_exact_mut(width)).zip(sums.chunks_exact_mut(2))
                {
                    for (out, y) in out.iter_mut().zip(y) {
                        *out = tanh(*y);
                    }
                    (sums[0], sums[1]) = (sum_of(out, |x| x), squares_of(out, |x| x));
                    for (out, gain) in out.iter_mut().zip(gain) {
                        *out *= gain;
                    }
                }
                let sources = ranges(starts).flat_map(|piece| {
                    (0..places(piece.len(), SECOND)).map(move |place| (piece.start + place * SECOND.1) * width)
                });
                for ((from, shorts), step) in sources.zip(shorts.chunks_exact_mut(patch)).zip(steps.iter_mut()) {
                    *step = rows::quantise_fine(&scratch[from..from + patch], shorts);
                }
            },
        );
        Ok(())
    })
}

/// Coarse rows and then fine ones.
fn halves(context: &ComputeContext) -> Result<()> {
    read!(context; shorts: i16 = 0);
    let width = row_of(context, 0)?;
    write!(context; bytes: u8 = 0 => [2 * shorts.len() / width.max(1), width]);
    let (coarse, fine) = bytes.split_at_mut(shorts.len());
    vectorised(
        #[inline(always)]
        || rows::halves(shorts, coarse, fine),
    );
    Ok(())
}

fn join(context: &ComputeContext) -> Result<()> {
    read!(context; products: f32 = 0, steps: f32 = 1, column_steps: f32 = 2);
    let width = column_steps.len();
    let half = products.len() / 2;
    write!(context; out: f32 = 0 => [steps.len(), width]);
    let (coarse, fine) = products.split_at(half);
    vectorised(
        #[inline(always)]
        || {
            for (row, step) in steps.iter().enumerate() {
                let place = row * width..(row + 1) * width;
                rows::join(&coarse[place.clone()], &fine[place.clone()], column_steps, *step, &mut out[place]);
            }
        },
    );
    Ok(())
}

fn norm_patches() -> Work {
    let (mut scratch, mut offsets): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
    Box::new(move |context| {
        read!(context; linear: f32 = 0, starts: i64 = 1, norms: f32 = 2, taken: f32 = 3, added: f32 = 4);
        let width = taken.len();
        let patch = THIRD.0 * width;
        let counts = ranges(starts).map(|window| places(window.len(), THIRD));
        let total: usize = counts.clone().sum();
        write!(context; shorts: i16 = 0 => [total, patch], steps: f32 = 1 => [total], frame_starts: i64 = 2 => [starts.len()]);
        let mut sum = 0;
        for (start, count) in frame_starts.iter_mut().zip(std::iter::once(0).chain(counts)) {
            sum += count as i64;
            *start = sum;
        }
        let mut targets = shorts.chunks_exact_mut(patch).zip(steps.iter_mut());
        offsets.resize(width, 0.0);
        for (window, norm) in ranges(starts).zip(norms.chunks_exact(2)) {
            let (mean, inverse) = (norm[0], norm[1]);
            let length = window.len();
            let rows = &linear[window.start * width..window.end * width];
            scratch.resize(scratch.len().max(rows.len()), 0.0);
            vectorised(
                #[inline(always)]
                || {
                    for ((offset, taken), added) in offsets.iter_mut().zip(taken).zip(added) {
                        *offset = (-mean * inverse).mul_add(*taken, *added);
                    }
                    for (out, row) in scratch.chunks_exact_mut(width).zip(rows.chunks_exact(width)) {
                        rows::gelu_row(row, inverse, &offsets, out);
                    }
                    for place in 0..places(length, THIRD) {
                        let from = place * THIRD.1 * width;
                        if let Some((shorts, step)) = targets.next() {
                            *step = rows::quantise_fine(&scratch[from..from + patch], shorts);
                        }
                    }
                },
            );
        }
        Ok(())
    })
}

fn frames() -> Work {
    let mut scratch: Vec<f32> = Vec::new();
    Box::new(move |context| {
        read!(context; products: f32 = 0, bias: f32 = 1, weight: f32 = 2);
        let width = weight.len();
        let count = products.len() / width.max(1);
        write!(context; out: f32 = 0 => [count, width], bytes: u8 = 1 => [count, width], out_steps: f32 = 2 => [count]);
        scratch.resize(width, 0.0);
        vectorised(
            #[inline(always)]
            || {
                for row in 0..count {
                    let place = row * width..(row + 1) * width;
                    rows::gelu_row(&products[place.clone()], 1.0, bias, &mut out[place.clone()]);
                    out_steps[row] = rows::norm(&out[place.clone()], weight, &mut scratch, &mut bytes[place]);
                }
            },
        );
        Ok(())
    })
}

fn norm() -> Work {
    let mut scratch: Vec<f32> = Vec::new();
    Box::new(move |context| {
        read!(context; x: f32 = 0, weight: f32 = 1);
        let width = weight.len();
        let count = x.len() / width;
        write!(context; bytes: u8 = 0 => [count, width], steps: f32 = 1 => [count]);
        scratch.resize(width, 0.0);
        vectorised(
            #[inline(always)]
            || {
                for row in 0..count {
                    let place = row * width..(row + 1) * width;
                    steps[row] = rows::norm(&x[place.clone()], weight, &mut scratch, &mut bytes[place]);
                }
            },
        );
        Ok(())
    })
}

fn product() -> Work {
    let (mut tiles, mut checked) = (Tiles::new(), 0);
    Box::new(move |context| {
        read!(context; bytes: u8 = 0, weights: i8 = 1, sources: u16 = 2, starts: i64 = 3, much: i32 = 4, steps: f32 = 5);
        let numbers = row_of(context, 0)?;
        let product = Product { numbers, weights, sources, starts, much, steps };
        // the weights are constants
        if numbers != checked || numbers == 0 {
            if !product.fits(bytes.len()) {
                return Err(Error::new("the weights of a product are not of the shape that they are to have"));
            }
            checked = numbers;
        }
        write!(context; out: f32 = 0 => [bytes.len() / numbers, steps.len()]);
        product.of(bytes, &mut tiles, out);
        Ok(())
    })
}

fn fine_product() -> Work {
    Box::new(move |context| {
        read!(context; shorts: i16 = 0, row_steps: f32 = 1, weights: i16 = 2, steps: f32 = 3);
        let product = FineProduct { numbers: row_of(context, 0)?, weights, steps };
        if !product.fits(shorts.len(), row_steps.len()) {
            return Err(Error::new("the weights of a fine product are not of the shape that they are to have"));
        }
        write!(context; out: f32 = 0 => [row_steps.len(), steps.len()]);
        product.of(shorts, row_steps, out);
        Ok(())
    })
}

fn add_norm() -> Work {
    let mut scratch: Vec<f32> = Vec::new();
    Box::new(move |context| {
        read!(context; x: f32 = 0, y: f32 = 1, steps: f32 = 2, bias: f32 = 3, weight: f32 = 4);
        let width = weight.len();
        let count = steps.len();
        write!(context; sum: f32 = 0 => [count, width], bytes: u8 = 1 => [count, width], out_steps: f32 = 2 => [count]);
        scratch.resize(width, 0.0);
        vectorised(
            #[inline(always)]
            || {
                for row in 0..count {
                    let place = row * width..(row + 1) * width;
                    let out = &mut sum[place.clone()];
                    rows::add(&x[place.clone()], &y[place.clone()], steps[row], bias, out);
                    out_steps[row] = rows::norm(out, weight, &mut scratch, &mut bytes[place]);
                }
            },
        );
        Ok(())
    })
}

/// An operator that turns each row of a product into `1 / $parts` as many numbers. A macro, since a function that is
/// handed over as a value is not compiled for this processor.
macro_rules! activation {
    ($name:ident, $apply:path, $parts:literal) => {
        fn $name() -> Work {
            let mut scratch: Vec<f32> = Vec::new();
            Box::new(move |context| {
                read!(context; y: f32 = 0, steps: f32 = 1, bias: f32 = 2);
                let (from, count) = (bias.len(), steps.len());
                let width = from / $parts;
                write!(context; bytes: u8 = 0 => [count, width], out_steps: f32 = 1 => [count]);
                scratch.resize(width, 0.0);
                vectorised(
                    #[inline(always)]
                    || {
                        for row in 0..count {
                            $apply(&y[row * from..(row + 1) * from], steps[row], bias, &mut scratch);
                            out_steps[row] = rows::quantise(&scratch, &mut bytes[row * width..(row + 1) * width]);
                        }
                    },
                );
                Ok(())
            })
        }
    };
}

activation!(gelu, rows::gelu_row, 1);
activation!(gate, rows::gate_row, 2);

/// Rows that attention works on.
#[derive(Default)]
struct Attending {
    row: Vec<f32>,
    queries: Vec<f32>,
    scratch: attention::Scratch,
    mixed: Vec<f32>,
}

impl Attending {
    /// Takes a row of queries, keys and values apart: the query is scaled, and turned with the key.
    #[inline(always)]
    fn take(
        &mut self,
        product: &[f32],
        step: f32,
        place: usize,
        head: usize,
        tables: (&[f32], &[f32]),
        to: &mut Memory,
    ) {
        const HALF: usize = TURNED / 2;
        let width = product.len() / 3;
        self.row.clear();
        self.row.extend(product.iter().map(|x| x * step));
        let (cosines, sines) = (&tables.0[place * HALF..][..HALF], &tables.1[place * HALF..][..HALF]);
        turn(&mut self.row[..2 * width], head, cosines, sines);
        let scale = scale(head);
        self.queries.extend(self.row[..width].iter().map(|x| x * scale));
        to.write(place, &self.row[width..2 * width], &self.row[2 * width..]);
    }

    /// Attention of the queries; what comes of it goes, as bytes, to the rows from `start` on.
    #[inline(always)]
    fn mix(
        &mut self,
        memory: &Memory,
        seen: impl Fn(usize) -> usize,
        start: usize,
        width: usize,
        bytes: &mut [u8],
        steps: &mut [f32],
    ) {
        self.mixed.resize(self.queries.len(), 0.0);
        attend((&self.queries, width), memory, seen, &mut self.scratch, &mut self.mixed);
        for (row, mixed) in (start..).zip(self.mixed.chunks_exact(width)) {
            steps[row] = rows::quantise(mixed, &mut bytes[row * width..(row + 1) * width]);
        }
    }
}

fn scale(head: usize) -> f32 {
    1.0 / (head as f32).sqrt()
}

fn encoder_attention(layer: usize, windows: EncoderWindows) -> Work {
    let (mut work, mut passing) = (Attending::default(), Memory::default());
    Box::new(move |context| {
        read!(context; products: f32 = 0, steps: f32 = 1, starts: i64 = 2, cosines: f32 = 3, sines: f32 = 4);
        let count = steps.len();
        let width = products.len() / count.max(1) / 3;
        let head = width / HEADS;
        write!(context; bytes: u8 = 0 => [count, width], out_steps: f32 = 1 => [count]);
        let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
        for (window, rows) in windows.iter_mut().zip(ranges(starts)) {
            let (past, places) = (window.past, window.past + rows.len());
            let memory = window.memory.get_mut(layer).unwrap_or(&mut passing);
            vectorised(
                #[inline(always)]
                || {
                    work.queries.clear();
                    for (place, row) in (past..).zip(rows.clone()) {
                        let product = &products[row * 3 * width..(row + 1) * 3 * width];
                        work.take(product, steps[row], place, head, (cosines, sines), memory);
                    }
                    work.mix(memory, |_| places, rows.start, width, bytes, out_steps);
                },
            );
        }
        Ok(())
    })
}

fn self_attention(layer: usize, sequences: Sequences) -> Work {
    let mut work = Attending::default();
    Box::new(move |context| {
        read!(context; products: f32 = 0, steps: f32 = 1, cosines: f32 = 2, sines: f32 = 3);
        let count = steps.len();
        let width = products.len() / count.max(1) / 3;
        let head = width / HEADS;
        write!(context; bytes: u8 = 0 => [count, width], out_steps: f32 = 1 => [count]);
        let mut sequences = sequences.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = 0;
        for sequence in sequences.iter_mut() {
            let (past, fed) = (sequence.past, sequence.fed);
            let memory = &mut sequence.own[layer];
            vectorised(
                #[inline(always)]
                || {
                    work.queries.clear();
                    for row in start..start + fed {
                        let product = &products[row * 3 * width..(row + 1) * 3 * width];
                        work.take(product, steps[row], past + row - start, head, (cosines, sines), memory);
                    }
                    work.mix(memory, |i| past + i + 1, start, width, bytes, out_steps);
                },
            );
            start += fed;
        }
        Ok(())
    })
}

fn cross_attention(layer: usize, sequences: Sequences) -> Work {
    let mut work = Attending::default();
    Box::new(move |context| {
        read!(context; products: f32 = 0, steps: f32 = 1);
        let count = steps.len();
        let width = products.len() / count.max(1);
        let scale = scale(width / HEADS);
        write!(context; bytes: u8 = 0 => [count, width], out_steps: f32 = 1 => [count]);
        let sequences = sequences.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = 0;
        for sequence in sequences.iter() {
            let (fed, seen) = (sequence.fed, sequence.frames);
            let memory = &sequence.cross[layer];
            vectorised(
                #[inline(always)]
                || {
                    work.queries.clear();
                    for row in start..start + fed {
                        let factor = steps[row] * scale;
                        work.queries.extend(products[row * width..(row + 1) * width].iter().map(|x| x * factor));
                    }
                    work.mix(memory, |_| seen, start, width, bytes, out_steps);
                },
            );
            start += fed;
        }
        Ok(())
    })
}

/// Attributes of the node: the byte of the table that stands for nought, and what a step of its bytes is worth.
fn vocabulary(nought: u8, step: f32) -> Work {
    let mut scratch = Scratch::default();
    Box::new(move |context| {
        read!(context; bytes: u8 = 0, row_steps: f32 = 1, table: u8 = 2, coarse: u8 = 3, steps: f32 = 4, errors: f32 = 5);
        write!(context; tokens: i32 = 0 => [row_steps.len()], log_probabilities: f32 = 1 => [row_steps.len()]);
        let width = table.len() / steps.len().max(1);
        let vocabulary = Vocabulary { width, table, nought, step, coarse, steps, errors };
        if !vocabulary.fits(bytes.len(), row_steps.len()) {
            return Err(Error::new("the weights of the vocabulary are not of the shape that they are to have"));
        }
        vocabulary.best(bytes, row_steps, &mut scratch, |row, token, log_probability| {
            (tokens[row], log_probabilities[row]) = (token as i32, log_probability);
        });
        Ok(())
    })
}
