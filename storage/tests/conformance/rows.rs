//! Things to keep.

use sotto_events::{AudioFormat, CallId, ChannelRole, Encoding, RetentionClass, SafePoint, TenantId, Timestamp};
use sotto_storage::{
    bus::{Delivered, Offset, Record, SealedEvent},
    vault::{CallRow, CallState},
};

pub const NOW: Timestamp = Timestamp(1_000_000);
pub const LATER: Timestamp = Timestamp(1_060_000);

pub fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub fn call(name: &str) -> CallId {
    name.parse().unwrap()
}

pub fn call_row(owner: &str, name: &str) -> CallRow {
    CallRow {
        tenant: tenant(owner),
        call: call(name),
        state: CallState::Open,
        dialect: "native".to_owned(),
        format: AudioFormat::new(Encoding::Mulaw, 8_000, vec![ChannelRole::Agent]).unwrap(),
        created_at: NOW,
        ended_at: None,
        expires_at: LATER,
        wrapped_key: Some(vec![1, 2, 3]),
        metadata: Some((vec![4, 5], LATER)),
        seq: 0,
        safe: Vec::new(),
        held_at: None,
    }
}

pub fn event(seq: u64, class: RetentionClass, expires_at: Timestamp) -> SealedEvent {
    let sealed = format!("sealed {seq}").into_bytes();
    SealedEvent { seq, kind: "final".to_owned(), class, expires_at, sealed }
}

/// A record of one call with these sequence numbers.
pub fn record(owner: &str, name: &str, seqs: std::ops::RangeInclusive<u64>, ended: bool) -> Record {
    let position = *seqs.end() * 8_000;
    Record {
        tenant: tenant(owner),
        call: call(name),
        created_at: NOW,
        seq: *seqs.end(),
        events: seqs.map(|seq| event(seq, RetentionClass::Transcript, LATER)).collect(),
        safe: vec![SafePoint { position, ..SafePoint::default() }],
        ended,
        at: NOW,
    }
}

pub fn delivered(number: u64, record: Record) -> Delivered {
    Delivered { offset: Offset { partition: 0, number }, record }
}
