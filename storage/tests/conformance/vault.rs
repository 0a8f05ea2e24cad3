//! The vault: each row once, for its time and no longer, and never after an erasure.

use sotto_events::{RetentionClass, Timestamp};
use sotto_storage::vault::{CallState, Vault};

use crate::{
    engines::Engines,
    rows::{LATER, NOW, call, call_row, delivered, event, record, tenant},
};

async fn seqs(vault: &dyn Vault, owner: &str, name: &str, after: u64, limit: usize, now: Timestamp) -> Vec<u64> {
    let events = vault.events(tenant(owner), call(name), after, limit, now).await.unwrap();
    events.iter().map(|event| event.seq).collect()
}

#[tokio::test]
async fn a_call_is_made_once_and_moves_on_with_its_records() {
    let engines = Engines::new();
    let vault = engines.vault();
    assert_eq!(vault.create(call_row("acme", "one")).await.unwrap(), None);
    assert_eq!(vault.create(call_row("acme", "one")).await.unwrap(), Some(call_row("acme", "one")));
    vault.write(vec![delivered(1, record("acme", "one", 1..=2, false))]).await.unwrap();
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!((found.seq, found.safe[0].position, found.state), (2, 16_000, CallState::Open));
    assert_eq!(vault.open_calls().await.unwrap().len(), 1);
    vault.write(vec![delivered(2, record("acme", "one", 3..=3, true))]).await.unwrap();
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!((found.state, found.ended_at), (CallState::Ended, Some(NOW)));
    assert!(vault.open_calls().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_record_that_comes_again_changes_nothing() {
    let engines = Engines::new();
    let vault = engines.vault();
    vault.create(call_row("acme", "one")).await.unwrap();
    let records =
        vec![delivered(1, record("acme", "one", 1..=2, false)), delivered(2, record("acme", "one", 3..=4, false))];
    vault.write(records.clone()).await.unwrap();
    vault.write(records[..1].to_vec()).await.unwrap();
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, NOW).await, [1, 2, 3, 4]);
    let found = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!(found.seq, 4);
}

#[tokio::test]
async fn events_are_paged_in_order_and_outlive_a_restart() {
    let engines = Engines::new();
    {
        let vault = engines.vault();
        vault.create(call_row("acme", "one")).await.unwrap();
        vault.write(vec![delivered(1, record("acme", "one", 1..=7, false))]).await.unwrap();
    }
    let vault = engines.vault();
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 3, NOW).await, [1, 2, 3]);
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 3, 3, NOW).await, [4, 5, 6]);
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 6, 3, NOW).await, [7]);
}

#[tokio::test]
async fn mh10_one_tenant_never_meets_another() {
    let engines = Engines::new();
    let vault = engines.vault();
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

#[tokio::test]
async fn calls_are_listed_newest_first_page_by_page() {
    let engines = Engines::new();
    let vault = engines.vault();
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

#[tokio::test]
async fn mh6_what_has_expired_is_neither_read_nor_left() {
    let engines = Engines::new();
    let vault = engines.vault();
    vault.create(call_row("acme", "one")).await.unwrap();
    let mut mixed = record("acme", "one", 1..=1, true);
    mixed.events[0].expires_at = Timestamp(NOW.0 + 10);
    mixed.events.push(event(2, RetentionClass::Score, LATER));
    vault.write(vec![delivered(1, mixed)]).await.unwrap();
    let after_first = Timestamp(NOW.0 + 10);
    assert_eq!(seqs(vault.as_ref(), "acme", "one", 0, 9, after_first).await, [2], "unread before it is swept");
    assert_eq!(vault.oldest(RetentionClass::Transcript).await.unwrap(), Some(NOW));
    assert_eq!(vault.sweep(after_first, 100).await.unwrap().events, 1);
    assert_eq!(vault.oldest(RetentionClass::Transcript).await.unwrap(), None);
    assert_eq!(vault.call(tenant("acme"), call("one"), LATER).await.unwrap(), None);
    let swept = vault.sweep(LATER, 100).await.unwrap();
    assert_eq!((swept.events, swept.calls), (1, 1));
    // its id is free again
    let row = call_row("acme", "one");
    assert_eq!(vault.create(row).await.unwrap(), None);
}

#[tokio::test]
async fn ci5_metadata_dies_by_its_own_time() {
    let engines = Engines::new();
    let vault = engines.vault();
    let mut row = call_row("acme", "one");
    row.metadata = Some((vec![9], Timestamp(NOW.0 + 10)));
    vault.create(row).await.unwrap();
    let metadata = async |now: Timestamp| vault.call(tenant("acme"), call("one"), now).await.unwrap().unwrap().metadata;
    assert!(metadata(NOW).await.is_some());
    assert_eq!(metadata(Timestamp(NOW.0 + 10)).await, None);
    assert_eq!(vault.sweep(Timestamp(NOW.0 + 10), 100).await.unwrap().metadata, 1);
}

#[tokio::test]
async fn a_call_on_air_outlives_its_retention() {
    let engines = Engines::new();
    let vault = engines.vault();
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

#[tokio::test]
async fn mr6_an_erased_call_has_no_key_no_rows_and_takes_none() {
    let engines = Engines::new();
    let vault = engines.vault();
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

#[tokio::test]
async fn a_large_row_comes_back_whole() {
    let engines = Engines::new();
    let vault = engines.vault();
    vault.create(call_row("acme", "one")).await.unwrap();
    let mut large = record("acme", "one", 1..=1, false);
    large.events[0].sealed = (0..4_000_000_u32).map(|index| index as u8).collect();
    let wanted = large.events[0].sealed.clone();
    vault.write(vec![delivered(1, large)]).await.unwrap();
    let events = vault.events(tenant("acme"), call("one"), 0, 9, NOW).await.unwrap();
    assert_eq!(events[0].sealed, wanted);
}

#[tokio::test]
async fn a_tenants_key_is_the_first_that_was_kept() {
    let engines = Engines::new();
    let vault = engines.vault();
    assert!(!vault.has_keys().await.unwrap());
    assert_eq!(vault.keep_tenant_key(tenant("acme"), vec![1]).await.unwrap(), [1]);
    assert_eq!(vault.keep_tenant_key(tenant("acme"), vec![2]).await.unwrap(), [1]);
    assert_eq!(vault.tenant_key(tenant("acme")).await.unwrap(), Some(vec![1]));
    assert_eq!(vault.tenant_key(tenant("other")).await.unwrap(), None);
    assert!(vault.has_keys().await.unwrap());
}
