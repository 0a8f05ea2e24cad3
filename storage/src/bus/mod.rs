//! The bus: makes records durable in order, hands them to consumers at least once, and carries what is only of the
//! moment to whoever watches.

pub mod embedded;
pub mod kafka;
pub mod spool;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sotto_events::{CallId, RetentionClass, SafePoint, TenantId, Timestamp};
use tokio::{sync::broadcast, time::sleep};

use crate::Result;

/// Most sealed bytes of a record: the events of one moment of a call.
pub const MAX_RECORD: usize = 6 << 20;

/// Kind of a live message by which a node says that it feeds a call. `seq` is when it took the call up, in milliseconds
/// since 1970; in place of something sealed it has the node.
pub const ON_AIR: &str = "on_air";

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
    /// When the call began.
    pub created_at: Timestamp,
    /// Last `seq` of the call after this record.
    pub seq: u64,
    pub events: Vec<SealedEvent>,
    /// Where the channels can be taken up after these events.
    pub safe: Vec<SafePoint>,
    /// The call is over with this record.
    pub ended: bool,
    pub at: Timestamp,
}

/// How far a call is. Grows with every record that tells something new, so that an older one that comes late is known by it.
pub fn progress(seq: u64, safe: &[SafePoint]) -> u64 {
    seq + safe.iter().map(|safe| safe.position + safe.told).sum::<u64>()
}

impl Record {
    /// How far the call is with this record.
    pub fn progress(&self) -> u64 {
        progress(self.seq, &self.safe)
    }
}

/// Something of the moment, sealed: a partial, or an event that has just become durable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    pub tenant: TenantId,
    pub call: CallId,
    pub kind: String,
    /// `seq` of a kept event; of a partial a number that only seals it.
    pub seq: u64,
    #[serde(with = "base64_bytes")]
    pub sealed: Vec<u8>,
}

/// A place in the log. The log may have partitions, each with an order of its own; a call stays in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    pub partition: u32,
    /// From 1; 0 is before the first record.
    pub number: u64,
}

/// A record with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    pub offset: Offset,
    pub record: Record,
}

/// A call and its tenant.
pub type CallKey<'a> = (&'a TenantId, &'a CallId);

/// The port.
pub trait Bus: Send + Sync {
    /// Appends; when it returns, the record survives a crash. Gives its offset.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn append(&self, record: Record) -> BoxFuture<'_, Result<Offset>>;

    /// Reads from where the consumer of this name has committed. Of several at once each gets its share of the
    /// partitions.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn consumer<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn Consumer>>>;

    /// The last offset of the partition that holds `call`, or of every partition.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn ends<'a>(&'a self, call: Option<CallKey<'a>>) -> BoxFuture<'a, Result<Vec<Offset>>>;

    /// How far the consumer has committed, in the partitions of `of` and in their order.
    ///
    /// # Errors
    /// When its positions cannot be read.
    fn positions<'a>(&'a self, consumer: &'a str, of: &'a [Offset]) -> BoxFuture<'a, Result<Vec<Offset>>>;

    /// Forgets records that `consumer` has passed; says how many.
    ///
    /// # Errors
    /// When the log cannot be changed.
    fn trim<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<u64>>;

    /// Publishes to whoever watches now; never waits.
    fn publish(&self, live: Arc<Live>);

    /// Whether other nodes publish there too.
    fn is_shared(&self) -> bool {
        false
    }

    /// Watches from now on. A watcher that falls behind is told how much it missed.
    fn watch(&self) -> broadcast::Receiver<Arc<Live>>;
}

/// One that reads the log in order.
pub trait Consumer: Send {
    /// The next records, at most `limit`; waits until there is one.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Delivered>>>;

    /// Everything given so far is dealt with and need not be given again.
    ///
    /// # Errors
    /// When the position cannot be kept.
    fn commit(&mut self) -> BoxFuture<'_, Result<()>>;
}

/// How many records the consumer is behind these ends.
///
/// # Errors
/// When the bus cannot be asked.
pub async fn lag(bus: &dyn Bus, consumer: &str, ends: &[Offset]) -> Result<u64> {
    let positions = bus.positions(consumer, ends).await?;
    Ok(ends.iter().zip(&positions).map(|(end, position)| end.number.saturating_sub(position.number)).sum())
}

/// Waits until the consumer has dealt with all that is on the bus now, of one call or of all.
///
/// # Errors
/// When the bus cannot be asked.
pub async fn settled(bus: &dyn Bus, consumer: &str, call: Option<CallKey<'_>>) -> Result<()> {
    let ends = bus.ends(call).await?;
    let mut pause = Duration::from_millis(1);
    while lag(bus, consumer, &ends).await? > 0 {
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(())
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
