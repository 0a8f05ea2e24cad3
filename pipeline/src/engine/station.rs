//! The models that two threads share. Each is in one thread's hands at a time; whoever is free takes what is most urgent
//! of what can be done. So everything under way in a decoder shares its passes, and there are half as many models as
//! threads, but for encoders: both threads may encode at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    Heard, Purpose, Reply, Ticket, VoiceRequest,
    schedule::{Class, Schedule},
};
use crate::{
    models::{ModelError, Models},
    recogniser::{Decoder, Encoded, Encoder, Fed, FrontEnd, Moonshine, Tokenizer},
    vad::Vad,
};

/// Seconds of windows that are heard at once: as many as make full batches, few enough that finals need not wait long.
const HEARD: f64 = 8.0;
/// The same of calls that are not live: a live one may have to wait for them.
const HEARD_SPARE: f64 = 2.0;
/// So many windows are enough for a decoder's pass: each reads all weights, for one as for many.
const MATES: usize = 8;
/// Passes over fewer begin so many times as far apart as one takes when there is much to do: meanwhile others join, and a pass
/// over two costs little more than one over one.
const APART: f64 = 2.5;
/// Not further than this, whatever one has taken.
const MOST_APART: Duration = Duration::from_millis(20);
/// No more windows are taken when so many are under way in a decoder.
const LIVE: usize = 64;
/// Windows of calls that are not live join while there are fewer than this, so that passes stay short for live ones.
const SPARE: usize = 16;

/// One recogniser of a station.
pub(super) struct Desk {
    pub about: About,
    pub front_end: Option<FrontEnd>,
    /// Those that no thread has.
    pub encoders: Vec<Encoder>,
    /// How many there are.
    all_encoders: usize,
    pub decoder: Option<Decoding>,
    /// What is encoded next.
    pub fed: Vec<(Fed, Waiting)>,
    /// What joins the next pass.
    pub encoded: Vec<(Encoded, Waiting)>,
    /// Jobs under way in the decoder.
    live: usize,
    /// When its last pass began, and how long that took.
    passed: (Duration, Duration),
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
    pub purpose: Purpose,
    pub class: Class,
    /// Until when it may wait for others to be encoded with.
    pub due: Duration,
    /// Until when it may wait for others to be decoded with.
    pub held: Duration,
}

impl Waiting {
    fn wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

/// A decoder and who waits for what it has under way.
pub(super) struct Decoding {
    pub decoder: Decoder,
    pub waiting: HashMap<u64, Waiting>,
}

impl Desk {
    /// With `more` encoders than the recogniser has by itself.
    fn new(Moonshine { version, tokenizer, front_end, encoder, decoder }: Moonshine, more: Vec<Encoder>) -> Self {
        let mut encoders = more;
        encoders.push(encoder);
        Self {
            about: About { version, tokenizer },
            front_end: Some(front_end),
            all_encoders: encoders.len(),
            encoders,
            decoder: Some(Decoding { decoder, waiting: HashMap::new() }),
            fed: Vec::new(),
            encoded: Vec::new(),
            live: 0,
            passed: Default::default(),
        }
    }

    /// Lets go of everything, since nobody is to wait for it.
    pub fn clear(&mut self) {
        self.fed.clear();
        self.encoded.clear();
        self.decoder = None;
    }

    /// When the next pass may be, if there is something for one.
    fn next_pass(&self, crowded: bool) -> Option<Duration> {
        let (began, took) = self.passed;
        let apart = if crowded { began + took.mul_f64(APART).min(MOST_APART) } else { Duration::ZERO };
        next_pass((self.live, apart), self.encoded.iter().map(|(_, waiting)| waiting.held))
    }

    /// Whether windows may be taken, of so many under way at most. One batch waits for the encoder, and one of finals that
    /// goes past it.
    fn may_feed(&self, class: Class, most: usize) -> bool {
        let room = match class {
            Class::Exact => self.fed.iter().all(|(_, waiting)| waiting.class != Class::Exact),
            Class::Shown | Class::Spare => self.fed.is_empty(),
        };
        room && self.front_end.is_some() && self.live + self.encoded.len() < most
    }

    fn may_encode(&self) -> bool {
        !self.encoders.is_empty() && !self.fed.is_empty()
    }

    /// Whether a thread hears windows now.
    fn hears(&self) -> bool {
        self.front_end.is_none() || self.encoders.len() < self.all_encoders
    }
}

/// Takes what is encoded next, given its class and seconds: finals first, then what came first.
fn next_batch<T>(fed: &mut Vec<T>, about: impl Fn(&T) -> (Class, f64)) -> Vec<T> {
    fed.sort_by_key(|one| about(one).0 != Class::Exact);
    let mut left = HEARD;
    let fits = |one: &&T| {
        let room = left > 0.0;
        left -= about(one).1;
        room
    };
    let count = fed.iter().take_while(fits).count();
    fed.drain(..count).collect()
}

/// When a pass may be with so many under way and others that may be held until then: at once over enough, `apart` from the last
/// when some are under way, else when one of them can wait no longer.
fn next_pass((live, apart): (usize, Duration), held: impl ExactSizeIterator<Item = Duration>) -> Option<Duration> {
    match live {
        _ if live + held.len() >= MATES => Some(Duration::ZERO),
        0 => held.min(),
        _ => Some(apart),
    }
}

/// Work for a thread, with the model that does it.
pub(super) enum Task {
    Voice(Vad, Vec<VoiceRequest>),
    /// For the recogniser of this number.
    Feed(usize, FrontEnd, Vec<(Duration, Ticket)>),
    Encode(usize, Encoder, Vec<(Fed, Waiting)>),
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
    /// For so many threads.
    pub fn new(models: &Models, recognisers: &[&str], threads: usize) -> Result<Self, ModelError> {
        // encoding is most of the work: of two recognisers each thread has an encoder, of one it needs another
        let more = if recognisers.len() == 1 { threads.saturating_sub(1) } else { 0 };
        let desk = |name: &&str| {
            let more = (0..more).map(|_| models.encoder(name)).collect::<Result<_, _>>()?;
            Ok(Desk::new(models.recogniser(name)?, more))
        };
        let desks = recognisers.iter().map(desk).collect::<Result<_, ModelError>>()?;
        Ok(Self { vad: Some(models.vad()?), desks })
    }

    /// Takes windows to be heard of live calls, finals' first; with `alone`, for recognisers with which no other thread hears.
    pub fn hear(&mut self, now: Duration, schedules: &mut [Schedule<Ticket>], alone: bool) -> Option<Task> {
        let desks = self.desks.iter_mut().zip(schedules).enumerate().rev();
        desks.filter(|(_, (desk, _))| !(alone && desk.hears())).find_map(|(index, (desk, schedule))| {
            desk.fed.retain(|(_, waiting)| waiting.wanted());
            let tickets = match desk {
                _ if desk.may_feed(Class::Shown, LIVE) => schedule.take(now, HEARD, wanted),
                _ if desk.may_feed(Class::Exact, LIVE) => schedule.take_of(Class::Exact, now, HEARD, wanted),
                _ => Vec::new(),
            };
            feed(index, desk, tickets).or_else(|| encode(index, desk))
        })
    }

    /// Takes windows of calls that are not live.
    pub fn hear_spare(&mut self, now: Duration, schedules: &mut [Schedule<Ticket>]) -> Option<Task> {
        let desks = self.desks.iter_mut().zip(schedules).enumerate().rev();
        desks.filter(|(_, (desk, _))| desk.may_feed(Class::Spare, SPARE)).find_map(|(index, (desk, schedule))| {
            feed(index, desk, schedule.take_of(Class::Spare, now, HEARD_SPARE, wanted))
        })
    }

    /// Takes what is ready for a pass, if it is time for one; when it is `crowded`, that is later.
    pub fn decode(&mut self, now: Duration, crowded: bool) -> Option<Task> {
        for (index, desk) in self.desks.iter_mut().enumerate().rev() {
            desk.encoded.retain(|(_, waiting)| waiting.wanted());
            if desk.next_pass(crowded).is_some_and(|next| next <= now)
                && let Some(decoding) = desk.decoder.take()
            {
                desk.live += desk.encoded.len();
                desk.passed.0 = now;
                return Some(Task::Decode(index, decoding, std::mem::take(&mut desk.encoded)));
            }
        }
        None
    }

    /// Puts a decoder back after a pass.
    pub fn decoded(&mut self, now: Duration, index: usize, decoding: Decoding) {
        let desk = &mut self.desks[index];
        desk.live = decoding.decoder.live();
        desk.decoder = Some(decoding);
        desk.passed.1 = now.saturating_sub(desk.passed.0);
    }

    /// Who waits for an encoder.
    fn waiting(&self, class: Class) -> impl Iterator<Item = &Waiting> {
        let fed = self.desks.iter().flat_map(|desk| &desk.fed).map(|(_, waiting)| waiting);
        fed.filter(move |waiting| waiting.class == class)
    }

    /// How many wait for an encoder.
    pub fn fed(&self, class: Class) -> usize {
        self.waiting(class).count()
    }

    /// How long they have waited at most, beyond their slack.
    pub fn overdue(&self, class: Class, now: Duration) -> Duration {
        self.waiting(class).map(|waiting| now.saturating_sub(waiting.due)).max().unwrap_or_default()
    }

    /// When there is something to hear or to decode that can be, if anything waits.
    pub fn next(&self, now: Duration, schedules: &[Schedule<Ticket>], crowded: bool) -> Option<Duration> {
        let desks = || self.desks.iter().zip(schedules);
        let live = desks().filter_map(|(desk, schedule)| match desk {
            _ if desk.may_feed(Class::Shown, LIVE) => schedule.next(now),
            _ if desk.may_feed(Class::Exact, LIVE) => schedule.next_of(Class::Exact, now),
            _ => None,
        });
        let spare = desks().filter(|(desk, _)| desk.may_feed(Class::Spare, SPARE));
        let fed = self.desks.iter().any(Desk::may_encode).then_some(now);
        let decoders = self.desks.iter().filter(|desk| desk.decoder.is_some());
        let passes = decoders.filter_map(|desk| desk.next_pass(crowded));
        live.chain(fed).chain(passes).chain(spare.filter_map(|(_, schedule)| schedule.next_of(Class::Spare, now))).min()
    }
}

/// What feeds the stems of windows, if there are any.
fn feed(index: usize, desk: &mut Desk, tickets: Vec<(Duration, Ticket)>) -> Option<Task> {
    if tickets.is_empty() {
        return None;
    }
    desk.front_end.take().map(|front_end| Task::Feed(index, front_end, tickets))
}

/// What encodes the windows whose stems are there, if there are any.
fn encode(index: usize, desk: &mut Desk) -> Option<Task> {
    if !desk.may_encode() {
        return None;
    }
    let about = |(fed, waiting): &(Fed, Waiting)| (waiting.class, fed.seconds());
    desk.encoders.pop().map(|encoder| Task::Encode(index, encoder, next_batch(&mut desk.fed, about)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finals_are_encoded_before_partials_that_came_before() {
        let mut fed: Vec<_> = [
            (Class::Shown, 3.0, "a"),
            (Class::Shown, 3.0, "b"),
            (Class::Exact, 4.0, "c"),
            (Class::Shown, 3.0, "d"),
            (Class::Exact, 3.0, "e"),
        ]
        .into();
        let mut next =
            || next_batch(&mut fed, |&(class, seconds, _)| (class, seconds)).into_iter().map(|(.., name)| name);
        assert_eq!(next().collect::<Vec<_>>(), ["c", "e", "a"]);
        assert_eq!(next().collect::<Vec<_>>(), ["b", "d"]);
        assert_eq!(next().count(), 0);
    }

    #[test]
    fn a_decoder_begins_when_one_can_wait_no_longer_or_enough_wait() {
        let held = |millis: &[u64]| millis.iter().map(|&millis| Duration::from_millis(millis)).collect::<Vec<_>>();
        let apart = Duration::from_millis(9);
        let next = |live, millis: &[u64]| next_pass((live, apart), held(millis).into_iter());
        assert_eq!(next(0, &[]), None);
        assert_eq!(next(0, &[300, 200, 250]), Some(Duration::from_millis(200)));
        // what joins those under way costs no pass of its own
        assert_eq!(next(1, &[300]), Some(apart));
        assert_eq!(next(1, &[]), Some(apart));
        assert_eq!(next(0, &[300; MATES]), Some(Duration::ZERO));
        assert_eq!(next(MATES - 1, &[300]), Some(Duration::ZERO));
    }
}
