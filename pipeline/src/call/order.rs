//! What has been decided of a call and waits for its text or its turn.
//!
//! **Order.** An event is decided at a media time on one channel. Events leave in the order of those times (ties by
//! channel), once no other channel can decide anything earlier any more; so `seq` depends on the sound alone.

use std::{collections::BTreeMap, ops::Bound};

use sotto_events::{EventBody, Final, MediaTime, SafePoint};

use crate::channel::Utterance;

/// When something was decided, on which channel, and its number.
pub(super) type Key = (MediaTime, u8, u64);

#[derive(Debug)]
pub(super) struct Pending {
    /// `None` when there is nothing to tell, or not yet.
    pub event: Option<EventBody>,
    pub safe: Option<SafePoint>,
    /// Where the utterance lies that this is about.
    pub span: Option<(MediaTime, MediaTime)>,
    /// Where the stretch of speech begins that the utterance belongs to.
    pub begun: MediaTime,
    /// The utterance is in events already.
    pub again: bool,
    pub ready: bool,
}

impl Pending {
    /// Something that waits for its turn alone.
    pub fn decided(event: Option<EventBody>, safe: Option<SafePoint>) -> Self {
        Self { event, safe, span: None, begun: MediaTime::ZERO, again: false, ready: true }
    }

    /// An utterance that waits for its final.
    pub fn utterance(utterance: &Utterance, safe: SafePoint) -> Self {
        let span = Some((utterance.start, utterance.end));
        let (begun, again) = (utterance.stretch, utterance.again);
        Self { event: None, safe: Some(safe), span, begun, again, ready: false }
    }
}

#[derive(Debug, Default)]
pub(super) struct Order {
    pending: BTreeMap<Key, Pending>,
    added: u64,
}

impl Order {
    pub fn add(&mut self, (time, channel): (MediaTime, u8), pending: Pending) -> Key {
        let key = (time, channel, self.added);
        self.added += 1;
        self.pending.insert(key, pending);
        key
    }

    /// What an utterance came to.
    pub fn settle(&mut self, key: Key, event: Option<EventBody>) {
        if let Some(pending) = self.pending.get_mut(&key) {
            (pending.event, pending.ready) = (event, true);
        }
    }

    pub fn get(&self, key: Key) -> Option<&Pending> {
        self.pending.get(&key)
    }

    /// What comes first, if its text is there.
    pub fn first_ready(&self) -> Option<Key> {
        let (&key, pending) = self.pending.first_key_value()?;
        pending.ready.then_some(key)
    }

    pub fn take(&mut self, key: Key) -> Option<Pending> {
        self.pending.remove(&key)
    }

    /// Where the utterances lie that are not told yet.
    pub fn spans(&self) -> impl Iterator<Item = (MediaTime, MediaTime)> {
        self.pending.values().filter(|pending| !pending.again).filter_map(|pending| pending.span)
    }

    /// The next utterance of the same channel, if one begins until `soon`. One that came to no words is passed over.
    pub fn follower(&self, key: Key, soon: MediaTime) -> Option<(Key, &Pending)> {
        let later = self.pending.range((Bound::Excluded(key), Bound::Unbounded));
        let mut same = later.filter(|((_, channel, _), _)| *channel == key.1).map(|(&key, pending)| (key, pending));
        same.find(|(_, pending)| {
            pending.span.is_some_and(|(start, _)| start <= soon) && !(pending.ready && pending.event.is_none())
        })
    }

    /// The finals of a channel that are not told yet, each with where its stretch of speech begins; `None` while one of
    /// them is not made.
    pub fn untold(&self, channel: u8) -> Option<Vec<(MediaTime, &Final)>> {
        let own = |(key, pending): &(&Key, &Pending)| key.1 == channel && pending.span.is_some();
        let mut finals = Vec::new();
        for (_, pending) in self.pending.iter().filter(own) {
            match &pending.event {
                _ if !pending.ready => return None,
                Some(EventBody::Final(made)) => finals.push((pending.begun, made)),
                _ => {}
            }
        }
        Some(finals)
    }
}
