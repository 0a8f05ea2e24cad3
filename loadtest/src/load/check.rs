//! Whether what came back of one call is what the protocol promises: every kept event once and in order, positions of
//! acknowledgements that make sense, stable text that stays, finals that come before the acknowledgement that covers
//! them, and a proper end.

use std::{collections::HashMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

/// What the server says, as far as it is looked at; of every type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Message {
    #[serde(rename = "type")]
    pub kind: String,
    pub seq: Option<u64>,
    pub position: Option<u64>,
    pub channel: Option<u8>,
    pub utterance: Option<u64>,
    pub start: Option<f64>,
    pub end: Option<f64>,
    pub stable: Option<String>,
    pub tail: Option<String>,
    pub degraded: Option<bool>,
    pub text: Option<String>,
    pub words: Option<Vec<Word>>,
    pub reason: Option<String>,
    pub code: Option<String>,
}

/// A word of a final.
#[derive(Debug, Clone, Deserialize)]
pub struct Word {
    pub text: String,
    pub start: f64,
    pub end: f64,
}

/// A promise that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An event that must have been never came.
    Lost,
    /// An event came twice.
    Doubled,
    /// An event came after one with a greater number.
    OutOfOrder,
    /// Audio was acknowledged that was never sent.
    AckBeyondSent,
    /// An acknowledgement took back an earlier one.
    AckWentBack,
    /// A final came after audio was acknowledged that it belongs to.
    AckBeforeFinal,
    /// The last acknowledgement did not cover the call.
    LastAck,
    /// A resume asked for audio that was acknowledged, so that a client need not have it any more.
    ResumeBeforeAck,
    /// An event was told, and was unknown after a resume.
    Forgotten,
    /// Text that was stable changed.
    StableChanged,
    /// A final without sense: times beyond the call, or a number of an utterance that went back.
    OddFinal,
    /// The recogniser failed, or audio that was sent is said to be missing.
    Gap,
    /// The call ended for another reason than the stop.
    WrongEnd,
    /// The call did not end in time.
    Unfinished,
    /// The same sound gave other words than in another call.
    Differs,
    /// The server said something that is not of the protocol.
    NotUnderstood,
}

impl Fault {
    /// What it is called in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "events lost",
            Self::Doubled => "events doubled",
            Self::OutOfOrder => "events out of order",
            Self::AckBeyondSent => "acks beyond what was sent",
            Self::AckWentBack => "acks that went back",
            Self::AckBeforeFinal => "finals after their ack",
            Self::LastAck => "last acks short of the call",
            Self::ResumeBeforeAck => "resumes before the ack",
            Self::Forgotten => "events forgotten",
            Self::StableChanged => "stable text changed",
            Self::OddFinal => "odd finals",
            Self::Gap => "gaps",
            Self::WrongEnd => "wrong ends",
            Self::Unfinished => "calls unfinished",
            Self::Differs => "same sound, other words",
            Self::NotUnderstood => "messages not understood",
        }
    }
}

/// A final as it was heard.
#[derive(Debug, Clone)]
pub struct HeardFinal {
    pub channel: u8,
    pub utterance: u64,
    pub start: f64,
    pub end: f64,
    pub text: String,
    pub words: Vec<Word>,
}

/// Stable text is remembered of so many utterances that have no final yet; one that never gets any must not stay.
const OPEN_UTTERANCES: usize = 64;

/// Follows one call.
#[derive(Debug)]
pub struct Checker {
    rate: f64,
    /// The greatest number heard.
    seq: u64,
    holes: Vec<RangeInclusive<u64>>,
    acked: u64,
    stable: HashMap<(u8, u64), String>,
    utterances: HashMap<u8, u64>,
    ended: Option<String>,
    pub finals: Vec<HeardFinal>,
    pub faults: Vec<(Fault, String)>,
}

impl Checker {
    /// For a call at `rate` samples a second.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: f64::from(rate),
            seq: 0,
            holes: Vec::new(),
            acked: 0,
            stable: HashMap::new(),
            utterances: HashMap::new(),
            ended: None,
            finals: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// So many of a call are kept; a server that says nothing right must not fill the memory.
    pub fn fault(&mut self, fault: Fault, what: impl Into<String>) {
        const MOST: usize = 1000;
        if self.faults.len() < MOST {
            self.faults.push((fault, what.into()));
        }
    }

    /// The server knows the call up to `position` and `seq`; `sent` samples have been sent so far. Gives the numbers of
    /// events that it has kept and not told.
    pub fn ready(&mut self, position: u64, seq: u64, sent: u64) -> Option<RangeInclusive<u64>> {
        if position > sent {
            self.fault(Fault::AckBeyondSent, format!("ready at {position} of {sent} samples"));
        }
        if position < self.acked {
            self.fault(Fault::ResumeBeforeAck, format!("ready at {position}, acknowledged {}", self.acked));
        }
        // utterances that were open are heard anew
        self.stable.clear();
        if seq < self.seq {
            self.fault(Fault::Forgotten, format!("ready with seq {seq}, heard {}", self.seq));
            return None;
        }
        let untold = (self.seq + 1)..=seq;
        self.seq = seq;
        (!untold.is_empty()).then_some(untold)
    }

    /// Events that were kept and not told, as they were read afterwards.
    pub fn read_afterwards(&mut self, wanted: &RangeInclusive<u64>, events: &[Message]) {
        for number in wanted.clone() {
            match events.iter().find(|event| event.seq == Some(number)) {
                Some(event) => self.take(event),
                None => self.fault(Fault::Lost, format!("event {number}, which a resume skipped, is not kept")),
            }
        }
    }

    /// A kept event.
    pub fn event(&mut self, message: &Message) {
        let Some(seq) = message.seq else {
            return self.fault(Fault::NotUnderstood, format!("{} without seq", message.kind));
        };
        if seq > self.seq {
            if seq > self.seq + 1 {
                self.holes.push(self.seq + 1..=seq - 1);
            }
            self.seq = seq;
        } else if let Some(index) = self.holes.iter().position(|hole| hole.contains(&seq)) {
            let hole = self.holes.swap_remove(index);
            self.holes
                .extend([*hole.start()..=seq - 1, seq + 1..=*hole.end()].into_iter().filter(|rest| !rest.is_empty()));
            self.fault(Fault::OutOfOrder, format!("event {seq} after {}", self.seq));
        } else {
            return self.fault(Fault::Doubled, format!("event {seq} once more"));
        }
        self.take(message);
    }

    fn take(&mut self, message: &Message) {
        match message.kind.as_str() {
            "final" => self.made(message),
            "gap" => {
                let (start, end) = (message.start.unwrap_or(0.0), message.end.unwrap_or(0.0));
                self.fault(Fault::Gap, format!("from {start} to {end} s"));
            }
            "ended" => self.ended = Some(message.reason.clone().unwrap_or_default()),
            _ => {}
        }
    }

    fn made(&mut self, message: &Message) {
        let (Some(channel), Some(utterance), Some(start), Some(end)) =
            (message.channel, message.utterance, message.start, message.end)
        else {
            return self.fault(Fault::NotUnderstood, "a final without its fields");
        };
        let text = message.text.clone().unwrap_or_default();
        if end < start || self.utterances.insert(channel, utterance).is_some_and(|before| before >= utterance) {
            self.fault(Fault::OddFinal, format!("channel {channel}, utterance {utterance}, {start} to {end} s"));
        }
        // times are cut to milliseconds
        if end + 0.001 < self.acked as f64 / self.rate {
            self.fault(Fault::AckBeforeFinal, format!("it ends at {end} s, acknowledged were {} samples", self.acked));
        }
        if let Some(stable) = self.stable.remove(&(channel, utterance)).filter(|stable| !text.starts_with(stable)) {
            self.fault(
                Fault::StableChanged,
                format!("channel {channel}, utterance {utterance}: {} letters were stable", stable.len()),
            );
        }
        let words = message.words.clone().unwrap_or_default();
        self.finals.push(HeardFinal { channel, utterance, start, end, text, words });
    }

    /// What is being said.
    pub fn partial(&mut self, message: &Message) {
        let (Some(channel), Some(utterance), Some(stable)) = (message.channel, message.utterance, &message.stable)
        else {
            return self.fault(Fault::NotUnderstood, "a partial without its fields");
        };
        if stable.is_empty() {
            return;
        }
        let before = self.stable.insert((channel, utterance), stable.clone());
        if before.is_some_and(|before| !stable.starts_with(&before)) {
            self.fault(
                Fault::StableChanged,
                format!("channel {channel}, utterance {utterance}: a partial took it back"),
            );
        }
        if self.stable.len() > OPEN_UTTERANCES {
            self.stable.retain(|(of, number), _| *of != channel || *number + 8 > utterance);
        }
    }

    /// Everything before `position` is durable, it says; `sent` samples have been sent so far.
    pub fn ack(&mut self, position: u64, sent: u64) {
        if position > sent {
            self.fault(Fault::AckBeyondSent, format!("acknowledged {position} of {sent} samples"));
        }
        if position < self.acked {
            self.fault(Fault::AckWentBack, format!("from {} to {position}", self.acked));
        }
        self.acked = self.acked.max(position);
    }

    /// Whether the end of the call was heard.
    pub const fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// The call is over, one way or another. `samples`: how long it was, when its acknowledgements were heard.
    pub fn finish(&mut self, samples: Option<u64>) {
        for hole in std::mem::take(&mut self.holes) {
            self.fault(Fault::Lost, format!("events {} to {}", hole.start(), hole.end()));
        }
        match self.ended.clone() {
            None => self.fault(Fault::Unfinished, "no end was heard"),
            Some(reason) if reason != "stopped" => self.fault(Fault::WrongEnd, reason),
            Some(_) => {
                if let Some(samples) = samples.filter(|samples| *samples != self.acked) {
                    self.fault(Fault::LastAck, format!("{} of {samples} samples", self.acked));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> Message {
        serde_json::from_str(json).unwrap()
    }

    fn event(seq: u64) -> Message {
        Message { kind: "started".to_owned(), seq: Some(seq), ..Message::default() }
    }

    fn ended(seq: u64) -> Message {
        Message { kind: "ended".to_owned(), seq: Some(seq), reason: Some("stopped".to_owned()), ..Message::default() }
    }

    fn made(seq: u64, utterance: u64, start: f64, end: f64, text: &str) -> Message {
        message(&format!(
            r#"{{"type":"final","seq":{seq},"channel":0,"utterance":{utterance},"start":{start},"end":{end},"text":"{text}","words":[]}}"#
        ))
    }

    fn faults(checker: &Checker) -> Vec<Fault> {
        checker.faults.iter().map(|(fault, _)| *fault).collect()
    }

    #[test]
    fn a_call_as_it_should_be_has_no_fault() {
        let mut checker = Checker::new(8_000);
        assert_eq!(checker.ready(0, 0, 0), None);
        checker.event(&event(1));
        checker.partial(&message(r#"{"type":"partial","channel":0,"utterance":1,"stable":"One","tail":"two"}"#));
        checker.event(&made(2, 1, 0.1, 1.2, "One two"));
        checker.ack(9_600, 16_000);
        checker.event(&ended(3));
        checker.ack(16_000, 16_000);
        checker.finish(Some(16_000));
        assert_eq!(checker.faults, []);
    }

    #[test]
    fn lost_doubled_and_disordered_events_are_told_apart() {
        let mut checker = Checker::new(8_000);
        for seq in [1, 2, 2, 6, 4] {
            checker.event(&event(seq));
        }
        checker.event(&ended(7));
        checker.finish(None);
        assert_eq!(faults(&checker), [Fault::Doubled, Fault::OutOfOrder, Fault::Lost, Fault::Lost]);
    }

    #[test]
    fn acks_are_held_against_what_was_sent() {
        let mut checker = Checker::new(8_000);
        checker.ack(160, 320);
        checker.ack(480, 320);
        checker.ack(160, 320);
        assert_eq!(faults(&checker), [Fault::AckBeyondSent, Fault::AckWentBack]);
        checker.event(&ended(1));
        checker.finish(Some(640));
        assert_eq!(faults(&checker).last(), Some(&Fault::LastAck));
    }

    #[test]
    fn a_final_comes_before_its_ack_and_begins_with_what_was_stable() {
        let mut checker = Checker::new(8_000);
        checker.partial(&message(r#"{"type":"partial","channel":0,"utterance":3,"stable":"One two","tail":""}"#));
        checker.ack(16_000, 80_000);
        checker.event(&made(1, 3, 0.5, 1.5, "One to three"));
        assert_eq!(faults(&checker), [Fault::AckBeforeFinal, Fault::StableChanged]);
        checker.event(&made(2, 3, 2.5, 3.5, "again"));
        assert_eq!(faults(&checker).last(), Some(&Fault::OddFinal));
    }

    #[test]
    fn a_resume_goes_on_where_the_acknowledgement_was() {
        let mut checker = Checker::new(8_000);
        checker.event(&event(1));
        checker.ack(8_000, 16_000);
        let untold = checker.ready(8_000, 3, 16_000).unwrap();
        assert_eq!(untold, 2..=3);
        checker.read_afterwards(&untold, &[event(2)]);
        assert_eq!(faults(&checker), [Fault::Lost]);
        checker.event(&event(4));
        checker.ready(4_000, 3, 16_000);
        assert_eq!(faults(&checker)[1..], [Fault::ResumeBeforeAck, Fault::Forgotten]);
    }

    #[test]
    fn a_call_without_its_end_is_not_finished() {
        let mut checker = Checker::new(8_000);
        checker.finish(Some(1));
        assert_eq!(faults(&checker), [Fault::Unfinished]);
    }
}
