//! Moonshine through ONNX Runtime: a bidirectional encoder over the whole window, a greedy decoder over a batch.
//!
//! **Exact jobs.** Every matrix product of the decoder is in integers with one activation scale a row, so batch mates
//! cannot change a row's rounding. What could is the shape a row is computed in; exact jobs are therefore only batched
//! with jobs that have the same padded number of frames and the same prefix length, both of which are functions of the
//! job alone, and they take one token a pass.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue},
    value::TensorRef,
};

use super::{
    Batch, Hypothesis, Job, SpeechModel, Vocabulary,
    draft::{loop_start, token_limit},
    tensors::{Cache, Cross, HEAD, HEADS, LAYERS},
    tokenizer::Tokenizer,
};
use crate::models::{ModelError, session};

const BEGIN: u32 = 1;
const END: u32 = 2;
const VOCABULARY: usize = 32_768;
/// Encoder frames and cache places are padded to a multiple of this.
const BUCKET: usize = 16;
/// Added to attention scores of places that are not there: their weight becomes exactly zero.
const MASKED: f32 = -1e9;
/// Shortest window the convolutions take: one frame.
const SHORTEST: usize = 127 + 64 * 24;
const BATCH_LIMIT: usize = 16;

/// Frames after each of the encoder's three convolutions.
fn frames(samples: usize) -> [usize; 3] {
    let first = (samples - 127) / 64 + 1;
    let second = (first - 7) / 3 + 1;
    [first, second, (second - 3) / 2 + 1]
}

/// Input names of the decoder, made once.
struct Names {
    keys: [String; LAYERS],
    values: [String; LAYERS],
    cross_keys: [String; LAYERS],
    cross_values: [String; LAYERS],
    new_keys: [String; LAYERS],
    new_values: [String; LAYERS],
}

impl Names {
    fn new() -> Self {
        let layer = |prefix: &str| std::array::from_fn(|l| format!("{prefix}{l}"));
        Self {
            keys: layer("pk"),
            values: layer("pv"),
            cross_keys: layer("ck"),
            cross_values: layer("cv"),
            new_keys: layer("nk"),
            new_values: layer("nv"),
        }
    }
}

/// The model, owned by one thread.
pub struct Moonshine {
    encoder: Session,
    decoder: Session,
    tokenizer: Arc<Tokenizer>,
    names: Names,
    version: String,
}

impl Moonshine {
    /// Loads graphs and tokenizer from a folder.
    ///
    /// # Errors
    /// When a file is not of the expected kind.
    pub fn load(environment: &Environment, folder: &Path, version: &str) -> Result<Self, ModelError> {
        let bytes = fs::read(folder.join("tokenizer.bin"))
            .map_err(|_| ModelError::Missing { file: "tokenizer.bin".to_owned(), folder: folder.to_owned() })?;
        let tokenizer = Tokenizer::parse(&bytes).map_err(ModelError::Inference)?;
        if tokenizer.len() != VOCABULARY {
            return Err(ModelError::Inference(format!(
                "the tokenizer has {} tokens, not {VOCABULARY}",
                tokenizer.len()
            )));
        }
        Ok(Self {
            encoder: session(environment, &folder.join("encoder.onnx"))?,
            decoder: session(environment, &folder.join("decoder.onnx"))?,
            tokenizer: Arc::new(tokenizer),
            names: Names::new(),
            version: version.to_owned(),
        })
    }

    fn encode(&mut self, audio: &[f32]) -> Result<Cross, ModelError> {
        let padded;
        let audio = if audio.len() < SHORTEST {
            padded = [audio, &vec![0.0; SHORTEST - audio.len()]].concat();
            &padded
        } else {
            audio
        };
        let [n1, n2, n3] = frames(audio.len());
        let positions: Vec<i64> = (0..n3 as i64).collect();
        let outputs = self.encoder.run(ort::inputs![
            "x" => TensorRef::from_array_view(([1, audio.len()], audio))?,
            "n1" => TensorRef::from_array_view(([1_usize], &[n1 as i64][..]))?,
            "n2" => TensorRef::from_array_view(([1_usize], &[n2 as i64][..]))?,
            "n3" => TensorRef::from_array_view(([1_usize], &[n3 as i64][..]))?,
            "pos" => TensorRef::from_array_view(([1, n3], positions.as_slice()))?,
        ])?;
        let take = |names: &[String; LAYERS]| -> Result<Vec<Vec<f32>>, ModelError> {
            names.iter().map(|name| Ok(outputs[name.as_str()].try_extract_tensor::<f32>()?.1.to_vec())).collect()
        };
        Ok(Cross { keys: take(&self.names.cross_keys)?, values: take(&self.names.cross_values)?, frames: n3 })
    }
}

/// A row of a cohort: one job on its way.
struct Row {
    /// Which job of the batch.
    job: usize,
    /// Tokens so far, without begin and end.
    tokens: Vec<u32>,
    /// Tokens to feed next; what follows the first is a prefix or a draft.
    feed: Vec<u32>,
    /// How many of `feed` after the first are given, not to be verified.
    given: usize,
    /// Places of the cache that are filled.
    past: usize,
    limit: usize,
    log_probability: f32,
    judged: u32,
    cut_short: bool,
    done: bool,
    told: bool,
}

impl Row {
    fn new(index: usize, job: &Job<'_>) -> Self {
        let limit = token_limit(job.audio.len()).max(job.prefix.len() + 1);
        let draft = if job.exact { &[] } else { job.draft };
        let room = limit - job.prefix.len();
        let feed = [&[BEGIN], job.prefix, &draft[..draft.len().min(room)]].concat();
        Self {
            job: index,
            tokens: job.prefix.to_vec(),
            feed,
            given: job.prefix.len(),
            past: 0,
            limit,
            log_probability: 0.0,
            judged: 0,
            cut_short: false,
            done: false,
            told: false,
        }
    }

    /// What a finished row came to. Its tokens are taken out.
    fn hypothesis(&mut self, exact: bool) -> Hypothesis {
        let confidence = if exact { (self.log_probability / self.judged.max(1) as f32).exp() } else { 0.0 };
        Hypothesis { tokens: std::mem::take(&mut self.tokens), confidence, cut_short: self.cut_short }
    }

    /// Takes in one row of logits for each place from the last given one on; says how many fed tokens stay.
    fn accept(&mut self, predicted: &[u32], log_probability: f32) -> usize {
        let draft = &self.feed[1 + self.given..];
        let agreed = super::draft::agreement(draft, predicted);
        let accepted = 1 + self.given + agreed;
        self.tokens.extend_from_slice(&draft[..agreed]);
        let next = predicted[agreed];
        self.log_probability += log_probability;
        self.judged += 1;
        if next == END {
            self.done = true;
        } else {
            self.tokens.push(next);
            if let Some(keep) = loop_start(&self.tokens) {
                self.tokens.truncate(keep);
                (self.done, self.cut_short) = (true, true);
            } else if self.tokens.len() >= self.limit {
                (self.done, self.cut_short) = (true, true);
            }
        }
        self.past += accepted;
        self.feed = vec![next];
        self.given = 0;
        accepted
    }
}

/// Rows that go through the decoder together.
struct Cohort {
    rows: Vec<Row>,
    cross: Cross,
    cross_mask: Vec<f32>,
    keys: Vec<Cache>,
    values: Vec<Cache>,
    exact: bool,
}

fn bucket(length: usize) -> usize {
    length.div_ceil(BUCKET).max(1) * BUCKET
}

impl Cohort {
    fn new(rows: Vec<Row>, crosses: &[&Cross], exact: bool) -> Self {
        let frames = bucket(crosses.iter().map(|cross| cross.frames).max().unwrap_or(1));
        let mut cross_mask = vec![MASKED; rows.len() * frames];
        for (row, cross) in crosses.iter().enumerate() {
            cross_mask[row * frames..row * frames + cross.frames].fill(0.0);
        }
        let caches = vec![Cache::new(rows.len(), BUCKET); LAYERS];
        Self { cross: Cross::pack(crosses, frames), cross_mask, keys: caches.clone(), values: caches, rows, exact }
    }

    fn is_done(&self) -> bool {
        self.rows.iter().all(|row| row.done)
    }

    /// Drops finished rows once they are half of all: until then copying costs more than taking them along.
    fn compact(&mut self) {
        let live: Vec<usize> = (0..self.rows.len()).filter(|&row| !self.rows[row].done).collect();
        if live.is_empty() || live.len() * 2 > self.rows.len() {
            return;
        }
        let length = self.keys[0].length;
        for cache in self.keys.iter_mut().chain(&mut self.values) {
            *cache = cache.reshape(&live, length);
        }
        let rows: Vec<Cross> = live.iter().map(|&row| self.cross.row(row)).collect();
        let frames = self.cross.frames;
        self.cross_mask =
            live.iter().flat_map(|&row| self.cross_mask[row * frames..(row + 1) * frames].to_vec()).collect();
        self.cross = Cross::pack(&rows.iter().collect::<Vec<_>>(), frames);
        self.rows.retain(|row| !row.done);
    }

    /// Makes room for everything that is to be fed next.
    fn reserve(&mut self) {
        let longest = self.rows.iter().map(|row| row.past).max().unwrap_or(0);
        let fed = self.rows.iter().map(|row| row.feed.len()).max().unwrap_or(1);
        let need = bucket(longest + fed);
        if need > self.keys[0].length {
            let all: Vec<usize> = (0..self.rows.len()).collect();
            for cache in self.keys.iter_mut().chain(&mut self.values) {
                *cache = cache.reshape(&all, need);
            }
        }
    }
}

/// The integer inputs of one pass.
struct Feed {
    width: usize,
    ids: Vec<i64>,
    positions: Vec<i64>,
    mask: Vec<f32>,
    selected: Vec<i64>,
}

impl Feed {
    fn new(rows: &[Row], length: usize) -> Self {
        let width = rows.iter().map(|row| row.feed.len()).max().unwrap_or(1);
        let total = length + width;
        let mut ids = vec![i64::from(END); rows.len() * width];
        let mut positions = vec![0; rows.len() * width];
        let mut mask = vec![MASKED; rows.len() * width * total];
        let mut selected = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            for place in 0..width {
                let at = index * width + place;
                if let Some(&token) = row.feed.get(place) {
                    ids[at] = i64::from(token);
                    if place >= row.given && !row.done {
                        selected.push(at as i64);
                    }
                }
                positions[at] = (row.past + place) as i64;
                let line = &mut mask[at * total..(at + 1) * total];
                line[..row.past].fill(0.0);
                line[length..=length + place].fill(0.0);
            }
        }
        Self { width, ids, positions, mask, selected }
    }
}

fn best(logits: &[f32]) -> u32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&logit| logit == highest).unwrap_or(END as usize) as u32
}

/// Natural logarithm of the probability of the best token.
fn log_probability(logits: &[f32]) -> f32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    -logits.iter().map(|logit| (logit - highest).exp()).sum::<f32>().ln()
}

impl Moonshine {
    fn pass(&mut self, cohort: &mut Cohort) -> Result<(), ModelError> {
        cohort.reserve();
        let (rows, length) = (cohort.rows.len(), cohort.keys[0].length);
        let feed = Feed::new(&cohort.rows, length);
        let frames = cohort.cross.frames;
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(4 * LAYERS + 5);
        inputs.push(("ids", TensorRef::from_array_view(([rows, feed.width], feed.ids.as_slice()))?.into()));
        inputs.push(("pos", TensorRef::from_array_view(([rows, feed.width], feed.positions.as_slice()))?.into()));
        let mask = ([rows, 1, feed.width, length + feed.width], feed.mask.as_slice());
        inputs.push(("smask", TensorRef::from_array_view(mask)?.into()));
        let cross_mask = ([rows, 1, 1, frames], cohort.cross_mask.as_slice());
        inputs.push(("cmask", TensorRef::from_array_view(cross_mask)?.into()));
        inputs.push(("sel", TensorRef::from_array_view(([feed.selected.len()], feed.selected.as_slice()))?.into()));
        for layer in 0..LAYERS {
            let cache = [rows, HEADS, length, HEAD];
            let names = &self.names;
            let keys = (cache, cohort.keys[layer].data.as_slice());
            inputs.push((&names.keys[layer], TensorRef::from_array_view(keys)?.into()));
            let values = (cache, cohort.values[layer].data.as_slice());
            inputs.push((&names.values[layer], TensorRef::from_array_view(values)?.into()));
            let keys = ([rows, HEADS, HEAD, frames], cohort.cross.keys[layer].as_slice());
            inputs.push((&names.cross_keys[layer], TensorRef::from_array_view(keys)?.into()));
            let values = ([rows, HEADS, frames, HEAD], cohort.cross.values[layer].as_slice());
            inputs.push((&names.cross_values[layer], TensorRef::from_array_view(values)?.into()));
        }
        let outputs = self.decoder.run(inputs)?;
        let logits = outputs["logits"].try_extract_tensor::<f32>()?.1;
        let mut line = logits.chunks_exact(VOCABULARY);
        let mut appended = vec![None; rows];
        for (index, row) in cohort.rows.iter_mut().enumerate().filter(|(_, row)| !row.done) {
            let past = row.past;
            let judged: Vec<&[f32]> = line.by_ref().take(row.feed.len() - row.given).collect();
            let predicted: Vec<u32> = judged.iter().map(|logits| best(logits)).collect();
            let sure = if cohort.exact { log_probability(judged[0]) } else { 0.0 };
            let accepted = row.accept(&predicted, sure);
            appended[index] = Some((past, accepted));
        }
        for layer in 0..LAYERS {
            let keys = outputs[self.names.new_keys[layer].as_str()].try_extract_tensor::<f32>()?.1;
            let values = outputs[self.names.new_values[layer].as_str()].try_extract_tensor::<f32>()?.1;
            for (row, &(past, accepted)) in appended.iter().enumerate().filter_map(|(row, a)| Some((row, a.as_ref()?)))
            {
                cohort.keys[layer].append(row, past, keys, feed.width, accepted);
                cohort.values[layer].append(row, past, values, feed.width, accepted);
            }
        }
        Ok(())
    }

    fn decode(&mut self, mut cohort: Cohort, batch: &mut dyn Batch) -> Result<(), ModelError> {
        while !cohort.is_done() {
            self.pass(&mut cohort)?;
            let exact = cohort.exact;
            for row in cohort.rows.iter_mut().filter(|row| row.done && !row.told) {
                row.told = true;
                batch.done(row.job, row.hypothesis(exact));
            }
            cohort.compact();
            batch.between();
        }
        Ok(())
    }
}

/// Which jobs may share a cohort: all drafted ones, and exact ones of one shape.
fn cohort_key(job: &Job<'_>) -> Option<(usize, usize)> {
    job.exact.then(|| (bucket(frames(job.audio.len().max(SHORTEST))[2]), job.prefix.len()))
}

impl SpeechModel for Moonshine {
    fn version(&self) -> &str {
        &self.version
    }

    fn batch_limit(&self) -> usize {
        BATCH_LIMIT
    }

    fn transcribe(&mut self, jobs: &[Job<'_>], batch: &mut dyn Batch) -> Result<(), ModelError> {
        let mut cohorts: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, job) in jobs.iter().enumerate() {
            cohorts.entry(cohort_key(job)).or_default().push(index);
        }
        for (key, members) in cohorts {
            let mut crosses = Vec::with_capacity(members.len());
            for &member in &members {
                crosses.push(self.encode(jobs[member].audio)?);
                batch.between();
            }
            let rows = members.iter().map(|&index| Row::new(index, &jobs[index])).collect();
            let cohort = Cohort::new(rows, &crosses.iter().collect::<Vec<_>>(), key.is_some());
            self.decode(cohort, batch)?;
        }
        Ok(())
    }

    fn vocabulary(&self) -> Arc<dyn Vocabulary> {
        Arc::clone(&self.tokenizer) as Arc<dyn Vocabulary>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_frames_as_the_graph_does() {
        assert_eq!(frames(16_000), [249, 81, 40]);
        assert!(frames(SHORTEST)[2] >= 1);
    }

    #[test]
    fn a_draft_is_taken_as_far_as_it_is_right() {
        let audio = vec![0.0; 32_000];
        let mut row = Row::new(0, &Job { audio: &audio, prefix: &[5], draft: &[6, 7, 8], exact: false });
        assert_eq!(row.feed, [1, 5, 6, 7, 8]);
        assert_eq!(row.accept(&[6, 9, 1, 1], 0.0), 3);
        assert_eq!(
            (row.tokens.as_slice(), row.feed.as_slice(), row.past, row.done),
            (&[5, 6, 9][..], &[9][..], 3, false)
        );
        row.accept(&[END], 0.0);
        assert!(row.done);
    }

    #[test]
    fn an_exact_job_ignores_its_draft() {
        let row = Row::new(0, &Job { audio: &[0.0; 16_000], prefix: &[], draft: &[6, 7], exact: true });
        assert_eq!(row.feed, [1]);
    }
}
