//! Live events as server-sent events: first what is kept, then what comes, without a hole between.

use std::{collections::VecDeque, sync::Arc};

use axum::response::sse::Event;
use sotto_events::{CallEvent, CallId, EventBody, LiveScores, TenantId};
use sotto_storage::{
    LiveUpdate, Reader,
    bus::{Live, ON_AIR},
    envelope::Key,
    vault::CallState,
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::sse::{Source, data};

const PAGE: usize = 500;

/// Events of one call with `seq` greater than a number, and partials and scores as they come, until the call ends.
pub struct Follow {
    reader: Reader,
    tenant: TenantId,
    call: CallId,
    key: Key,
    live: Receiver<Arc<Live>>,
    /// Last `seq` told.
    seq: u64,
    waiting: VecDeque<CallEvent>,
    reread: bool,
    /// The call had ended before the rows were last read: nothing will come that they do not hold.
    ended: bool,
    over: bool,
    /// How the call stands, to be told once what is kept has been.
    scores: Option<Box<LiveScores>>,
}

impl Follow {
    /// # Errors
    /// As [`Reader::events`].
    pub async fn open(reader: Reader, tenant: TenantId, call: CallId, after: u64) -> sotto_storage::Result<Self> {
        // watching begins before reading, so that nothing falls between
        let live = reader.watch();
        let key = reader.key(&tenant, &call).await?;
        Ok(Self {
            reader,
            tenant,
            call,
            key,
            live,
            seq: after,
            waiting: VecDeque::new(),
            reread: true,
            ended: false,
            over: false,
            scores: None,
        })
    }

    /// Also tells how the call stands now, without waiting for the next final.
    #[must_use]
    pub fn with_scores(self, scores: Option<Box<LiveScores>>) -> Self {
        Self { scores, ..self }
    }

    /// The call has ended and everything was told.
    pub fn is_over(&self) -> bool {
        self.over || (self.ended && !self.reread)
    }

    fn unseal(&self, live: &Live) -> Option<LiveUpdate> {
        Reader::open(&self.key, live).inspect_err(|error| tracing::error!(%error, "a live update does not open")).ok()
    }

    fn tell(&mut self, event: &CallEvent) -> Event {
        self.seq = event.seq;
        self.over = matches!(event.body, EventBody::Ended { .. });
        data(event.body.kind(), event).id(event.seq.to_string())
    }
}

impl Source for Follow {
    /// The next event; none when the call is over or cannot be read.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(self.tell(&event));
            }
            if self.is_over() {
                return None;
            }
            if self.reread {
                self.reader.settled(&self.tenant, &self.call).await.ok()?;
                self.ended = self.reader.call(&self.tenant, &self.call).await.ok()?.state != CallState::Open;
                let events = self.reader.events(&self.tenant, &self.call, self.seq, PAGE).await.ok()?;
                self.reread = events.len() == PAGE;
                self.waiting.extend(events);
                continue;
            }
            if let Some(scores) = self.scores.take() {
                return Some(data("scores", &scores));
            }
            match self.live.recv().await {
                Ok(live) if live.kind == ON_AIR => {}
                Ok(live) if live.call == self.call && live.tenant == self.tenant => match self.unseal(&live) {
                    Some(LiveUpdate::Partial(partial)) => {
                        return Some(data("partial", &partial));
                    }
                    Some(LiveUpdate::Scores(scores)) => {
                        return Some(data("scores", &scores));
                    }
                    Some(LiveUpdate::Event(event)) if Some(event.seq) == self.seq.checked_add(1) => {
                        return Some(self.tell(&event));
                    }
                    // seen already, or something was missed that the rows have
                    Some(LiveUpdate::Event(event)) => self.reread = event.seq > self.seq,
                    None => {}
                },
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    self.reader.count_missed(missed);
                    self.reread = true;
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use prometheus::Registry;
    use sotto_events::{AudioFormat, ChannelRole, Clock, Encoding, EndReason, MediaTime, StartedCall};
    use sotto_storage::{
        NewCall, Recorder, RetentionPolicies, StorageMetrics,
        bus::{Bus, embedded::EmbeddedBus},
        clock::SystemClock,
        keys::{FileRoot, KeyRing},
        vault::{Vault, embedded::EmbeddedVault},
        writer::Writer,
    };

    use super::*;

    /// Events are told when they are on the bus; their rows come later.
    #[tokio::test]
    async fn a_call_is_told_to_its_end_though_its_rows_come_late() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let metrics = StorageMetrics::new(&Registry::new()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::open(&at("bus.db"), &metrics).await.unwrap());
        let vault: Arc<dyn Vault> = Arc::new(EmbeddedVault::open(&at("vault.db"), &metrics).unwrap());
        let root = Box::new(FileRoot::open(&at("root.key"), true).unwrap());
        let ring = Arc::new(KeyRing::new(root, Arc::clone(&vault)));
        let policies = RetentionPolicies::default();
        let parts = (Arc::clone(&bus), Arc::clone(&vault));
        let recorder =
            Recorder::new(parts.0, parts.1, Arc::clone(&ring), Arc::clone(&clock), policies, metrics.clone());
        let reader = Reader::new(Arc::clone(&bus), Arc::clone(&vault), ring, clock, metrics.clone());
        let (tenant, call): (TenantId, CallId) = ("acme".parse().unwrap(), "call-1".parse().unwrap());
        let format = AudioFormat::new(Encoding::S16le, 8_000, vec![ChannelRole::Agent]).unwrap();
        let new = NewCall {
            tenant: tenant.clone(),
            call: call.clone(),
            dialect: "native".to_owned(),
            format: format.clone(),
            metadata: BTreeMap::new(),
        };
        let mut recorder = recorder.open(new).await.unwrap().recorder;
        let started = StartedCall { format, dialect: "native".to_owned(), scorecard: None };
        let gap = EventBody::Gap { channel: 0, start: MediaTime::ZERO, end: MediaTime::ZERO };
        let ended = EventBody::Ended { reason: EndReason::Stopped, duration: MediaTime::ZERO };
        let bodies = [EventBody::Started(started), gap.clone(), gap, ended];
        let mut follow = None;
        for (seq, body) in (1..).zip(bodies) {
            // somebody comes after the first event, whose row is not there yet
            recorder.append(&[CallEvent { seq, body }], Vec::new()).await.unwrap();
            if follow.is_none() {
                follow = Some(Follow::open(reader.clone(), tenant.clone(), call.clone(), 0).await.unwrap());
            }
        }
        let writer = Writer::new(bus, vault, metrics);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            writer.run().await;
        });
        let mut follow = follow.unwrap();
        let mut told = 0;
        while follow.next().await.is_some() {
            told += 1;
        }
        assert_eq!((told, follow.is_over()), (4, true));
    }
}
