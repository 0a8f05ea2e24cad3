//! The subcommands: from options to runs, and from runs to a report, a text and an exit code.

use std::{fmt::Write, fs, net::ToSocketAddrs, path::Path, process::ExitCode, sync::Arc, time::Duration};

use super::{
    Failure, audio,
    call::{Endpoint, Target, TwilioTarget},
    capacity::{Capacity, Next, Progress, Search},
    compare, html,
    options::{self, Arrive, Command, Common, FindCapacity, Options},
    report::{self, Kind, Report, Run, VERSION},
    run::{Churn, Ground, Load, run},
    schedule::{self, Arrivals, Length, Shape},
    server::{Watched, listener},
    sink,
    tape::{Layout, lay_out},
    view::View,
};
use crate::bench::machine::machine;

/// Between two numbers of calls, for the server to come to rest.
const REST: Duration = Duration::from_secs(3);
/// It is not waited longer for it.
const LONGEST_REST: Duration = Duration::from_secs(120);
/// Something else may have kept the machine busy for a moment: so often in a row a run is made again.
const LATE_RUNS: usize = 2;
const MOST_THREADS: usize = 4;

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Everything held.
    Passed,
    /// A limit of the objective was exceeded, or B is worse than A.
    Missed,
    /// A promise of the protocol was not kept.
    Faulty,
    /// sotto-load could not keep its own times, so that nothing is known.
    LoadToolLate,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(match code {
            Code::Passed => 0,
            Code::Missed => 10,
            Code::Faulty => 11,
            Code::LoadToolLate => 12,
            Code::Interrupted => 130,
        })
    }
}

/// What is said at the end.
#[derive(Debug)]
pub struct Outcome {
    pub text: String,
    pub code: Code,
}

/// Does what the command line says.
///
/// # Errors
/// When it cannot be done; says what would be right.
pub fn run_options(options: Options) -> Result<Outcome, Failure> {
    // the WebSocket and the HTTP client speak TLS where the server does; who has chosen a provider already keeps it
    drop(rustls::crypto::ring::default_provider().install_default());
    match options.command {
        Command::Run(options) => on_runtime(options.common.threads, load(&options)),
        Command::Capacity(options) => on_runtime(options.common.threads, find_capacity(&options)),
        Command::Compare(options) => {
            let differences = compare::compare(&Report::read(&options.a)?, &Report::read(&options.b)?);
            let worse = differences.iter().any(|difference| difference.worse(options.tolerance));
            let code = if worse { Code::Missed } else { Code::Passed };
            Ok(Outcome { text: compare::table(&differences, options.tolerance), code })
        }
        Command::Report { file, html: wanted } => {
            let report = Report::read(&file)?;
            let page = wanted.unwrap_or_else(|| file.with_extension("html"));
            fs::write(&page, html::page(&report))?;
            Ok(Outcome { text: format!("written: {}\n", page.display()), code: Code::Passed })
        }
        Command::Sink { listen } => {
            let told = |address| eprintln!("sotto-load sink: calls on ws://{address}/v1/stream");
            on_runtime(0, sink::serve(listen, told))?;
            Ok(Outcome { text: String::new(), code: Code::Passed })
        }
    }
}

fn on_runtime<T>(threads: usize, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let cores = std::thread::available_parallelism()?.get();
    let threads = if threads == 0 { cores.min(MOST_THREADS) } else { threads };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(work)
}

async fn load(options: &options::Run) -> Result<Outcome, Failure> {
    let common = &options.common;
    let mut view = View::new(common.quiet);
    let mut notes = Vec::new();
    let ground = ground(common, &mut notes, &mut view)?;
    let load = planned(options)?;
    let run = run(&ground, &load, &mut view).await?;
    let report = written(common, Kind::Run, &ground, vec![run], None, notes);
    finish(common, &report)
}

/// The load that the options describe.
fn planned(options: &options::Run) -> Result<Load, Failure> {
    let seed = options.common.seed;
    let arrivals = match (options.calls, options.per_minute, &options.arrivals_file) {
        (Some(calls), _, _) => Arrivals::Hold { calls },
        (_, Some(calls), _) if !(calls.is_finite() && calls > 0.0) => {
            return Err("--per-minute must be more than 0".into());
        }
        (_, Some(calls), _) if options.arrivals == Arrive::Constant => Arrivals::Constant { per_second: calls / 60.0 },
        (_, Some(calls), _) => Arrivals::Poisson { per_second: calls / 60.0 },
        (_, _, Some(file)) => Arrivals::Listed(schedule::listed(file, options.length, seed)?),
        _ if !options.burst.is_empty() => Arrivals::Listed(Vec::new()),
        _ => return Err("how many calls? Give --calls, --per-minute, --arrivals-file or --burst".into()),
    };
    let shape = Shape {
        arrivals,
        bursts: options.burst.clone(),
        length: options.length,
        ramp: options.ramp.min(options.span),
        span: options.span,
        seed,
    };
    let plan = schedule::plan(&shape)?;
    let end = plan.iter().map(|call| call.at + call.length).max().unwrap_or_default();
    let churn = Churn {
        breaks_per_minute: options.breaks_per_minute,
        away: options.away,
        slow_share: options.slow_readers,
        slow_for: options.slow_for,
    };
    // what was due with the last audio is timed too
    let measured = options.warm_up..end + options.common.grace;
    Ok(Load { label: "run".to_owned(), plan, span: end, measured, churn, seed })
}

async fn find_capacity(options: &FindCapacity) -> Result<Outcome, Failure> {
    let common = &options.common;
    let mut view = View::new(common.quiet);
    let mut notes = Vec::new();
    let ground = ground(common, &mut notes, &mut view)?;
    let search = Search {
        from: options.from.max(1),
        most: options.most.max(1),
        resolution_percent: options.resolution,
        confirm: options.confirm,
    };
    let mut progress = Progress::new(search);
    let mut runs: Vec<Run> = Vec::new();
    let (mut ended_early, mut late_in_a_row) = (None, 0);
    while let Next::Try(calls) = progress.next() {
        if !runs.is_empty() {
            rest(&ground).await;
        }
        // other calls each time, so that confirming is more than repeating
        let seed = common.seed + runs.len() as u64;
        let done = run(&ground, &held(options, calls, seed)?, &mut view).await?;
        view.note(&summary(&done));
        let (late, interrupted, passed) = (done.verdict.load_tool_late, done.interrupted, done.verdict.passed());
        runs.push(done);
        late_in_a_row = if late { late_in_a_row + 1 } else { 0 };
        if interrupted {
            ended_early = Some("the search was interrupted".to_owned());
            break;
        }
        if late && late_in_a_row <= LATE_RUNS {
            view.note("sotto-load itself was late; once more");
            continue;
        }
        if late {
            ended_early = Some(format!(
                "with {calls} calls sotto-load itself was late: the server may carry more than this machine can drive beside it"
            ));
            break;
        }
        progress.record(calls, passed);
    }
    let mut found = progress.found();
    found.ended_early = ended_early;
    let limiting = runs.iter().rfind(|run| Some(run.calls) == found.failing && !run.verdict.passed());
    if let Some(limiting) = limiting {
        found.first_limit.clone_from(&limiting.verdict.broken);
        found.faults = limiting.verdict.faults;
    }
    let report = written(common, Kind::Capacity, &ground, runs, Some(found), notes);
    finish(common, &report)
}

/// So many calls that begin within the ramp and are held.
fn held(options: &FindCapacity, calls: usize, seed: u64) -> Result<Load, Failure> {
    let span = options.ramp + options.hold;
    let arrivals = Arrivals::Hold { calls };
    // longer than the span: every call lasts to its end
    let length = Length::Constant(span.as_secs_f64() + 1.0);
    let plan = schedule::plan(&Shape { arrivals, bursts: Vec::new(), length, ramp: options.ramp, span, seed })?;
    // the end of all calls at one moment is no part of holding them
    let measured = options.ramp..span;
    Ok(Load { label: format!("{calls} calls"), plan, span, measured, churn: Churn::default(), seed })
}

/// Waits until the server has no calls any more, also none that wait for their caller.
async fn rest(ground: &Ground) {
    let begun = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(REST).await;
        let Some(scrape) = ground.watched.look(0.0).await.scrape else { return };
        let calls = |name: &str| scrape.get(name).unwrap_or(0.0);
        if calls("sotto_calls_on_air") + calls("sotto_calls_parked") == 0.0 || begun.elapsed() > LONGEST_REST {
            return;
        }
    }
}

/// Reads and codes the audio and finds the server.
fn ground(common: &Common, notes: &mut Vec<String>, view: &mut View) -> Result<Ground, Failure> {
    let (server, sound) = (&common.server, &common.sound);
    if server.key.is_empty() && server.twilio < 1.0 {
        return Err("no key: set SOTTO_KEY or give --key; `sotto keys create <tenant>` makes one".into());
    }
    if server.twilio > 0.0 && (sound.rate, sound.frame_ms) != (8_000, 20) {
        return Err(
            "calls from Twilio have 8000 samples a second and frames of 20 ms: leave out --rate and --frame-ms".into(),
        );
    }
    let layout = Layout {
        rate: sound.rate,
        coding: sound.coding,
        frame_ms: sound.frame_ms,
        sides: sound.two_sided,
        tapes: usize::from(sound.tapes),
        seconds: sound.tape_length.as_secs().clamp(1, 3600) as u32,
        seed: common.seed,
        twilio: server.twilio > 0.0,
    };
    if layout.frame() as u32 * 1000 != layout.rate * layout.frame_ms {
        return Err(format!(
            "{} ms of {} samples a second are not whole samples; use --frame-ms 20",
            layout.frame_ms, layout.rate
        )
        .into());
    }
    let clips = audio::read(&sound.audio, &sound.corpus, sound.rate)?;
    let (tapes, left_out) = lay_out(&clips, &layout)?;
    let seconds: usize = tapes.iter().map(|tape| tape.frames).sum::<usize>() * sound.frame_ms as usize / 1000;
    view.note(&format!(
        "{} recordings, laid out on {} tapes of {seconds} s in all",
        clips.len() - left_out,
        tapes.len()
    ));
    if left_out > 0 {
        let note = format!(
            "{left_out} recordings were left out: they have another number of channels than --two-sided wants."
        );
        view.note(&note);
        notes.push(note);
    }
    let api = (server.api != "none").then(|| server.api.clone()).filter(|_| !server.key.is_empty());
    let metrics = server.metrics.clone().or_else(|| Some(format!("{}/metrics", api.as_ref()?.trim_end_matches('/'))));
    let metrics = metrics.filter(|metrics| metrics != "none");
    let pid = server.server_pid.or_else(|| listener(address(&server.url)?));
    let http = reqwest::Client::builder().build()?;
    Ok(Ground {
        target: Target { url: server.url.clone(), key: server.key.clone(), api, twilio: twilio(server)? },
        tapes: Arc::new(tapes),
        layout,
        endpoint: Endpoint { silence: server.silence, post_roll: server.post_roll, max_length: server.max_length },
        watched: Watched { http: http.clone(), metrics, pid },
        http,
        objective: common.objective.clone(),
        grace: common.grace,
        twilio: server.twilio,
    })
}

/// Host and port of a WebSocket's URL.
fn address(url: &str) -> Option<std::net::SocketAddr> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?']).next()?;
    let host = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:{}", if scheme == "wss" { 443 } else { 80 })
    };
    host.to_socket_addrs().ok()?.next()
}

fn twilio(server: &options::Server) -> Result<Option<TwilioTarget>, Failure> {
    if server.twilio == 0.0 {
        return Ok(None);
    }
    let (Some(url), Some(token)) = (server.twilio_url.clone(), server.twilio_token.clone()) else {
        return Err(
            "calls from Twilio need --twilio-url and --twilio-token, as they are configured for the tenant".into()
        );
    };
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let host = server.url.split('/').take(3).collect::<Vec<_>>().join("/");
    let connect = server.twilio_connect.clone().unwrap_or_else(|| format!("{host}/{path}"));
    Ok(Some(TwilioTarget { connect, url, token }))
}

fn written(
    common: &Common,
    kind: Kind,
    ground: &Ground,
    runs: Vec<Run>,
    capacity: Option<Capacity>,
    notes: Vec<String>,
) -> Report {
    let at = jiff::Timestamp::now().to_string();
    let sound = &common.sound;
    let sources: Vec<String> = sound.audio.iter().chain(&sound.corpus).map(|path| path.display().to_string()).collect();
    Report {
        version: VERSION,
        kind,
        name: common.name.clone().unwrap_or_else(|| at.split('.').next().unwrap_or_default().to_owned()),
        command: report::command(std::env::args()),
        target: ground.target.url.clone(),
        audio: format!(
            "{}; {} at {} Hz, {} ms a message",
            sources.join(", "),
            sound.coding.name(),
            sound.rate,
            sound.frame_ms
        ),
        // a machine that cannot be described is still one
        machine: machine().ok().and_then(|machine| serde_json::to_value(machine).ok()).unwrap_or_default(),
        objective: common.objective.clone(),
        at,
        capacity,
        runs,
        notes,
    }
}

/// Writes the report and says what came out.
fn finish(common: &Common, report: &Report) -> Result<Outcome, Failure> {
    fs::create_dir_all(&common.out)?;
    let stem = report.at.split('.').next().unwrap_or_default().replace(':', "-");
    let name = common.name.as_ref().map_or_else(|| stem.clone(), |name| name.replace(['/', ' '], "-"));
    let json = common.out.join(format!("{name}.json"));
    fs::write(&json, serde_json::to_string(report)?)?;
    fs::write(json.with_extension("html"), html::page(report))?;
    Ok(Outcome { text: said(report, &json), code: code(report) })
}

fn code(report: &Report) -> Code {
    let Some(run) = report.runs.last() else { return Code::Missed };
    if run.interrupted {
        return Code::Interrupted;
    }
    if let Some(capacity) = &report.capacity {
        // finding a number is what was asked for; whether it is enough is for whoever compares
        return match (capacity.calls, &capacity.ended_early) {
            (_, Some(_)) => Code::LoadToolLate,
            (0, _) => Code::Missed,
            _ => Code::Passed,
        };
    }
    let verdict = &run.verdict;
    if verdict.load_tool_late {
        Code::LoadToolLate
    } else if verdict.faults > 0 {
        Code::Faulty
    } else if !verdict.broken.is_empty() {
        Code::Missed
    } else {
        Code::Passed
    }
}

/// A run in a few lines.
fn summary(run: &Run) -> String {
    use super::figures::{Counted, Timed};
    let times = |timed: Timed| {
        run.latency.get(&timed).filter(|times| times.count > 0).map_or_else(
            || "none".to_owned(),
            |times| format!("p50 {:.0}, p95 {:.0}, p99 {:.0} ms of {}", times.p50, times.p95, times.p99, times.count),
        )
    };
    let mut out = format!(
        "{}: {}\n  calls     {} planned, {} completed, {} refused, {} at once\n  finals    {}\n  partials  {}; gap {}\n",
        run.label,
        if run.verdict.passed() { "kept" } else { "NOT KEPT" },
        run.calls,
        run.count(Counted::CallsCompleted),
        run.count(Counted::CallsRefused),
        run.peak,
        times(Timed::Final),
        times(Timed::Partial),
        times(Timed::PartialGap),
    );
    // writing into a string cannot fail, here and below
    _ = writeln!(
        out,
        "  lateness  {} (sotto-load itself, {:.2} % of frames too late)",
        times(Timed::Lateness),
        run.late_percent()
    );
    if let (Some(load), Some(server)) = (run.load_cores, run.server.as_ref().and_then(|server| server.cores)) {
        let share = run.cpu_share_percent().unwrap_or_default();
        _ = writeln!(out, "  CPU       server {server:.2} cores, sotto-load {load:.3} ({share:.1} % of it)");
    }
    if run.words.words > 0 {
        _ = writeln!(out, "  words     {:.2} % wrong of {}", run.words.percent(), run.words.words);
    }
    for broken in &run.verdict.broken {
        _ = writeln!(out, "  exceeded  {broken}");
    }
    for (fault, count) in &run.faults {
        _ = writeln!(out, "  fault     {}: {count}", fault.name());
    }
    for example in run.examples.iter().take(3) {
        _ = writeln!(out, "            {example}");
    }
    for (why, count) in run.refusals.iter().chain(&run.drops) {
        _ = writeln!(out, "  lost      {why}: {count}");
    }
    if run.verdict.load_tool_late {
        out.push_str("  sotto-load itself was late: these latencies say less of the server than of this machine\n");
    }
    out.trim_end().to_owned()
}

fn said(report: &Report, file: &Path) -> String {
    let mut out = String::new();
    if let Some(capacity) = &report.capacity {
        _ = writeln!(
            out,
            "capacity: {} calls ({} of {} runs kept the objective)",
            capacity.calls, capacity.passed, capacity.runs
        );
        if let Some(failing) = capacity.failing {
            let first =
                capacity.first_limit.first().map_or_else(|| format!("{} faults", capacity.faults), ToString::to_string);
            _ = writeln!(out, "the limit that comes first, with {failing} calls: {first}");
        }
        if let Some(why) = &capacity.ended_early {
            _ = writeln!(out, "the search ended early: {why}");
        }
    } else if let Some(run) = report.main_run() {
        _ = writeln!(out, "{}", summary(run));
    }
    _ = writeln!(out, "written: {} and .html", file.display());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::tests::{report, run};

    #[test]
    fn exit_codes_follow_the_verdict() {
        assert_eq!(code(&report(vec![run(5, 100)])), Code::Passed);
        assert_eq!(code(&report(vec![run(5, 700)])), Code::Missed);
        let mut faulty = run(5, 700);
        faulty.verdict.faults = 1;
        assert_eq!(code(&report(vec![faulty])), Code::Faulty);
        let mut late = run(5, 100);
        late.verdict.load_tool_late = true;
        assert_eq!(code(&report(vec![late])), Code::LoadToolLate);
        let mut search = report(vec![run(5, 100)]);
        search.capacity = Some(Capacity { calls: 5, ..Capacity::default() });
        assert_eq!(code(&search), Code::Passed);
    }

    #[test]
    fn addresses_come_out_of_urls() {
        assert_eq!(address("ws://127.0.0.1:7300/v1/stream").unwrap().port(), 7300);
        assert_eq!(address("wss://127.0.0.1/v1").unwrap().port(), 443);
    }
}
