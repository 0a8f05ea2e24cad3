//! A bus that may be away, with a bounded log on this machine for that time. What is spooled is as durable as this
//! machine's disk; it follows in order when the bus is back.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{RwLock, broadcast},
    time::sleep,
};

use super::{Bus, CallKey, Consumer, Delivered, Live, Offset, Record, embedded::EmbeddedBus, lag};
use crate::{Result, StorageError, StorageMetrics};

/// The name under which the spool's own position is kept.
const DRAIN: &str = "drain";
/// Records moved in one go.
const BATCH: usize = 64;
/// Between two tries to reach the bus.
const PAUSE: Duration = Duration::from_millis(200);

/// A bus with a spool before it.
pub struct SpooledBus {
    bus: Arc<dyn Bus>,
    spool: EmbeddedBus,
    /// Records go to the spool, since the bus is away or earlier ones still wait there. Whoever appends holds it for
    /// reading, so that it does not change meanwhile.
    spooling: RwLock<bool>,
    /// The same, for those who only ask.
    waits: AtomicBool,
    /// Bytes that wait, as sealed.
    bytes: AtomicU64,
    limit: u64,
    metrics: StorageMetrics,
}

fn size(record: &Record) -> u64 {
    record.events.iter().map(|event| event.sealed.len() as u64 + 128).sum::<u64>() + 256
}

impl SpooledBus {
    /// Opens the spool of at most `limit` bytes. What an earlier run left there waits for [`Self::drain`].
    ///
    /// # Errors
    /// When the file is not a sound log.
    pub async fn open(bus: Arc<dyn Bus>, file: &Path, limit: u64, metrics: &StorageMetrics) -> Result<Self> {
        let spool = EmbeddedBus::open_as(file, "spool", metrics).await?;
        let waits = lag(&spool, DRAIN, &spool.ends(None).await?).await? > 0;
        let bytes = if waits { spool.bytes().await? } else { 0 };
        metrics.spool_bytes.set(bytes as i64);
        Ok(Self {
            bus,
            spool,
            spooling: RwLock::new(waits),
            waits: AtomicBool::new(waits),
            bytes: AtomicU64::new(bytes),
            limit,
            metrics: metrics.clone(),
        })
    }

    async fn keep(&self, record: Record) -> Result<Offset> {
        let size = size(&record);
        if self.bytes.load(Ordering::Acquire) + size > self.limit {
            self.metrics.spool_full.inc();
            return Err(StorageError::SpoolFull);
        }
        let offset = self.spool.append(record).await?;
        let bytes = self.bytes.fetch_add(size, Ordering::AcqRel) + size;
        self.metrics.spool_bytes.set(bytes as i64);
        self.metrics.spooled.inc();
        Ok(offset)
    }

    /// Moves what is spooled to the bus, for ever.
    pub async fn drain(self: Arc<Self>) {
        let mut consumer = loop {
            match self.spool.consumer(DRAIN).await {
                Ok(consumer) => break consumer,
                Err(error) => tracing::error!(%error, "the spool cannot be read; trying again"),
            }
            sleep(PAUSE).await;
        };
        while let Ok(records) = consumer.next(BATCH).await {
            for Delivered { record, .. } in records {
                self.deliver(record).await;
            }
            if let Err(error) = self.settle(consumer.as_mut()).await {
                // delivered again, which changes nothing
                tracing::error!(%error, "the spool's position could not be kept");
            }
        }
    }

    async fn deliver(&self, record: Record) {
        let size = size(&record);
        while let Err(error) = self.bus.append(record.clone()).await {
            tracing::debug!(%error, "the bus is still away");
            sleep(PAUSE).await;
        }
        // what an earlier run left was measured otherwise, so it need not come out even
        let less = |bytes: u64| Some(bytes.saturating_sub(size));
        let before = self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).unwrap_or_else(|bytes| bytes);
        self.metrics.spool_bytes.set(before.saturating_sub(size) as i64);
    }

    /// Keeps the position; when nothing waits any more, records go straight to the bus again.
    async fn settle(&self, consumer: &mut dyn Consumer) -> Result<()> {
        consumer.commit().await?;
        self.spool.trim(DRAIN).await?;
        let mut spooling = self.spooling.write().await;
        if *spooling && lag(&self.spool, DRAIN, &self.spool.ends(None).await?).await? == 0 {
            *spooling = false;
            self.waits.store(false, Ordering::Release);
            self.bytes.store(0, Ordering::Release);
            self.metrics.spool_bytes.set(0);
            tracing::info!("the bus is back and has everything that was spooled");
        }
        Ok(())
    }

    async fn begin(&self) {
        let mut spooling = self.spooling.write().await;
        if !*spooling {
            *spooling = true;
            self.waits.store(true, Ordering::Release);
            tracing::warn!("the bus is away; events are kept on this machine until it is back");
        }
    }
}

impl Bus for SpooledBus {
    fn append(&self, record: Record) -> BoxFuture<'_, Result<Offset>> {
        Box::pin(async move {
            {
                let spooling = self.spooling.read().await;
                if *spooling {
                    return self.keep(record).await;
                }
                match self.bus.append(record.clone()).await {
                    Ok(offset) => return Ok(offset),
                    Err(StorageError::Bus(why)) => tracing::debug!(why, "an append failed"),
                    Err(error) => return Err(error),
                }
            }
            self.begin().await;
            // between the two it may have come back: then the record comes after those that waited, as it should
            let spooling = self.spooling.read().await;
            if *spooling { self.keep(record).await } else { self.bus.append(record).await }
        })
    }

    fn consumer<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        self.bus.consumer(name)
    }

    fn ends<'a>(&'a self, call: Option<CallKey<'a>>) -> BoxFuture<'a, Result<Vec<Offset>>> {
        Box::pin(async move {
            // what waits here has no place yet
            while self.waits.load(Ordering::Acquire) {
                sleep(PAUSE / 8).await;
            }
            self.bus.ends(call).await
        })
    }

    fn positions<'a>(&'a self, consumer: &'a str, of: &'a [Offset]) -> BoxFuture<'a, Result<Vec<Offset>>> {
        self.bus.positions(consumer, of)
    }

    fn trim<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<u64>> {
        self.bus.trim(consumer)
    }

    fn publish(&self, live: Arc<Live>) {
        self.bus.publish(live);
    }

    fn is_shared(&self) -> bool {
        self.bus.is_shared()
    }

    fn watch(&self) -> broadcast::Receiver<Arc<Live>> {
        self.bus.watch()
    }
}
