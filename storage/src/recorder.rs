//! From events to sealed records on the bus. Content is sealed here and never travels in the clear beyond.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use sotto_events::{
    AudioFormat, CallEvent, CallId, Clock, EventBody, LiveScores, Partial, RetentionClass, SafePoint, TenantId,
    Timestamp,
};
use tokio::{sync::broadcast, time::timeout};
use zeroize::Zeroizing;

use crate::{
    Result, RetentionPolicies, StorageError, StorageMetrics,
    bus::{Bus, CallKey, Live, MAX_RECORD, ON_AIR, Record, SealedEvent, settled},
    envelope::{Key, Place, seal},
    keys::KeyRing,
    reader::{open_event, open_metadata},
    vault::{CallRow, CallState, Vault},
    writer::CONSUMER,
};

/// What a caller says of a new call.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCall {
    pub tenant: TenantId,
    pub call: CallId,
    pub dialect: String,
    pub format: AudioFormat,
    /// Names, numbers and what else the caller knows: personal, sealed.
    pub metadata: BTreeMap<String, String>,
}

/// A call that may record.
pub struct OpenedCall {
    pub recorder: CallRecorder,
    /// Last durable `seq`; 0 for a new call.
    pub seq: u64,
    /// Where its channels can be taken up; empty for a new call.
    pub safe: Vec<SafePoint>,
    /// The format the call began with.
    pub format: AudioFormat,
    /// Its kept events, oldest first.
    pub history: Vec<CallEvent>,
    /// What was said of it when it began; empty once expired.
    pub metadata: BTreeMap<String, String>,
}

/// A call that has begun.
pub struct KnownCall {
    pub format: AudioFormat,
    /// Empty once expired.
    pub metadata: BTreeMap<String, String>,
}

/// How long a call that is opened waits for earlier events to reach their rows.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);
/// Events read at once.
const PAGE: usize = 1_000;

/// Opens calls for recording.
pub struct Recorder {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) clock: Arc<dyn Clock>,
    policies: RetentionPolicies,
    metrics: StorageMetrics,
}

impl Recorder {
    pub fn new(
        bus: Arc<dyn Bus>,
        vault: Arc<dyn Vault>,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        policies: RetentionPolicies,
        metrics: StorageMetrics,
    ) -> Self {
        Self { bus, vault, keys, clock, policies, metrics }
    }

    /// Begins a call, or gives the one that is open under the same id.
    ///
    /// # Errors
    /// [`StorageError::Ended`] or [`StorageError::Erased`] when the id belongs to a call that is over,
    /// [`StorageError::Busy`] when its rows do not follow the bus in time.
    pub async fn open(&self, new: NewCall) -> Result<OpenedCall> {
        let now = self.clock.now();
        let policy = self.policies.of(&new.tenant);
        let (key, wrapped) = self.keys.new_call_key(&new.tenant, &new.call).await?;
        let metadata = Zeroizing::new(serde_json::to_vec(&new.metadata)?);
        let place = Place { tenant: new.tenant.as_str(), call: new.call.as_str(), kind: "metadata", seq: 0 };
        let sealed = seal(&key, place, &metadata)?;
        self.metrics.seals.inc();
        let row = CallRow {
            tenant: new.tenant.clone(),
            call: new.call.clone(),
            state: CallState::Open,
            dialect: new.dialect,
            format: new.format.clone(),
            created_at: now,
            ended_at: None,
            expires_at: policy.longest(now),
            wrapped_key: Some(wrapped),
            metadata: Some((sealed, policy.expiry(RetentionClass::Personal, now))),
            seq: 0,
            safe: Vec::new(),
            held_at: None,
        };
        let (key, seq, safe, format, history, metadata, created_at) = match self.vault.create(row).await? {
            None => (key, 0, Vec::new(), new.format, Vec::new(), new.metadata.clone(), now),
            Some(_) => {
                let found = self.caught_up(&new.tenant, &new.call).await?;
                let wrapped = match found.state {
                    CallState::Open => found.wrapped_key.as_ref().ok_or(StorageError::Erased)?,
                    CallState::Ended => return Err(StorageError::Ended),
                    CallState::Erased => return Err(StorageError::Erased),
                };
                let key = self.keys.call_key(&new.tenant, &new.call, wrapped).await?;
                let history = self.history((&new.tenant, &new.call), found.seq, &key).await?;
                let metadata = open_metadata(&self.keys, &found).await?;
                (key, found.seq, found.safe, found.format, history, metadata, found.created_at)
            }
        };
        let recorder = CallRecorder {
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            policy: policy.clone(),
            metrics: self.metrics.clone(),
            tenant: new.tenant,
            call: new.call,
            key,
            created_at,
            seq,
        };
        Ok(OpenedCall { recorder, seq, safe, format, history, metadata })
    }

    /// Whether other nodes record on the same bus.
    pub fn is_shared(&self) -> bool {
        self.bus.is_shared()
    }

    /// Tells other nodes that `node` feeds a call, since `taken_at`.
    pub fn announce(&self, (tenant, call): CallKey<'_>, taken_at: Timestamp, node: &[u8]) {
        let (tenant, call, kind) = (tenant.clone(), call.clone(), ON_AIR.to_owned());
        self.bus.publish(Arc::new(Live { tenant, call, kind, seq: taken_at.0 as u64, sealed: node.to_vec() }));
    }

    /// What all nodes publish from now on.
    pub fn watch(&self) -> broadcast::Receiver<Arc<Live>> {
        self.bus.watch()
    }

    /// Calls of all tenants that are open.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn open_calls(&self) -> Result<Vec<CallRow>> {
        self.vault.open_calls().await
    }

    /// A call that was there before, once all that was appended of it is in rows: else the place to go on from would be
    /// too early.
    async fn caught_up(&self, tenant: &TenantId, call: &CallId) -> Result<CallRow> {
        let settled = settled(self.bus.as_ref(), CONSUMER, Some((tenant, call)));
        timeout(OPEN_PATIENCE, settled).await.unwrap_or(Err(StorageError::Busy))?;
        let row = self.vault.call(tenant.clone(), call.clone(), self.clock.now()).await?;
        row.ok_or(StorageError::NoSuchCall)
    }

    /// What is known of a call that has begun, without taking it up; none when there is none.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn known(&self, tenant: &TenantId, call: &CallId) -> Result<Option<KnownCall>> {
        let Some(row) = self.vault.call(tenant.clone(), call.clone(), self.clock.now()).await? else { return Ok(None) };
        let metadata = open_metadata(&self.keys, &row).await?;
        Ok(Some(KnownCall { format: row.format, metadata }))
    }

    async fn history(&self, (tenant, call): (&TenantId, &CallId), seq: u64, key: &Key) -> Result<Vec<CallEvent>> {
        let now = self.clock.now();
        let mut history: Vec<CallEvent> = Vec::new();
        // bounded by the longest call that is allowed
        while history.last().map_or(0, |event| event.seq) < seq {
            let after = history.last().map_or(0, |event| event.seq);
            let rows = self.vault.events(tenant.clone(), call.clone(), after, PAGE, now).await?;
            if rows.is_empty() {
                // the rest has expired
                break;
            }
            for row in &rows {
                history.push(open_event(key, tenant, call, row)?);
            }
        }
        Ok(history)
    }
}

/// Seals and appends the events of one call.
pub struct CallRecorder {
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    policy: crate::Retention,
    metrics: StorageMetrics,
    tenant: TenantId,
    call: CallId,
    key: Key,
    created_at: Timestamp,
    /// Last `seq` appended.
    seq: u64,
}

/// What watchers get to see, opened.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveUpdate {
    Partial(Partial),
    Scores(Box<LiveScores>),
    Event(CallEvent),
}

impl CallRecorder {
    /// Makes events and safe points durable; when it returns they survive a crash. Watchers hear of them then.
    ///
    /// # Errors
    /// When they could not be made durable: nothing may be acknowledged.
    pub async fn append(&mut self, events: &[CallEvent], safe: Vec<SafePoint>) -> Result<()> {
        let now = self.clock.now();
        let mut sealed = Vec::with_capacity(events.len());
        for event in events {
            let class = event.body.class();
            sealed.push(SealedEvent {
                seq: event.seq,
                kind: event.body.kind().to_owned(),
                class,
                expires_at: self.policy.expiry(class, now),
                sealed: self.seal(event.body.kind(), event.seq, &serde_json::to_vec(event)?)?,
            });
        }
        let size = sealed.iter().map(|event| event.sealed.len()).sum();
        if size > MAX_RECORD {
            return Err(StorageError::TooLarge(size));
        }
        let live: Vec<Arc<Live>> =
            sealed.iter().map(|event| self.live(&event.kind, event.seq, &event.sealed)).collect();
        let ended = events.iter().any(|event| matches!(event.body, EventBody::Ended { .. }));
        let seq = events.last().map_or(self.seq, |event| event.seq);
        let (tenant, call, created_at) = (self.tenant.clone(), self.call.clone(), self.created_at);
        let started = Instant::now();
        self.bus.append(Record { tenant, call, created_at, seq, events: sealed, safe, ended, at: now }).await?;
        self.seq = seq;
        self.metrics.bus_append.observe(started.elapsed().as_secs_f64());
        live.into_iter().for_each(|live| self.bus.publish(live));
        Ok(())
    }

    /// Shows how the call goes so far to whoever watches; it is kept nowhere.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn publish_scores(&self, scores: &LiveScores) -> Result<()> {
        let sealed = self.seal("scores", 0, &serde_json::to_vec(scores)?)?;
        self.bus.publish(self.live("scores", 0, &sealed));
        Ok(())
    }

    /// Shows a partial to whoever watches; it is kept nowhere.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn publish(&self, partial: &Partial) -> Result<()> {
        let seq = u64::from(partial.revision);
        let sealed = self.seal("partial", seq, &serde_json::to_vec(partial)?)?;
        self.bus.publish(self.live("partial", seq, &sealed));
        Ok(())
    }

    fn seal(&self, kind: &str, seq: u64, plain: &[u8]) -> Result<Vec<u8>> {
        self.metrics.seals.inc();
        seal(&self.key, Place { tenant: self.tenant.as_str(), call: self.call.as_str(), kind, seq }, plain)
    }

    fn live(&self, kind: &str, seq: u64, sealed: &[u8]) -> Arc<Live> {
        let (tenant, call) = (self.tenant.clone(), self.call.clone());
        Arc::new(Live { tenant, call, kind: kind.to_owned(), seq, sealed: sealed.to_vec() })
    }
}
