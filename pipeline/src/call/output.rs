//! What a call gives out, once it is ready and its turn has come: numbered, redacted and scored.

use sotto_events::{CallEvent, EventBody, Final, Level, MediaTime, Redaction};
use tokio::sync::mpsc;

use super::{
    CallOutput, CallTask, Slot,
    order::{Key, Pending},
};
use crate::{
    channel::Speaking,
    redact::{Around, Following},
};

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
                moved |= !pending.again;
            }
            match pending.event {
                None => {}
                Some(EventBody::Final(made)) => {
                    let (index, begun, pause) = (usize::from(key.1), pending.begun, self.context_pause());
                    if pending.again {
                        self.slots[index].told.add(begun, pause, &made, &made.text);
                        continue;
                    }
                    let mut told = std::mem::take(&mut self.slots[index].told);
                    let heard = made.clone();
                    let made =
                        self.redact(made, Around { before: told.before(begun, heard.start, pause), after: &next });
                    told.add(begun, pause, &heard, &made.text);
                    self.slots[index].told = told;
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
            Some(Speaking { number: Some(_), start, .. }) => slot.channel.media(start),
            _ => slot.channel.judged(),
        };
        let pending = self.order.spans().map(|(start, _)| start);
        // a channel whose audio has ended waits for nothing more
        let heard = MediaTime::of_sample(self.heard(), self.rate);
        self.slots.iter().map(open).chain(pending).fold(heard, MediaTime::min)
    }

    /// Samples heard of the channel that is furthest.
    pub(super) fn heard(&self) -> u64 {
        let ends = self.slots.iter().map(|slot| slot.channel.end());
        // of a call that is taken up nothing may have been heard again yet
        ends.chain(self.safe.iter().map(|safe| safe.told)).max().unwrap_or(0)
    }

    fn number(&mut self, body: EventBody) -> CallEvent {
        self.seq += 1;
        self.engine.metrics().events.with_label_values(&[body.kind()]).inc();
        CallEvent { seq: self.seq, body }
    }

    fn redact(&mut self, made: Final, around: Around<'_>) -> Final {
        let made = self.redactor.redact(made, around);
        let metrics = self.engine.metrics();
        for kind in made.words.iter().filter_map(|word| Redaction::of_marker(&word.text)) {
            metrics.redactions.with_label_values(&[kind.name()]).inc();
        }
        made
    }

    fn context_pause(&self) -> MediaTime {
        MediaTime::from_micros((self.settings.endpoint.context_pause * 1e6) as u64)
    }

    /// What was said before what is being spoken, from `start` on in the stretch that begins at `stretch`; `None` while not
    /// all of it is known.
    pub(super) fn before(&self, index: usize, stretch: MediaTime, start: MediaTime) -> Option<String> {
        let (mut told, pause) = (self.slots[index].told.clone(), self.context_pause());
        for (begun, made) in self.order.untold(index as u8)? {
            told.add(begun, pause, made, &made.text);
        }
        Some(told.before(stretch, start, pause).to_owned())
    }

    /// What follows a final that ends in what may be the beginning of something hidden, on its channel, as far as that
    /// decides; nothing after others. `None` when that is not known yet. Depends on the sound alone.
    fn look_ahead(&self, key: Key, all: bool) -> Option<String> {
        let Some(Pending { event: Some(EventBody::Final(made)), begun, again: false, .. }) = self.order.get(key) else {
            return Some(String::new());
        };
        let slot = self.slots.get(usize::from(key.1))?;
        let before = slot.told.before(*begun, made.start, self.context_pause());
        let mut last = key;
        self.redactor.after(made, before, |soon| match self.order.follower(last, soon) {
            Some((_, pending)) if !pending.ready => Following::Unknown,
            Some((key, Pending { event: Some(EventBody::Final(next)), .. })) => {
                last = key;
                Following::Said(next)
            }
            _ if !all && slot.channel.earliest() <= soon => Following::Unknown,
            _ => Following::Nothing,
        })
    }

    fn is_turn(&self, (time, channel, _): Key) -> bool {
        self.slots.iter().enumerate().all(|(other, slot)| {
            let watermark = slot.channel.watermark();
            other == usize::from(channel) || watermark > time || (watermark == time && other > usize::from(channel))
        })
    }
}
