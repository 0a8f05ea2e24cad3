//! Calls that change, made up below the speech pipeline: sealed, published and kept as real ones are.

use std::{
    collections::{BTreeMap, HashSet},
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{body::Bytes, serve::ListenerExt};
use futures_util::{Stream, StreamExt};
use hdrhistogram::Histogram;
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use sotto_access::{ApiKeys, Users};
use sotto_dashboards::{Api, DashboardMetrics, Hub, Places};
use sotto_events::{
    AudioFormat, CallEvent, ChannelRole, Clock, Encoding, EventBody, LiveScores, MediaTime, Partial, StartedCall,
    TenantId,
};
use sotto_pipeline::score::Scoring;
use sotto_storage::{
    NewCall, Reader, Recorder, RetentionPolicies, StorageMetrics,
    bus::{Bus, embedded::EmbeddedBus},
    clock::SystemClock,
    keys::{FileRoot, KeyRing},
    vault::{Vault, embedded::EmbeddedVault},
    writer::Writer,
};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::{Failure, machine::cpu_seconds};

/// Of one call.
const PARTIAL: Duration = Duration::from_millis(500);
const PARTIALS_A_SCORE: u32 = 6;
/// Of so many watchers one reads what it gets; the others only take it.
const READS: usize = 20;
/// Watchers need a moment to come.
const SETTLE: Duration = Duration::from_secs(2);

/// In milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
    pub samples: u64,
}

/// Microseconds since a round time not long ago, so that a number with a fraction holds them exactly.
fn micros() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_micros() % 1_000_000_000_000) as f64
}

/// A server with calls on air.
pub struct Board {
    pub address: String,
    pub key: String,
    calls: usize,
    _folder: tempfile::TempDir,
}

impl Board {
    /// # Errors
    /// When storage or network are not there.
    pub async fn start(calls: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let metrics = StorageMetrics::new(&Registry::new())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::open(&at("bus.db"), &metrics).await?);
        let vault: Arc<dyn Vault> = Arc::new(EmbeddedVault::open(&at("vault.db"), &metrics)?);
        let ring = Arc::new(KeyRing::new(Box::new(FileRoot::open(&at("root.key"), true)?), Arc::clone(&vault)));
        let policies = RetentionPolicies::default();
        let recorder = Recorder::new(
            Arc::clone(&bus),
            Arc::clone(&vault),
            Arc::clone(&ring),
            Arc::clone(&clock),
            policies.clone(),
            metrics.clone(),
        );
        tokio::spawn(Writer::new(Arc::clone(&bus), Arc::clone(&vault), metrics.clone()).run());
        let reader = Reader::new(bus, vault, ring, Arc::clone(&clock), metrics);
        let users = Arc::new(Users::open(&at("users.db"))?);
        let keys = Arc::new(ApiKeys::open(&at("api_keys.db"))?);
        let tenant: TenantId = "bench".parse()?;
        let (_, secret) = keys.create(&tenant, "bench", &"read".parse()?, clock.now())?;
        let hub = Hub::new(reader.clone(), Arc::clone(&users), Arc::clone(&clock), Arc::new(|_, _| true));
        let api = Api {
            reader,
            keys,
            users,
            clock,
            policies,
            hub: Arc::clone(&hub),
            metrics: DashboardMetrics::new(&Registry::new())?,
            secure_cookies: false,
            places: Places::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        // as the server does: small pieces must not wait for the acknowledgement of those before
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        tokio::spawn(hub.run());
        tokio::spawn(async move { axum::serve(listener, sotto_dashboards::router(Arc::new(api))).await });
        for number in 0..calls {
            speak(&recorder, &tenant, number).await?;
        }
        Ok(Self { address, key: secret.reveal().to_owned(), calls, _folder: folder })
    }

    pub fn partials_a_second(&self) -> f64 {
        self.calls as f64 / PARTIAL.as_secs_f64()
    }

    pub fn scores_a_second(&self) -> f64 {
        self.partials_a_second() / f64::from(PARTIALS_A_SCORE)
    }

    /// Of one core, over this time.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub async fn cpu_percent(&self, length: Duration) -> Result<f64, Failure> {
        sleep(SETTLE).await;
        let before = cpu_seconds()?;
        sleep(length).await;
        Ok((cpu_seconds()? - before) * 100.0 / length.as_secs_f64())
    }
}

/// A call that goes on for ever: partials all the time, and scores now and then, whose total is when they were made.
async fn speak(recorder: &Recorder, tenant: &TenantId, number: usize) -> Result<(), Failure> {
    let roles = vec![ChannelRole::Agent, ChannelRole::Customer];
    let format = AudioFormat::new(Encoding::S16le, 8_000, roles.clone())?;
    let new = NewCall {
        tenant: tenant.clone(),
        call: format!("call-{number}").parse()?,
        dialect: "native".to_owned(),
        format: format.clone(),
        metadata: BTreeMap::from([
            ("agent".to_owned(), format!("agent-{}", number % 97)),
            ("queue".to_owned(), "cards".to_owned()),
            ("team".to_owned(), format!("team-{}", number % 7)),
        ]),
    };
    let mut call = recorder.open(new).await?.recorder;
    let started = EventBody::Started(StartedCall { format, dialect: "native".to_owned(), scorecard: None });
    call.append(&[CallEvent { seq: 1, body: started }], Vec::new()).await?;
    let mut scores: LiveScores = Scoring::new(&roles, None).live(MediaTime::ZERO);
    tokio::spawn(async move {
        // calls do not speak in step
        sleep(PARTIAL.mul_f64(number as f64 * 0.618 % 1.0)).await;
        for revision in 1.. {
            let partial = Partial {
                channel: (revision / 5 % 2) as u8,
                utterance: u64::from(revision),
                revision,
                start: MediaTime::ZERO,
                end: MediaTime::ZERO,
                stable: "I would like to know what happened to".to_owned(),
                tail: "my replacement".to_owned(),
                degraded: false,
            };
            let due = revision % PARTIALS_A_SCORE == number as u32 % PARTIALS_A_SCORE;
            if due {
                scores.scores.total = Some(micros());
            }
            if call.publish(&partial).is_err() || (due && call.publish_scores(&scores).is_err()) {
                return;
            }
            sleep(PARTIAL).await;
        }
    });
    Ok(())
}

/// Watches the board `count` times over and says how old each new score was when it came.
///
/// # Errors
/// When the server cannot be reached.
pub async fn watch(address: &str, key: &str, count: usize, length: Duration) -> Result<Latency, Failure> {
    let client = reqwest::Client::new();
    let end = Instant::now() + SETTLE + length;
    let mut watchers = JoinSet::new();
    for number in 0..count {
        let request = client.get(format!("{address}/v1/board/live")).bearer_auth(key);
        let bytes = request.send().await?.error_for_status()?.bytes_stream();
        watchers.spawn(ages(bytes, end, number % READS == 0));
    }
    let mut histogram = Histogram::<u64>::new(3)?;
    for age in watchers.join_all().await.into_iter().flatten() {
        histogram.record(age.max(1))?;
    }
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    let max = histogram.max() as f64 / 1000.0;
    Ok(Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99), max, samples: histogram.len() })
}

/// Ages in microseconds of the scores that come until `end`.
async fn ages<E>(bytes: impl Stream<Item = Result<Bytes, E>>, end: Instant, reads: bool) -> Vec<u64> {
    let mut bytes = pin!(bytes);
    let (mut ages, mut seen, mut rest) = (Vec::new(), HashSet::new(), String::new());
    while let Ok(Some(Ok(bytes))) = timeout_at(end, bytes.next()).await {
        if !reads {
            continue;
        }
        let now = micros();
        rest.push_str(&String::from_utf8_lossy(&bytes));
        while let Some(end) = rest.find("\n\n") {
            let event: String = rest.drain(..end + 2).collect();
            // a whole board is no change, and a row comes again for other changes
            let new = scores(&event).filter(|made| seen.insert(made.to_bits()));
            let new: Vec<f64> = new.collect();
            if event.starts_with("event: rows") {
                ages.extend(new.into_iter().map(|made| (now - made).max(0.0) as u64));
            }
        }
    }
    ages
}

/// The scores of the rows in an event, not the mean behind them.
fn scores(event: &str) -> impl Iterator<Item = f64> {
    let rows = event.split("\"numbers\"").next().unwrap_or_default();
    rows.match_indices("\"score\":").filter_map(|(at, name)| {
        let text = &rows[at + name.len()..];
        text[..text.find([',', '}'])?].parse().ok()
    })
}
