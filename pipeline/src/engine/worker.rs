//! A thread of the engine: does what can be done next with the models of its station.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{
    EngineError, Heard, Shared, Ticket, VoiceRequest, answer,
    schedule::Class,
    station::{About, Decoding, Desk, Task, Waiting},
};
use crate::{
    metrics::PipelineMetrics,
    models::ModelError,
    recogniser::{Done, Encoded, Encoder, Fed, FrontEnd, Hypothesis},
    vad::{Vad, VadLane},
};

pub(super) struct Worker {
    pub shared: Arc<Shared>,
    /// Its station.
    pub station: usize,
}

impl Drop for Worker {
    /// A thread that panics takes a model with it, which the others would wait for in vain.
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Worker {
    /// Works until the engine stops.
    pub fn run(self) {
        let mut decoded = false;
        while let Some(task) = self.next(decoded) {
            if !matches!(task, Task::Voice(..)) {
                decoded = matches!(task, Task::Decode(..));
            }
            let started = Instant::now();
            let shares = match task {
                Task::Voice(vad, requests) => self.judge(vad, requests),
                Task::Feed(index, front_end, tickets) => self.feed(index, front_end, tickets),
                Task::Encode(index, encoder, fed) => self.encode(index, encoder, fed),
                Task::Decode(index, decoding, encoded) => self.decode(index, decoding, encoded),
            };
            self.shared.worked(started.elapsed(), shares);
        }
    }

    /// What to do next.
    fn next(&self, decoded: bool) -> Option<Task> {
        let shared = &self.shared;
        let mut queues = shared.lock();
        loop {
            if queues.stopping {
                return None;
            }
            let now = shared.now();
            if let Some(task) = queues.task(self.station, now, decoded) {
                shared.show_depths(&queues);
                drop(queues);
                // there may be more to do, now or soon, and this thread sees to none of it meanwhile
                shared.wake();
                return Some(task);
            }
            queues = match queues.next(self.station, now) {
                None => shared.work.wait(queues).unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let pause = next.saturating_sub(now).max(Duration::from_micros(100));
                    shared.work.wait_timeout(queues, pause).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn judge(&self, mut vad: Vad, mut requests: Vec<VoiceRequest>) -> Shares {
        let class = |hurried| if hurried { Class::Spare } else { Class::Exact };
        let parts = requests.iter().map(|request| (request.waiting() as f64, class(request.hurried)));
        let shares = Shares::of(parts);
        let metrics = &self.shared.metrics;
        let started = Instant::now();
        for request in requests.iter().filter(|request| !request.hurried) {
            metrics.queue_wait.with_label_values(&["vad"]).observe(started.duration_since(request.since).as_secs_f64());
        }
        let lanes = requests.iter_mut().flat_map(|request| &mut request.lanes);
        let mut lanes: Vec<&mut VadLane> = lanes.filter(|lane| !lane.is_judged()).collect();
        metrics.batch_size.with_label_values(&["vad"]).observe(lanes.len() as f64);
        let outcome = vad.run(&mut lanes);
        metrics.vad_seconds.inc_by(started.elapsed().as_secs_f64());
        self.shared.lock().stations[self.station].vad = Some(vad);
        if let Ok(heard) = outcome {
            metrics.vad_frames.inc_by(heard as u64);
        }
        for request in requests {
            match &outcome {
                Ok(_) => answer(request.reply, Ok(request.lanes)),
                Err(error) => answer(request.reply, Err(EngineError::Model(error.to_string()))),
            }
        }
        shares
    }

    fn feed(&self, index: usize, mut front_end: FrontEnd, tickets: Vec<(Duration, Ticket)>) -> Shares {
        let part = |Ticket { request, .. }: &Ticket| (request.job.seconds(), request.class());
        let shares = Shares::of(tickets.iter().map(|(_, ticket)| part(ticket)));
        let started = Instant::now();
        let apart = |(due, Ticket { number, held, request, reply }): (Duration, Ticket)| {
            let (purpose, class) = (request.purpose, request.class());
            ((number, request.job), Waiting { reply, purpose, class, due, held })
        };
        let (jobs, replies) = tickets.into_iter().map(apart).unzip();
        let outcome = front_end.feed(jobs);
        let work = ("stem", front_end.multiply_adds());
        self.heard((index, work, started), (outcome, replies), |desk, fed| {
            desk.front_end = Some(front_end);
            desk.fed.extend(fed);
        });
        shares
    }

    fn encode(&self, index: usize, mut encoder: Encoder, fed: Vec<(Fed, Waiting)>) -> Shares {
        let shares = Shares::of(fed.iter().map(|(fed, waiting)| (fed.seconds(), waiting.class)));
        let metrics = &self.shared.metrics;
        let (started, now) = (Instant::now(), self.shared.now());
        for (fed, Waiting { purpose, class, due, .. }) in &fed {
            if *class != Class::Spare {
                let waited = now.saturating_sub(*due).as_secs_f64();
                metrics.queue_wait.with_label_values(&[purpose.name()]).observe(waited);
            }
            metrics.window_seconds.with_label_values(&[class.name()]).inc_by(fed.seconds());
        }
        metrics.batch_size.with_label_values(&["encode"]).observe(fed.len() as f64);
        let (fed, replies) = fed.into_iter().unzip();
        let outcome = encoder.encode(fed);
        let work = ("encode", encoder.multiply_adds());
        self.heard((index, work, started), (outcome, replies), |desk, encoded| {
            desk.encoders.push(encoder);
            desk.encoded.extend(encoded);
        });
        shares
    }

    /// Has a desk `take` what has come of windows, nothing when that failed, and its model back.
    fn heard<T>(
        &self,
        (index, work, started): (usize, (&str, u64), Instant),
        (outcome, replies): (Result<Vec<T>, ModelError>, Vec<Waiting>),
        take: impl FnOnce(&mut Desk, Vec<(T, Waiting)>),
    ) {
        let (done, failed) = match outcome {
            Ok(done) => (done.into_iter().zip(replies).collect(), None),
            Err(error) => (Vec::new(), Some((error, replies))),
        };
        let mut queues = self.shared.lock();
        let desk = &mut queues.stations[self.station].desks[index];
        take(desk, done);
        let version = Arc::clone(&desk.about.version);
        drop(queues);
        let metrics = &self.shared.metrics;
        spent(metrics, &version, work, started);
        if let Some((error, replies)) = failed {
            fail(metrics, &error, replies);
        }
    }

    fn decode(&self, index: usize, mut decoding: Decoding, encoded: Vec<(Encoded, Waiting)>) -> Shares {
        let metrics = &self.shared.metrics;
        let started = Instant::now();
        let (encoded, replies): (Vec<_>, Vec<_>) = encoded.into_iter().unzip();
        decoding.waiting.extend(encoded.iter().map(Encoded::number).zip(replies));
        decoding.decoder.admit(encoded);
        metrics.batch_size.with_label_values(&["decode"]).observe(decoding.decoder.live() as f64);
        let waiting = &mut decoding.waiting;
        let shares = Shares::of(waiting.values().map(|waiting| (1.0, waiting.class)));
        let outcome = match decoding.decoder.pass() {
            Ok(done) => {
                Ok(done.into_iter().filter_map(|done| Some((waiting.remove(&done.number)?, done))).collect::<Vec<_>>())
            }
            Err(error) => Err((error, waiting.drain().map(|(_, reply)| reply).collect())),
        };
        let work = ("decode", decoding.decoder.multiply_adds());
        let mut queues = self.shared.lock();
        let station = &mut queues.stations[self.station];
        station.decoded(self.shared.now(), index, decoding);
        let about = station.desks[index].about.clone();
        drop(queues);
        spent(metrics, &about.version, work, started);
        match outcome {
            Ok(done) => done.into_iter().for_each(|(reply, done)| tell(metrics, &about, reply, done)),
            Err((error, replies)) => fail(metrics, &error, replies),
        }
        shares
    }
}

/// How much of some work was for finals, and how much for partials, of live calls; 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Shares {
    pub exact: f64,
    pub shown: f64,
}

impl Shares {
    fn of(parts: impl Iterator<Item = (f64, Class)>) -> Self {
        let (mut shares, mut all) = (Self::default(), 0.0);
        for (part, class) in parts {
            match class {
                Class::Exact => shares.exact += part,
                Class::Shown => shares.shown += part,
                Class::Spare => {}
            }
            all += part;
        }
        // no work at all takes no time
        let all = f64::max(all, f64::MIN_POSITIVE);
        Self { exact: shares.exact / all, shown: shares.shown / all }
    }
}

fn tell(metrics: &PipelineMetrics, about: &About, Waiting { reply, .. }: Waiting, done: Done) {
    let Hypothesis { tokens, confidence, log_probabilities, cut_short } = done.hypothesis;
    metrics.tokens.inc_by(tokens.len() as u64);
    if cut_short {
        metrics.cut_short.inc();
    }
    let text = about.tokenizer.text(&tokens);
    answer(reply, Ok(Heard { tokens, text, confidence, log_probabilities, version: Arc::clone(&about.version) }));
}

fn fail(metrics: &PipelineMetrics, error: &ModelError, replies: Vec<Waiting>) {
    metrics.failures.inc();
    tracing::error!(%error, "recogniser failed");
    for Waiting { reply, .. } in replies {
        answer(reply, Err(EngineError::Model(error.to_string())));
    }
}

fn spent(metrics: &PipelineMetrics, version: &str, (work, multiply_adds): (&str, u64), started: Instant) {
    metrics.recogniser_seconds.with_label_values(&[version, work]).inc_by(started.elapsed().as_secs_f64());
    metrics.multiply_adds.with_label_values(&[version, work]).inc_by(multiply_adds);
}
