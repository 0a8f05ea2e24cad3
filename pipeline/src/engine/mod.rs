//! The speech work of all calls, on a fixed number of threads of its own, so that it never blocks a socket.
//!
//! A thread judges voice first (cheap, everything waits for it). Then comes a decoder pass over everything that is under
//! way, or hearing what the [`schedule`] gives, in two steps, which two threads may be at; what has been heard meanwhile joins
//! the next pass. With a recogniser that no other thread hears with, passes and that take turns. Two threads share a
//! [`station`] of models.
//!
//! **Bounds.** A channel has at most one voice request and one partial under way, and a call only so many finals; what is
//! withdrawn stays queued until its turn comes, at most one more for each pause of `post_roll`. So the queues are bounded by
//! the number of calls; beyond `max_partials` a partial is refused and its cadence stretches.

pub mod cadence;
pub mod load;
pub mod schedule;
mod station;
mod worker;

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use self::{
    cadence::{Cadence, SLOWEST},
    load::{Busy, Load},
    schedule::{Class, Schedule},
    station::{Station, Task},
    worker::{Shares, Worker},
};
use crate::{
    metrics::PipelineMetrics,
    models::{ModelError, Models},
    recogniser::{Job, Tokenizer},
    settings::{PartialSettings, Recognisers},
    vad::VadLane,
};

/// Channels that make a whole batch of voice activity.
const VAD_BATCH: usize = 32;
/// Batches of voice activity are at least this far apart, unless a whole one waits: half a frame of the voice model.
const VAD_PACE: Duration = Duration::from_millis(16);
/// Threads that share a station.
const THREADS: usize = 2;
/// When voice or a final has waited this long, calls on air are about to suffer.
const OVERLOAD: Duration = Duration::from_millis(250);

/// How the engine runs.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Threads; two share the models.
    pub threads: usize,
    /// Partials that may wait before more are refused.
    pub max_partials: usize,
    /// How far load may make partials less frequent before there is no room for another call, in seconds. More than the
    /// slowest cadence there is: as far as it can.
    pub slowest_partials: f64,
    pub recognisers: Recognisers,
}

/// Which of the two recognisers is asked. With one for both, they are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The one for partials.
    First,
    /// The one for finals.
    Second,
}

/// What a hypothesis is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Partial,
    Final,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Final => "final",
        }
    }
}

/// Whose work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    /// Who shares a turn: calls of one tenant have one number.
    pub tenant: u64,
    /// The call is fed faster than it was spoken. It gets the time that live calls leave, and is no sign of overload.
    pub hurried: bool,
}

/// How long work may wait for others to share a batch with; on an idle machine it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slack {
    /// Until it is heard.
    pub encode: Duration,
    /// From the same moment on, until it is decoded.
    pub decode: Duration,
}

/// A window of speech to write down.
#[derive(Debug)]
pub struct Request {
    pub purpose: Purpose,
    pub pass: Pass,
    pub owner: Owner,
    pub slack: Slack,
    pub job: Job,
}

impl Request {
    const fn class(&self) -> Class {
        match self.purpose {
            _ if self.owner.hurried => Class::Spare,
            Purpose::Partial => Class::Shown,
            Purpose::Final => Class::Exact,
        }
    }
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    pub tokens: Vec<u32>,
    pub text: String,
    pub confidence: f32,
    /// Natural logarithms of the probabilities of the tokens behind those that it was to begin with.
    pub log_probabilities: Vec<f32>,
    /// Names the recogniser.
    pub version: Arc<str>,
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

/// What comes of a request; an error when the engine stops or the runtime fails.
pub type Answer<T> = oneshot::Receiver<Result<T, EngineError>>;
type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

struct VoiceRequest {
    lanes: Vec<VadLane>,
    hurried: bool,
    since: Instant,
    reply: Reply<Vec<VadLane>>,
}

impl VoiceRequest {
    /// Channels that the model has to hear.
    fn waiting(&self) -> usize {
        self.lanes.iter().filter(|lane| !lane.is_judged()).count()
    }
}

struct Ticket {
    number: u64,
    /// Until when it may wait for others to be decoded with.
    held: Duration,
    request: Request,
    reply: Reply<Heard>,
}

struct Queues {
    voice: Vec<VoiceRequest>,
    /// Of calls that are not live.
    spare_voice: Vec<VoiceRequest>,
    /// When voice was last judged.
    judged: Option<Duration>,
    /// One for each recogniser.
    schedules: Vec<Schedule<Ticket>>,
    stations: Vec<Station>,
    numbers: u64,
    cadence: Cadence,
    /// Seconds between two partials, when that was asked last.
    interval: f64,
    load: Load,
    busy: Busy,
    /// Calls that are fed faster than they were spoken.
    hurried: usize,
    stopping: bool,
}

impl Queues {
    fn lanes(&self) -> usize {
        self.voice.iter().map(VoiceRequest::waiting).sum()
    }

    /// Work for a thread of a station, which `decoded` last or did not.
    fn task(&mut self, station: usize, now: Duration, decoded: bool) -> Option<Task> {
        let free = self.stations[station].vad.is_some();
        let voice = if free { self.take_voice(now) } else { Vec::new() };
        if !voice.is_empty() {
            return self.stations[station].vad.take().map(|vad| Task::Voice(vad, voice));
        }
        let crowded = self.cadence.crowded();
        let (station, schedules) = (&mut self.stations[station], &mut self.schedules);
        // a pass is short, and nearest to what someone waits for; but what joins the next ones has to be heard
        let first = if decoded { station.hear(now, schedules, true) } else { None };
        let live = first.or_else(|| station.decode(now, crowded)).or_else(|| station.hear(now, schedules, false));
        if live.is_some() {
            return live;
        }
        if free && !self.spare_voice.is_empty() {
            let voice = fitting(&mut self.spare_voice);
            return station.vad.take().map(|vad| Task::Voice(vad, voice));
        }
        station.hear_spare(now, schedules)
    }

    /// When something that waits now may go, if anything waits.
    fn next(&self, station: usize, now: Duration) -> Option<Duration> {
        let station = &self.stations[station];
        let spare = (!self.spare_voice.is_empty()).then_some(now);
        let voice = station.vad.as_ref().and_then(|_| self.next_voice(now).into_iter().chain(spare).min());
        [station.next(now, &self.schedules, self.cadence.crowded()), voice].into_iter().flatten().min()
    }

    /// How long work of a class has waited at most, beyond its slack.
    fn overdue(&self, class: Class, now: Duration) -> Duration {
        let waiting = self.schedules.iter().map(|schedule| schedule.overdue(class, now));
        waiting.chain(self.stations.iter().map(|station| station.overdue(class, now))).max().unwrap_or_default()
    }

    /// When the voice requests that wait may go, if there are any.
    fn next_voice(&self, now: Duration) -> Option<Duration> {
        let paced = self.judged.map_or(now, |last| now.max(last + VAD_PACE));
        (!self.voice.is_empty()).then(|| if self.lanes() >= VAD_BATCH { now } else { paced })
    }

    /// Requests of live calls that fit one batch of voice activity, when it is time.
    fn take_voice(&mut self, now: Duration) -> Vec<VoiceRequest> {
        if self.next_voice(now).is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.judged = Some(now);
        fitting(&mut self.voice)
    }
}

/// Takes requests that fit one batch of voice activity.
fn fitting(waiting: &mut Vec<VoiceRequest>) -> Vec<VoiceRequest> {
    let mut lanes = 0;
    let fits = |request: &&VoiceRequest| {
        lanes += request.waiting();
        lanes <= VAD_BATCH
    };
    let count = waiting.iter().take_while(fits).count().max(1);
    waiting.drain(..count).collect()
}

struct Shared {
    queues: Mutex<Queues>,
    work: Condvar,
    metrics: PipelineMetrics,
    started: Instant,
    threads: usize,
    slowest: f64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // a panic elsewhere cannot leave the queues half changed: every change is one push or take
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes note of time that a thread was busy, and of how much of it for what.
    fn worked(&self, time: Duration, shares: Shares) {
        let mut queues = self.lock();
        queues.busy.exact += time.mul_f64(shares.exact);
        queues.busy.shown += time.mul_f64(shares.shown);
        self.observe(&mut queues);
        self.metrics.busy_seconds.inc_by(time.as_secs_f64());
    }

    /// Takes note of how busy the threads have been.
    fn observe(&self, queues: &mut Queues) {
        let now = self.now();
        let (busy, interval, waited) = (queues.busy, queues.interval, queues.overdue(Class::Shown, now));
        if queues.load.observe(now, busy, interval) {
            self.show_room(&queues.load);
        }
        queues.cadence.observe(now, busy.exact + busy.shown, self.threads, waited);
    }

    fn show_room(&self, load: &Load) {
        self.metrics.calls_that_fit.set(load.room(self.threads, self.slowest) as i64);
    }

    fn show_depths(&self, queues: &Queues) {
        let show = |queue: &str, count: usize| self.metrics.queue_depth.with_label_values(&[queue]).set(count as i64);
        show("vad", queues.voice.len() + queues.spare_voice.len());
        for class in Class::ALL {
            let waiting = queues.schedules.iter().map(|schedule| schedule.waiting(class));
            let fed = queues.stations.iter().map(|station| station.fed(class));
            show(class.name(), waiting.chain(fed).sum());
        }
    }

    /// Wakes a thread that can do what there is now to do.
    fn wake(&self) {
        if self.threads > THREADS { self.work.notify_all() } else { self.work.notify_one() }
    }

    /// Ends all work; nobody is to wait for any of it.
    fn stop(&self) {
        let mut queues = self.lock();
        queues.stopping = true;
        queues.voice.clear();
        queues.spare_voice.clear();
        queues.schedules.clear();
        for desk in queues.stations.iter_mut().flat_map(|station| &mut station.desks) {
            desk.clear();
        }
        self.work.notify_all();
    }
}

/// Handle to the threads; they stop when the last handle is gone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    two_passes: bool,
    /// One for each recogniser.
    tokenizers: Vec<Arc<Tokenizer>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Engine {
    /// Loads the models once for every two threads and starts.
    ///
    /// # Errors
    /// When a model cannot be loaded.
    pub fn start(models: &Models, settings: &EngineSettings, metrics: PipelineMetrics) -> Result<Self, ModelError> {
        let count = settings.threads.max(1);
        let Recognisers { partials, finals } = &settings.recognisers;
        let two_passes = partials != finals;
        let names = if two_passes { vec![partials.as_str(), finals] } else { vec![partials.as_str()] };
        let station = |first| Station::new(models, &names, THREADS.min(count - first));
        let stations = (0..count).step_by(THREADS).map(station).collect::<Result<Vec<_>, _>>()?;
        let desks = stations.first().map_or(&[][..], |station: &Station| &station.desks);
        let tokenizers = desks.iter().map(|desk| Arc::clone(&desk.about.tokenizer)).collect();
        let shared = Arc::new(Shared {
            queues: Mutex::new(Queues {
                voice: Vec::new(),
                spare_voice: Vec::new(),
                judged: None,
                schedules: names.iter().map(|_| Schedule::new(settings.max_partials)).collect(),
                stations,
                numbers: 0,
                cadence: Cadence::default(),
                interval: PartialSettings::default().interval,
                load: Load::default(),
                busy: Busy::default(),
                hurried: 0,
                stopping: false,
            }),
            work: Condvar::new(),
            metrics,
            started: Instant::now(),
            threads: count,
            slowest: settings.slowest_partials,
        });
        shared.show_room(&shared.lock().load);
        let mut threads = Vec::new();
        for index in 0..count {
            let worker = Worker { shared: Arc::clone(&shared), station: index / THREADS };
            let thread = thread::Builder::new()
                .name(format!("speech-{index}"))
                .spawn(move || worker.run())
                .map_err(|error| ModelError::Runtime(error.to_string()))?;
            threads.push(thread);
        }
        Ok(Self { inner: Arc::new(Inner { shared, two_passes, tokenizers, threads }) })
    }

    /// Which pass writes finals: the second, if it has a recogniser of its own.
    pub fn finals_pass(&self) -> Pass {
        if self.inner.two_passes { Pass::Second } else { Pass::First }
    }

    /// The tokens of the recogniser that is asked in a pass.
    pub fn tokenizer(&self, pass: Pass) -> &Tokenizer {
        let tokenizers = &self.inner.tokenizers;
        match pass {
            Pass::First => &tokenizers[0],
            Pass::Second => &tokenizers[tokenizers.len() - 1],
        }
    }

    /// Where the engine counts.
    pub fn metrics(&self) -> &PipelineMetrics {
        &self.inner.shared.metrics
    }

    /// Seconds of media time between two partials now, and whether that is longer than asked for.
    pub fn cadence(&self, settings: &PartialSettings) -> (f64, bool) {
        let mut queues = self.inner.shared.lock();
        queues.interval = queues.cadence.interval(settings.interval, settings.fastest);
        (queues.interval, queues.cadence.stretched())
    }

    /// Queues the frames of some channels of a call, `hurried` or not, to be judged; `paced` ones wait a moment for others to
    /// share a batch with.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub fn voice(&self, lanes: Vec<VadLane>, hurried: bool, paced: bool) -> Result<Answer<Vec<VadLane>>, EngineError> {
        let (reply, answer) = oneshot::channel();
        let shared = &self.inner.shared;
        let first = {
            let mut queues = shared.lock();
            if queues.stopping {
                return Err(EngineError::Stopped);
            }
            let request = VoiceRequest { lanes, hurried, since: Instant::now(), reply };
            if hurried {
                queues.spare_voice.push(request);
            } else {
                queues.voice.push(request);
                if !paced {
                    queues.judged = None;
                }
            }
            queues.voice.len() <= 1 || queues.lanes() >= VAD_BATCH
        };
        // for the others that wait to share a batch, a thread has been told already
        if first || !paced || hurried {
            shared.wake();
        }
        Ok(answer)
    }

    /// Queues a window; dropping the receiver withdraws it.
    ///
    /// # Errors
    /// When too many partials wait, or the engine has stopped.
    pub fn transcribe(&self, request: Request) -> Result<Answer<Heard>, EngineError> {
        let (reply, answer) = oneshot::channel();
        let shared = &self.inner.shared;
        let mut queues = shared.lock();
        if queues.stopping {
            return Err(EngineError::Stopped);
        }
        let Slack { encode, decode } = if queues.cadence.idle() { Slack::default() } else { request.slack };
        let now = shared.now();
        queues.numbers += 1;
        let number = queues.numbers;
        let (class, tenant) = (request.class(), request.owner.tenant);
        let seconds = request.job.seconds();
        let schedule = match request.pass {
            Pass::First => queues.schedules.first_mut(),
            Pass::Second => queues.schedules.last_mut(),
        };
        let Some(schedule) = schedule else { return Err(EngineError::Stopped) };
        let ticket = Ticket { number, held: now + decode, request, reply };
        if schedule.push(class, tenant, (now, encode), seconds, ticket).is_err() {
            shared.metrics.partials_refused.inc();
            return Err(EngineError::Overloaded);
        }
        drop(queues);
        shared.wake();
        Ok(answer)
    }

    /// True when with one more than these `calls`, those that are parked among them, the live ones would suffer: there is
    /// room for no more of them, or what cannot be put off waits already.
    pub fn overloaded(&self, calls: usize) -> bool {
        let shared = &self.inner.shared;
        let mut queues = shared.lock();
        // when there was no work, nobody has yet
        shared.observe(&mut queues);
        let voice = queues.voice.iter().map(|request| request.since.elapsed()).max().unwrap_or_default();
        let waited = voice.max(queues.overdue(Class::Exact, shared.now()));
        let live = calls.saturating_sub(queues.hurried);
        let stretched = queues.cadence.stretched() && queues.interval > shared.slowest;
        let full = stretched || live >= queues.load.room(shared.threads, shared.slowest);
        waited > OVERLOAD || (shared.slowest <= SLOWEST && live > 0 && full)
    }

    /// Counts a call as live while what this gives is there.
    pub(crate) fn live(&self) -> Live {
        let shared = Arc::clone(&self.inner.shared);
        shared.lock().load.count(shared.now(), true);
        Live { shared, live: true }
    }
}

/// A call that is counted as live, unless it hurries.
pub(crate) struct Live {
    shared: Arc<Shared>,
    live: bool,
}

impl Live {
    pub fn set(&mut self, live: bool) {
        if std::mem::replace(&mut self.live, live) != live {
            let mut queues = self.shared.lock();
            queues.load.count(self.shared.now(), live);
            queues.hurried = if live { queues.hurried.saturating_sub(1) } else { queues.hurried + 1 };
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.set(true);
        self.shared.lock().load.count(self.shared.now(), false);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a speech thread panicked");
            }
        }
    }
}

/// A reply that nobody waits for any more is of no use to anyone.
fn answer<T>(reply: Reply<T>, value: Result<T, EngineError>) {
    drop(reply.send(value));
}
