//! What a call asks of the recogniser while someone speaks: the next partial, and what the final will be made of.

use std::time::{Duration, Instant};

use super::{
    CallTask,
    finishing::{self, Ahead, InFlight},
    samples,
};
use crate::{
    SPEECH_RATE,
    engine::{Pass, Purpose, Request, Slack},
    settings::EndpointSettings,
};

/// Most seconds that a partial waits for others to share a batch with, and how much of the time between two.
const SLACK: (f64, f64) = (0.25, 0.3);
/// Seconds before its utterance may be over at which a final's window is to be decoded; to be encoded, so much more for
/// each second of it. Not sooner: speech may go on till then, and what was done would be worth nothing.
const AHEAD: (f64, f64) = (0.05, 0.02);

impl CallTask {
    /// Asks about the utterance being spoken what is due: what its final will be made of, or the next partial.
    pub(super) fn roll(&mut self, index: usize) {
        let Some(speaking) = self.slots[index].channel.speaking() else { return };
        let voiced = speaking.voiced_end - speaking.start;
        let heard = speaking.now - speaking.start;
        // what the final will be made of, should nothing more be said
        let whole = voiced + samples(self.settings.endpoint.post_roll);
        let slot = &mut self.slots[index];
        // speech has gone on since
        slot.ahead.take_if(|ahead| ahead.length != whole);
        if heard >= whole && slot.ahead.is_none() {
            let asked = self.ask_ahead(index, speaking.start, whole);
            self.slots[index].ahead = asked;
        }
        if self.settings.partials.enabled && speaking.number.is_some() {
            self.ask_partial(index, speaking.start, (heard, voiced, whole));
        }
    }

    /// Asks what the final will be made of; `None` when that cannot be asked yet, and the end of the utterance asks.
    fn ask_ahead(&self, index: usize, start: usize, whole: usize) -> Option<Ahead> {
        let EndpointSettings { silence, post_roll, padding, max_length, .. } = self.settings.endpoint;
        let (slot, end) = (&self.slots[index], start + whole);
        let said = match &slot.said {
            Some(said) => Some(said.borrow().clone()?),
            None => None,
        };
        let pass = self.engine.finals_pass();
        let job = match said.filter(|said| said.belongs_to(end, samples(max_length))) {
            Some(said) => said.goes_on(slot.channel.sound(said.from..end), &slot.rolling, self.engine.tokenizer(pass)),
            None => slot.rolling.exact(slot.channel.sound(start..end)),
        };
        let left = silence - post_roll - AHEAD.0;
        let encoding = AHEAD.1 * job.length as f64 / f64::from(SPEECH_RATE);
        let slack = Slack { encode: self.slack(left - encoding), decode: self.slack(left) };
        let request = finishing::exact((pass, self.owner), slack, samples(padding), job);
        self.engine.transcribe(request).ok().map(|answer| Ahead { length: whole, answer })
    }

    /// Asks for the next partial if it is due.
    fn ask_partial(&mut self, index: usize, start: usize, (heard, voiced, whole): (usize, usize, usize)) {
        let slot = &self.slots[index];
        if slot.in_flight.is_some() {
            return;
        }
        // a recording's partials do not depend on what else the machine does
        let asked = (self.settings.partials.interval, false);
        let (interval, degraded) = if self.in_step { asked } else { self.engine.cadence(&self.settings.partials) };
        let due = heard / samples(interval) * samples(interval);
        if voiced <= slot.last_window || due <= slot.last_window {
            return;
        }
        let slack = Slack { encode: self.slack(SLACK.0.min(SLACK.1 * interval)), ..Slack::default() };
        let slot = &mut self.slots[index];
        let length = due.min(whole);
        let from = slot.rolling.needs_from().min(length);
        let job = slot.rolling.next(length, slot.channel.sound(start + from..start + length));
        let (purpose, pass, owner) = (Purpose::Partial, Pass::First, self.owner);
        // refused or stopped: the next audio asks again
        if let Ok(answer) = self.engine.transcribe(Request { purpose, pass, owner, slack, job }) {
            slot.last_window = length;
            slot.in_flight = Some(InFlight { length, since: Instant::now(), degraded, answer });
        }
    }

    /// How long work may wait; that of a call whose sound comes faster than it was spoken waits for no mates.
    fn slack(&self, seconds: f64) -> Duration {
        let live = !(self.in_step || self.owner.hurried);
        Duration::from_secs_f64(if live { seconds.max(0.0) } else { 0.0 })
    }
}
