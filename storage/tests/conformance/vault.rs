//! The vault: each row once, for its time and no longer, and never after an erasure.

use std::time::Duration;

use sotto_events::{RetentionClass, Timestamp};
use sotto_storage::{
    StorageError,
    vault::{CallRow, CallState, Vault},
};

use crate::{
    engines::Engines,
    rows::{LATER, NOW, call, call_row, delivered, event, record, tenant},
};

async fn seqs(vault: &dyn Vault, owner: &str, name: &str, after: u64, limit: usize, now: Timestamp) -> Vec<u64> {
    let events = vault.events(tenant(owner), call(name), after, limit, now).await.unwrap();
    events.iter().map(|event| event.seq).collect()
}

on_every_engine!(
    an_id_whose_call_has_expired_is_free_though_its_row_is_still_there,
    mh6_a_changed_retention_holds_for_what_comes_from_then_on,
    a_record_that_comes_late_does_not_move_a_call_back,
    a_long_call_is_read_page_by_page,
    many_tenants_are_kept_side_by_side,
    a_call_is_made_once_and_moves_on_with_its_records,
    a_record_that_comes_again_changes_nothing,
    events_are_paged_in_order_and_outlive_a_restart,
    an_event_is_never_read_before_those_it_follows,
    mh10_one_tenant_never_meets_another,
    calls_are_listed_newest_first_page_by_page,
    mh6_what_has_expired_is_neither_read_nor_left,
    ci5_metadata_dies_by_its_own_time,
    a_call_on_air_outlives_its_retention,
    mr6_an_erased_call_has_no_key_no_rows_and_takes_none,
    mr6_a_held_call_outlives_its_time_until_it_is_released,
    mr6_a_call_held_on_air_keeps_what_comes_later,
    mr6_a_held_call_cannot_be_erased_nor_an_erased_one_held,
    a_large_row_comes_back_whole,
    a_tenants_key_is_the_first_that_was_kept,
);

async fn a_call_is_made_once_and_moves_on_with_its_records(engines: &Engines) {
    let vault = engines.vault().await;
    assert_eq!(vault.create(call_row("acme", "one")).await.unwrap(), None);
    let again = CallRow { wrapped_key: Some(vec![7]), metadata: Some((vec![8], LATER)), ..call_row("acme", "one") };
    assert_eq!(vault.create(again).await.unwrap(), Some(call_row("acme", "one")));
    vault.write(vec![delivered(1, record("acme", "one", 1..=2, false))]).await.unwrap();
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!((found.seq, found.safe[0].position, found.state), (2, 16_000, CallState::Open));
    assert_eq!(vault.open_calls().await.unwrap().len(), 1);
    vault.write(vec![delivered(2, record("acme", "one", 3..=3, true))]).await.unwrap();
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!((found.state, found.ended_at), (CallState::Ended, Some(NOW)));
    assert!(vault.open_calls().await.unwrap().is_empty());
}

async fn a_record_that_comes_again_changes_nothing(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let records =
        vec![delivered(1, record("acme", "one", 1..=2, false)), delivered(2, record("acme", "one", 3..=4, false))];
    vault.write(records.clone()).await.unwrap();
    vault.write(records[..1].to_vec()).await.unwrap();
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await, [1, 2, 3, 4]);
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!(found.seq, 4);
}

async fn events_are_paged_in_order_and_outlive_a_restart(engines: &Engines) {
    {
        let vault = engines.vault().await;
        vault.create(call_row("acme", "one")).await.unwrap();
        vault.write(vec![delivered(1, record("acme", "one", 1..=7, false))]).await.unwrap();
    }
    let vault = engines.vault().await;
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 3, NOW).await, [1, 2, 3]);
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 3, 3, NOW).await, [4, 5, 6]);
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 6, 3, NOW).await, [7]);
}

async fn an_event_is_never_read_before_those_it_follows(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let mut last = 0;
    for number in 1..=20 {
        let mut record = record("acme", "one", last + 1..=last + 40, false);
        for event in &mut record.events {
            event.class = RetentionClass::ALL[event.seq as usize % RetentionClass::ALL.len()];
        }
        last += 40;
        let writing = vault.write(vec![delivered(number, record)]);
        let reading = async {
            loop {
                let read = seqs(vault.as_ref(), "acme", "one", 0, 1_000, NOW).await;
                assert!(read.iter().copied().eq(1..=read.len() as u64), "{read:?}");
                if read.len() as u64 == last {
                    break;
                }
            }
        };
        let both = async { tokio::join!(writing, reading) };
        let (written, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("all of it is read");
        written.unwrap();
    }
}

async fn mh10_one_tenant_never_meets_another(engines: &Engines) {
    let vault = engines.vault().await;
    for owner in ["acme", "other"] {
        vault.create(call_row(owner, "same")).await.unwrap();
    }
    vault.write(vec![delivered(1, record("acme", "same", 1..=2, false))]).await.unwrap();
    assert!(seqs(vault.as_ref(), "other", "same", 0, 9, NOW).await.is_empty());
    vault.erase(tenant("acme"), call("same")).await.unwrap();
    let other = vault.call(tenant("other"), call("same"), NOW).await.unwrap().unwrap();
    assert_eq!(other, call_row("other", "same"));
    assert_eq!(vault.calls(tenant("other"), None, 9, NOW).await.unwrap().len(), 1);
}

async fn calls_are_listed_newest_first_page_by_page(engines: &Engines) {
    let vault = engines.vault().await;
    for number in 0..5 {
        let mut row = call_row("acme", &format!("call-{number}"));
        row.created_at = Timestamp(NOW.0 + number / 2);
        vault.create(row).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = vault.calls(tenant("acme"), before, 2, NOW).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.created_at, last.call.clone()));
        seen.extend(page.iter().map(|row| row.call.to_string()));
    }
    assert_eq!(seen, ["call-4", "call-3", "call-2", "call-1", "call-0"]);
}

async fn mh6_what_has_expired_is_neither_read_nor_left(engines: &Engines) {
    let vault = engines.vault().await;
    // far enough apart for a machine that has much to do
    let (first, last) = (Timestamp(NOW.0 + 5_000), Timestamp(NOW.0 + 20_000));
    vault.create(CallRow { expires_at: last, ..call_row("acme", "one") }).await.unwrap();
    let mut mixed = record("acme", "one", 1..=1, true);
    mixed.events[0].expires_at = first;
    mixed.events.push(event(2, RetentionClass::Score, last));
    mixed.seq = 2;
    vault.write(vec![delivered(1, mixed)]).await.unwrap();
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await, [1, 2]);
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, first).await, [2], "unread before it is gone");
    let oldest = vault.oldest(RetentionClass::Transcript).await.unwrap().unwrap();
    // some engines know it to the hour
    assert!(oldest <= NOW && oldest.0 > NOW.0 - 3_600_000, "{oldest:?}");
    engines.pass(vault.as_ref(), first).await;
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await, [2], "gone, not only unread");
    assert_eq!(vault.call(tenant("acme"), call("one"), last).await.unwrap(), None);
    engines.pass(vault.as_ref(), last).await;
    assert!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await.is_empty());
    assert_eq!(vault.call(tenant("acme"), call("one"), NOW).await.unwrap(), None, "the call's key goes with it");
    assert!(vault.calls(tenant("acme"), None, 9, NOW).await.unwrap().is_empty());
    // its id is free again
    let row = CallRow { created_at: last, wrapped_key: Some(vec![7]), ..call_row("acme", "one") };
    assert_eq!(vault.create(row).await.unwrap(), None);
}

#[tokio::test]
async fn mh6_a_sweep_says_what_it_removed() {
    let engines = Engines::embedded();
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let mut mixed = record("acme", "one", 1..=1, true);
    mixed.events[0].expires_at = Timestamp(NOW.0 + 10);
    mixed.events.push(event(2, RetentionClass::Score, LATER));
    mixed.seq = 2;
    vault.write(vec![delivered(1, mixed)]).await.unwrap();
    assert_eq!(vault.oldest(RetentionClass::Transcript).await.unwrap(), Some(NOW));
    assert_eq!(vault.sweep(Timestamp(NOW.0 + 10), 100).await.unwrap().events, 1);
    assert_eq!(vault.oldest(RetentionClass::Transcript).await.unwrap(), None);
    let swept = vault.sweep(LATER, 100).await.unwrap();
    assert_eq!((swept.events, swept.metadata, swept.calls), (1, 1, 1));
}

async fn an_id_whose_call_has_expired_is_free_though_its_row_is_still_there(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    vault.write(vec![delivered(1, record("acme", "one", 1..=3, true))]).await.unwrap();
    let row = CallRow {
        created_at: LATER,
        expires_at: Timestamp(LATER.0 + 60_000),
        wrapped_key: Some(vec![7]),
        metadata: None,
        ..call_row("acme", "one")
    };
    assert_eq!(vault.create(row.clone()).await.unwrap(), None);
    assert_eq!(vault.call(tenant("acme"), call("one"), LATER).await.unwrap(), Some(row), "nothing of the old one");
}

async fn mh6_a_changed_retention_holds_for_what_comes_from_then_on(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let mut short = record("acme", "one", 2..=2, false);
    short.events[0].expires_at = Timestamp(NOW.0 + 2_000);
    vault.write(vec![delivered(1, record("acme", "one", 1..=1, false)), delivered(2, short)]).await.unwrap();
    engines.pass(vault.as_ref(), Timestamp(NOW.0 + 2_000)).await;
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await, [1]);
}

async fn a_record_that_comes_late_does_not_move_a_call_back(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let records = [record("acme", "one", 1..=2, false), record("acme", "one", 3..=4, false)];
    for record in [&records[0], &records[1], &records[0]] {
        vault.write(vec![delivered(1, record.clone())]).await.unwrap();
    }
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!((found.seq, found.safe[0].position), (4, 32_000));
}

async fn a_long_call_is_read_page_by_page(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    // more than one partition of a partitioned engine
    let records: Vec<_> = (0..20).map(|part| record("acme", "one", part * 500 + 1..=part * 500 + 500, false)).collect();
    vault.write(records.into_iter().map(|record| delivered(1, record)).collect()).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let after = seen.last().copied().unwrap_or(0);
        let page = seqs(vault.as_ref(), "acme", "one", after, 999, NOW).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert!(seen.iter().copied().eq(1..=10_000), "{} rows", seen.len());
}

async fn many_tenants_are_kept_side_by_side(engines: &Engines) {
    let vault = engines.vault().await;
    let owners: Vec<String> = (0..40).map(|number| format!("tenant-{number}")).collect();
    for owner in &owners {
        vault.create(call_row(owner, "same")).await.unwrap();
    }
    let records = owners
        .iter()
        .enumerate()
        .map(|(number, owner)| delivered(number as u64 + 1, record(owner, "same", 1..=number as u64 % 5 + 1, false)));
    vault.write(records.collect()).await.unwrap();
    for (number, owner) in owners.iter().enumerate() {
        assert_eq!(seqs(vault.as_ref(), owner, "same", 0, 9, NOW).await.len(), number % 5 + 1);
        assert_eq!(vault.calls(tenant(owner), None, 9, NOW).await.unwrap().len(), 1);
    }
    assert_eq!(vault.open_calls().await.unwrap().len(), 40);
}

async fn ci5_metadata_dies_by_its_own_time(engines: &Engines) {
    let vault = engines.vault().await;
    let mut row = call_row("acme", "one");
    let first = Timestamp(NOW.0 + 5_000);
    row.metadata = Some((vec![9], first));
    vault.create(row).await.unwrap();
    let metadata = async |now: Timestamp| vault.call(tenant("acme"), call("one"), now).await.unwrap().unwrap().metadata;
    assert!(metadata(NOW).await.is_some());
    assert_eq!(metadata(first).await, None);
    engines.pass(vault.as_ref(), first).await;
    assert_eq!(metadata(NOW).await, None, "gone, not only unread");
}

async fn a_call_on_air_outlives_its_retention(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let long_after = Timestamp(LATER.0 + 1);
    vault.sweep(long_after, 100).await.unwrap();
    assert!(vault.call(tenant("acme"), call("one"), long_after).await.unwrap().is_some());
    let mut late = record("acme", "one", 1..=1, true);
    late.events[0].expires_at = Timestamp(LATER.0 + 50);
    vault.write(vec![delivered(1, late)]).await.unwrap();
    // and lives as long as the last of its events
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, long_after).await, [1]);
    assert_eq!(vault.call(tenant("acme"), call("one"), Timestamp(LATER.0 + 50)).await.unwrap(), None);
}

async fn mr6_an_erased_call_has_no_key_no_rows_and_takes_none(engines: &Engines) {
    let vault = engines.vault().await;
    assert_eq!(vault.erase(tenant("acme"), call("one")).await.unwrap(), None);
    vault.create(call_row("acme", "one")).await.unwrap();
    vault.write(vec![delivered(1, record("acme", "one", 1..=3, true))]).await.unwrap();
    assert_eq!(vault.erase(tenant("acme"), call("one")).await.unwrap(), Some(3));
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!((found.state, found.wrapped_key, found.metadata), (CallState::Erased, None, None));
    // a copy that was still on the bus
    vault.write(vec![delivered(2, record("acme", "one", 1..=3, true))]).await.unwrap();
    assert!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await.is_empty());
}

async fn mr6_a_held_call_outlives_its_time_until_it_is_released(engines: &Engines) {
    let vault = engines.vault().await;
    let (first, last) = (Timestamp(NOW.0 + 8_000), Timestamp(NOW.0 + 11_000));
    let row = CallRow { expires_at: last, metadata: Some((vec![9], first)), ..call_row("acme", "one") };
    vault.create(row.clone()).await.unwrap();
    let mut mixed = record("acme", "one", 1..=1, true);
    mixed.events[0].expires_at = first;
    mixed.events.push(event(2, RetentionClass::Score, last));
    mixed.seq = 2;
    vault.write(vec![delivered(1, mixed.clone())]).await.unwrap();
    assert_eq!(vault.hold(tenant("acme"), call("none"), NOW).await.unwrap(), None);
    assert_eq!(vault.hold(tenant("acme"), call("one"), NOW).await.unwrap(), Some(NOW));
    assert_eq!(vault.hold(tenant("acme"), call("one"), first).await.unwrap(), Some(NOW), "once is enough");
    let before = vault.events(tenant("acme"), call("one"), 0, 9, NOW).await.unwrap();
    engines.pass(vault.as_ref(), last).await;
    let much_later = Timestamp(LATER.0 + 1_000_000);
    assert_eq!(vault.events(tenant("acme"), call("one"), 0, 9, much_later).await.unwrap(), before);
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 1, 9, much_later).await, [2]);
    let found = vault.call(tenant("acme"), call("one"), much_later).await.unwrap().unwrap();
    let kept = (found.state, &found.wrapped_key, &found.metadata, found.held_at, found.seq);
    assert_eq!(kept, (CallState::Ended, &row.wrapped_key, &row.metadata, Some(NOW), 2));
    assert_eq!(vault.calls(tenant("acme"), None, 9, much_later).await.unwrap(), [found]);
    let other = CallRow { wrapped_key: Some(vec![7]), created_at: last, ..row.clone() };
    assert!(vault.create(other).await.unwrap().is_some(), "its id is taken");
    assert!(vault.release(tenant("acme"), call("one")).await.unwrap());
    assert!(!vault.release(tenant("acme"), call("one")).await.unwrap());
    engines.pass(vault.as_ref(), last).await;
    assert!(vault.call(tenant("acme"), call("one"), NOW).await.unwrap().is_none(), "gone, not only unread");
    assert!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await.is_empty());
    assert_eq!(vault.create(CallRow { created_at: last, ..row }).await.unwrap(), None, "and its id is free");
}

async fn mr6_a_call_held_on_air_keeps_what_comes_later(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let first = Timestamp(NOW.0 + 8_000);
    let short = |seqs: std::ops::RangeInclusive<u64>, ended: bool| {
        let mut record = record("acme", "one", seqs, ended);
        record.events.iter_mut().for_each(|event| event.expires_at = first);
        record
    };
    vault.write(vec![delivered(1, short(1..=2, false))]).await.unwrap();
    vault.hold(tenant("acme"), call("one"), NOW).await.unwrap();
    vault.write(vec![delivered(2, short(3..=3, false))]).await.unwrap();
    vault.sweep(NOW, 100).await.unwrap();
    vault.write(vec![delivered(3, short(4..=5, true))]).await.unwrap();
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await, [1, 2, 3, 4, 5]);
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!((found.state, found.held_at, found.seq), (CallState::Ended, Some(NOW), 5));
    assert!(vault.open_calls().await.unwrap().is_empty());
    engines.pass(vault.as_ref(), first).await;
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, first).await, [1, 2, 3, 4, 5]);
    vault.release(tenant("acme"), call("one")).await.unwrap();
    assert!(seqs(vault.as_ref(), "acme", "one", 0, 9, first).await.is_empty());
}

async fn mr6_a_held_call_cannot_be_erased_nor_an_erased_one_held(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    vault.write(vec![delivered(1, record("acme", "one", 1..=3, true))]).await.unwrap();
    vault.hold(tenant("acme"), call("one"), NOW).await.unwrap();
    assert!(matches!(vault.erase(tenant("acme"), call("one")).await, Err(StorageError::Held)));
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await, [1, 2, 3]);
    vault.release(tenant("acme"), call("one")).await.unwrap();
    assert_eq!(vault.erase(tenant("acme"), call("one")).await.unwrap(), Some(3));
    assert!(matches!(vault.hold(tenant("acme"), call("one"), NOW).await, Err(StorageError::Erased)));
}

async fn a_large_row_comes_back_whole(engines: &Engines) {
    let vault = engines.vault().await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let mut large = record("acme", "one", 1..=1, false);
    large.events[0].sealed = (0..4_000_000_u32).map(|index| index as u8).collect();
    let wanted = large.events[0].sealed.clone();
    vault.write(vec![delivered(1, large)]).await.unwrap();
    let events = vault.events(tenant("acme"), call("one"), 0, 9, NOW).await.unwrap();
    assert_eq!(events[0].sealed, wanted);
}

async fn a_tenants_key_is_the_first_that_was_kept(engines: &Engines) {
    let vault = engines.vault().await;
    assert!(!vault.has_keys().await.unwrap());
    assert_eq!(vault.keep_tenant_key(tenant("acme"), vec![1]).await.unwrap(), [1]);
    assert_eq!(vault.keep_tenant_key(tenant("acme"), vec![2]).await.unwrap(), [1]);
    assert_eq!(vault.tenant_key(tenant("acme")).await.unwrap(), Some(vec![1]));
    assert_eq!(vault.tenant_key(tenant("other")).await.unwrap(), None);
    assert!(vault.has_keys().await.unwrap());
}
