//! What was heard to tokens: a greedy decoder over the sequences of many calls.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use ort::{environment::Environment, operator::OperatorDomain, session::Session, value::TensorRef};

use super::{
    Done, Hypothesis, Job, arithmetic,
    draft::{loop_start, token_limit},
    encoder::Encoded,
    held,
    kept::{Kept, Rolled},
    operators::{Sequence, Sequences, decoder_domain},
};
use crate::models::{ModelError, Shape, session_with};

const BEGIN: u32 = 1;
const END: u32 = 2;
/// Tokens of a draft that are looked through, and fed, after one that was heard otherwise.
const LOOK_UP: usize = 8;

/// Most tokens of a hypothesis, the prefix among them. A draft is cut to what is left.
fn limit(job: &Job) -> usize {
    token_limit(job.length).max(job.prefix.len() + 1)
}

/// What writes. Used by one thread at a time; jobs come and go between passes.
pub struct Decoder {
    session: Session,
    rows: Vec<Row>,
    /// The sequence of each row, shared with the operators.
    sequences: Sequences,
    shape: Shape,
    multiply_adds: u64,
}

impl Decoder {
    pub(super) fn load(environment: &Environment, folder: &Path, shape: Shape) -> Result<Self, ModelError> {
        let sequences = Sequences::default();
        #[expect(clippy::arc_with_non_send_sync, reason = "the runtime asks for one; it stays with its session")]
        let operators: Arc<OperatorDomain> = Arc::new(decoder_domain(&sequences)?);
        let session = session_with(environment, &folder.join("decoder.onnx"), &operators)?;
        Ok(Self { session, rows: Vec::new(), sequences, shape, multiply_adds: 0 })
    }

    /// Takes in windows that have been encoded.
    pub fn admit(&mut self, encoded: Vec<Encoded>) {
        let mut sequences = held(&self.sequences);
        for Encoded { number, mut job, rolled } in encoded {
            // another recogniser's draft may hold tokens that this one lacks
            let known = job.draft.iter().take_while(|&&token| (token as usize) < self.shape.vocabulary).count();
            job.draft.truncate(known);
            let mut row = Row::new(number, job, rolled);
            sequences.push(std::mem::take(&mut row.rolled.sequence));
            self.rows.push(row);
        }
    }

    /// Multiply-adds since this was last asked.
    pub fn multiply_adds(&mut self) -> u64 {
        std::mem::take(&mut self.multiply_adds)
    }

    /// Jobs that are under way.
    pub fn live(&self) -> usize {
        self.rows.len()
    }

    /// One pass over everything that is under way; gives what is done.
    ///
    /// # Errors
    /// When the runtime fails; nothing is under way any more then.
    pub fn pass(&mut self) -> Result<Vec<Done>, ModelError> {
        if let Err(error) = self.decode() {
            self.rows.clear();
            held(&self.sequences).clear();
            return Err(error);
        }
        Ok(self.collect())
    }

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
        let outputs = self.session.run(ort::inputs![
            "tokens" => TensorRef::from_array_view(([tokens.len()], tokens.as_slice()))?,
            "selected" => TensorRef::from_array_view(([selected.len()], selected.as_slice()))?,
        ])?;
        let best = outputs["best"].try_extract_tensor::<i32>()?.1;
        let log_probabilities = outputs["log_probability"].try_extract_tensor::<f32>()?.1;
        self.multiply_adds += arithmetic::decoder(&self.shape, tokens.len(), selected.len());
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
            done.push(self.rows.swap_remove(index).finish(sequences.swap_remove(index)));
        }
        done
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
    /// How much of the draft to feed at once: less where it was wrong, more again where it is right.
    stride: usize,
    /// How many of `feed` after the first are given, not to be verified.
    given: usize,
    limit: usize,
    log_probability: f32,
    log_probabilities: Vec<f32>,
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
            stride: LOOK_UP,
            limit,
            log_probability: 0.0,
            log_probabilities: Vec::new(),
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
        self.stride = match agreed {
            right if right == fed.len() => (2 * self.stride).min(LOOK_UP),
            0 => (self.stride / 2).max(1),
            _ => self.stride,
        };
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
        let room = self.limit.saturating_sub(self.tokens.len()).min(self.stride);
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
        self.log_probabilities.push(log_probability);
        if let Some(keep) = loop_start(&self.tokens) {
            let given = self.tokens.len() - self.log_probabilities.len();
            self.tokens.truncate(keep);
            self.log_probabilities.truncate(keep.saturating_sub(given));
            (self.done, self.cut_short) = (true, true);
        } else if self.tokens.len() >= self.limit {
            (self.done, self.cut_short) = (true, true);
        }
    }

    /// Gives what was heard, and leaves the sequence for whoever goes on from it.
    fn finish(mut self, sequence: Sequence) -> Done {
        if let Some(kept) = self.kept {
            self.rolled.sequence = sequence;
            self.rolled.tokens.clone_from(&self.tokens);
            self.rolled.settle();
            held(&kept).leave(self.rolled);
        }
        let confidence = (self.log_probability / self.judged.max(1) as f32).exp();
        let hypothesis = Hypothesis {
            tokens: self.tokens,
            confidence,
            log_probabilities: self.log_probabilities,
            cut_short: self.cut_short,
        };
        Done { number: self.number, hypothesis }
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
        for (prefix, feed, given, past) in
            [(&[][..], &[1, 8][..], 0, 0), (&[5, 6], &[6, 8], 0, 2), (&[5, 9], &[1, 5, 9, 8], 2, 0)]
        {
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
    fn a_draft_that_is_of_no_use_is_fed_less_and_less() {
        let mut row = row(&[], &(20..40).collect::<Vec<_>>(), 160_000);
        let mut fed = Vec::new();
        for token in 10..16 {
            fed.push(row.feed.len());
            row.accept(&vec![token; row.feed.len()], &vec![0.0; row.feed.len()]);
        }
        assert_eq!(fed, [21, 5, 3, 2, 2, 2]);
    }

    #[test]
    fn a_loop_may_begin_in_what_was_given() {
        let mut row = row(&[9, 11, 12, 11, 12], &[], 160_000);
        for token in [11, 12] {
            row.accept(&[token], &[-0.5]);
        }
        let made = row.finish(Sequence::default()).hypothesis;
        assert!(made.cut_short);
        assert_eq!((made.tokens.as_slice(), made.log_probabilities.as_slice()), (&[9, 11, 12][..], &[][..]));
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
            row.finish(Sequence::default()).hypothesis
        };
        let alone = run(&[]);
        assert!(alone.cut_short);
        assert_eq!(alone.log_probabilities, (0..alone.tokens.len()).map(log).collect::<Vec<_>>());
        for draft in [&said[..], &said[..3], &[11, 12, 9, 9], &[8]] {
            assert_eq!(run(draft), alone);
        }
    }
}
