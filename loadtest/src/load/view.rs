//! The run as it goes, in the terminal. Without one, a line now and then and no control characters.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

use crossterm::{
    cursor::MoveToPreviousLine,
    queue,
    terminal::{Clear, ClearType, size},
};

use super::{
    figures::{Counted, Inner, Timed},
    server::Sample,
};

const ON_A_TERMINAL: Duration = Duration::from_millis(250);
const ELSEWHERE: Duration = Duration::from_secs(10);

/// Where the run stands.
pub struct Now<'a> {
    pub label: &'a str,
    pub seconds: f64,
    pub span: f64,
    pub calls: usize,
    pub planned: usize,
    pub figures: &'a Inner,
    pub sample: Option<Sample>,
}

/// Shows it.
pub struct View {
    quiet: bool,
    terminal: bool,
    last: Option<Instant>,
    /// Lines that the next picture replaces.
    lines: u16,
}

impl View {
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: stderr().is_terminal(), last: None, lines: 0 }
    }

    /// A sentence that stays.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            self.lines = 0;
            // who does not read it does not miss it
            drop(writeln!(stderr(), "{text}"));
        }
    }

    /// Whether it is time for the next picture.
    pub fn is_due(&self) -> bool {
        let every = if self.terminal { ON_A_TERMINAL } else { ELSEWHERE };
        !self.quiet && self.last.is_none_or(|last| last.elapsed() >= every)
    }

    pub fn show(&mut self, now: &Now<'_>) {
        self.last = Some(Instant::now());
        let lines = if self.terminal { picture(now) } else { vec![line(now)] };
        let width = size().map_or(100, |(columns, _)| usize::from(columns));
        let mut out = stderr().lock();
        if self.lines > 0 {
            drop(queue!(out, MoveToPreviousLine(self.lines), Clear(ClearType::FromCursorDown)));
        }
        for line in &lines {
            let line: String =
                if self.terminal { line.chars().take(width.saturating_sub(1)).collect() } else { line.clone() };
            drop(writeln!(out, "{line}"));
        }
        drop(out.flush());
        self.lines = if self.terminal { lines.len() as u16 } else { 0 };
    }

    /// What comes next does not replace the last picture.
    pub fn keep(&mut self) {
        self.lines = 0;
    }
}

fn percentiles(figures: &Inner, timed: Timed) -> String {
    match figures.totals.get(&timed).filter(|times| !times.is_empty()) {
        None => "–".to_owned(),
        Some(times) => {
            let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
            format!("{:.0} / {:.0} / {:.0} ms", at(0.5), at(0.95), at(0.99))
        }
    }
}

fn count(figures: &Inner, counted: Counted) -> u64 {
    figures.counts.get(&counted).copied().unwrap_or(0)
}

fn line(now: &Now<'_>) -> String {
    let (figures, faults) = (now.figures, now.figures.faults.values().sum::<u64>());
    format!(
        "{} {:.0} of {:.0} s, {} calls, finals {}, partials {}, refused {}, dropped {}, faults {faults}{}",
        now.label,
        now.seconds,
        now.span,
        now.calls,
        percentiles(figures, Timed::Final),
        percentiles(figures, Timed::Partial),
        count(figures, Counted::CallsRefused),
        count(figures, Counted::SocketsDropped),
        late(figures),
    )
}

fn late(figures: &Inner) -> String {
    let (late, all) = (count(figures, Counted::FramesLate), count(figures, Counted::Frames));
    let percent = 100.0 * late as f64 / all.max(1) as f64;
    if percent > 1.0 { format!(", SOTTO-LOAD ITSELF IS LATE with {percent:.1} % of its frames") } else { String::new() }
}

fn picture(now: &Now<'_>) -> Vec<String> {
    const WIDTH: usize = 30;
    let figures = now.figures;
    let done = ((now.seconds / now.span.max(0.1)).clamp(0.0, 1.0) * WIDTH as f64) as usize;
    let bar = format!("{}{}", "█".repeat(done), "░".repeat(WIDTH - done));
    let cores = |cores: Option<f64>| cores.map_or_else(|| "–".to_owned(), |cores| format!("{cores:.2}"));
    let sample = now.sample.clone().unwrap_or_default();
    let memory =
        sample.server_memory_bytes.map_or_else(|| "–".to_owned(), |bytes| format!("{:.0} MB", bytes as f64 / 1e6));
    vec![
        format!("{} {bar} {:.0} of {:.0} s", now.label, now.seconds, now.span),
        format!(
            "calls       {} on air, {} of {} begun, {} refused, {} sockets dropped, {} resumed",
            now.calls,
            count(figures, Counted::CallsStarted),
            now.planned,
            count(figures, Counted::CallsRefused),
            count(figures, Counted::SocketsDropped),
            count(figures, Counted::Resumes),
        ),
        format!(
            "finals      {}   (p50 / p95 / p99 of {})",
            percentiles(figures, Timed::Final),
            count(figures, Counted::Finals)
        ),
        format!(
            "partials    {}   gap {}",
            percentiles(figures, Timed::Partial),
            percentiles(figures, Timed::PartialGap)
        ),
        format!(
            "server      {} cores, {memory}   sotto-load {} cores, sends late by {}{}",
            cores(sample.server_cores),
            cores(sample.load_cores),
            percentiles(figures, Timed::Lateness),
            late(figures)
        ),
        format!("faults      {}", figures.faults.values().sum::<u64>()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::figures::Figures;

    #[test]
    fn a_line_is_plain_and_says_when_the_tool_is_late() {
        let span = Duration::from_secs(10);
        let figures = Figures::new(span, Duration::ZERO..span, Duration::from_millis(20)).unwrap();
        figures.count(Counted::Frames, 100);
        figures.count(Counted::FramesLate, 7);
        figures.time(Timed::Final, Duration::ZERO, Duration::from_millis(120));
        let inner = figures.lock();
        let now = Now { label: "x", seconds: 5.0, span: 10.0, calls: 3, planned: 4, figures: &inner, sample: None };
        let text = line(&now);
        assert!(
            text.contains("finals 120 / 120 / 120 ms") && text.contains("SOTTO-LOAD ITSELF IS LATE with 7.0 %"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
        assert_eq!(picture(&now).len(), 6);
    }
}
