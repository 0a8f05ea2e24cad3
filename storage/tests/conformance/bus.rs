//! The bus: order, positions, nothing lost over a restart.

use std::{sync::Arc, time::Duration};

use sotto_storage::bus::{Bus, Live};
use tokio::{sync::broadcast::error::RecvError, time::timeout};

use crate::{
    engines::Engines,
    rows::{call, record, tenant},
};

async fn next(bus: &dyn Bus, consumer: &str, limit: usize) -> Vec<(u64, u64)> {
    let found = bus.next(consumer, limit).await.unwrap();
    found.iter().map(|delivered| (delivered.offset, delivered.record.events[0].seq)).collect()
}

#[tokio::test]
async fn records_come_in_order_and_again_until_committed() {
    let engines = Engines::new();
    let bus = engines.bus().await;
    let mut offsets = Vec::new();
    for seq in 1..=5 {
        offsets.push(bus.append(record("acme", "one", seq..=seq, false)).await.unwrap());
    }
    assert!(offsets.is_sorted_by(|a, b| a < b));
    let first = next(bus.as_ref(), "writer", 3).await;
    assert_eq!(first.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(next(bus.as_ref(), "writer", 3).await, first, "not committed, so given again");
    bus.commit("writer", first[1].0).await.unwrap();
    assert_eq!(next(bus.as_ref(), "writer", 9).await.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(next(bus.as_ref(), "other", 9).await.len(), 5, "each consumer has its own position");
    // going back is not possible
    bus.commit("writer", first[0].0).await.unwrap();
    assert_eq!(bus.position("writer").await.unwrap(), first[1].0);
}

#[tokio::test]
async fn positions_and_records_outlive_a_restart_and_offsets_are_never_given_twice() {
    let engines = Engines::new();
    let last = {
        let bus = engines.bus().await;
        bus.append(record("acme", "one", 1..=2, false)).await.unwrap();
        let last = bus.append(record("acme", "one", 3..=3, true)).await.unwrap();
        bus.commit("writer", last).await.unwrap();
        assert_eq!(bus.trim("writer").await.unwrap(), 2);
        last
    };
    let bus = engines.bus().await;
    assert_eq!((bus.position("writer").await.unwrap(), bus.end().await.unwrap()), (last, last));
    let offset = bus.append(record("acme", "two", 1..=1, false)).await.unwrap();
    assert!(offset > last);
    assert_eq!(next(bus.as_ref(), "writer", 9).await, [(offset, 1)]);
}

#[tokio::test]
async fn what_a_consumer_has_not_passed_is_not_trimmed() {
    let engines = Engines::new();
    let bus = engines.bus().await;
    let first = bus.append(record("acme", "one", 1..=1, false)).await.unwrap();
    bus.append(record("acme", "one", 2..=2, false)).await.unwrap();
    bus.commit("writer", first).await.unwrap();
    assert_eq!(bus.trim("writer").await.unwrap(), 1);
    assert_eq!(next(bus.as_ref(), "writer", 9).await.len(), 1);
}

#[tokio::test]
async fn waiting_for_records_ends_when_one_comes() {
    let engines = Engines::new();
    let bus = engines.bus().await;
    let waiting = {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move { bus.next("writer", 9).await.unwrap().len() })
    };
    bus.append(record("acme", "one", 1..=1, false)).await.unwrap();
    assert_eq!(timeout(Duration::from_secs(20), waiting).await.expect("never woken").unwrap(), 1);
}

#[tokio::test]
async fn many_appends_at_once_are_all_kept_each_once() {
    let engines = Engines::new();
    let bus = engines.bus().await;
    let appends = (0..500).map(|number| {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move { bus.append(record("acme", &format!("call-{number}"), 1..=1, false)).await.unwrap() })
    });
    let mut offsets = Vec::new();
    for append in appends.collect::<Vec<_>>() {
        offsets.push(append.await.unwrap());
    }
    offsets.sort_unstable();
    offsets.dedup();
    assert_eq!(offsets.len(), 500);
    assert_eq!(next(bus.as_ref(), "writer", 1_000).await.len(), 500);
}

#[tokio::test]
async fn a_slow_watcher_is_told_what_it_missed() {
    let engines = Engines::new();
    let bus = engines.bus().await;
    let mut watcher = bus.watch();
    for seq in 0..10_000 {
        let (tenant, call) = (tenant("acme"), call("one"));
        bus.publish(Arc::new(Live { tenant, call, kind: "partial".to_owned(), seq, sealed: Vec::new() }));
    }
    assert!(matches!(watcher.recv().await, Err(RecvError::Lagged(missed)) if missed > 0));
    assert!(watcher.recv().await.is_ok());
}
