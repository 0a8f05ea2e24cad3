//! Windows to what the decoder hears of them: the stem and a bidirectional encoder.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use ort::{environment::Environment, operator::OperatorDomain, session::Session, value::TensorRef};

use super::{
    Job, arithmetic, held,
    kept::Rolled,
    kernels::{attention::Memory, vectorised},
    operators::{EncoderWindow, EncoderWindows, SECOND, Sequence, THIRD, encoder_domain, places},
    stem::{ROW, SHORTEST, frames},
};
use crate::models::{ModelError, Shape, session_with};

/// A window that is ready to be decoded.
#[derive(Debug)]
pub struct Encoded {
    pub(super) number: u64,
    pub(super) job: Job,
    pub(super) rolled: Rolled,
}

impl Encoded {
    /// The number it was given.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// The half that hears. Used by one thread at a time.
pub struct Encoder {
    stem: Session,
    encoder: Session,
    shape: Shape,
    /// The windows that are being encoded, shared with the operators.
    windows: EncoderWindows,
    multiply_adds: u64,
}

impl Encoder {
    pub(super) fn load(environment: &Environment, folder: &Path, shape: Shape) -> Result<Self, ModelError> {
        let windows = EncoderWindows::default();
        #[expect(clippy::arc_with_non_send_sync, reason = "the runtime asks for one; it stays with its sessions")]
        let operators: Arc<OperatorDomain> = Arc::new(encoder_domain(&windows)?);
        let load = |name: &str| session_with(environment, &folder.join(name), &operators);
        Ok(Self { stem: load("stem.onnx")?, encoder: load("encoder.onnx")?, shape, windows, multiply_adds: 0 })
    }

    /// Encodes the windows of some jobs, each under a number.
    ///
    /// # Errors
    /// When the runtime fails; none of these jobs is then under way.
    pub fn encode(&mut self, mut jobs: Vec<(u64, Job)>) -> Result<Vec<Encoded>, ModelError> {
        self.feed(&mut jobs)?;
        let begun = self.windows(&jobs)?;
        let encoded = |((number, job), rolled)| Encoded { number, job, rolled };
        Ok(jobs.into_iter().zip(begun).map(encoded).collect())
    }

    /// Multiply-adds since this was last asked.
    pub fn multiply_adds(&mut self) -> u64 {
        std::mem::take(&mut self.multiply_adds)
    }

    /// Brings the stems of some jobs up to the ends of their windows.
    fn feed(&mut self, jobs: &mut [(u64, Job)]) -> Result<(), ModelError> {
        let (mut rows, mut starts, mut known) = (Vec::new(), vec![0], Vec::new());
        for (_, job) in jobs.iter_mut() {
            let silence = job.padding.max(SHORTEST.saturating_sub(job.length));
            if silence > 0 {
                // it is not in the sound, so it must not get into what others go on from
                let apart = held(&job.kept).apart();
                job.kept = Arc::new(Mutex::new(apart));
                job.audio.resize(job.audio.len() + silence, 0.0);
                job.length += silence;
            }
            let stem = &held(&job.kept).stem;
            if stem.lacks(job.length) {
                let passed = stem.needs_from().checked_sub(job.from).ok_or_else(|| gap(job))?;
                stem.rows_of(job.audio.get(passed..).ok_or_else(|| gap(job))?, &mut rows);
            }
            known.push(stem.rows());
            starts.push((rows.len() / ROW) as i64);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let outputs = self.stem.run(ort::inputs![
            "x" => TensorRef::from_array_view(([rows.len() / ROW, ROW], rows.as_slice()))?,
            "starts" => TensorRef::from_array_view(([starts.len()], starts.as_slice()))?,
        ])?;
        let mut linear = outputs["linear"].try_extract_tensor::<f32>()?.1;
        let sums = outputs["sums"].try_extract_tensor::<f32>()?.1;
        self.multiply_adds += arithmetic::stem(&self.shape, rows.len() / ROW, linear.len() / self.shape.stem);
        for (((_, job), piece), known) in jobs.iter_mut().zip(starts.windows(2)).zip(known) {
            let (from, to) = (piece[0] as usize, piece[1] as usize);
            if to > from {
                let count = places(to - from, SECOND);
                let (new, rest) = linear.split_at(count * self.shape.stem);
                linear = rest;
                held(&job.kept).stem.feed(known, new, &sums[2 * from..2 * to], self.shape.stem);
            }
        }
        Ok(())
    }

    /// Encodes windows: what is not kept of them. Gives for each what the decoder goes on from, its sequence with cross
    /// keys and values.
    fn windows(&mut self, jobs: &[(u64, Job)]) -> Result<Vec<Rolled>, ModelError> {
        let Shape { stem: width, width: model, layers, .. } = self.shape;
        let (mut linear, mut starts, mut norms) = (Vec::new(), vec![0], Vec::new());
        let (mut begun, mut windows) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
        for (_, job) in jobs {
            let mut kept = held(&job.kept);
            let count = frames(job.length)[2];
            let mut rolled = match kept.rolled.take_if(|rolled| job.rolling && rolled.frames < count) {
                Some(rolled) => rolled,
                None => self.fresh(job),
            };
            let stem = &kept.stem;
            let rows = stem.linear(THIRD.1 * rolled.frames, job.length, width);
            linear.extend_from_slice(rows.ok_or_else(|| gap(job))?);
            starts.push((linear.len() / width) as i64);
            norms.extend(stem.norm(job.length, model));
            let memory = std::mem::take(&mut rolled.encoder);
            windows.push(EncoderWindow { past: rolled.frames, memory });
            begun.push(rolled);
        }
        *held(&self.windows) = windows;
        let outputs = self.encoder.run(ort::inputs![
            "linear" => TensorRef::from_array_view(([linear.len() / width, width], linear.as_slice()))?,
            "starts" => TensorRef::from_array_view(([starts.len()], starts.as_slice()))?,
            "norms" => TensorRef::from_array_view(([jobs.len(), 2], norms.as_slice()))?,
        ])?;
        let cross = outputs["cross"].try_extract_tensor::<f32>()?.1;
        let steps = outputs["cross_steps"].try_extract_tensor::<f32>()?.1;
        self.multiply_adds += arithmetic::encoder(&self.shape, steps.len());
        let mut rows = cross.chunks_exact(2 * model * layers).zip(steps);
        let windows = std::mem::take(&mut *held(&self.windows));
        for (((_, job), rolled), window) in jobs.iter().zip(&mut begun).zip(windows) {
            rolled.encoder = window.memory;
            let (past, count) = (rolled.frames, frames(job.length)[2]);
            rolled.sequence.frames = count;
            vectorised(
                #[inline(always)]
                || remember((past..count).zip(rows.by_ref()), model, &mut rolled.sequence.cross),
            );
        }
        Ok(begun)
    }

    /// A window of which nothing is known yet.
    fn fresh(&self, job: &Job) -> Rolled {
        let layers = || vec![Memory::default(); self.shape.layers];
        let sequence = Sequence { own: layers(), cross: layers(), ..Sequence::default() };
        Rolled { encoder: if job.rolling { layers() } else { Vec::new() }, sequence, ..Rolled::default() }
    }
}

fn gap(job: &Job) -> ModelError {
    ModelError::Inference(format!("the sound of a window begins at sample {}, after what is known of it", job.from))
}

/// Writes cross keys and values, all layers side by side in each row, to their layers.
#[inline(always)]
fn remember<'a>(rows: impl Iterator<Item = (usize, (&'a [f32], &'a f32))>, width: usize, layers: &mut [Memory]) {
    let mut scaled = Vec::new();
    for (place, (row, step)) in rows {
        scaled.clear();
        scaled.extend(row.iter().map(|x| x * step));
        for (memory, pair) in layers.iter_mut().zip(scaled.chunks_exact(2 * width)) {
            let (keys, values) = pair.split_at(width);
            memory.write(place, keys, values);
        }
    }
}
