//! One run: calls come by the plan, are watched, and what came of them is put together.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_pcg::Pcg64Mcg;
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Failure,
    call::{Call, Endpoint, Stage, Target},
    figures::Figures,
    native,
    objective::Objective,
    pace::Pace,
    report::{Run, Server},
    schedule::{Arrival, peak},
    server::{Log, Watched, watch},
    tape::{Layout, Tape},
    twilio,
    view::{Now, View},
    wheel::Wheel,
    words::Same,
};

/// What all runs against one server have.
pub struct Ground {
    pub target: Target,
    pub tapes: Arc<Vec<Tape>>,
    pub layout: Layout,
    pub endpoint: Endpoint,
    pub watched: Watched,
    pub http: reqwest::Client,
    pub objective: Objective,
    pub grace: Duration,
    /// Share of calls that come as from Twilio.
    pub twilio: f64,
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Churn {
    pub breaks_per_minute: f64,
    pub away: Duration,
    pub slow_share: f64,
    pub slow_for: Duration,
}

/// One load.
pub struct Load {
    pub label: String,
    pub plan: Vec<Arrival>,
    /// From the first to the last moment of the plan.
    pub span: Duration,
    /// What was due then is timed.
    pub measured: Range<Duration>,
    pub churn: Churn,
    pub seed: u64,
}

/// Sockets, files and what else a call needs, roughly.
const DESCRIPTORS_BESIDE: usize = 64;

/// Runs a load to its end, or until Ctrl-C.
///
/// # Errors
/// When it cannot begin.
pub async fn run(ground: &Ground, load: &Load, view: &mut View) -> Result<Run, Failure> {
    let at_once = peak(&load.plan);
    enough_descriptors(at_once)?;
    if ground.twilio < 1.0 {
        native::knock(&ground.target).await?;
    }
    let frame = Duration::from_millis(u64::from(ground.layout.frame_ms));
    // a moment to set everything up before the first call is due
    let start = Instant::now() + Duration::from_millis(200);
    let stage = Arc::new(Stage {
        target: ground.target.clone(),
        tapes: Arc::clone(&ground.tapes),
        layout: ground.layout,
        endpoint: ground.endpoint,
        wheel: Wheel::new(start, frame),
        figures: Figures::new(load.span, load.measured.clone(), frame)?,
        same: Same::default(),
        http: ground.http.clone(),
        start,
        grace: ground.grace,
        slow: load.churn.slow_for,
        away: load.churn.away,
    });
    let on_air = Arc::new(AtomicUsize::new(0));
    let log = Arc::new(Mutex::new(Log::default()));
    let mut helpers = JoinSet::new();
    let wheel = Arc::clone(&stage.wheel);
    helpers.spawn(async move { wheel.turn().await });
    let (counted, clock) = (Arc::clone(&on_air), move || Instant::now().saturating_duration_since(start).as_secs_f64());
    let measured = load.measured.start.as_secs_f64()..load.measured.end.as_secs_f64();
    helpers.spawn(watch(
        ground.watched.clone(),
        measured,
        clock,
        move || counted.load(Ordering::Relaxed),
        Arc::clone(&log),
    ));
    let interrupted = calls(&stage, ground, load, &on_air, &log, view).await;
    helpers.shutdown().await;
    view.keep();

    let log = std::mem::take(&mut *log.lock().await);
    let mut run = Run {
        label: load.label.clone(),
        calls: load.plan.len(),
        peak: at_once,
        seed: load.seed,
        seconds: start.elapsed().as_secs_f64(),
        measured: (load.measured.start.as_secs_f64(), load.measured.end.as_secs_f64()),
        interrupted,
        ..Run::default()
    };
    both_sides(&mut run, log);
    run.take(&stage.figures.lock());
    run.verdict = ground.objective.judge(&run);
    Ok(run)
}

fn enough_descriptors(calls: usize) -> Result<(), Failure> {
    use procfs::process::{LimitValue, Process};
    let limit = Process::myself()?.limits()?.max_open_files.soft_limit;
    match limit {
        LimitValue::Value(limit) if (limit as usize) < calls + DESCRIPTORS_BESIDE => Err(format!(
            "{calls} calls at once need more open files than the {limit} that are allowed; raise it, for example: ulimit -n {}",
            (calls + DESCRIPTORS_BESIDE).next_power_of_two()
        )
        .into()),
        _ => Ok(()),
    }
}

/// Lets calls come when they are due; true when somebody interrupted it.
async fn calls(
    stage: &Arc<Stage>,
    ground: &Ground,
    load: &Load,
    on_air: &Arc<AtomicUsize>,
    log: &Arc<Mutex<Log>>,
    view: &mut View,
) -> bool {
    let mut plan = load.plan.iter().enumerate().peekable();
    let mut calls = JoinSet::new();
    let mut pictures = interval(Duration::from_millis(100));
    pictures.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        let due = plan.peek().map(|(_, arrival)| stage.wheel.align(arrival.at));
        if due.is_none() && calls.is_empty() {
            return false;
        }
        tokio::select! {
            biased;
            interrupted = &mut interrupt => {
                calls.shutdown().await;
                // without a way to hear of it nobody can have interrupted
                return interrupted.is_ok();
            }
            () = sleep_until(due.unwrap_or(stage.start)), if due.is_some() => {
                let Some((index, arrival)) = plan.next() else { continue };
                let call = decide(stage, ground, load, index, arrival);
                let (stage, place) = (Arc::clone(stage), Place::take(on_air));
                calls.spawn(async move {
                    if call.twilio { twilio::run(stage, call).await } else { native::run(stage, call).await }
                    drop(place);
                });
            }
            Some(_) = calls.join_next(), if !calls.is_empty() => {}
            _ = pictures.tick() => {
                if view.is_due() {
                    let sample = log.lock().await.samples.last().cloned();
                    view.show(&Now {
                        label: &load.label,
                        seconds: stage.since(Instant::now()).as_secs_f64(),
                        span: load.span.as_secs_f64(),
                        calls: on_air.load(Ordering::Relaxed),
                        planned: load.plan.len(),
                        figures: &stage.figures.lock(),
                        sample,
                    });
                }
            }
        }
    }
}

/// Counts a call while it is on.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(on_air: &Arc<AtomicUsize>) -> Self {
        on_air.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(on_air))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs of one process have ids of their own, and so do processes that begin in the same millisecond.
fn id(twilio: bool) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = jiff::Timestamp::now().as_millisecond();
    let prefix = if twilio { "CA" } else { "load-" };
    format!("{prefix}{now:x}{:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What a call says and what befalls it: by the seed and its number alone.
fn decide(stage: &Stage, ground: &Ground, load: &Load, index: usize, arrival: &Arrival) -> Call {
    let mut rng = Pcg64Mcg::seed_from_u64(load.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index as u64);
    let tape = rng.random_range(0..stage.tapes.len());
    let turns = &stage.tapes[tape].turns;
    let first = turns[rng.random_range(0..turns.len())].frames.start;
    let twilio = rng.random::<f64>() < ground.twilio;
    let frame = Duration::from_millis(u64::from(stage.layout.frame_ms));
    let frames = (arrival.length.as_nanos() / frame.as_nanos()).max(1) as u64;
    let pace = Pace { origin: stage.wheel.align(arrival.at), frame, samples: stage.layout.frame() as u64, frames };
    let slow = (rng.random::<f64>() < load.churn.slow_share).then(|| rng.random_range(0.2..0.6) * pace.seconds());
    // Twilio does not come back
    let breaks = if twilio { Vec::new() } else { breaks(&load.churn, pace.seconds(), &mut rng) };
    Call { id: id(twilio), twilio, tape, first, pace, breaks, slow: slow.filter(|_| !twilio) }
}

/// Media times at which the socket is broken, at random, in order.
fn breaks(churn: &Churn, seconds: f64, rng: &mut Pcg64Mcg) -> Vec<f64> {
    let mut breaks = Vec::new();
    if churn.breaks_per_minute <= 0.0 {
        return breaks;
    }
    let mut at = 0.0;
    loop {
        let step: f64 = Exp1.sample(rng);
        at += step * 60.0 / churn.breaks_per_minute;
        if at >= seconds - 1.0 {
            return breaks;
        }
        breaks.push(at);
        at += churn.away.as_secs_f64();
    }
}

/// Our own process and the server while it was measured.
fn both_sides(run: &mut Run, log: Log) {
    run.samples = log.samples;
    let (Some(first), Some(last)) = (log.first, log.last) else { return };
    let seconds = last.seconds - first.seconds;
    if seconds < 0.5 {
        return;
    }
    let cores = |from: Option<f64>, to: Option<f64>| Some((to? - from?) / seconds);
    run.load_cores = cores(first.load_cpu, last.load_cpu);
    let mut server = Server {
        seconds,
        cores: cores(first.server_cpu, last.server_cpu),
        memory_bytes: last.server_memory,
        ..Server::default()
    };
    if let (Some(from), Some(to)) = (&first.scrape, &last.scrape) {
        server.counted = to.counted_since(from);
        server.timed = to.timed_since(from);
    }
    if server.cores.is_some() || server.memory_bytes.is_some() || !server.timed.is_empty() {
        run.server = Some(server);
    }
}
