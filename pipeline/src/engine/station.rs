//! The models that two threads share. Each is in one thread's hands at a time; whoever is free takes what is most urgent
//! of what can be done. So everything under way in a decoder shares its passes, and there are half as many models as
//! threads.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    Heard, Reply, Ticket, VoiceRequest,
    schedule::{Class, Schedule},
};
use crate::{
    models::{ModelError, Models},
    recogniser::{Decoder, Encoded, Encoder, Moonshine, Tokenizer},
    vad::Vad,
};

/// Seconds of windows that are encoded at once: as many as make full batches, few enough that finals need not wait long.
const ENCODED: f64 = 8.0;
/// The same of calls that are not live: a live one may have to wait for them.
const ENCODED_SPARE: f64 = 2.0;
/// So many windows are enough for a decoder to begin: each pass reads all weights, for one as for many.
const MATES: usize = 8;
/// Most windows under way in a decoder.
const LIVE: usize = 64;
/// Windows of calls that are not live join while there are fewer than this, so that passes stay short for live ones.
const SPARE: usize = 16;

/// One recogniser of a station.
pub(super) struct Desk {
    pub about: About,
    pub encoder: Option<Encoder>,
    pub decoder: Option<Decoding>,
    /// What joins the next pass.
    pub encoded: Vec<(Encoded, Waiting)>,
    /// Jobs under way in the decoder.
    live: usize,
}

/// What is the same for all that a recogniser writes.
#[derive(Clone)]
pub(super) struct About {
    pub version: Arc<str>,
    pub tokenizer: Arc<Tokenizer>,
}

/// Who waits for a window.
pub(super) struct Waiting {
    pub reply: Reply<Heard>,
    pub class: Class,
    /// Until when it may wait for others to be decoded with.
    pub held: Duration,
}

/// A decoder and who waits for what it has under way.
pub(super) struct Decoding {
    pub decoder: Decoder,
    pub waiting: HashMap<u64, Waiting>,
}

impl Desk {
    fn new(Moonshine { version, tokenizer, encoder, decoder }: Moonshine) -> Self {
        let decoder = Some(Decoding { decoder, waiting: HashMap::new() });
        let about = About { version, tokenizer };
        Self { about, encoder: Some(encoder), decoder, encoded: Vec::new(), live: 0 }
    }

    /// When the next pass may be, if there is something for one.
    fn next_pass(&self) -> Option<Duration> {
        next_pass(self.live, self.encoded.iter().map(|(_, waiting)| waiting.held))
    }

    fn may_encode(&self, most: usize) -> bool {
        self.encoder.is_some() && self.live + self.encoded.len() < most
    }
}

/// When a pass may be with so many under way and others that may be held until then: at once when some are under way, or
/// enough wait to begin, else when one of them can wait no longer.
fn next_pass(live: usize, held: impl ExactSizeIterator<Item = Duration>) -> Option<Duration> {
    if live > 0 || held.len() >= MATES { Some(Duration::ZERO) } else { held.min() }
}

/// Work for a thread, with the model that does it.
pub(super) enum Task {
    Voice(Vad, Vec<VoiceRequest>),
    /// For the recogniser of this number.
    Encode(usize, Encoder, Vec<(Duration, Ticket)>),
    Decode(usize, Decoding, Vec<(Encoded, Waiting)>),
}

/// Whether someone still waits for it.
fn wanted(ticket: &Ticket) -> bool {
    !ticket.reply.is_closed()
}

pub(super) struct Station {
    pub vad: Option<Vad>,
    /// One for each pass, or one for both.
    pub desks: Vec<Desk>,
}

impl Station {
    pub fn new(models: &Models, recognisers: &[&str]) -> Result<Self, ModelError> {
        let desk = |name: &&str| models.recogniser(name).map(Desk::new);
        Ok(Self { vad: Some(models.vad()?), desks: recognisers.iter().map(desk).collect::<Result<_, _>>()? })
    }

    /// Takes windows to encode, finals' first.
    pub fn encode(&mut self, now: Duration, schedules: &mut [Schedule<Ticket>]) -> Option<Task> {
        self.encode_what(LIVE, schedules, |schedule| schedule.take(now, ENCODED, wanted))
    }

    /// Takes windows of calls that are not live.
    pub fn encode_spare(&mut self, now: Duration, schedules: &mut [Schedule<Ticket>]) -> Option<Task> {
        self.encode_what(SPARE, schedules, |schedule| schedule.take_spare(now, ENCODED_SPARE, wanted))
    }

    fn encode_what(
        &mut self,
        most: usize,
        schedules: &mut [Schedule<Ticket>],
        take: impl Fn(&mut Schedule<Ticket>) -> Vec<(Duration, Ticket)>,
    ) -> Option<Task> {
        for (index, (desk, schedule)) in self.desks.iter_mut().zip(schedules).enumerate().rev() {
            if !desk.may_encode(most) {
                continue;
            }
            let tickets = take(schedule);
            if !tickets.is_empty() {
                return desk.encoder.take().map(|encoder| Task::Encode(index, encoder, tickets));
            }
        }
        None
    }

    /// Takes what is ready for a pass, if it is time for one.
    pub fn decode(&mut self, now: Duration) -> Option<Task> {
        for (index, desk) in self.desks.iter_mut().enumerate().rev() {
            desk.encoded.retain(|(_, waiting)| !waiting.reply.is_closed());
            if desk.next_pass().is_some_and(|next| next <= now)
                && let Some(decoding) = desk.decoder.take()
            {
                desk.live += desk.encoded.len();
                return Some(Task::Decode(index, decoding, std::mem::take(&mut desk.encoded)));
            }
        }
        None
    }

    /// Puts a decoder back after a pass.
    pub fn decoded(&mut self, index: usize, decoding: Decoding) {
        self.desks[index].live = decoding.decoder.live();
        self.desks[index].decoder = Some(decoding);
    }

    /// When there is something to encode or to decode that can be, if anything waits.
    pub fn next(&self, now: Duration, schedules: &[Schedule<Ticket>]) -> Option<Duration> {
        let desks = || self.desks.iter().zip(schedules);
        let live = desks().filter(|(desk, _)| desk.may_encode(LIVE)).filter_map(|(_, schedule)| schedule.next(now));
        let spare = desks().filter(|(desk, _)| desk.may_encode(SPARE));
        let passes = self.desks.iter().filter(|desk| desk.decoder.is_some()).filter_map(|desk| desk.next_pass());
        live.chain(passes).chain(spare.filter_map(|(_, schedule)| schedule.next_spare(now))).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_begins_when_one_can_wait_no_longer_or_enough_wait() {
        let held = |millis: &[u64]| millis.iter().map(|&millis| Duration::from_millis(millis)).collect::<Vec<_>>();
        let next = |live, millis: &[u64]| next_pass(live, held(millis).into_iter());
        assert_eq!(next(0, &[]), None);
        assert_eq!(next(0, &[300, 200, 250]), Some(Duration::from_millis(200)));
        // what joins those under way costs no pass of its own
        assert_eq!(next(1, &[300]), Some(Duration::ZERO));
        assert_eq!(next(1, &[]), Some(Duration::ZERO));
        assert_eq!(next(0, &[300; MATES]), Some(Duration::ZERO));
    }
}
