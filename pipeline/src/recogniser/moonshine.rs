//! Moonshine through ONNX Runtime: a bidirectional encoder over whole windows, a greedy decoder over the sequences of
//! many calls.
//!
//! **A hypothesis depends on its window and prefix alone.** Products of bytes are exact, every row has an activation scale
//! of its own, and Sotto's operators work on rows without looking at their neighbours (see [`super::operators`]). So
//! windows and sequences of any length go together, a sequence may take in several tokens of a draft at once, and new
//! sequences join while others are half done, all without changing a bit of what comes out. Rolling hypotheses are the
//! exception: they go on from frames and tokens that an earlier one left (see [`super::kept`]).

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
    kept::{Kept, Rolled},
    operators::{EncoderWindow, EncoderWindows, HEADS, SECOND, Sequence, Sequences, THIRD, domain, places},
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
    /// The windows that are being encoded, shared with the encoder's operators.
    windows: EncoderWindows,
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
        let (windows, sequences) = (EncoderWindows::default(), Sequences::default());
        #[expect(clippy::arc_with_non_send_sync, reason = "the runtime asks for one; it stays with its sessions")]
        let operators: Arc<OperatorDomain> = Arc::new(domain(&windows, &sequences)?);
        let load = |name: &str| session_with(environment, &folder.join(name), &operators);
        Ok(Self {
            stem: load("stem.onnx")?,
            encoder: load("encoder.onnx")?,
            decoder: load("decoder.onnx")?,
            tokenizer: Arc::new(tokenizer),
            shape,
            version: version.to_owned(),
            rows: Vec::new(),
            windows,
            sequences,
            spare: Vec::new(),
        })
    }

    /// Brings the stems of some jobs up to the ends of their windows.
    fn feed(&mut self, jobs: &mut [(u64, Job)]) -> Result<(), ModelError> {
        let (mut rows, mut starts, mut known) = (Vec::new(), vec![0], Vec::new());
        for (_, job) in jobs.iter_mut() {
            if job.length < SHORTEST {
                // silence that is not in the sound must not get into what others go on from
                job.kept = Arc::default();
                job.audio.resize(job.audio.len() + SHORTEST - job.length, 0.0);
                job.length = SHORTEST;
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
    fn encode(&mut self, jobs: &[(u64, Job)]) -> Result<Vec<Rolled>, ModelError> {
        let Shape { stem: width, width: model, layers, .. } = self.shape;
        let (mut linear, mut starts, mut norms) = (Vec::new(), vec![0], Vec::new());
        let (mut begun, mut windows) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
        for (_, job) in jobs {
            let mut kept = held(&job.kept);
            let count = frames(job.length)[2];
            let mut rolled = match kept.rolled.take_if(|rolled| job.rolling && rolled.frames < count) {
                Some(mut rolled) => {
                    rolled.grow(count, limit(job) + 1);
                    rolled
                }
                None => self.fresh(job),
            };
            let stem = &kept.stem;
            linear.extend_from_slice(&stem.linear(job.length, width)[THIRD.1 * rolled.frames * width..]);
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

    /// A sequence of which nothing is known yet.
    fn fresh(&mut self, job: &Job) -> Rolled {
        let mut sequence = self.spare.pop().unwrap_or_default();
        (sequence.past, sequence.fed) = (0, 0);
        let mut rolled = Rolled { sequence, ..Rolled::default() };
        let reset = |memories: &mut Vec<Memory>, places: usize| {
            memories.resize_with(self.shape.layers, Memory::default);
            memories.iter_mut().for_each(|memory| memory.reset(HEADS, self.shape.width / HEADS, places));
        };
        let count = frames(job.length)[2];
        reset(&mut rolled.sequence.own, limit(job) + 1);
        reset(&mut rolled.sequence.cross, count);
        if job.rolling {
            reset(&mut rolled.encoder, count);
        }
        rolled
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
    /// Where a rolling one leaves what the next may go on from.
    kept: Option<Arc<Mutex<Kept>>>,
    /// What it leaves, but for the sequence, which is in the decoder's hands.
    rolled: Rolled,
}

impl Row {
    /// Sets the sequence of `rolled` to the place from which on tokens are fed.
    fn new(number: u64, job: Job, mut rolled: Rolled) -> Self {
        let limit = limit(&job);
        let room = limit - job.prefix.len();
        let mut draft = job.draft;
        draft.truncate(room);
        let count = job.prefix.len();
        let known = rolled.sequence.past >= count && rolled.tokens.starts_with(&job.prefix);
        let (past, fed) = if known { (count, &job.prefix[..]) } else { (0, &[][..]) };
        rolled.sequence.past = past;
        let given = count - past;
        let begin = fed.last().copied().unwrap_or(BEGIN);
        let feed = [&[begin], &job.prefix[past..], &draft].concat();
        Self {
            number,
            given,
            kept: job.rolling.then_some(job.kept),
            rolled,
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

    /// Gives what was heard, and the sequence if nobody goes on from it.
    fn finish(mut self, sequence: Sequence) -> (Done, Option<Sequence>) {
        self.rolled.sequence = sequence;
        let left = match self.kept {
            Some(kept) => {
                self.rolled.tokens.clone_from(&self.tokens);
                self.rolled.settle();
                held(&kept).rolled = Some(self.rolled);
                None
            }
            None => Some(self.rolled.sequence),
        };
        let confidence = (self.log_probability / self.judged.max(1) as f32).exp();
        let hypothesis = Hypothesis { tokens: self.tokens, confidence, cut_short: self.cut_short };
        (Done { number: self.number, hypothesis }, left)
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
            let (made, left) = self.rows.swap_remove(index).finish(sequences.swap_remove(index));
            done.push(made);
            self.spare.extend(left.filter(|_| self.spare.len() < SPARE));
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
        let begun = self.encode(&jobs)?;
        let mut sequences = held(&self.sequences);
        for ((number, job), rolled) in jobs.into_iter().zip(begun) {
            let mut row = Row::new(number, job, rolled);
            sequences.push(std::mem::take(&mut row.rolled.sequence));
            self.rows.push(row);
        }
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
        let job = Job { length, prefix: prefix.to_vec(), draft: draft.to_vec(), ..Job::default() };
        Row::new(7, job, Rolled::default())
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
    fn a_prefix_that_was_fed_before_is_not_fed_again() {
        let job = |prefix: &[u32]| Job { length: 32_000, prefix: prefix.to_vec(), draft: vec![8], ..Job::default() };
        let left = || {
            let sequence = Sequence { past: 4, ..Sequence::default() };
            Rolled { sequence, tokens: vec![5, 6, 7], ..Rolled::default() }
        };
        for (prefix, feed, given, past) in [
            (&[][..], &[1, 8][..], 0, 0),
            (&[5, 6], &[6, 8], 0, 2),
            (&[5, 9], &[1, 5, 9, 8], 2, 0),
        ] {
            let row = Row::new(7, job(prefix), left());
            assert_eq!((&row.feed[..], row.given, row.rolled.sequence.past), (feed, given, past), "{prefix:?}");
        }
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
            row.finish(Sequence::default()).0.hypothesis
        };
        let alone = run(&[]);
        assert!(alone.cut_short);
        for draft in [&said[..], &said[..3], &[11, 12, 9, 9], &[8]] {
            assert_eq!(run(draft), alone);
        }
    }
}
