//! A thread of the engine: takes what the schedule gives, encodes it, and decodes everything that is under way together.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{EngineError, Heard, Reply, Shared, Ticket, VoiceRequest, answer};
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
    pub vocabulary: Arc<dyn Vocabulary>,
    pub model: Box<dyn SpeechModel>,
    /// Who waits for what the model has under way.
    pub waiting: HashMap<u64, Waiting>,
    pub numbers: u64,
}

/// Someone who waits for a hypothesis.
pub struct Waiting {
    prefix: Vec<u32>,
    reply: Reply<Heard>,
}

struct Work {
    voice: Vec<VoiceRequest>,
    tickets: Vec<(Duration, Ticket)>,
}

impl Worker {
    /// Works until the engine stops.
    pub fn run(mut self) {
        while let Some(work) = self.next() {
            let started = Instant::now();
            if !work.voice.is_empty() {
                judge(&mut self.vad, &self.shared.metrics, work.voice);
            }
            if !work.tickets.is_empty() {
                self.admit(work.tickets);
            }
            if self.model.live() > 0 {
                self.pass();
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
            let tickets = if self.model.live() < LIVE {
                queues.schedule.take(now, ENCODED, |ticket| !ticket.reply.is_closed())
            } else {
                Vec::new()
            };
            if !voice.is_empty() || !tickets.is_empty() || self.model.live() > 0 {
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

    fn admit(&mut self, tickets: Vec<(Duration, Ticket)>) {
        let shared = Arc::clone(&self.shared);
        let metrics = &shared.metrics;
        let (started, now) = (Instant::now(), shared.now());
        let mut jobs = Vec::with_capacity(tickets.len());
        let mut replies = Vec::with_capacity(tickets.len());
        for (since, Ticket { request, reply }) in tickets {
            let waited = now.saturating_sub(since).as_secs_f64();
            metrics.queue_wait.with_label_values(&[request.purpose.name()]).observe(waited);
            let seconds = request.job.length as f64 / f64::from(SPEECH_RATE);
            metrics.window_seconds.with_label_values(&[request.purpose.class().name()]).inc_by(seconds);
            self.numbers += 1;
            replies.push((self.numbers, Waiting { prefix: request.job.prefix.clone(), reply }));
            jobs.push((self.numbers, request.job));
        }
        metrics.batch_size.with_label_values(&["encode"]).observe(jobs.len() as f64);
        let outcome = self.model.admit(jobs);
        metrics.recogniser_seconds.with_label_values(&["encode"]).inc_by(started.elapsed().as_secs_f64());
        match outcome {
            Ok(()) => self.waiting.extend(replies),
            Err(error) => fail(metrics, &error, replies.into_iter().map(|(_, waiting)| waiting)),
        }
    }

    fn pass(&mut self) {
        let shared = Arc::clone(&self.shared);
        let metrics = &shared.metrics;
        let started = Instant::now();
        metrics.batch_size.with_label_values(&["decode"]).observe(self.model.live() as f64);
        let outcome = self.model.pass();
        metrics.recogniser_seconds.with_label_values(&["decode"]).inc_by(started.elapsed().as_secs_f64());
        match outcome {
            Ok(done) => done.into_iter().for_each(|done| self.tell(metrics, done)),
            Err(error) => fail(metrics, &error, self.waiting.drain().map(|(_, waiting)| waiting)),
        }
    }

    fn tell(&mut self, metrics: &PipelineMetrics, done: Done) {
        let hypothesis = done.hypothesis;
        metrics.tokens.inc_by(hypothesis.tokens.len() as u64);
        if hypothesis.cut_short {
            metrics.cut_short.inc();
        }
        if let Some(Waiting { prefix, reply }) = self.waiting.remove(&done.number) {
            answer(reply, Ok(Heard::new(self.vocabulary.as_ref(), &prefix, hypothesis)));
        }
    }
}

fn fail(metrics: &PipelineMetrics, error: &ModelError, waiting: impl Iterator<Item = Waiting>) {
    metrics.failures.inc();
    tracing::error!(%error, "recogniser failed");
    for waiting in waiting {
        answer(waiting.reply, Err(EngineError::Model(error.to_string())));
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
