//! A report as one page that needs nothing else: no scripts, no fonts, no network.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    figures::{Counted, Timed},
    plot::{Line, plot},
    report::{Distribution, Kind, Report, Run, Window, WindowTimes},
};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}table{border-collapse:collapse;margin:.6rem 0}\
td,th{padding:.2rem .7rem;border-bottom:1px solid #dde2ea;text-align:right}td:first-child,th:first-child{text-align:left}\
.good{color:#17683a}.bad{color:#a81d1d}.verdict{font-size:1.15rem;font-weight:600}svg{max-width:100%;height:auto}\
code{font-size:.85rem;overflow-wrap:anywhere}small{color:#5a6575}";

/// The page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let title = if report.kind == Kind::Capacity { "Capacity" } else { "Load" };
    // writing into a string cannot fail, here and below
    _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}: {name}</title><style>{STYLE}</style><h1>{title}: {name}</h1>",
        name = escaped(&report.name)
    );
    verdict(report, &mut out);
    if let Some(run) = report.main_run() {
        if report.kind == Kind::Capacity {
            levels(report, &mut out);
        }
        latencies(run, &mut out);
        plots(report, run, &mut out);
        checks(run, &mut out);
        counts(run, &mut out);
        server(run, &mut out);
    }
    conditions(report, &mut out);
    out.push_str("</html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn verdict(report: &Report, out: &mut String) {
    if let Some(capacity) = &report.capacity {
        let (calls, runs, passed) = (capacity.calls, capacity.runs, capacity.passed);
        _ = write!(out, "<p class=\"verdict\">{calls} calls keep the objective ({passed} of {runs} runs).</p>");
        if let (Some(failing), limits) = (capacity.failing, &capacity.first_limit) {
            let first = limits.first().map_or_else(|| "a check failed".to_owned(), ToString::to_string);
            _ = write!(out, "<p>{failing} calls do not. The limit that comes first: <b>{}</b>.</p>", escaped(&first));
        }
        if let Some(why) = &capacity.ended_early {
            _ = write!(out, "<p class=\"bad\">{}</p>", escaped(why));
        }
        return;
    }
    let Some(run) = report.main_run() else { return };
    let verdict = &run.verdict;
    let (class, text) =
        if verdict.passed() { ("good", "The objective was kept.") } else { ("bad", "The objective was not kept.") };
    _ = write!(out, "<p class=\"verdict {class}\">{text}</p><ul>");
    for broken in &verdict.broken {
        _ = write!(out, "<li class=\"bad\">{}</li>", escaped(&broken.to_string()));
    }
    if verdict.faults > 0 {
        _ = write!(out, "<li class=\"bad\">{} promises of the protocol were not kept, see below</li>", verdict.faults);
    }
    if verdict.load_tool_late {
        _ = write!(
            out,
            "<li class=\"bad\">sotto-load itself was late with {:.2} % of its frames: latencies say less of the server than of \
             this machine</li>",
            run.late_percent()
        );
    }
    if run.interrupted {
        out.push_str("<li>The run was interrupted.</li>");
    }
    out.push_str("</ul>");
}

fn row(out: &mut String, head: &str, cells: &[String]) {
    _ = write!(out, "<tr><td>{}</td>", escaped(head));
    for cell in cells {
        _ = write!(out, "<td>{}</td>", escaped(cell));
    }
    out.push_str("</tr>");
}

fn head(out: &mut String, names: &[&str]) {
    out.push_str("<table><tr>");
    for name in names {
        _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr>");
}

fn levels(report: &Report, out: &mut String) {
    out.push_str("<h2>The search</h2>");
    head(out, &["calls", "final p50", "p95", "p99", "partial gap p95", "server cores", "kept", "what was exceeded"]);
    for run in &report.runs {
        let of = |timed: Timed, which: fn(&Distribution) -> f64| {
            run.latency
                .get(&timed)
                .filter(|times| times.count > 0)
                .map_or_else(|| "–".to_owned(), |times| format!("{:.0}", which(times)))
        };
        let cores = run.server.as_ref().and_then(|server| server.cores);
        let why = run.verdict.broken.first().map(|broken| broken.limit.clone());
        let why = why.or_else(|| (run.verdict.faults > 0).then(|| "checks".to_owned()));
        let why = why.or_else(|| run.verdict.load_tool_late.then(|| "sotto-load was late".to_owned()));
        row(
            out,
            &run.calls.to_string(),
            &[
                of(Timed::Final, |times| times.p50),
                of(Timed::Final, |times| times.p95),
                of(Timed::Final, |times| times.p99),
                of(Timed::PartialGap, |times| times.p95),
                cores.map_or_else(|| "–".to_owned(), |cores| format!("{cores:.2}")),
                if run.verdict.passed() { "yes" } else { "no" }.to_owned(),
                why.unwrap_or_default(),
            ],
        );
    }
    out.push_str("</table><p><small>Milliseconds.</small></p>");
}

fn latencies(run: &Run, out: &mut String) {
    _ = write!(
        out,
        "<h2>Latency</h2><p><small>Milliseconds, from when a thing was due{}.</small></p>",
        if run.label.is_empty() { String::new() } else { format!(", {}", escaped(&run.label)) }
    );
    head(out, &["", "count", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    for timed in Timed::ALL {
        let Some(times) = run.latency.get(&timed).filter(|times| times.count > 0) else { continue };
        let shown =
            [times.p50, times.p90, times.p95, times.p99, times.p999, times.max].map(|value| format!("{value:.0}"));
        row(out, timed.name(), &[&[times.count.to_string()], &shown[..]].concat());
    }
    out.push_str("</table>");
}

fn figure(out: &mut String, title: &str, svg: Option<String>) {
    if let Some(svg) = svg {
        _ = write!(out, "<h2>{title}</h2>{svg}");
    }
}

fn plots(report: &Report, run: &Run, out: &mut String) {
    let limit = Some(("limit of finals' p95", report.objective.final_p95_ms));
    figure(out, "Latency against load", against_load(report, run, limit));
    figure(out, "CPU against calls", cpu(report));
    let over = |timed: Timed, which: fn(&WindowTimes) -> f64, name: &str| Line {
        name: format!("{} {name}", timed.name()),
        points: run
            .windows
            .iter()
            .filter_map(|window| Some((window.seconds, which(window.latency.get(&timed)?))))
            .collect(),
        joined: true,
    };
    let lines = [
        over(Timed::Final, |times| times.p50, "p50"),
        over(Timed::Final, |times| times.p95, "p95"),
        over(Timed::Partial, |times| times.p95, "p95"),
    ];
    figure(out, "Latency over the run", plot(("seconds", "ms"), &lines, limit));
    let shares = |timed: Timed| {
        let times = run.latency.get(&timed).filter(|times| times.count > 0)?;
        let mut below = 0;
        let points = times.bars.iter().map(|(value, count)| {
            below += count;
            (*value as f64 / 1e3, 100.0 * below as f64 / times.count as f64)
        });
        Some(Line { name: timed.name().to_owned(), points: points.collect(), joined: true })
    };
    let lines: Vec<Line> = [Timed::Final, Timed::Partial, Timed::FinalAfterSpeech, Timed::Word, Timed::Lateness]
        .into_iter()
        .filter_map(shares)
        .collect();
    figure(out, "How many come within", plot(("ms", "%"), &lines, None));
    let calls = Line {
        name: "calls on air".to_owned(),
        points: run.samples.iter().map(|sample| (sample.seconds, sample.calls as f64)).collect(),
        joined: true,
    };
    figure(out, "Calls over the run", plot(("seconds", "calls"), &[calls], None));
}

/// Of a search a point a number of calls (the middle one of its runs); of a single run a point a stretch of it.
fn against_load(report: &Report, run: &Run, limit: Option<(&str, f64)>) -> Option<String> {
    let searched = report.runs.len() > 1;
    let mut levels: BTreeMap<usize, Vec<[f64; 3]>> = BTreeMap::new();
    for run in report.runs.iter().filter(|_| searched) {
        if let Some(times) = run.latency.get(&Timed::Final).filter(|times| times.count > 0) {
            levels.entry(run.calls).or_default().push([times.p50, times.p95, times.p99]);
        }
    }
    let lines = ["p50", "p95", "p99"].into_iter().enumerate().map(|(index, name)| {
        let points = if searched {
            let middle = |runs: &Vec<[f64; 3]>| {
                let mut values: Vec<f64> = runs.iter().map(|run| run[index]).collect();
                values.sort_by(f64::total_cmp);
                values[values.len() / 2]
            };
            levels.iter().map(|(calls, runs)| (*calls as f64, middle(runs))).collect()
        } else {
            let of = |window: &Window| {
                let times = window.latency.get(&Timed::Final).filter(|_| window.calls > 0)?;
                Some((window.calls as f64, [times.p50, times.p95, times.p99][index]))
            };
            run.windows.iter().filter_map(of).collect()
        };
        Line { name: format!("final {name}"), points, joined: searched }
    });
    plot(("calls on air", "ms"), &lines.collect::<Vec<_>>(), limit)
}

fn cpu(report: &Report) -> Option<String> {
    let of = |name: &str, which: fn(&super::server::Sample) -> Option<f64>| Line {
        name: name.to_owned(),
        points: report
            .runs
            .iter()
            .flat_map(|run| &run.samples)
            .filter_map(|sample| Some((sample.calls as f64, which(sample)?)))
            .collect(),
        joined: false,
    };
    let lines = [of("server", |sample| sample.server_cores), of("sotto-load", |sample| sample.load_cores)];
    plot(("calls on air", "cores used"), &lines, None)
}

fn checks(run: &Run, out: &mut String) {
    out.push_str("<h2>Checks</h2>");
    if run.faults.is_empty() {
        out.push_str("<p class=\"good\">Every event came once and in order, every acknowledgement made sense.</p>");
    } else {
        head(out, &["promise not kept", "times"]);
        for (fault, times) in &run.faults {
            row(out, fault.name(), &[times.to_string()]);
        }
        out.push_str("</table><ul>");
        for example in &run.examples {
            _ = write!(out, "<li><code>{}</code></li>", escaped(example));
        }
        out.push_str("</ul>");
    }
    if run.words.words > 0 {
        let (words, percent) = (run.words, run.words.percent());
        _ = write!(out, "<p>Words: {percent:.2} % wrong ({} of {}).</p>", words.errors, words.words);
    } else {
        out.push_str("<p>Words: no references to compare with.</p>");
    }
}

fn counts(run: &Run, out: &mut String) {
    out.push_str("<h2>Counts</h2>");
    head(out, &["", ""]);
    row(out, "calls planned", &[run.calls.to_string()]);
    row(out, "at once, at most", &[run.peak.to_string()]);
    for (counted, count) in run.counts.iter().filter(|(_, count)| **count > 0) {
        row(out, counted.name(), &[count.to_string()]);
    }
    for (why, times) in &run.refusals {
        row(out, &format!("refused: {why}"), &[times.to_string()]);
    }
    for (why, times) in &run.drops {
        row(out, &format!("dropped: {why}"), &[times.to_string()]);
    }
    if let Some(drift) = run.drift_ms {
        row(out, "drift of the median", &[format!("{drift:+.0} ms")]);
    }
    let late = run.count(Counted::Frames) > 0;
    row(
        out,
        "frames that sotto-load sent late",
        &[if late { format!("{:.3} %", run.late_percent()) } else { "–".to_owned() }],
    );
    if let Some(cores) = run.load_cores {
        row(out, "cores used by sotto-load", &[format!("{cores:.3}")]);
    }
    if let Some(share) = run.cpu_share_percent() {
        row(out, "of what the server used", &[format!("{share:.1} %")]);
    }
    out.push_str("</table>");
}

fn server(run: &Run, out: &mut String) {
    let Some(server) = &run.server else { return };
    out.push_str("<h2>The server's own view</h2><p>");
    if let Some(cores) = server.cores {
        _ = write!(out, "{cores:.2} cores over {:.0} s. ", server.seconds);
    }
    if let Some(memory) = server.memory_bytes {
        _ = write!(out, "{:.0} MB of memory at the end.", memory as f64 / 1e6);
    }
    out.push_str("</p>");
    if !server.timed.is_empty() {
        head(out, &["histogram", "count", "p50", "p95", "p99"]);
        for (name, times) in &server.timed {
            let shown = [times.p50, times.p95, times.p99].map(|value| format!("{value:.4}"));
            row(out, name, &[&[times.count.to_string()], &shown[..]].concat());
        }
        out.push_str("</table><p><small>In the server's units (seconds, mostly), from its buckets.</small></p>");
    }
    if !server.counted.is_empty() {
        head(out, &["counter", "rose by"]);
        for (name, by) in &server.counted {
            row(out, name, &[format!("{by:.0}")]);
        }
        out.push_str("</table>");
    }
}

fn conditions(report: &Report, out: &mut String) {
    out.push_str("<h2>Conditions</h2>");
    head(out, &["", ""]);
    row(out, "at", std::slice::from_ref(&report.at));
    row(out, "server", std::slice::from_ref(&report.target));
    row(out, "audio", std::slice::from_ref(&report.audio));
    let machine =
        |name: &str| report.machine.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
    row(out, "machine of sotto-load", &[format!("{}, {} cores", machine("processor"), machine("cores"))]);
    let objective = &report.objective;
    let limits = format!(
        "final p95 {:.0} ms, gap between partials p95 {:.0} ms, drift {:.0} ms, refused {}, dropped {}",
        objective.final_p95_ms, objective.partial_gap_p95_ms, objective.drift_ms, objective.refused, objective.dropped
    );
    row(out, "objective", &[limits]);
    _ = write!(out, "</table><p><code>{}</code></p>", escaped(&report.command));
    for note in &report.notes {
        _ = write!(out, "<p>{}</p>", escaped(note));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{
        capacity::Capacity,
        report::tests::{report, run},
    };

    #[test]
    fn a_page_holds_the_plots_and_nothing_from_elsewhere() {
        let page = page(&report(vec![run(10, 100)]));
        for wanted in ["The objective was kept", "Latency against load", "CPU against calls", "a &lt;test&gt;", "p99.9"]
        {
            assert!(page.contains(wanted), "{wanted}");
        }
        for foreign in ["<script", "href=", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_search_says_which_limit_came_first() {
        let mut report = report(vec![run(10, 100), run(20, 600)]);
        report.kind = Kind::Capacity;
        let first_limit = report.runs[1].verdict.broken.clone();
        report.capacity =
            Some(Capacity { calls: 10, runs: 3, passed: 3, failing: Some(20), first_limit, ..Capacity::default() });
        let page = page(&report);
        assert!(page.contains("10 calls keep the objective (3 of 3 runs)"), "{page}");
        assert!(page.contains("The limit that comes first: <b>final latency p95"), "{page}");
    }
}
