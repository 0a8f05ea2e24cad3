//! The bus: makes records durable in order, hands them to consumers at least once, and carries what is only of the
//! moment to whoever watches.

pub mod embedded;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sotto_events::{CallId, RetentionClass, SafePoint, TenantId, Timestamp};
use tokio::sync::broadcast;

use crate::Result;

/// One sealed event on its way to a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedEvent {
    pub seq: u64,
    pub kind: String,
    pub class: RetentionClass,
    pub expires_at: Timestamp,
    #[serde(with = "base64_bytes")]
    pub sealed: Vec<u8>,
}

/// What became durable of a call in one go. Order within a call is the order of appending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub tenant: TenantId,
    pub call: CallId,
    pub events: Vec<SealedEvent>,
    /// Where the channels can be taken up after these events.
    pub safe: Vec<SafePoint>,
    /// The call is over with this record.
    pub ended: bool,
    pub at: Timestamp,
}

/// Something of the moment, sealed: a partial, or an event that has just become durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    pub tenant: TenantId,
    pub call: CallId,
    pub kind: String,
    /// `seq` of a kept event; of a partial a number that only seals it.
    pub seq: u64,
    pub sealed: Vec<u8>,
}

/// A record with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    pub offset: u64,
    pub record: Record,
}

/// The port.
pub trait Bus: Send + Sync {
    /// Appends; when it returns, the record survives a crash. Gives its offset.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn append(&self, record: Record) -> BoxFuture<'_, Result<u64>>;

    /// The next records after the consumer's position, at most `limit`; waits until there is one.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn next<'a>(&'a self, consumer: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Delivered>>>;

    /// Moves the consumer's position behind `offset`.
    ///
    /// # Errors
    /// When the position cannot be kept.
    fn commit<'a>(&'a self, consumer: &'a str, offset: u64) -> BoxFuture<'a, Result<()>>;

    /// Offset up to which the consumer has committed; 0 for a new one.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn position<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<u64>>;

    /// Offset of the last record; 0 for an empty log.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn end(&self) -> BoxFuture<'_, Result<u64>>;

    /// Forgets records that `consumer` has passed; says how many.
    ///
    /// # Errors
    /// When the log cannot be changed.
    fn trim<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<u64>>;

    /// Publishes to whoever watches now; never waits.
    fn publish(&self, live: Arc<Live>);

    /// Watches from now on. A watcher that falls behind is told how much it missed.
    fn watch(&self) -> broadcast::Receiver<Arc<Live>>;
}

mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
