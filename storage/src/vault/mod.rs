//! The vault: rows that expire, calls with their wrapped keys, tenants' wrapped keys. Sees ciphertext only.

pub mod embedded;
pub mod scylla;

use futures_util::future::BoxFuture;
use sotto_events::{AudioFormat, CallId, RetentionClass, SafePoint, TenantId, Timestamp};

use crate::{Result, bus::Delivered};

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
    /// On air, or waiting to be taken up again.
    Open,
    Ended,
    /// Its key is gone.
    Erased,
}

/// One call as kept.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRow {
    pub tenant: TenantId,
    pub call: CallId,
    pub state: CallState,
    pub dialect: String,
    pub format: AudioFormat,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// When nothing of the call is left.
    pub expires_at: Timestamp,
    /// The call's key under its tenant's; `None` once erased.
    pub wrapped_key: Option<Vec<u8>>,
    /// Sealed metadata with its own expiry.
    pub metadata: Option<(Vec<u8>, Timestamp)>,
    /// Last `seq` in rows.
    pub seq: u64,
    /// Where the channels can be taken up after that `seq`.
    pub safe: Vec<SafePoint>,
    /// Since when nothing of it dies or may be erased.
    pub held_at: Option<Timestamp>,
}

/// Calls of one tenant that may be held at once.
pub const MAX_HOLDS: usize = 10_000;

/// One sealed event as kept.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    pub seq: u64,
    pub kind: String,
    pub class: RetentionClass,
    pub sealed: Vec<u8>,
    pub expires_at: Timestamp,
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub events: u64,
    pub metadata: u64,
    pub calls: u64,
}

/// The port. Reads take `now` and never give what has expired, swept or not.
pub trait Vault: Send + Sync {
    /// Keeps a new call; when one with its id exists, gives that one and changes nothing.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn create(&self, row: CallRow) -> BoxFuture<'_, Result<Option<CallRow>>>;

    /// Keeps rows of records, each once, and moves the calls on. Safe to repeat.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn write(&self, records: Vec<Delivered>) -> BoxFuture<'_, Result<()>>;

    /// One call, unless expired.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn call(&self, tenant: TenantId, call: CallId, now: Timestamp) -> BoxFuture<'_, Result<Option<CallRow>>>;

    /// Calls of a tenant, newest first, created before `before`.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn calls(
        &self,
        tenant: TenantId,
        before: Option<(Timestamp, CallId)>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CallRow>>>;

    /// Calls of all tenants that are open.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn open_calls(&self) -> BoxFuture<'_, Result<Vec<CallRow>>>;

    /// Events of a call with `seq` greater than `after`, in order; never one without those before it that are alive, also
    /// while they are written.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn events(
        &self,
        tenant: TenantId,
        call: CallId,
        after: u64,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<EventRow>>>;

    /// Keeps a call with everything that is kept of it now, whatever its time, until it is released. Gives since when it
    /// is held, or none when there is no such call; safe to repeat.
    ///
    /// # Errors
    /// [`StorageError::Erased`](crate::StorageError::Erased) when nothing is left to hold,
    /// [`StorageError::TooManyHolds`](crate::StorageError::TooManyHolds), or when it could not be made durable.
    fn hold(&self, tenant: TenantId, call: CallId, now: Timestamp) -> BoxFuture<'_, Result<Option<Timestamp>>>;

    /// Lets a call's time go on: what was due is gone. False when it is not held.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn release(&self, tenant: TenantId, call: CallId) -> BoxFuture<'_, Result<bool>>;

    /// Destroys the key of a call and its rows; says how many. None when there is no such call.
    ///
    /// # Errors
    /// [`StorageError::Held`](crate::StorageError::Held), or when it could not be made durable.
    fn erase(&self, tenant: TenantId, call: CallId) -> BoxFuture<'_, Result<Option<u64>>>;

    /// Removes what has expired, at most `limit` rows of a kind.
    ///
    /// # Errors
    /// When the vault cannot be changed.
    fn sweep(&self, now: Timestamp, limit: usize) -> BoxFuture<'_, Result<Swept>>;

    /// When the oldest row of a class was made.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn oldest(&self, class: RetentionClass) -> BoxFuture<'_, Result<Option<Timestamp>>>;

    /// Whether anything sealed is kept.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn has_keys(&self) -> BoxFuture<'_, Result<bool>>;

    /// A tenant's wrapped key.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn tenant_key(&self, tenant: TenantId) -> BoxFuture<'_, Result<Option<Vec<u8>>>>;

    /// Keeps a tenant's wrapped key unless it has one; gives the one that is kept.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn keep_tenant_key(&self, tenant: TenantId, wrapped: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>>;
}
