//! The spool: what it takes while the bus is away comes to the bus in order, once it is back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use sotto_storage::{
    Result, StorageError,
    bus::{Bus, CallKey, Consumer, Live, Offset, Record, embedded::EmbeddedBus, settled, spool::SpooledBus},
};
use tempfile::TempDir;
use tokio::{sync::broadcast, time::timeout};

use crate::{bus::take, engines::metrics, rows::record};

/// A bus that can be away.
struct Far {
    bus: EmbeddedBus,
    away: AtomicBool,
}

impl Bus for Far {
    fn append(&self, record: Record) -> BoxFuture<'_, Result<Offset>> {
        if self.away.load(Ordering::Acquire) {
            return Box::pin(async { Err(StorageError::Bus("nobody answers".to_owned())) });
        }
        self.bus.append(record)
    }
    fn consumer<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        self.bus.consumer(name)
    }
    fn ends<'a>(&'a self, call: Option<CallKey<'a>>) -> BoxFuture<'a, Result<Vec<Offset>>> {
        self.bus.ends(call)
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
    fn watch(&self) -> broadcast::Receiver<Arc<Live>> {
        self.bus.watch()
    }
}

struct Place {
    folder: TempDir,
    far: Arc<Far>,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = EmbeddedBus::open(&folder.path().join("far.db"), &metrics()).await.unwrap();
        Self { folder, far: Arc::new(Far { bus, away: AtomicBool::new(false) }) }
    }

    async fn open(&self, limit: u64) -> Arc<SpooledBus> {
        let far = Arc::clone(&self.far) as Arc<dyn Bus>;
        Arc::new(SpooledBus::open(far, &self.folder.path().join("spool.db"), limit, &metrics()).await.unwrap())
    }

    fn away(&self, away: bool) {
        self.far.away.store(away, Ordering::Release);
    }

    /// The sequence numbers that reached the bus.
    async fn arrived(&self, count: usize) -> Vec<u64> {
        let mut consumer = self.far.bus.consumer("test").await.unwrap();
        take(consumer.as_mut(), count).await.into_iter().map(|(_, seq)| seq).collect()
    }
}

const PLENTY: u64 = 1 << 20;

#[tokio::test]
async fn what_is_appended_while_the_bus_is_away_follows_in_order() {
    let place = Place::new().await;
    let bus = place.open(PLENTY).await;
    tokio::spawn(Arc::clone(&bus).drain());
    for seq in 1..=9 {
        place.away((4..=6).contains(&seq));
        bus.append(record("acme", "one", seq..=seq, false)).await.unwrap();
    }
    assert_eq!(place.arrived(9).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn nothing_counts_as_settled_while_it_waits_in_the_spool() {
    let place = Place::new().await;
    let bus = place.open(PLENTY).await;
    tokio::spawn(Arc::clone(&bus).drain());
    place.away(true);
    bus.append(record("acme", "one", 1..=1, false)).await.unwrap();
    let settling = settled(bus.as_ref(), "writer", None);
    tokio::pin!(settling);
    assert!(timeout(Duration::from_millis(300), &mut settling).await.is_err());
    place.away(false);
    let mut consumer = bus.consumer("writer").await.unwrap();
    take(consumer.as_mut(), 1).await;
    consumer.commit().await.unwrap();
    timeout(Duration::from_secs(20), settling).await.expect("never settled").unwrap();
}

#[tokio::test]
async fn what_is_spooled_outlives_a_restart() {
    let place = Place::new().await;
    place.away(true);
    {
        let bus = place.open(PLENTY).await;
        for seq in 1..=3 {
            bus.append(record("acme", "one", seq..=seq, false)).await.unwrap();
        }
    }
    place.away(false);
    let bus = place.open(PLENTY).await;
    // there is something before it, so it waits behind that
    bus.append(record("acme", "one", 4..=4, false)).await.unwrap();
    tokio::spawn(Arc::clone(&bus).drain());
    assert_eq!(place.arrived(4).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_full_spool_refuses_and_takes_again_once_it_is_empty() {
    let place = Place::new().await;
    let bus = place.open(2_000).await;
    place.away(true);
    let mut kept = 0;
    let refused = loop {
        match bus.append(record("acme", "one", kept + 1..=kept + 1, false)).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StorageError::SpoolFull), "{refused}");
    assert!((1..20).contains(&kept), "{kept} records in 2000 bytes");
    place.away(false);
    tokio::spawn(Arc::clone(&bus).drain());
    assert_eq!(place.arrived(kept as usize).await.len(), kept as usize);
    bus.append(record("acme", "one", kept + 1..=kept + 1, false)).await.unwrap();
}
