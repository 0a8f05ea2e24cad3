//! A thread of the engine: takes what the schedule gives, encodes it, and decodes everything that is under way together.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{EngineError, Heard, Pass, Reply, Shared, Ticket, VoiceRequest, answer};
use crate::{
    SPEECH_RATE,
    metrics::PipelineMetrics,
    models::ModelError,
    recogniser::{Done, SpeechModel, Vocabulary},
    vad::{Vad, VadLane},
};

/// Seconds of windows that are encoded at once: as many as make full batches, few enough that decoding goes on.
const ENCODED: f64 = 8.0;
/// Most windows under way on a thread.
const LIVE: usize = 64;

/// What a thread owns.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub vad: Vad,
    /// One for each pass, or one for both.
    pub recognisers: Vec<Recogniser>,
    pub numbers: u64,
}

/// A recogniser and who waits for what it has under way.
pub struct Recogniser {
    model: Box<dyn SpeechModel>,
    version: Arc<str>,
    vocabulary: Arc<dyn Vocabulary>,
    waiting: HashMap<u64, Reply<Heard>>,
}

struct Work {
    voice: Vec<VoiceRequest>,
    tickets: Vec<(Duration, Ticket)>,
}

impl Worker {
    /// Works until the engine stops.
    pub fn run(mut self) {
        let last = self.recognisers.len() - 1;
        while let Some(mut work) = self.next() {
            let started = Instant::now();
            if !work.voice.is_empty() {
                judge(&mut self.vad, &self.shared.metrics, work.voice);
            }
            let metrics = &self.shared.metrics;
            for (pass, recogniser) in [Pass::First, Pass::Second].into_iter().zip(&mut self.recognisers) {
                let own = |ticket: &mut (Duration, Ticket)| last == 0 || ticket.1.request.pass == pass;
                let tickets: Vec<_> = work.tickets.extract_if(.., own).collect();
                if !tickets.is_empty() {
                    recogniser.admit(metrics, self.shared.now(), &mut self.numbers, tickets);
                }
                if recogniser.model.live() > 0 {
                    recogniser.pass(metrics);
                }
            }
            self.shared.worked(started.elapsed());
        }
    }

    fn next(&self) -> Option<Work> {
        let shared = &self.shared;
        let mut queues = shared.lock();
        loop {
            let now = shared.now();
            let voice = queues.take_voice(now);
            let live: usize = self.recognisers.iter().map(|recogniser| recogniser.model.live()).sum();
            let tickets = if live < LIVE {
                queues.schedule.take(now, ENCODED, |ticket| !ticket.reply.is_closed())
            } else {
                Vec::new()
            };
            if !voice.is_empty() || !tickets.is_empty() || live > 0 {
                shared.show_depths(&queues);
                return Some(Work { voice, tickets });
            }
            if queues.stopping {
                return None;
            }
            let next = [queues.schedule.next(now), queues.next_voice(now)].into_iter().flatten().min();
            queues = match next {
                None => shared.work.wait(queues).unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let pause = next.saturating_sub(now).max(Duration::from_micros(100));
                    shared.work.wait_timeout(queues, pause).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Recogniser {
    pub fn new(model: Box<dyn SpeechModel>) -> Self {
        Self { version: model.version().into(), vocabulary: model.vocabulary(), model, waiting: HashMap::new() }
    }

    fn admit(&mut self, metrics: &PipelineMetrics, now: Duration, numbers: &mut u64, tickets: Vec<(Duration, Ticket)>) {
        let started = Instant::now();
        let mut jobs = Vec::with_capacity(tickets.len());
        let mut replies = Vec::with_capacity(tickets.len());
        for (since, Ticket { request, reply }) in tickets {
            let waited = now.saturating_sub(since).as_secs_f64();
            metrics.queue_wait.with_label_values(&[request.purpose.name()]).observe(waited);
            let seconds = request.job.length as f64 / f64::from(SPEECH_RATE);
            metrics.window_seconds.with_label_values(&[request.purpose.class().name()]).inc_by(seconds);
            *numbers += 1;
            replies.push((*numbers, reply));
            jobs.push((*numbers, request.job));
        }
        metrics.batch_size.with_label_values(&["encode"]).observe(jobs.len() as f64);
        let outcome = self.model.admit(jobs);
        metrics
            .recogniser_seconds
            .with_label_values(&[&self.version, "encode"])
            .inc_by(started.elapsed().as_secs_f64());
        match outcome {
            Ok(()) => self.waiting.extend(replies),
            Err(error) => fail(metrics, &error, replies.into_iter().map(|(_, reply)| reply)),
        }
    }

    fn pass(&mut self, metrics: &PipelineMetrics) {
        let started = Instant::now();
        metrics.batch_size.with_label_values(&["decode"]).observe(self.model.live() as f64);
        let outcome = self.model.pass();
        metrics
            .recogniser_seconds
            .with_label_values(&[&self.version, "decode"])
            .inc_by(started.elapsed().as_secs_f64());
        match outcome {
            Ok(done) => done.into_iter().for_each(|done| self.tell(metrics, done)),
            Err(error) => fail(metrics, &error, self.waiting.drain().map(|(_, reply)| reply)),
        }
    }

    fn tell(&mut self, metrics: &PipelineMetrics, done: Done) {
        let hypothesis = done.hypothesis;
        metrics.tokens.inc_by(hypothesis.tokens.len() as u64);
        if hypothesis.cut_short {
            metrics.cut_short.inc();
        }
        if let Some(reply) = self.waiting.remove(&done.number) {
            answer(reply, Ok(Heard::new(Arc::clone(&self.version), self.vocabulary.as_ref(), hypothesis)));
        }
    }
}

fn fail(metrics: &PipelineMetrics, error: &ModelError, replies: impl Iterator<Item = Reply<Heard>>) {
    metrics.failures.inc();
    tracing::error!(%error, "recogniser failed");
    for reply in replies {
        answer(reply, Err(EngineError::Model(error.to_string())));
    }
}

fn judge(vad: &mut Vad, metrics: &PipelineMetrics, mut requests: Vec<VoiceRequest>) {
    let started = Instant::now();
    for request in &requests {
        metrics.queue_wait.with_label_values(&["vad"]).observe(started.duration_since(request.since).as_secs_f64());
    }
    let mut lanes: Vec<&mut VadLane> = requests.iter_mut().flat_map(|request| &mut request.lanes).collect();
    metrics.batch_size.with_label_values(&["vad"]).observe(lanes.len() as f64);
    let outcome = vad.run(&mut lanes);
    metrics.vad_seconds.inc_by(started.elapsed().as_secs_f64());
    for request in requests {
        let frames: usize = request.lanes.iter().map(|lane| lane.probabilities.len()).sum();
        metrics.vad_frames.inc_by(frames as u64);
        match &outcome {
            Ok(()) => answer(request.reply, Ok(request.lanes)),
            Err(error) => answer(request.reply, Err(EngineError::Model(error.to_string()))),
        }
    }
}
