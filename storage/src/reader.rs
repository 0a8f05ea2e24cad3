//! From rows back to content: the only place that opens seals.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sotto_events::{AudioFormat, CallEvent, CallId, Clock, TenantId, Timestamp};

use tokio::time::timeout;

use crate::{
    LiveUpdate, Result, StorageError, StorageMetrics,
    backup::Erasures,
    bus::{Bus, Live, settled},
    envelope::{Key, Place, open},
    keys::KeyRing,
    vault::{CallRow, CallState, EventRow, Vault},
    writer::CONSUMER,
};

/// How long rows may be behind the bus before a reader gives up.
const SETTLE: Duration = Duration::from_secs(30);

/// One call as its tenant sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSummary {
    pub call: CallId,
    pub state: CallState,
    pub dialect: String,
    pub format: AudioFormat,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    /// Last `seq` in rows.
    pub seq: u64,
    /// Empty once expired.
    pub metadata: BTreeMap<String, String>,
    /// Since when nothing of it dies or may be erased.
    pub held_at: Option<Timestamp>,
}

/// What an erasure did. Holds no content and may be shown as evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    pub call: CallId,
    pub at: Timestamp,
    /// Rows removed; the key is destroyed in any case.
    pub rows: u64,
}

/// The event in a row.
pub(crate) fn open_event(key: &Key, tenant: &TenantId, call: &CallId, row: &EventRow) -> Result<CallEvent> {
    let place = Place { tenant: tenant.as_str(), call: call.as_str(), kind: &row.kind, seq: row.seq };
    Ok(serde_json::from_slice(&open(key, place, &row.sealed)?)?)
}

/// The metadata of a row; empty once expired or erased.
pub(crate) async fn open_metadata(keys: &KeyRing, row: &CallRow) -> Result<BTreeMap<String, String>> {
    let (Some(wrapped), Some((sealed, _))) = (&row.wrapped_key, &row.metadata) else { return Ok(BTreeMap::new()) };
    let key = keys.call_key(&row.tenant, &row.call, wrapped).await?;
    let place = Place { tenant: row.tenant.as_str(), call: row.call.as_str(), kind: "metadata", seq: 0 };
    Ok(serde_json::from_slice(&open(&key, place, sealed)?)?)
}

/// Reads what is kept of one tenant's calls.
#[derive(Clone)]
pub struct Reader {
    bus: Arc<dyn Bus>,
    vault: Arc<dyn Vault>,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    metrics: StorageMetrics,
    erasures: Option<Arc<Erasures>>,
}

impl Reader {
    pub fn new(
        bus: Arc<dyn Bus>,
        vault: Arc<dyn Vault>,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        metrics: StorageMetrics,
    ) -> Self {
        Self { bus, vault, keys, clock, metrics, erasures: None }
    }

    /// Notes erasures there, so that a restored backup keeps to them.
    #[must_use]
    pub fn noting(self, erasures: Erasures) -> Self {
        Self { erasures: Some(Arc::new(erasures)), ..self }
    }

    /// A watcher fell behind by this many updates and reads them from rows.
    pub fn count_missed(&self, updates: u64) {
        self.metrics.live_missed.inc_by(updates);
    }

    /// One call.
    ///
    /// # Errors
    /// [`StorageError::NoSuchCall`] when there is none, or it has expired.
    pub async fn call(&self, tenant: &TenantId, call: &CallId) -> Result<CallSummary> {
        let row = self.row(tenant, call).await?;
        self.summary(row).await
    }

    /// Calls of a tenant, newest first, from before `before`.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn calls(
        &self,
        tenant: &TenantId,
        before: Option<(Timestamp, CallId)>,
        limit: usize,
    ) -> Result<Vec<CallSummary>> {
        let rows = self.vault.calls(tenant.clone(), before, limit, self.clock.now()).await?;
        let mut summaries = Vec::with_capacity(rows.len());
        for row in rows {
            summaries.push(self.summary(row).await?);
        }
        Ok(summaries)
    }

    /// Calls of all tenants that are open.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn open_calls(&self) -> Result<Vec<(TenantId, CallId)>> {
        let rows = self.vault.open_calls().await?;
        Ok(rows.into_iter().map(|row| (row.tenant, row.call)).collect())
    }

    /// Events of a call with `seq` greater than `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StorageError::Erased`] for an erased call, [`StorageError::NoSuchCall`] for an expired or unknown one.
    pub async fn events(&self, tenant: &TenantId, call: &CallId, after: u64, limit: usize) -> Result<Vec<CallEvent>> {
        let key = self.key(tenant, call).await?;
        let rows = self.vault.events(tenant.clone(), call.clone(), after, limit, self.clock.now()).await?;
        rows.iter().map(|row| open_event(&key, tenant, call, row)).collect()
    }

    /// Keeps a call, on air or ended, with everything that is kept of it, until it is released. Gives since when it is
    /// held.
    ///
    /// # Errors
    /// [`StorageError::NoSuchCall`] when there is none, [`StorageError::Erased`], [`StorageError::TooManyHolds`].
    pub async fn hold(&self, tenant: &TenantId, call: &CallId) -> Result<Timestamp> {
        let held = self.vault.hold(tenant.clone(), call.clone(), self.clock.now()).await?;
        held.ok_or(StorageError::NoSuchCall)
    }

    /// Lets the time of a held call go on; what was due is gone at once. Releasing one that is not held changes nothing.
    ///
    /// # Errors
    /// [`StorageError::NoSuchCall`] when there is none.
    pub async fn release(&self, tenant: &TenantId, call: &CallId) -> Result<()> {
        self.row(tenant, call).await?;
        self.vault.release(tenant.clone(), call.clone()).await.map(drop)
    }

    /// Destroys the key and rows of a call that has ended.
    ///
    /// # Errors
    /// [`StorageError::OnAir`] while it runs, [`StorageError::Held`], [`StorageError::NoSuchCall`] when there is none.
    pub async fn erase(&self, tenant: &TenantId, call: &CallId) -> Result<Erasure> {
        let row = self.row(tenant, call).await?;
        if row.state == CallState::Open {
            return Err(StorageError::OnAir);
        }
        if row.held_at.is_some() {
            return Err(StorageError::Held);
        }
        if let Some(erasures) = self.erasures.clone() {
            let (tenant, call) = (tenant.clone(), call.clone());
            let note = move || erasures.note((&tenant, &call), row.created_at);
            tokio::task::spawn_blocking(note).await.map_err(|_| StorageError::Stopped)??;
        }
        let rows = self.vault.erase(tenant.clone(), call.clone()).await?.ok_or(StorageError::NoSuchCall)?;
        Ok(Erasure { call: call.clone(), at: self.clock.now(), rows })
    }

    /// Waits until everything of a call that was published before now is in rows: what is told live is durable on the
    /// bus, but its row follows a moment later.
    ///
    /// # Errors
    /// [`StorageError::Busy`] when the writer does not get there in time.
    pub async fn settled(&self, tenant: &TenantId, call: &CallId) -> Result<()> {
        let settled = settled(self.bus.as_ref(), CONSUMER, Some((tenant, call)));
        timeout(SETTLE, settled).await.unwrap_or(Err(StorageError::Busy))
    }

    /// What is published from now on, of all tenants, still sealed.
    pub fn watch(&self) -> tokio::sync::broadcast::Receiver<Arc<Live>> {
        self.bus.watch()
    }

    /// The key that opens live updates of a call.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn key(&self, tenant: &TenantId, call: &CallId) -> Result<Key> {
        let row = self.row(tenant, call).await?;
        self.key_of(&row).await
    }

    /// One call with the key that opens its live updates.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn call_and_key(&self, tenant: &TenantId, call: &CallId) -> Result<(CallSummary, Key)> {
        let row = self.row(tenant, call).await?;
        let key = self.key_of(&row).await?;
        Ok((self.summary(row).await?, key))
    }

    async fn key_of(&self, row: &CallRow) -> Result<Key> {
        let wrapped = row.wrapped_key.as_ref().ok_or(StorageError::Erased)?;
        self.keys.call_key(&row.tenant, &row.call, wrapped).await
    }

    /// Opens a live update.
    ///
    /// # Errors
    /// When it was not sealed under `key` for its place.
    pub fn open(key: &Key, live: &Live) -> Result<LiveUpdate> {
        let place = Place { tenant: live.tenant.as_str(), call: live.call.as_str(), kind: &live.kind, seq: live.seq };
        let plain = open(key, place, &live.sealed)?;
        Ok(match live.kind.as_str() {
            "partial" => LiveUpdate::Partial(serde_json::from_slice(&plain)?),
            "scores" => LiveUpdate::Scores(serde_json::from_slice(&plain)?),
            _ => LiveUpdate::Event(serde_json::from_slice(&plain)?),
        })
    }

    async fn row(&self, tenant: &TenantId, call: &CallId) -> Result<CallRow> {
        let row = self.vault.call(tenant.clone(), call.clone(), self.clock.now()).await?;
        row.ok_or(StorageError::NoSuchCall)
    }

    async fn summary(&self, row: CallRow) -> Result<CallSummary> {
        let metadata = open_metadata(&self.keys, &row).await?;
        Ok(CallSummary {
            call: row.call,
            state: row.state,
            dialect: row.dialect,
            format: row.format,
            created_at: row.created_at,
            ended_at: row.ended_at,
            expires_at: row.expires_at,
            seq: row.seq,
            metadata,
            held_at: row.held_at,
        })
    }
}
