//! What a call gives out, once it is ready and its turn has come: numbered, redacted and scored.

use sotto_events::{CallEvent, EventBody, Final, Level, MediaTime, Redaction};
use tokio::sync::mpsc;

use super::{
    CallOutput, CallTask, Slot,
    order::{Key, Pending},
};
use crate::redact;

impl CallTask {
    /// Gives out what is ready and whose turn has come.
    pub(super) async fn emit(&mut self, outputs: &mpsc::Sender<CallOutput>, all: bool) {
        let mut events = Vec::new();
        let (mut moved, mut spoken) = (false, false);
        while let Some(key) = self.order.first_ready().filter(|&key| all || self.is_turn(key)) {
            let Some(next) = self.look_ahead(key, all) else { break };
            let Some(pending) = self.order.take(key) else { break };
            if let Some(safe) = pending.safe {
                self.safe[usize::from(key.1)] = safe;
                moved = true;
            }
            match pending.event {
                None => {}
                Some(EventBody::Final(made)) => {
                    let made = self.redact(made, next.as_deref());
                    let moments = self.scoring.add(&made);
                    spoken = true;
                    events.push(self.number(EventBody::Final(made)));
                    for moment in moments {
                        self.engine
                            .metrics()
                            .moments
                            .with_label_values(&[moment.level.map_or("none", Level::name)])
                            .inc();
                        events.push(self.number(EventBody::Moment(moment)));
                    }
                }
                Some(body) => events.push(self.number(body)),
            }
        }
        if moved || !events.is_empty() {
            let record = CallOutput::Record { events, safe: self.safe.clone() };
            drop(outputs.send(record).await);
        }
        if spoken {
            self.tell_scores(outputs).await;
        }
    }

    pub(super) async fn tell_scores(&mut self, outputs: &mpsc::Sender<CallOutput>) {
        let scores = self.scoring.live(self.written_down());
        drop(outputs.send(CallOutput::Scores(Box::new(scores))).await);
    }

    /// Up to here everything that was said is in finals.
    fn written_down(&self) -> MediaTime {
        let open = |slot: &Slot| match slot.channel.speaking() {
            Some(speaking) => slot.channel.media(speaking.start),
            None => slot.channel.watermark(),
        };
        let pending = self.order.spans().map(|(start, _)| start);
        // a channel whose audio has ended waits for nothing more
        let heard = MediaTime::of_sample(self.heard(), self.rate);
        self.slots.iter().map(open).chain(pending).fold(heard, MediaTime::min)
    }

    /// Samples heard of the channel that is furthest.
    pub(super) fn heard(&self) -> u64 {
        self.slots.iter().map(|slot| slot.channel.end()).max().unwrap_or(0)
    }

    fn number(&mut self, body: EventBody) -> CallEvent {
        self.seq += 1;
        self.engine.metrics().events.with_label_values(&[body.kind()]).inc();
        CallEvent { seq: self.seq, body }
    }

    fn redact(&mut self, made: Final, next: Option<&str>) -> Final {
        let made = self.redactor.redact(made, next);
        let metrics = self.engine.metrics();
        for kind in made.words.iter().filter_map(|word| Redaction::of_marker(&word.text)) {
            metrics.redactions.with_label_values(&[kind.name()]).inc();
        }
        made
    }

    /// What follows a final that ends in digits: the text of the next one on its channel, or that there is none. `None`
    /// when that is not known yet. Depends on the sound alone.
    fn look_ahead(&self, key: Key, all: bool) -> Option<Option<String>> {
        let Some(Pending { event: Some(EventBody::Final(made)), .. }) = self.order.get(key) else {
            return Some(None);
        };
        if !self.redactor.is_open(made) {
            return Some(None);
        }
        let soon = MediaTime::from_micros(made.end.micros() + redact::HOLD);
        match self.order.follower(key, soon) {
            Some(pending) if !pending.ready => None,
            Some(Pending { event: Some(EventBody::Final(next)), .. }) => Some(Some(next.text.clone())),
            _ if all => Some(None),
            _ => {
                let slot = self.slots.get(usize::from(key.1))?;
                let speaking = slot.channel.speaking().is_some_and(|now| slot.channel.media(now.start) <= soon);
                (!speaking && slot.channel.watermark() > soon).then_some(None)
            }
        }
    }

    fn is_turn(&self, (time, channel, _): Key) -> bool {
        self.slots.iter().enumerate().all(|(other, slot)| {
            let watermark = slot.channel.watermark();
            other == usize::from(channel) || watermark > time || (watermark == time && other > usize::from(channel))
        })
    }
}
