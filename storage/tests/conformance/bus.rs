//! The bus: order, positions, nothing lost over a restart.

use std::{sync::Arc, time::Duration};

use sotto_storage::bus::{Consumer, Live, Offset, lag, settled};
use tokio::{sync::broadcast::error::RecvError, time::timeout};

use crate::{
    engines::Engines,
    rows::{call, record, tenant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The next `count` records: where they are, and their first `seq`.
pub async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<(Offset, u64)> {
    let mut found = Vec::new();
    while found.len() < count {
        let more = timeout(PATIENCE, consumer.next(count - found.len())).await.expect("no record comes").unwrap();
        found.extend(more.into_iter().map(|delivered| (delivered.offset, delivered.record.events[0].seq)));
    }
    found
}

fn seqs(found: &[(Offset, u64)]) -> Vec<u64> {
    found.iter().map(|(_, seq)| *seq).collect()
}

on_every_engine!(
    records_come_in_order_and_again_until_committed,
    positions_and_records_outlive_a_restart_and_offsets_are_never_given_twice,
    what_a_consumer_has_not_passed_is_not_trimmed,
    waiting_for_records_ends_when_one_comes,
    many_appends_at_once_are_all_kept_each_once,
    calls_side_by_side_keep_each_its_order,
    a_large_record_comes_back_whole,
    one_waits_until_a_consumer_has_passed_what_is_there,
    a_slow_watcher_is_told_what_it_missed,
);

async fn records_come_in_order_and_again_until_committed(engines: &Engines) {
    let bus = engines.bus().await;
    let mut offsets = Vec::new();
    for seq in 1..=5 {
        offsets.push(bus.append(record("acme", "one", seq..=seq, false)).await.unwrap());
    }
    assert!(offsets.is_sorted_by(|a, b| a < b));
    assert!(offsets.iter().all(|offset| offset.partition == offsets[0].partition), "a call stays in one partition");
    let mut first = bus.consumer("writer").await.unwrap();
    let given = take(first.as_mut(), 3).await;
    assert_eq!(seqs(&given), [1, 2, 3]);
    drop(first);
    let mut second = bus.consumer("writer").await.unwrap();
    assert_eq!(take(second.as_mut(), 3).await, given, "not committed, so given again");
    second.commit().await.unwrap();
    assert_eq!(seqs(&take(second.as_mut(), 2).await), [4, 5]);
    drop(second);
    let mut third = bus.consumer("writer").await.unwrap();
    assert_eq!(seqs(&take(third.as_mut(), 2).await), [4, 5]);
    let mut other = bus.consumer("other").await.unwrap();
    assert_eq!(seqs(&take(other.as_mut(), 5).await), [1, 2, 3, 4, 5], "each consumer has its own position");
}

async fn positions_and_records_outlive_a_restart_and_offsets_are_never_given_twice(engines: &Engines) {
    let last = {
        let bus = engines.bus().await;
        bus.append(record("acme", "one", 1..=2, false)).await.unwrap();
        let last = bus.append(record("acme", "one", 3..=3, true)).await.unwrap();
        let mut consumer = bus.consumer("writer").await.unwrap();
        take(consumer.as_mut(), 2).await;
        consumer.commit().await.unwrap();
        bus.trim("writer").await.unwrap();
        last
    };
    let bus = engines.bus().await;
    let ends = bus.ends(Some((&tenant("acme"), &call("one")))).await.unwrap();
    assert_eq!(ends, [last]);
    assert_eq!(bus.positions("writer", &ends).await.unwrap(), ends);
    let offset = bus.append(record("acme", "one", 4..=4, false)).await.unwrap();
    assert!(offset > last);
    assert_eq!(lag(bus.as_ref(), "writer", &[offset]).await.unwrap(), 1);
    assert_eq!(take(bus.consumer("writer").await.unwrap().as_mut(), 1).await, [(offset, 4)]);
}

async fn what_a_consumer_has_not_passed_is_not_trimmed(engines: &Engines) {
    let bus = engines.bus().await;
    bus.append(record("acme", "one", 1..=1, false)).await.unwrap();
    bus.append(record("acme", "one", 2..=2, false)).await.unwrap();
    let mut consumer = bus.consumer("writer").await.unwrap();
    take(consumer.as_mut(), 1).await;
    consumer.commit().await.unwrap();
    bus.trim("writer").await.unwrap();
    drop(consumer);
    assert_eq!(seqs(&take(bus.consumer("writer").await.unwrap().as_mut(), 1).await), [2]);
}

#[tokio::test]
async fn the_embedded_log_forgets_what_was_passed() {
    let engines = Engines::embedded();
    let bus = engines.bus().await;
    bus.append(record("acme", "one", 1..=1, false)).await.unwrap();
    bus.append(record("acme", "one", 2..=2, false)).await.unwrap();
    let mut consumer = bus.consumer("writer").await.unwrap();
    take(consumer.as_mut(), 1).await;
    consumer.commit().await.unwrap();
    assert_eq!(bus.trim("writer").await.unwrap(), 1);
    assert_eq!(bus.trim("writer").await.unwrap(), 0);
}

async fn waiting_for_records_ends_when_one_comes(engines: &Engines) {
    let bus = engines.bus().await;
    let mut consumer = bus.consumer("writer").await.unwrap();
    let waiting = tokio::spawn(async move { take(consumer.as_mut(), 1).await.len() });
    bus.append(record("acme", "one", 1..=1, false)).await.unwrap();
    assert_eq!(timeout(PATIENCE, waiting).await.expect("never woken").unwrap(), 1);
}

async fn many_appends_at_once_are_all_kept_each_once(engines: &Engines) {
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
    let mut found = take(bus.consumer("writer").await.unwrap().as_mut(), 500).await;
    found.sort_unstable();
    assert!(found.iter().map(|(offset, _)| offset).eq(&offsets));
}

async fn calls_side_by_side_keep_each_its_order(engines: &Engines) {
    let bus = engines.bus().await;
    let calls = (0..8).map(|number| {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move {
            for seq in 1..=25 {
                bus.append(record("acme", &format!("call-{number}"), seq..=seq, false)).await.unwrap();
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let mut consumer = bus.consumer("writer").await.unwrap();
    let mut seen = std::collections::BTreeMap::<String, Vec<u64>>::new();
    while seen.values().map(Vec::len).sum::<usize>() < 200 {
        for delivered in timeout(PATIENCE, consumer.next(64)).await.expect("no record comes").unwrap() {
            seen.entry(delivered.record.call.to_string()).or_default().push(delivered.record.seq);
        }
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.values().all(|seqs| seqs.iter().copied().eq(1..=25)), "{seen:?}");
}

async fn a_large_record_comes_back_whole(engines: &Engines) {
    let bus = engines.bus().await;
    let mut large = record("acme", "one", 1..=1, false);
    large.events[0].sealed = (0..5_000_000_u32).map(|index| index as u8).collect();
    bus.append(large.clone()).await.unwrap();
    let mut consumer = bus.consumer("writer").await.unwrap();
    let found = timeout(PATIENCE, consumer.next(1)).await.expect("no record comes").unwrap();
    assert!(found[0].record == large);
}

async fn one_waits_until_a_consumer_has_passed_what_is_there(engines: &Engines) {
    let bus = engines.bus().await;
    let (tenant, call) = (tenant("acme"), call("one"));
    settled(bus.as_ref(), "writer", None).await.unwrap();
    bus.append(record("acme", "one", 1..=1, false)).await.unwrap();
    let waiting = {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move { settled(bus.as_ref(), "writer", Some((&tenant, &call))).await })
    };
    let mut consumer = bus.consumer("writer").await.unwrap();
    take(consumer.as_mut(), 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "it is not committed yet");
    consumer.commit().await.unwrap();
    timeout(PATIENCE, waiting).await.expect("never settled").unwrap().unwrap();
}

async fn a_slow_watcher_is_told_what_it_missed(engines: &Engines) {
    let bus = engines.bus().await;
    let mut watcher = bus.watch();
    for seq in 0..40_000 {
        let (tenant, call) = (tenant("acme"), call("one"));
        bus.publish(Arc::new(Live { tenant, call, kind: "partial".to_owned(), seq, sealed: Vec::new() }));
    }
    assert!(matches!(watcher.recv().await, Err(RecvError::Lagged(missed)) if missed > 0));
    assert!(watcher.recv().await.is_ok());
}
