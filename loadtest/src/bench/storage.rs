//! What keeping an event costs and how soon it is kept: bus and vault of an engine, and the seal.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use serde::Serialize;
use sotto_events::{AudioFormat, CallId, ChannelRole, Clock, Encoding, RetentionClass, SafePoint, TenantId, Timestamp};
use sotto_storage::{
    bus::{Bus, Offset, Record, SealedEvent},
    clock::SystemClock,
    envelope::{Key, Place, open, seal},
    vault::{CallRow, CallState, Vault},
};
use tokio::{sync::Mutex, time::Instant};

use super::{Failure, board::Latency, machine::cpu_seconds};

/// Bytes of a sealed event, as a final of some words has.
const EVENT: usize = 256;
/// Records written in one go, as the writer does.
const BATCH: usize = 256;

/// What one stage did.
#[derive(Debug, Serialize)]
pub struct Throughput {
    pub events: u64,
    pub seconds: f64,
    pub events_a_second: f64,
    /// Of this process alone: servers have processors of their own to use.
    pub events_a_cpu_second: f64,
    pub latency_milliseconds: Latency,
}

/// An engine's figures.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub engine: String,
    /// Records appended by so many calls at once; each waits until it is durable.
    pub append: Throughput,
    /// Records taken from the bus and brought into rows.
    pub write: Throughput,
    /// From an append to its row, at a steady rate.
    pub durable_row_milliseconds: Latency,
    pub steady_events_a_second: f64,
}

/// Seals and opens a row of [`EVENT`] bytes.
#[derive(Debug, Serialize)]
pub struct Sealing {
    pub bytes: usize,
    pub seals_a_second: f64,
    pub opens_a_second: f64,
}

pub fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    Latency {
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        max: histogram.max() as f64 / 1000.0,
        samples: histogram.len(),
    }
}

/// Microseconds, to three digits.
fn histogram() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new(3)?)
}

/// One thread, for this long each.
///
/// # Errors
/// When something does not open.
pub fn sealing(length: Duration) -> Result<Sealing, Failure> {
    let key = Key::random()?;
    let plain = [7; EVENT];
    let place = |seq| Place { tenant: "acme", call: "call-0001", kind: "final", seq };
    let rate = |work: &mut dyn FnMut(u64) -> Result<(), Failure>| -> Result<f64, Failure> {
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < length {
            for _ in 0..1_000 {
                work(count)?;
                count += 1;
            }
        }
        Ok(count as f64 / started.elapsed().as_secs_f64())
    };
    let seals_a_second = rate(&mut |seq| {
        black_box(seal(&key, place(seq), black_box(&plain))?);
        Ok(())
    })?;
    let sealed = seal(&key, place(0), &plain)?;
    let opens_a_second = rate(&mut |_| {
        black_box(open(&key, place(0), black_box(&sealed))?);
        Ok(())
    })?;
    Ok(Sealing { bytes: EVENT, seals_a_second, opens_a_second })
}

/// Calls that record.
struct Calls {
    tenant: TenantId,
    ids: Vec<CallId>,
    created_at: Timestamp,
}

impl Calls {
    async fn make(vault: &dyn Vault, count: usize) -> Result<Self, Failure> {
        let tenant: TenantId = "bench".parse()?;
        let created_at = SystemClock.now();
        let mut ids = Vec::new();
        for number in 0..count {
            let call: CallId = format!("call-{:x}-{number}", created_at.0).parse()?;
            let row = CallRow {
                tenant: tenant.clone(),
                call: call.clone(),
                state: CallState::Open,
                dialect: "native".to_owned(),
                format: AudioFormat::new(Encoding::Mulaw, 8_000, vec![ChannelRole::Agent])?,
                created_at,
                ended_at: None,
                expires_at: created_at.plus_seconds(3_600),
                wrapped_key: Some(number.to_be_bytes().to_vec()),
                metadata: None,
                seq: 0,
                safe: Vec::new(),
                held_at: None,
            };
            vault.create(row).await?;
            ids.push(call);
        }
        Ok(Self { tenant, ids, created_at })
    }

    fn record(&self, call: usize, seq: u64) -> Record {
        let at = SystemClock.now();
        let event = SealedEvent {
            seq,
            kind: "final".to_owned(),
            class: RetentionClass::Transcript,
            expires_at: at.plus_seconds(3_600),
            sealed: vec![7; EVENT],
        };
        Record {
            tenant: self.tenant.clone(),
            call: self.ids[call].clone(),
            created_at: self.created_at,
            seq,
            events: vec![event],
            safe: vec![SafePoint { position: seq * 8_000, ..SafePoint::default() }],
            ended: false,
            at,
        }
    }
}

fn throughput(events: u64, seconds: f64, cpu: f64, times: &Histogram<u64>) -> Throughput {
    Throughput {
        events,
        seconds,
        events_a_second: events as f64 / seconds,
        events_a_cpu_second: events as f64 / cpu.max(0.01),
        latency_milliseconds: latency(times),
    }
}

/// Measures an engine with `calls` calls that record `events` events each, as fast as they can; then at a steady rate.
///
/// # Errors
/// When bus or vault fail.
pub async fn engine(
    name: &str,
    bus: Arc<dyn Bus>,
    vault: Arc<dyn Vault>,
    calls: usize,
    events: u64,
) -> Result<Figures, Failure> {
    let made = Arc::new(Calls::make(vault.as_ref(), calls).await?);
    let append = append(&bus, &made, events).await?;
    let write = write(&bus, &vault, append.events).await?;
    let steady_events_a_second = 200.0;
    let durable = durable(&bus, &vault, &made, events, steady_events_a_second).await?;
    let engine = name.to_owned();
    Ok(Figures { engine, append, write, durable_row_milliseconds: durable, steady_events_a_second })
}

async fn append(bus: &Arc<dyn Bus>, calls: &Arc<Calls>, events: u64) -> Result<Throughput, Failure> {
    let times = Arc::new(Mutex::new(histogram()?));
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    let all = (0..calls.ids.len()).map(|call| {
        let (bus, calls, times) = (Arc::clone(bus), Arc::clone(calls), Arc::clone(&times));
        async move {
            for seq in 1..=events {
                let asked = Instant::now();
                bus.append(calls.record(call, seq)).await?;
                times.lock().await.record(asked.elapsed().as_micros() as u64)?;
            }
            Ok::<_, Failure>(())
        }
    });
    stream::iter(all).buffer_unordered(calls.ids.len()).try_collect::<()>().await?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    Ok(throughput(calls.ids.len() as u64 * events, seconds, cpu, &*times.lock().await))
}

async fn write(bus: &Arc<dyn Bus>, vault: &Arc<dyn Vault>, events: u64) -> Result<Throughput, Failure> {
    let mut consumer = bus.consumer("writer").await?;
    let mut times = histogram()?;
    let (mut left, mut begun) = (events, None);
    while left > 0 {
        let records = consumer.next(BATCH).await?;
        // joining the group is no writing
        begun.get_or_insert((Instant::now(), cpu_seconds()?));
        left = left.saturating_sub(records.len() as u64);
        let asked = Instant::now();
        vault.write(records).await?;
        times.record(asked.elapsed().as_micros() as u64)?;
        consumer.commit().await?;
    }
    let (started, cpu) = begun.ok_or("nothing to write")?;
    Ok(throughput(events, started.elapsed().as_secs_f64(), cpu_seconds()? - cpu, &times))
}

/// Appends at a steady rate while a consumer writes; counts from the append to the end of the write.
async fn durable(
    bus: &Arc<dyn Bus>,
    vault: &Arc<dyn Vault>,
    calls: &Arc<Calls>,
    from: u64,
    rate: f64,
) -> Result<Latency, Failure> {
    const EVENTS: u64 = 2_000;
    let started = Instant::now();
    let since = move || started.elapsed().as_micros() as u64;
    let written = Arc::new(AtomicU64::new(0));
    let sent: Arc<Mutex<std::collections::HashMap<Offset, u64>>> = Arc::default();
    let writing = {
        let (bus, vault, written, sent) = (Arc::clone(bus), Arc::clone(vault), Arc::clone(&written), Arc::clone(&sent));
        tokio::spawn(async move {
            let mut consumer = bus.consumer("writer").await?;
            let mut times = histogram()?;
            let mut early = Vec::new();
            while written.load(Ordering::Relaxed) < EVENTS {
                let records = consumer.next(BATCH).await?;
                let mut offsets: Vec<(Offset, u64)> = records.iter().map(|delivered| (delivered.offset, 0)).collect();
                written.fetch_add(records.len() as u64, Ordering::Relaxed);
                vault.write(records).await?;
                let now = since();
                offsets.iter_mut().for_each(|(_, at)| *at = now);
                consumer.commit().await?;
                early.extend(offsets);
                let mut sent = sent.lock().await;
                // a row may be there before the append has heard that it is durable
                for (offset, at) in std::mem::take(&mut early) {
                    match sent.remove(&offset) {
                        Some(asked) => times.record(at.saturating_sub(asked).max(1))?,
                        None => early.push((offset, at)),
                    }
                }
            }
            Ok::<_, Failure>(times)
        })
    };
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    for number in 0..EVENTS {
        ticks.tick().await;
        let (bus, calls, sent) = (Arc::clone(bus), Arc::clone(calls), Arc::clone(&sent));
        let asked = since();
        let (call, turn) = (number as usize % calls.ids.len(), number / calls.ids.len() as u64);
        tokio::spawn(async move {
            if let Ok(offset) = bus.append(calls.record(call, from + 1 + turn)).await {
                sent.lock().await.insert(offset, asked);
            }
        });
    }
    Ok(latency(&writing.await??))
}
