//! The hub: follows every call on air once, however many watch, and tells what changed at once, but of one call only a
//! few times a second.

mod entry;
mod sight;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::response::sse::Event;
use serde::Serialize;
use sotto_access::{Action, Principal, Users};
use sotto_events::{CallId, Clock, LiveScores, Scorecard, TenantId, Timestamp};
use sotto_storage::{
    LiveUpdate, Reader, StorageError,
    bus::{Live, ON_AIR},
    vault::CallState,
};
use tokio::{
    sync::broadcast::{self, Receiver, error::RecvError},
    time::{MissedTickBehavior, interval},
};

use crate::{mean::Mean, view::Labels};
use entry::Entry;
pub use entry::RowView;
pub use sight::Sight;

/// How soon watchers hear of a change.
const BEAT: Duration = Duration::from_millis(15);
/// How long a row then rests, unless an alert comes.
const REST: Duration = Duration::from_millis(250);
/// Changes a watcher may be behind before it is given everything anew: some seconds of them.
const CHANGES: usize = 256;
/// Events read at once when something was missed.
const PAGE: usize = 500;

type Id = (TenantId, CallId);

/// Whether a call is being fed at this moment, or waits for its caller.
pub type OnAir = Arc<dyn Fn(&TenantId, &CallId) -> bool + Send + Sync>;

/// What changed since the last beat.
pub struct Change {
    pub rows: Vec<Arc<RowView>>,
    pub gone: Vec<Arc<RowView>>,
    /// As it was written for those who see the same calls; none for who sees nothing of it.
    pub written: Mutex<HashMap<Sight, Option<Event>>>,
}

/// A call of an agent began or ended.
#[derive(Clone)]
pub struct Notice {
    pub tenant: TenantId,
    pub agent: Option<String>,
}

/// What the overlay needs to begin with.
pub struct Current {
    pub call: CallId,
    pub created_at: Timestamp,
    pub channels: Vec<sotto_events::ChannelRole>,
    pub scorecard: Option<Box<Scorecard>>,
}

/// Numbers of the calls somebody may see.
#[derive(Debug, Default, Serialize)]
pub struct Numbers {
    calls: usize,
    alerts: usize,
    agents: usize,
    score: Option<f64>,
    sentiment: Option<f64>,
}

#[derive(Default)]
struct Table {
    calls: HashMap<Id, Entry>,
    changed: HashSet<Id>,
    gone: Vec<Arc<RowView>>,
}

/// The hub.
pub struct Hub {
    reader: Reader,
    users: Arc<Users>,
    clock: Arc<dyn Clock>,
    on_air: OnAir,
    table: Mutex<Table>,
    changes: broadcast::Sender<Arc<Change>>,
    notices: broadcast::Sender<Notice>,
}

impl Hub {
    pub fn new(reader: Reader, users: Arc<Users>, clock: Arc<dyn Clock>, on_air: OnAir) -> Arc<Self> {
        Arc::new(Self {
            reader,
            users,
            clock,
            on_air,
            table: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES),
            notices: broadcast::Sender::new(CHANGES),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // each change leaves an entry whole, so a panic elsewhere leaves nothing half done
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows until the bus is closed.
    pub async fn run(self: Arc<Self>) {
        let mut live = self.reader.watch();
        self.adopt().await;
        let (mut beat, mut look) = (interval(BEAT), interval(REST));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => self.tell(),
                _ = look.tick() => self.look(),
                update = live.recv() => match update {
                    Ok(update) => self.hear(&update).await,
                    Err(RecvError::Lagged(missed)) => {
                        self.reader.count_missed(missed);
                        self.catch_up().await;
                    }
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Calls that were open before the hub was.
    async fn adopt(&self) {
        match self.reader.open_calls().await {
            Ok(open) => {
                for (tenant, call) in open {
                    let id = (tenant, call);
                    if self.begin(&id).await {
                        self.read(&id).await;
                    }
                }
            }
            Err(error) => tracing::error!(%error, "open calls cannot be read; the board shows them as they speak"),
        }
    }

    async fn hear(&self, live: &Live) {
        // who speaks is of the moment: with nobody watching it is not worth opening a seal
        if live.kind == "partial" && self.changes.receiver_count() == 0 {
            return;
        }
        let id = (live.tenant.clone(), live.call.clone());
        let known = self.table().calls.contains_key(&id);
        if known && live.kind == ON_AIR {
            return;
        }
        if !known && !self.begin(&id).await {
            return;
        }
        if live.kind == ON_AIR {
            // of another node, and begun before this one listened
            self.read(&id).await;
            self.notify(&id);
            return;
        }
        let now = self.clock.now();
        let missed = {
            let mut table = self.table();
            let Some(entry) = table.calls.get_mut(&id) else { return };
            match Reader::open(&entry.key, live) {
                Ok(LiveUpdate::Event(event)) if event.seq > entry.seq + 1 => true,
                Ok(update) => {
                    let event = matches!(update, LiveUpdate::Event(_));
                    let over = entry.take(update, now);
                    self.settle(&mut table, id.clone(), over);
                    // heard of in the middle of the call
                    !known && !event
                }
                Err(error) => {
                    tracing::error!(%error, "a live update does not open");
                    false
                }
            }
        };
        if missed {
            self.read(&id).await;
        }
        if !known {
            self.notify(&id);
        }
    }

    /// Says that the agent of a call has to look again.
    fn notify(&self, id: &Id) {
        let agent = self.table().calls.get(id).map(|entry| entry.labels.owners.agent.clone());
        if let Some(agent) = agent {
            // nobody waiting for it is no failure
            drop(self.notices.send(Notice { tenant: id.0.clone(), agent }));
        }
    }

    /// Marks what changed and lets go of what is over.
    fn settle(&self, table: &mut Table, id: Id, over: bool) {
        if !over {
            table.changed.insert(id);
            return;
        }
        table.changed.remove(&id);
        let Some(entry) = table.calls.remove(&id) else { return };
        table.gone.extend(entry.last_view().cloned());
        drop(self.notices.send(Notice { tenant: id.0, agent: entry.labels.owners.agent }));
    }

    /// Takes up a call that is open; false when there is none.
    async fn begin(&self, id: &Id) -> bool {
        let (tenant, call) = id;
        match self.reader.call_and_key(tenant, call).await {
            Ok((summary, _)) if summary.state != CallState::Open => false,
            Ok((summary, key)) => {
                let labels = Labels::new(&self.users, tenant, &summary.metadata);
                self.table().calls.insert(id.clone(), Entry::new(key, tenant.clone(), summary, labels));
                true
            }
            // erased, or gone before it was heard of
            Err(StorageError::NoSuchCall | StorageError::Erased) => false,
            Err(error) => {
                tracing::error!(%error, "a call cannot be shown on the board");
                false
            }
        }
    }

    /// Takes in the events of a call that it has not seen, from their rows.
    async fn read(&self, (tenant, call): &Id) {
        let id = (tenant.clone(), call.clone());
        if let Err(error) = self.reader.settled(tenant, call).await {
            tracing::warn!(%error, "rows are behind; the board shows what there is");
        }
        loop {
            let Some(seq) = self.table().calls.get(&id).map(|entry| entry.seq) else { return };
            let events = match self.reader.events(tenant, call, seq, PAGE).await {
                Ok(events) => events,
                Err(error) => {
                    tracing::warn!(%error, "events of a call on air cannot be read");
                    return;
                }
            };
            let more = events.len() == PAGE;
            let now = self.clock.now();
            let mut table = self.table();
            for event in events {
                let Some(entry) = table.calls.get_mut(&id) else { return };
                let over = entry.take(LiveUpdate::Event(event), now);
                self.settle(&mut table, id.clone(), over);
            }
            if !more {
                table.changed.insert(id.clone());
                return;
            }
        }
    }

    async fn catch_up(&self) {
        let ids: Vec<Id> = self.table().calls.keys().cloned().collect();
        for id in ids {
            self.read(&id).await;
        }
    }

    /// Marks rows that change without an event: whose caller has gone or come back, or where somebody fell silent.
    fn look(&self) {
        let mut moved = Vec::new();
        let mut table = self.table();
        let Table { calls, changed, .. } = &mut *table;
        for (id, entry) in calls.iter_mut() {
            let on_air = (self.on_air)(&id.0, &id.1);
            if on_air != entry.on_air {
                moved.push(id.clone());
            }
            if on_air != entry.on_air || entry.was_speaking() {
                entry.on_air = on_air;
                changed.insert(id.clone());
            }
        }
        drop(table);
        moved.iter().for_each(|id| self.notify(id));
    }

    /// Tells what changed.
    fn tell(&self) {
        let mut table = self.table();
        let Table { calls, changed, gone } = &mut *table;
        let mut rows = Vec::new();
        changed.retain(|id| {
            let Some(entry) = calls.get_mut(id) else { return false };
            if entry.rests(REST) {
                return true;
            }
            rows.extend(entry.tell());
            false
        });
        let gone = std::mem::take(gone);
        if !(rows.is_empty() && gone.is_empty()) {
            // nobody watching is no failure
            drop(self.changes.send(Arc::new(Change { rows, gone, written: Mutex::default() })));
        }
    }

    /// Changes from now on.
    pub fn changes(&self) -> Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    /// Calls that begin and end from now on.
    pub fn notices(&self) -> Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Every row that `sight` shows.
    pub fn rows(&self, sight: &Sight) -> Vec<Arc<RowView>> {
        let table = self.table();
        let views = table.calls.values().filter_map(Entry::last_view);
        views.filter(|view| sight.shows(view)).cloned().collect()
    }

    /// Numbers of the calls that `sight` counts.
    pub fn numbers(&self, sight: &Sight) -> Numbers {
        let table = self.table();
        let views = table.calls.values().filter_map(Entry::last_view).filter(|view| sight.counts(view));
        let mut numbers = Numbers::default();
        let (mut agents, mut score, mut sentiment) = (HashSet::new(), Mean::default(), Mean::default());
        for view in views {
            numbers.calls += 1;
            numbers.alerts += view.alerts;
            agents.extend(view.owners.agent.as_deref());
            score.add(view.score);
            sentiment.add(view.sentiment);
        }
        Numbers { agents: agents.len(), score: score.value(2), sentiment: sentiment.value(2), ..numbers }
    }

    /// The agent's call on air: the one that is fed, else the newest.
    pub fn current(&self, tenant: &TenantId, agent: &str) -> Option<Current> {
        let table = self.table();
        let own = table
            .calls
            .values()
            .filter(|entry| entry.tenant == *tenant && entry.labels.owners.agent.as_deref() == Some(agent));
        let entry = own.max_by_key(|entry| ((self.on_air)(&entry.tenant, &entry.call), entry.created_at))?;
        Some(Current {
            call: entry.call.clone(),
            created_at: entry.created_at,
            channels: entry.channels.clone(),
            scorecard: entry.scorecard.clone(),
        })
    }

    /// How a call on air stands.
    pub fn scores(&self, tenant: &TenantId, call: &CallId) -> Option<Box<LiveScores>> {
        self.table().calls.get(&(tenant.clone(), call.clone()))?.scores.clone()
    }

    /// `by` takes an alert in hand; false when there is no such call or alert that `principal` may see to.
    pub fn acknowledge(&self, principal: &Principal, call: &CallId, seq: u64, by: &str) -> bool {
        let id = (principal.tenant().clone(), call.clone());
        let mut table = self.table();
        let Some(entry) = table.calls.get_mut(&id) else { return false };
        let done = principal.may(Action::Acknowledge, &entry.labels.owners) && entry.acknowledge(seq, by);
        if done {
            table.changed.insert(id);
        }
        done
    }
}
