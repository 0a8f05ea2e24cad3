//! What all calls share, and the ear of one: what the server says of a call is checked and timed here, whatever way it
//! came.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    check::{Checker, Fault, HeardFinal, Message},
    figures::{Counted, Figures, Timed},
    pace::Pace,
    shown::Shown,
    tape::{Layout, Tape},
    wheel::Wheel,
    words::{self, Same},
};
use crate::bench::normalise;

/// Seconds after a final within which what is said next may have a say in what is hidden of it: up to six utterances, each
/// within 2.5 s of the one before it.
const LOOKED_AHEAD: f64 = 15.0;

/// Where calls go.
#[derive(Debug, Clone)]
pub struct Target {
    /// Of the native protocol.
    pub url: String,
    pub key: String,
    /// The HTTP API, for events that a resume skips and for following calls from Twilio.
    pub api: Option<String>,
    pub twilio: Option<TwilioTarget>,
}

/// As configured in the server.
#[derive(Debug, Clone)]
pub struct TwilioTarget {
    /// Where to connect.
    pub connect: String,
    /// The URL that is signed.
    pub url: String,
    pub token: String,
}

/// How the server tells that an utterance is over.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Seconds of silence that end it.
    pub silence: f64,
    /// Seconds after the last voiced sound that belong to it.
    pub post_roll: f64,
    /// The longest utterance, in seconds.
    pub max_length: f64,
}

/// What all calls of a run share.
pub struct Stage {
    pub target: Target,
    pub tapes: Arc<Vec<Tape>>,
    pub layout: Layout,
    pub endpoint: Endpoint,
    pub wheel: Arc<Wheel>,
    pub figures: Figures,
    pub same: Same,
    pub http: reqwest::Client,
    /// When the run began.
    pub start: Instant,
    /// How long after its last audio a call may take to end.
    pub grace: Duration,
    /// How long a slow reader does not read.
    pub slow: Duration,
    /// How long a broken call stays away.
    pub away: Duration,
}

/// One call, all decided.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: String,
    pub twilio: bool,
    pub tape: usize,
    /// Frame of the tape that the call begins with.
    pub first: usize,
    pub pace: Pace,
    /// Media times at which the socket is broken, in order, in seconds.
    pub breaks: Vec<f64>,
    /// Media time at which reading stops for a while.
    pub slow: Option<f64>,
}

impl Stage {
    /// Counted from the start of the run.
    pub fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// A request to the API with the key.
    pub fn get(&self, path: &str) -> Option<reqwest::RequestBuilder> {
        let api = self.target.api.as_ref()?;
        Some(self.http.get(format!("{}{path}", api.trim_end_matches('/'))).bearer_auth(&self.target.key))
    }
}

/// Hears one call.
pub struct Ear {
    stage: Arc<Stage>,
    call: Call,
    pub checker: Checker,
    /// What partials have shown of utterances that have no final yet.
    shown: HashMap<(u8, u64), Shown>,
    /// Finals, the last of their channel, that were so long that they may have been cut, and when they came: what comes
    /// next on the channel tells.
    undecided: HashMap<u8, (HeardFinal, Instant)>,
    /// When the server was ready again after a break.
    resumed: Option<Instant>,
    /// Whether the last word of a call is an acknowledgement: over its own socket it is.
    acks: bool,
    ended: bool,
    pub over: bool,
}

impl Ear {
    pub fn new(stage: &Arc<Stage>, call: &Call, acks: bool) -> Self {
        Self {
            checker: Checker::new(stage.layout.rate),
            stage: Arc::clone(stage),
            call: call.clone(),
            shown: HashMap::new(),
            undecided: HashMap::new(),
            resumed: None,
            acks,
            ended: false,
            over: false,
        }
    }

    /// The server is ready for audio from `position` on.
    pub async fn ready(&mut self, message: &Message, again: bool, sent: u64) {
        let now = Instant::now();
        let (position, seq) = (message.position.unwrap_or(0), message.seq.unwrap_or(0));
        if again {
            self.resumed = Some(now);
            self.shown.clear();
            self.stage.figures.count(Counted::Resumes, 1);
        } else {
            let at = self.stage.since(self.call.pace.origin);
            self.stage.figures.time(Timed::Setup, at, now - self.call.pace.origin);
        }
        if let Some(untold) = self.checker.ready(position, seq, sent) {
            let path = format!("/v1/calls/{}/events?limit=1000&after={}", self.call.id, untold.start() - 1);
            if let Some(events) = self.read(&path).await {
                self.checker.read_afterwards(&untold, &events);
                self.ended |= self.checker.has_ended();
            }
        }
    }

    /// `None` when there is no API to read from: then what was skipped is not known and not held against anyone.
    async fn read(&self, path: &str) -> Option<Vec<Message>> {
        #[derive(serde::Deserialize)]
        struct Page {
            events: Vec<Message>,
        }
        let answer = self.stage.get(path)?.send().await.ok()?.error_for_status().ok()?;
        answer.json::<Page>().await.ok().map(|page| page.events)
    }

    /// Anything else the server says; `sent` samples have been sent so far.
    pub fn hear(&mut self, message: &Message, sent: u64) {
        let now = Instant::now();
        match message.kind.as_str() {
            "partial" => self.partial(message, now),
            "ack" => {
                self.checker.ack(message.position.unwrap_or(0), sent);
                self.over = self.ended;
            }
            _ if message.seq.is_some() => {
                let finals = self.checker.finals.len();
                self.checker.event(message);
                if self.checker.finals.len() > finals {
                    self.made(now);
                }
                if message.kind == "ended" {
                    self.ending(now);
                }
            }
            other => self.checker.fault(Fault::NotUnderstood, format!("a message of type {other:?}")),
        }
    }

    /// Times of a slow reader say nothing of the server.
    fn timed(&self) -> bool {
        self.call.slow.is_none()
    }

    fn partial(&mut self, message: &Message, now: Instant) {
        self.checker.partial(message);
        let (Some(channel), Some(utterance), Some(end)) = (message.channel, message.utterance, message.end) else {
            return;
        };
        self.decide(channel, utterance, message.start.unwrap_or(0.0));
        let due = self.call.pace.due_at(end);
        let before = self.shown.get(&(channel, utterance)).map(|shown| shown.last);
        let text = [&message.stable, &message.tail].map(|part| part.as_deref().unwrap_or_default()).join(" ");
        self.shown.entry((channel, utterance)).or_insert_with(|| Shown::new(now)).show(&text, now);
        if self.shown.len() > 16 {
            // those of utterances that turned out to hold no words
            self.shown.retain(|_, shown| now - shown.last < Duration::from_secs(60));
        }
        let caught_up = self.resumed.is_none_or(|resumed| due > resumed);
        let mut figures = self.stage.figures.lock();
        figures.count(Counted::Partials, 1);
        figures.count(Counted::PartialsDegraded, u64::from(message.degraded == Some(true)));
        if self.timed() && caught_up {
            let at = self.stage.since(due);
            figures.time(Timed::Partial, at, now.saturating_duration_since(due));
            if let Some(before) = before {
                figures.time(Timed::PartialGap, at, now - before);
            }
        }
    }

    fn made(&mut self, now: Instant) {
        let Some(made) = self.checker.finals.last().cloned() else { return };
        self.stage.figures.count(Counted::Finals, 1);
        self.words(&made, now);
        self.decide(made.channel, made.utterance, made.start);
        match End::of(&made, &self.stage.endpoint, &self.call.pace) {
            End::Silence => self.ended_in_silence(&made, now),
            End::Stop => {}
            End::Unknown => {
                self.undecided.insert(made.channel, (made, now));
            }
        }
    }

    /// Times the words of a final.
    fn words(&mut self, made: &HeardFinal, now: Instant) {
        let shown = self.shown.remove(&(made.channel, made.utterance)).unwrap_or_else(|| Shown::new(now));
        if !self.timed() {
            return;
        }
        let each =
            made.words.iter().flat_map(|word| normalise::words(&word.text).into_iter().map(|text| (text, word.end)));
        let (words, ends): (Vec<_>, Vec<_>) = each.unzip();
        // every call waits for the figures: nothing is compared while they are held
        let times = shown.times(&words, now);
        let mut figures = self.stage.figures.lock();
        for (end, at) in ends.into_iter().zip(times) {
            let due = self.call.pace.due_at(end);
            if self.resumed.is_none_or(|resumed| due > resumed) {
                figures.time(Timed::Word, self.stage.since(due), at.saturating_duration_since(due));
            }
        }
    }

    /// Something else is being said on the channel, from `start` on: at once after a final that was cut, later after one
    /// that ended in silence. Where a short silence makes both alike it stays unknown.
    fn decide(&mut self, channel: u8, utterance: u64, start: f64) {
        const AT_ONCE: f64 = 0.01;
        let Some((made, came)) = self.undecided.remove(&channel) else { return };
        if made.utterance == utterance {
            self.undecided.insert(channel, (made, came));
        } else if start > made.end + AT_ONCE {
            self.ended_in_silence(&made, came);
        } else {
            self.stage.figures.count(Counted::FinalsUntimed, 1);
        }
    }

    /// Times a final that came at `came`.
    fn ended_in_silence(&mut self, made: &HeardFinal, came: Instant) {
        if !self.agrees(made) {
            self.checker.fault(Fault::Differs, format!("channel {}, utterance {}", made.channel, made.utterance));
        }
        if !self.timed() {
            return;
        }
        let (endpoint, pace) = (&self.stage.endpoint, &self.call.pace);
        let voiced = made.end - endpoint.post_roll;
        let (due, spoken) = (pace.due_at(voiced + endpoint.silence), pace.due_at(voiced));
        let at = self.stage.since(due);
        let mut figures = self.stage.figures.lock();
        match self.resumed {
            Some(resumed) if due <= resumed => {
                figures.time(Timed::FinalAfterResume, at, came.saturating_duration_since(resumed));
            }
            _ => {
                figures.time(Timed::Final, at, came.saturating_duration_since(due));
                figures.time(Timed::FinalAfterSpeech, at, came.saturating_duration_since(spoken));
            }
        }
    }

    /// False when a call with the same sound got something else. What is said next decides what a server hides of a
    /// final, so the last ones of a call are not compared: calls of other lengths may have more sound after them.
    fn agrees(&self, made: &HeardFinal) -> bool {
        if made.end + LOOKED_AHEAD + self.stage.endpoint.max_length > self.call.pace.seconds() {
            return true;
        }
        let place = (self.call.tape, self.call.first, made.channel, made.utterance, self.call.twilio);
        self.stage.same.agrees(place, made)
    }

    fn ending(&mut self, now: Instant) {
        self.ended = true;
        self.over = !self.acks;
        let due = self.call.pace.end();
        let caught_up = self.resumed.is_none_or(|resumed| due > resumed);
        if self.timed() && caught_up {
            self.stage.figures.time(Timed::Ending, self.stage.since(due), now.saturating_duration_since(due));
        }
    }

    /// The call is over: its checks are done, its faults and words counted.
    pub async fn finish(mut self) {
        // nothing was said any more, as it would have been after a cut
        for (_, (made, came)) in std::mem::take(&mut self.undecided) {
            self.ended_in_silence(&made, came);
        }
        let samples = self.acks.then(|| self.call.pace.length());
        self.checker.finish(samples);
        let (figures, call) = (&self.stage.figures, &self.call);
        figures.faults(&call.id, &self.checker.faults);
        if !self.checker.has_ended() {
            return;
        }
        figures.count(Counted::CallsCompleted, 1);
        let said = self.stage.tapes[call.tape].said(call.first, call.pace.frames as usize);
        let frame = call.pace.frame.as_secs_f64();
        let finals = std::mem::take(&mut self.checker.finals);
        // a long call takes a while, and no other may wait for it
        if let Ok(errors) = tokio::task::spawn_blocking(move || words::errors(&said, &finals, frame)).await {
            figures.lock().words += errors;
        }
    }
}

/// How an utterance ended, as far as its final tells.
#[derive(Debug, PartialEq)]
enum End {
    /// In silence.
    Silence,
    /// With the call.
    Stop,
    /// It is so long that it may have been cut, which the wire does not tell.
    Unknown,
}

impl End {
    fn of(made: &HeardFinal, endpoint: &Endpoint, pace: &Pace) -> Self {
        if made.end - endpoint.post_roll + endpoint.silence >= pace.seconds() {
            return Self::Stop;
        }
        // a cut lies in the last quarter of the longest utterance; some room for rolls and whole frames
        if made.end - made.start >= 0.7 * endpoint.max_length { Self::Unknown } else { Self::Silence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_utterance_ends_in_silence_or_with_the_call_or_nobody_knows() {
        let frame = Duration::from_millis(20);
        let pace = Pace { origin: Instant::now(), frame, samples: 160, frames: 500 };
        let endpoint = Endpoint { silence: 0.5, post_roll: 0.3, max_length: 10.0 };
        let made = |start: f64, end: f64| {
            let (text, words) = (String::new(), Vec::new());
            End::of(&HeardFinal { channel: 0, utterance: 1, start, end, text, words }, &endpoint, &pace)
        };
        assert_eq!(made(1.0, 3.0), End::Silence);
        assert_eq!(made(8.0, 9.9), End::Stop);
        assert_eq!(made(1.0, 8.5), End::Unknown);
    }
}
