//! The speech work of all calls, on a fixed number of threads of its own, so that it never blocks a socket.
//!
//! Order of service: voice activity (cheap, everything waits for it), then finals, then partials; among equals the
//! earliest deadline first. A thread takes everything of one kind that fits a batch.
//!
//! **Bounds.** A channel has at most one voice request and one partial under way, and a call only so many finals, so
//! those queues are bounded by the number of calls; beyond `max_partials` a partial is refused and its cadence stretches.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    metrics::PipelineMetrics,
    models::{ModelError, Models},
    recogniser::{Batch, Hypothesis, Job, SpeechModel, Vocabulary},
    vad::{Vad, VadLane},
};

/// Most channels in one voice activity batch.
const VAD_BATCH: usize = 32;

/// Most exact windows taken at once: they seldom share a pass, so more would only hold up those that come next.
const EXACT_BATCH: usize = 4;

/// How the engine runs.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Threads, each with its own copy of the models.
    pub threads: usize,
    /// Partials that may wait before more are refused.
    pub max_partials: usize,
}

/// What kind of hypothesis is wanted. Finals and commits are exact: they depend on the sound alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Partial,
    Commit,
    Final,
}

impl Purpose {
    /// The queue it waits in: what is exact shares one.
    const fn queue(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Commit | Self::Final => "exact",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Commit => "commit",
            Self::Final => "final",
        }
    }
}

/// A window of speech to write down.
#[derive(Debug)]
pub struct Request {
    pub purpose: Purpose,
    pub audio: Vec<f32>,
    /// Tokens the hypothesis must begin with; they end with a whole word.
    pub prefix: Vec<u32>,
    /// The previous hypothesis after the prefix.
    pub draft: Vec<u32>,
    pub deadline: Instant,
}

impl Request {
    fn job(&self) -> Job<'_> {
        let exact = self.purpose != Purpose::Partial;
        Job { audio: &self.audio, prefix: &self.prefix, draft: &self.draft, exact }
    }
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    pub tokens: Vec<u32>,
    /// Text of the prefix.
    pub stable: String,
    /// Text after the prefix.
    pub tail: String,
    pub confidence: f32,
    /// For each token, whether a word begins with it.
    pub begins_word: Vec<bool>,
}

impl Heard {
    /// The largest number of first tokens, at most `limit`, that ends where a word ends.
    pub fn whole_words(&self, limit: usize) -> usize {
        (1..=limit).rev().find(|&count| self.begins_word.get(count) == Some(&true)).unwrap_or(0)
    }

    /// The whole text.
    pub fn text(&self) -> String {
        match (self.stable.is_empty(), self.tail.is_empty()) {
            (true, _) => self.tail.clone(),
            (_, true) => self.stable.clone(),
            _ => format!("{} {}", self.stable, self.tail),
        }
    }
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("too many partials are waiting")]
    Overloaded,
    #[error("the speech engine has stopped")]
    Stopped,
    #[error("{0}")]
    Model(String),
}

type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

struct VadRequest {
    lanes: Vec<VadLane>,
    since: Instant,
    reply: Reply<Vec<VadLane>>,
}

struct Ticket {
    request: Request,
    since: Instant,
    reply: Reply<Heard>,
}

impl Ticket {
    fn wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        self.request.deadline == other.request.deadline
    }
}
impl Eq for Ticket {}
impl PartialOrd for Ticket {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ticket {
    /// The heap gives the greatest first: the earliest deadline.
    fn cmp(&self, other: &Self) -> Ordering {
        other.request.deadline.cmp(&self.request.deadline)
    }
}

#[derive(Default)]
struct Queues {
    vad: Vec<VadRequest>,
    finals: BinaryHeap<Ticket>,
    partials: BinaryHeap<Ticket>,
    stopping: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    work: Condvar,
    metrics: PipelineMetrics,
    max_partials: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // a panic elsewhere cannot leave the queues half changed: every change is one push or take
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Requests that fit one batch of voice activity.
    fn take_voice(&self, queues: &mut Queues) -> Option<Vec<VadRequest>> {
        let mut lanes = 0;
        let fits = |request: &&VadRequest| {
            lanes += request.lanes.len();
            lanes <= VAD_BATCH
        };
        let count = queues.vad.iter().take_while(fits).count().max(usize::from(!queues.vad.is_empty()));
        let taken = (count > 0).then(|| queues.vad.drain(..count).collect());
        self.metrics.queue_depth.with_label_values(&["vad"]).set(queues.vad.len() as i64);
        taken
    }
}

/// Handle to the threads; they stop when the last handle is gone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    version: String,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Engine {
    /// Loads the models once a thread and starts.
    ///
    /// # Errors
    /// When a model cannot be loaded.
    pub fn start(models: &Models, settings: &EngineSettings, metrics: PipelineMetrics) -> Result<Self, ModelError> {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            work: Condvar::new(),
            metrics,
            max_partials: settings.max_partials,
        });
        let mut threads = Vec::new();
        let mut version = String::new();
        for index in 0..settings.threads.max(1) {
            let model = models.recogniser()?;
            model.version().clone_into(&mut version);
            let worker =
                Worker { shared: Arc::clone(&shared), vad: models.vad()?, vocabulary: model.vocabulary(), model };
            let thread = thread::Builder::new()
                .name(format!("speech-{index}"))
                .spawn(move || worker.run())
                .map_err(|error| ModelError::Runtime(error.to_string()))?;
            threads.push(thread);
        }
        Ok(Self { inner: Arc::new(Inner { shared, version, threads }) })
    }

    /// Names models and graphs: goes into every final.
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// Where the engine counts.
    pub fn metrics(&self) -> &PipelineMetrics {
        &self.inner.shared.metrics
    }

    /// Judges the frames of some channels.
    ///
    /// # Errors
    /// When the engine stops or the runtime fails.
    pub async fn voice(&self, lanes: Vec<VadLane>) -> Result<Vec<VadLane>, EngineError> {
        let (reply, answer) = oneshot::channel();
        let shared = &self.inner.shared;
        let waiting = {
            let mut queues = shared.lock();
            if queues.stopping {
                return Err(EngineError::Stopped);
            }
            queues.vad.push(VadRequest { lanes, since: Instant::now(), reply });
            queues.vad.len()
        };
        shared.metrics.queue_depth.with_label_values(&["vad"]).set(waiting as i64);
        shared.work.notify_one();
        answer.await.unwrap_or(Err(EngineError::Stopped))
    }

    /// Queues a window; dropping the receiver withdraws it.
    ///
    /// # Errors
    /// When too many partials wait, or the engine has stopped.
    pub fn transcribe(&self, request: Request) -> Result<oneshot::Receiver<Result<Heard, EngineError>>, EngineError> {
        let (reply, answer) = oneshot::channel();
        let shared = &self.inner.shared;
        let mut queues = shared.lock();
        if queues.stopping {
            return Err(EngineError::Stopped);
        }
        let purpose = request.purpose;
        let partial = purpose == Purpose::Partial;
        if partial && queues.partials.len() >= shared.max_partials {
            shared.metrics.partials_refused.inc();
            return Err(EngineError::Overloaded);
        }
        let ticket = Ticket { request, since: Instant::now(), reply };
        let queue = if partial { &mut queues.partials } else { &mut queues.finals };
        queue.push(ticket);
        shared.metrics.queue_depth.with_label_values(&[purpose.queue()]).set(queue.len() as i64);
        drop(queues);
        shared.work.notify_one();
        Ok(answer)
    }

    /// How long the oldest work has waited: a measure of overload.
    pub fn oldest_wait(&self) -> Duration {
        let queues = self.inner.shared.lock();
        let finals = queues.finals.iter().map(|ticket| ticket.since);
        let oldest = queues.vad.iter().map(|request| request.since).chain(finals).min();
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a speech thread panicked");
            }
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    vad: Vad,
    vocabulary: Arc<dyn Vocabulary>,
    model: Box<dyn SpeechModel>,
}

enum Work {
    Voice(Vec<VadRequest>),
    Speech(Vec<Ticket>),
}

impl Worker {
    fn run(mut self) {
        while let Some(work) = self.next() {
            match work {
                Work::Voice(requests) => voice(&mut self.vad, &self.shared.metrics, requests),
                Work::Speech(tickets) => self.speech(tickets),
            }
        }
    }

    fn next(&self) -> Option<Work> {
        let mut queues = self.shared.lock();
        loop {
            if let Some(requests) = self.shared.take_voice(&mut queues) {
                return Some(Work::Voice(requests));
            }
            let limit = self.model.batch_limit();
            let finals = take(&mut queues.finals, EXACT_BATCH.min(limit));
            if !finals.is_empty() {
                self.shared.metrics.queue_depth.with_label_values(&["exact"]).set(queues.finals.len() as i64);
                return Some(Work::Speech(finals));
            }
            let partials = take(&mut queues.partials, limit);
            if !partials.is_empty() {
                self.shared.metrics.queue_depth.with_label_values(&["partial"]).set(queues.partials.len() as i64);
                return Some(Work::Speech(partials));
            }
            if queues.stopping {
                return None;
            }
            queues = self.shared.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn speech(&mut self, tickets: Vec<Ticket>) {
        let metrics = &self.shared.metrics;
        let started = Instant::now();
        for ticket in &tickets {
            let waited = started.duration_since(ticket.since).as_secs_f64();
            metrics.queue_wait.with_label_values(&[ticket.request.purpose.name()]).observe(waited);
        }
        let purpose = tickets[0].request.purpose.queue();
        metrics.batch_size.with_label_values(&[purpose]).observe(tickets.len() as f64);
        let audio: usize = tickets.iter().map(|ticket| ticket.request.audio.len()).sum();
        metrics.window_seconds.with_label_values(&[purpose]).inc_by(audio as f64 / f64::from(crate::SPEECH_RATE));
        let (requests, replies): (Vec<Request>, Vec<_>) =
            tickets.into_iter().map(|ticket| (ticket.request, Some(ticket.reply))).unzip();
        let jobs: Vec<Job<'_>> = requests.iter().map(Request::job).collect();
        let mut waiting = Waiting {
            requests: &requests,
            replies,
            vocabulary: self.vocabulary.as_ref(),
            shared: &self.shared,
            vad: &mut self.vad,
        };
        let outcome = self.model.transcribe(&jobs, &mut waiting);
        let left = std::mem::take(&mut waiting.replies);
        metrics.recogniser_seconds.with_label_values(&[purpose]).inc_by(started.elapsed().as_secs_f64());
        if let Err(error) = outcome {
            metrics.failures.inc();
            tracing::error!(%error, "recogniser failed");
            for reply in left.into_iter().flatten() {
                answer(reply, Err(EngineError::Model(error.to_string())));
            }
        }
    }
}

/// The tickets of a batch that is being worked on.
struct Waiting<'a> {
    requests: &'a [Request],
    replies: Vec<Option<Reply<Heard>>>,
    vocabulary: &'a dyn Vocabulary,
    shared: &'a Shared,
    vad: &'a mut Vad,
}

impl Batch for Waiting<'_> {
    fn done(&mut self, index: usize, hypothesis: Hypothesis) {
        let metrics = &self.shared.metrics;
        metrics.tokens.inc_by(hypothesis.tokens.len() as u64);
        if hypothesis.cut_short {
            metrics.cut_short.inc();
        }
        if let Some(reply) = self.replies[index].take() {
            answer(reply, Ok(heard(self.vocabulary, &self.requests[index].prefix, hypothesis)));
        }
    }

    fn between(&mut self) {
        let requests = self.shared.take_voice(&mut self.shared.lock());
        if let Some(requests) = requests {
            voice(self.vad, &self.shared.metrics, requests);
        }
    }
}

fn heard(vocabulary: &dyn Vocabulary, prefix: &[u32], hypothesis: Hypothesis) -> Heard {
    let Hypothesis { tokens, confidence, .. } = hypothesis;
    let stable = vocabulary.text(prefix);
    let text = vocabulary.text(&tokens);
    let tail = text.get(stable.len()..).unwrap_or_default().trim_start().to_owned();
    let begins_word = tokens.iter().map(|&token| vocabulary.begins_word(token)).collect();
    Heard { tokens, stable, tail, confidence, begins_word }
}

/// A reply that nobody waits for any more is of no use to anyone.
fn answer<T>(reply: Reply<T>, value: Result<T, EngineError>) {
    drop(reply.send(value));
}

fn take(queue: &mut BinaryHeap<Ticket>, limit: usize) -> Vec<Ticket> {
    let mut taken = Vec::new();
    while taken.len() < limit {
        let Some(ticket) = queue.pop() else { break };
        if ticket.wanted() {
            taken.push(ticket);
        }
    }
    taken
}

fn voice(vad: &mut Vad, metrics: &PipelineMetrics, mut requests: Vec<VadRequest>) {
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
