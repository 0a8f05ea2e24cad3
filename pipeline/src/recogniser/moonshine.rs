//! Moonshine through ONNX Runtime: a bidirectional encoder over whole windows, a greedy decoder over the sequences of
//! many calls.
//!
//! **A hypothesis depends on its window and prefix alone.** Products of bytes are exact, every row has an activation scale
//! of its own, and Sotto's operators work on rows without looking at their neighbours (see [`super::operators`]). So
//! windows and sequences of any length go together, a sequence may take in several tokens of a draft at once, and new
//! sequences join while others are half done, all without changing a bit of what comes out.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ort::{environment::Environment, operator::OperatorDomain, session::Session, value::TensorRef};

use super::{
    Done, Hypothesis, Job, SpeechModel, Vocabulary,
    draft::{loop_start, token_limit},
    kernels::{attention::Memory, vectorised},
    operators::{HEADS, SECOND, Sequence, Sequences, domain, places},
    stem::{ROW, SHORTEST, frames},
    tokenizer::Tokenizer,
};
use crate::models::{ModelError, Shape, session_with};

const BEGIN: u32 = 1;
const END: u32 = 2;
/// Tokens of a draft that are looked through, and fed, after one that was heard otherwise.
const LOOK_UP: usize = 8;
/// Most buffers of finished sequences that are kept: as many as end in a pass or two.
const SPARE: usize = 8;

/// The model, owned by one thread.
pub struct Moonshine {
    stem: Session,
    encoder: Session,
    decoder: Session,
    tokenizer: Arc<Tokenizer>,
    shape: Shape,
    version: String,
    rows: Vec<Row>,
    /// The sequence of each row, shared with the decoder's operators.
    sequences: Sequences,
    /// Buffers of sequences that are done, to be used again.
    spare: Vec<Sequence>,
}

impl Moonshine {
    /// Loads graphs and tokenizer from a folder.
    ///
    /// # Errors
    /// When a file is not of the expected kind.
    pub fn load(environment: &Environment, folder: &Path, version: &str, shape: Shape) -> Result<Self, ModelError> {
        let bytes = fs::read(folder.join("tokenizer.bin"))
            .map_err(|_| ModelError::Missing { file: "tokenizer.bin".to_owned(), folder: folder.to_owned() })?;
        let tokenizer = Tokenizer::parse(&bytes).map_err(ModelError::Inference)?;
        if tokenizer.len() < shape.vocabulary {
            return Err(ModelError::Inference(format!(
                "the tokenizer has {} tokens, not {}",
                tokenizer.len(),
                shape.vocabulary
            )));
        }
        if shape.heads != HEADS || !matches!(shape.width / HEADS, 36 | 52) {
            return Err(ModelError::Inference(format!("no Moonshine has heads like this: {shape:?}")));
        }
        let sequences = Sequences::default();
        #[expect(clippy::arc_with_non_send_sync, reason = "the runtime asks for one; it stays with its sessions")]
        let operators: Arc<OperatorDomain> = Arc::new(domain(&sequences)?);
        let load = |name: &str| session_with(environment, &folder.join(name), &operators);
        Ok(Self {
            stem: load("stem.onnx")?,
            encoder: load("encoder.onnx")?,
            decoder: load("decoder.onnx")?,
            tokenizer: Arc::new(tokenizer),
            shape,
            version: version.to_owned(),
            rows: Vec::new(),
            sequences,
            spare: Vec::new(),
        })
    }

    /// Brings the stems of some jobs up to the ends of their windows.
    fn feed(&mut self, jobs: &mut [(u64, Job)]) -> Result<(), ModelError> {
        let (mut rows, mut starts) = (Vec::new(), vec![0]);
        for (_, job) in jobs.iter_mut() {
            if job.length < SHORTEST {
                // silence that is not in the sound must not get into what others go on from
                job.stem = Arc::default();
                job.audio.resize(job.audio.len() + SHORTEST - job.length, 0.0);
                job.length = SHORTEST;
            }
            let stem = held(&job.stem);
            if stem.lacks(job.length) {
                let known = stem.needs_from().checked_sub(job.from).ok_or_else(|| gap(job))?;
                stem.rows_of(job.audio.get(known..).ok_or_else(|| gap(job))?, &mut rows);
            }
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
        for ((_, job), piece) in jobs.iter_mut().zip(starts.windows(2)) {
            let (from, to) = (piece[0] as usize, piece[1] as usize);
            if to > from {
                let count = places(to - from, SECOND);
                let (new, rest) = linear.split_at(count * self.shape.stem);
                linear = rest;
                held(&job.stem).feed(new, &sums[2 * from..2 * to], self.shape.stem);
            }
        }
        Ok(())
    }

    /// Encodes whole windows; gives a sequence with cross keys and values for each.
    fn encode(&mut self, jobs: &[(u64, Job)]) -> Result<Vec<Sequence>, ModelError> {
        let Shape { stem: width, width: model, layers, .. } = self.shape;
        let (mut linear, mut starts, mut norms) = (Vec::new(), vec![0], Vec::new());
        for (_, job) in jobs {
            let stem = held(&job.stem);
            linear.extend_from_slice(stem.linear(job.length, width));
            starts.push((linear.len() / width) as i64);
            norms.extend(stem.norm(job.length, model));
        }
        let outputs = self.encoder.run(ort::inputs![
            "linear" => TensorRef::from_array_view(([linear.len() / width, width], linear.as_slice()))?,
            "starts" => TensorRef::from_array_view(([starts.len()], starts.as_slice()))?,
            "norms" => TensorRef::from_array_view(([jobs.len(), 2], norms.as_slice()))?,
        ])?;
        let cross = outputs["cross"].try_extract_tensor::<f32>()?.1;
        let steps = outputs["cross_steps"].try_extract_tensor::<f32>()?.1;
        let mut rows = cross.chunks_exact(2 * model * layers).zip(steps);
        let mut sequences = Vec::with_capacity(jobs.len());
        for (_, job) in jobs {
            let count = frames(job.length)[2];
            let mut sequence = self.spare.pop().unwrap_or_default();
            (sequence.past, sequence.fed, sequence.frames) = (0, 0, count);
            let places = [limit(job) + 1, count];
            for (memories, places) in [&mut sequence.own, &mut sequence.cross].into_iter().zip(places) {
                memories.resize_with(layers, Memory::default);
                memories.iter_mut().for_each(|memory| memory.reset(HEADS, model / HEADS, places));
            }
            vectorised(
                #[inline(always)]
                || remember(rows.by_ref().take(count), model, &mut sequence.cross),
            );
            sequences.push(sequence);
        }
        Ok(sequences)
    }
}

fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // whoever panicked has added whole frames or sequences, or none
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most tokens of a hypothesis, the prefix among them. A draft is cut to what is left.
fn limit(job: &Job) -> usize {
    token_limit(job.length).max(job.prefix.len() + 1)
}

fn gap(job: &Job) -> ModelError {
    ModelError::Inference(format!("the sound of a window begins at sample {}, after what is known of it", job.from))
}

/// Writes cross keys and values, all layers side by side in each row, to their layers.
#[inline(always)]
fn remember<'a>(rows: impl Iterator<Item = (&'a [f32], &'a f32)>, width: usize, layers: &mut [Memory]) {
    let mut scaled = Vec::new();
    for (place, (row, step)) in rows.enumerate() {
        scaled.clear();
        scaled.extend(row.iter().map(|x| x * step));
        for (memory, pair) in layers.iter_mut().zip(scaled.chunks_exact(2 * width)) {
            let (keys, values) = pair.split_at(width);
            memory.write(place, keys, values);
        }
    }
}

/// One job on its way.
#[derive(Debug)]
struct Row {
    number: u64,
    /// Tokens so far, without begin and end.
    tokens: Vec<u32>,
    /// Tokens to feed next; what follows the first is a prefix or a piece of the draft.
    feed: Vec<u32>,
    draft: Vec<u32>,
    /// Tokens of the draft that have been verified or passed over.
    drafted: usize,
    /// How many of `feed` after the first are given, not to be verified.
    given: usize,
    limit: usize,
    log_probability: f32,
    judged: u32,
    cut_short: bool,
    done: bool,
}

impl Row {
    fn new(number: u64, job: Job) -> Self {
        let limit = limit(&job);
        let room = limit - job.prefix.len();
        let mut draft = job.draft;
        draft.truncate(room);
        let feed = [&[BEGIN], job.prefix.as_slice(), &draft].concat();
        Self {
            number,
            given: job.prefix.len(),
            tokens: job.prefix,
            feed,
            draft,
            drafted: 0,
            limit,
            log_probability: 0.0,
            judged: 0,
            cut_short: false,
            done: false,
        }
    }

    /// Takes in what is likeliest after each place from the last given one on; says how many fed tokens stay.
    fn accept(&mut self, predicted: &[u32], log_probabilities: &[f32]) -> usize {
        let fed = self.feed.split_off(1 + self.given);
        let mut agreed = 0;
        let mut last = END;
        for (place, (&next, &log_probability)) in predicted.iter().zip(log_probabilities).enumerate() {
            self.take(next, log_probability);
            last = next;
            if self.done || fed.get(place) != Some(&next) {
                break;
            }
            agreed += 1;
        }
        let accepted = 1 + self.given + agreed;
        self.given = 0;
        self.drafted += agreed;
        self.look_up(last);
        accepted
    }

    /// Feeds the last token, and what the draft says after it: behind the same token near by if there is one, else behind
    /// the token that was heard otherwise. That one may be it later, when the draft lacks a token.
    fn look_up(&mut self, last: u32) {
        let ahead = self.draft.get(self.drafted..).unwrap_or_default();
        let found = ahead.iter().take(LOOK_UP).position(|&token| token == last);
        let passed = self.drafted.checked_sub(1).and_then(|place| self.draft.get(place)) == Some(&last);
        if found.is_some() || !passed {
            self.drafted += found.unwrap_or(0) + 1;
        }
        let room = self.limit.saturating_sub(self.tokens.len()).min(LOOK_UP);
        let rest = self.draft.get(self.drafted..).unwrap_or_default();
        self.feed = [&[last], &rest[..rest.len().min(room)]].concat();
    }

    fn take(&mut self, next: u32, log_probability: f32) {
        self.log_probability += log_probability;
        self.judged += 1;
        if next == END {
            self.done = true;
            return;
        }
        self.tokens.push(next);
        if let Some(keep) = loop_start(&self.tokens) {
            self.tokens.truncate(keep);
            (self.done, self.cut_short) = (true, true);
        } else if self.tokens.len() >= self.limit {
            (self.done, self.cut_short) = (true, true);
        }
    }

    fn finish(self) -> Done {
        let confidence = (self.log_probability / self.judged.max(1) as f32).exp();
        let hypothesis = Hypothesis { tokens: self.tokens, confidence, cut_short: self.cut_short };
        Done { number: self.number, hypothesis }
    }
}

impl Moonshine {
    fn decode(&mut self) -> Result<(), ModelError> {
        let (mut tokens, mut selected) = (Vec::new(), Vec::new());
        {
            let mut sequences = held(&self.sequences);
            for (row, sequence) in self.rows.iter().zip(sequences.iter_mut()) {
                sequence.fed = row.feed.len();
                selected.extend((row.given..row.feed.len()).map(|place| (tokens.len() + place) as i64));
                tokens.extend(row.feed.iter().map(|&token| i64::from(token)));
            }
        }
        let outputs = self.decoder.run(ort::inputs![
            "tokens" => TensorRef::from_array_view(([tokens.len()], tokens.as_slice()))?,
            "selected" => TensorRef::from_array_view(([selected.len()], selected.as_slice()))?,
        ])?;
        let best = outputs["best"].try_extract_tensor::<i32>()?.1;
        let log_probabilities = outputs["log_probability"].try_extract_tensor::<f32>()?.1;
        let mut sequences = held(&self.sequences);
        let mut at = 0;
        for (row, sequence) in self.rows.iter_mut().zip(sequences.iter_mut()) {
            let judged = at..at + row.feed.len() - row.given;
            at = judged.end;
            let predicted: Vec<u32> = best[judged.clone()].iter().map(|&token| token as u32).collect();
            sequence.past += row.accept(&predicted, &log_probabilities[judged]);
        }
        Ok(())
    }

    /// Takes out what is done.
    fn collect(&mut self) -> Vec<Done> {
        let mut sequences = held(&self.sequences);
        let mut done = Vec::new();
        for index in (0..self.rows.len()).rev().filter(|&index| self.rows[index].done).collect::<Vec<_>>() {
            let sequence = sequences.swap_remove(index);
            if self.spare.len() < SPARE {
                self.spare.push(sequence);
            }
            done.push(self.rows.swap_remove(index).finish());
        }
        done
    }
}

impl SpeechModel for Moonshine {
    fn version(&self) -> &str {
        &self.version
    }

    fn vocabulary(&self) -> Arc<dyn Vocabulary> {
        Arc::clone(&self.tokenizer) as Arc<dyn Vocabulary>
    }

    fn admit(&mut self, mut jobs: Vec<(u64, Job)>) -> Result<(), ModelError> {
        self.feed(&mut jobs)?;
        let encoded = self.encode(&jobs)?;
        held(&self.sequences).extend(encoded);
        self.rows.extend(jobs.into_iter().map(|(number, job)| Row::new(number, job)));
        Ok(())
    }

    fn live(&self) -> usize {
        self.rows.len()
    }

    fn pass(&mut self) -> Result<Vec<Done>, ModelError> {
        if let Err(error) = self.decode() {
            self.rows.clear();
            held(&self.sequences).clear();
            return Err(error);
        }
        Ok(self.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(prefix: &[u32], draft: &[u32], length: usize) -> Row {
        Row::new(7, Job { length, prefix: prefix.to_vec(), draft: draft.to_vec(), ..Job::default() })
    }

    #[test]
    fn a_draft_is_taken_as_far_as_it_is_right() {
        let mut row = row(&[5], &[6, 7, 8], 32_000);
        assert_eq!(row.feed, [1, 5, 6, 7, 8]);
        assert_eq!(row.accept(&[6, 9, 1, 1], &[0.0; 4]), 3);
        // what follows the wrong token may still be right
        assert_eq!((row.tokens.as_slice(), row.feed.as_slice(), row.done), (&[5, 6, 9][..], &[9, 8][..], false));
        assert_eq!(row.accept(&[8, END], &[0.0; 2]), 2);
        assert!(row.done);
        assert_eq!(row.tokens, [5, 6, 9, 8]);
    }

    #[test]
    fn a_draft_with_a_word_too_many_or_too_few_is_taken_up_again() {
        let passes = |draft: &[u32]| {
            let said = [10, 11, 12, 13, 14, 15, 16, 17];
            let (mut row, mut at, mut passes) = (row(&[], draft, 160_000), 0, 0);
            while !row.done {
                let judged = at..at + row.feed.len();
                let predicted: Vec<u32> = judged.map(|i| said.get(i).copied().unwrap_or(END)).collect();
                at += row.accept(&predicted, &vec![0.0; predicted.len()]);
                passes += 1;
            }
            assert_eq!(row.tokens, said);
            passes
        };
        assert_eq!(passes(&[10, 11, 12, 13, 14, 15, 16, 17]), 1);
        assert_eq!(passes(&[10, 11, 99, 98, 12, 13, 14, 15, 16, 17]), 2);
        assert_eq!(passes(&[10, 11, 99, 13, 14, 15, 16, 17]), 2);
        assert_eq!(passes(&[10, 11, 13, 14, 15, 16, 17]), 3);
        assert_eq!(passes(&[]), 9);
    }

    #[test]
    fn a_draft_changes_neither_tokens_nor_confidence() {
        let said = [11, 12, 11, 12, 11, 12, 11, 12, 13];
        let log = |place: usize| -0.25 * place as f32;
        let run = |draft: &[u32]| {
            let mut row = row(&[], draft, 160_000);
            let mut at = 0;
            while !row.done {
                let judged = at..at + row.feed.len();
                let predicted: Vec<u32> = judged.clone().map(|i| said.get(i).copied().unwrap_or(END)).collect();
                at += row.accept(&predicted, &judged.map(log).collect::<Vec<_>>());
            }
            row.finish().hypothesis
        };
        let alone = run(&[]);
        assert!(alone.cut_short);
        for draft in [&said[..], &said[..3], &[11, 12, 9, 9], &[8]] {
            assert_eq!(run(draft), alone);
        }
    }
}
