//! Windows to what the decoder hears of them: a bidirectional encoder behind the stem.

use std::{path::Path, sync::Arc};

use ort::{environment::Environment, operator::OperatorDomain, session::Session, value::TensorRef};

use super::{
    Job, arithmetic,
    front_end::{Fed, gap},
    held,
    kept::Rolled,
    kernels::attention::Memory,
    operators::{EncoderWindow, EncoderWindows, Sequence, THIRD, encoder_domain},
    stem::frames,
};
use crate::{
    models::{ModelError, Shape, session_with},
    vectors::vectorised,
};

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

/// What hears windows, once their stems are there. Used by one thread at a time.
pub struct Encoder {
    session: Session,
    shape: Shape,
    /// The windows that are being encoded, shared with the operators.
    windows: EncoderWindows,
    multiply_adds: u64,
}

impl Encoder {
    pub(crate) fn load(environment: &Environment, folder: &Path, shape: Shape) -> Result<Self, ModelError> {
        let windows = EncoderWindows::default();
        #[expect(clippy::arc_with_non_send_sync, reason = "the runtime asks for one; it stays with its session")]
        let operators: Arc<OperatorDomain> = Arc::new(encoder_domain(&windows)?);
        let session = session_with(environment, &folder.join("encoder.onnx"), &operators)?;
        Ok(Self { session, shape, windows, multiply_adds: 0 })
    }

    /// Encodes the windows of some jobs.
    ///
    /// # Errors
    /// When the runtime fails; none of these jobs is then under way.
    pub fn encode(&mut self, fed: Vec<Fed>) -> Result<Vec<Encoded>, ModelError> {
        let begun = self.windows(&fed)?;
        let encoded = |(Fed { number, job, .. }, rolled)| Encoded { number, job, rolled };
        Ok(fed.into_iter().zip(begun).map(encoded).collect())
    }

    /// Multiply-adds since this was last asked.
    pub fn multiply_adds(&mut self) -> u64 {
        std::mem::take(&mut self.multiply_adds)
    }

    /// Encodes windows: what is not kept of them. Gives for each what the decoder goes on from, its sequence with cross
    /// keys and values.
    fn windows(&mut self, jobs: &[Fed]) -> Result<Vec<Rolled>, ModelError> {
        let Shape { stem: width, width: model, layers, .. } = self.shape;
        let (mut linear, mut starts, mut norms) = (Vec::new(), vec![0], Vec::new());
        let (mut begun, mut windows) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
        for Fed { job, .. } in jobs {
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
        let outputs = self.session.run(ort::inputs![
            "linear" => TensorRef::from_array_view(([linear.len() / width, width], linear.as_slice()))?,
            "starts" => TensorRef::from_array_view(([starts.len()], starts.as_slice()))?,
            "norms" => TensorRef::from_array_view(([jobs.len(), 2], norms.as_slice()))?,
        ])?;
        let cross = outputs["cross"].try_extract_tensor::<f32>()?.1;
        let steps = outputs["cross_steps"].try_extract_tensor::<f32>()?.1;
        self.multiply_adds += arithmetic::encoder(&self.shape, steps.len());
        let mut rows = cross.chunks_exact(2 * model * layers).zip(steps);
        let windows = std::mem::take(&mut *held(&self.windows));
        for ((Fed { job, .. }, rolled), window) in jobs.iter().zip(&mut begun).zip(windows) {
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
