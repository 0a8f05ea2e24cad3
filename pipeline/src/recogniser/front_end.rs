//! Sound to the rows of the stem, the part of a recogniser's encoder that is local in time.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use ort::{environment::Environment, operator::OperatorDomain, session::Session, value::TensorRef};

use super::{
    Job, arithmetic, held,
    operators::{SECOND, encoder_domain, places},
    stem::{ROW, SHORTEST},
};
use crate::models::{ModelError, Shape, session_with};

/// A window whose stem is there.
#[derive(Debug)]
pub struct Fed {
    pub(super) number: u64,
    pub(super) job: Job,
    seconds: f64,
}

impl Fed {
    /// Seconds of sound that have to be encoded, about.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }
}

/// What brings stems up to the ends of windows. Used by one thread at a time.
pub struct FrontEnd {
    session: Session,
    shape: Shape,
    multiply_adds: u64,
}

impl FrontEnd {
    pub(super) fn load(environment: &Environment, folder: &Path, shape: Shape) -> Result<Self, ModelError> {
        // its operators look at no windows
        #[expect(clippy::arc_with_non_send_sync, reason = "the runtime asks for one; it stays with its session")]
        let operators: Arc<OperatorDomain> = Arc::new(encoder_domain(&Arc::default())?);
        let session = session_with(environment, &folder.join("stem.onnx"), &operators)?;
        Ok(Self { session, shape, multiply_adds: 0 })
    }

    /// Brings the stems of some jobs, each under a number, up to the ends of their windows.
    ///
    /// # Errors
    /// When the runtime fails, or sound between what is known of a window and what a job brings is missing.
    pub fn feed(&mut self, jobs: Vec<(u64, Job)>) -> Result<Vec<Fed>, ModelError> {
        let fed = |(number, job): (u64, Job)| Fed { number, seconds: job.seconds(), job };
        let mut fed: Vec<Fed> = jobs.into_iter().map(fed).collect();
        self.feed_all(&mut fed)?;
        // nobody hears it again
        fed.iter_mut().for_each(|fed| fed.job.audio = Vec::new());
        Ok(fed)
    }

    /// Multiply-adds since this was last asked.
    pub fn multiply_adds(&mut self) -> u64 {
        std::mem::take(&mut self.multiply_adds)
    }

    fn feed_all(&mut self, fed: &mut [Fed]) -> Result<(), ModelError> {
        let (mut rows, mut starts, mut known) = (Vec::new(), vec![0], Vec::new());
        for Fed { job, .. } in fed.iter_mut() {
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
        let outputs = self.session.run(ort::inputs![
            "x" => TensorRef::from_array_view(([rows.len() / ROW, ROW], rows.as_slice()))?,
            "starts" => TensorRef::from_array_view(([starts.len()], starts.as_slice()))?,
        ])?;
        let mut linear = outputs["linear"].try_extract_tensor::<f32>()?.1;
        let sums = outputs["sums"].try_extract_tensor::<f32>()?.1;
        self.multiply_adds += arithmetic::stem(&self.shape, rows.len() / ROW, linear.len() / self.shape.stem);
        for ((Fed { job, .. }, piece), known) in fed.iter_mut().zip(starts.windows(2)).zip(known) {
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
}

pub(super) fn gap(job: &Job) -> ModelError {
    ModelError::Inference(format!("the sound of a window begins at sample {}, after what is known of it", job.from))
}
