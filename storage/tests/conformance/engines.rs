//! The engines under test, each with a place of its own.

use std::{
    env,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus::Registry;
use scylla::client::session_builder::SessionBuilder;
use sotto_events::{Clock, Timestamp};
use sotto_storage::{
    StorageMetrics,
    bus::{
        Bus,
        embedded::EmbeddedBus,
        kafka::{KafkaBus, KafkaSettings},
    },
    vault::{
        Vault,
        embedded::EmbeddedVault,
        scylla::{ScyllaSettings, ScyllaVault},
    },
};
use tempfile::TempDir;

use crate::rows::NOW;

/// Starts at [`NOW`] when the vault is first open, and runs as fast as any.
#[derive(Default)]
pub struct TestClock(OnceLock<Instant>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(NOW.0 + self.0.get().map_or(0, |started| started.elapsed().as_millis() as i64))
    }
}

enum Kind {
    Embedded(TempDir),
    Servers { kafka: Box<KafkaSettings>, scylla: Box<ScyllaSettings> },
}

pub struct Engines {
    kind: Kind,
    clock: Arc<TestClock>,
}

pub fn metrics() -> StorageMetrics {
    StorageMetrics::new(&Registry::new()).unwrap()
}

/// A name that nobody else uses, in this run or an earlier one.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("t{since:x}_{:x}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Where a server is. None where there is none, which a run that must have them takes for a failure.
pub fn server(variable: &str) -> Option<String> {
    let found = env::var(variable).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        assert!(env::var_os("SOTTO_REQUIRE_ENGINES").is_none(), "{variable} is not set; run `make engines`");
        eprintln!("not run: {variable} is not set (make engines)");
    }
    found
}

/// Kafka as `tools/engines` starts it.
pub fn kafka() -> Option<KafkaSettings> {
    let brokers = server("SOTTO_TEST_KAFKA")?;
    Some(KafkaSettings { brokers, prefix: unique(), partitions: 3, replicas: 1, ..KafkaSettings::default() })
}

/// The CQL server as `tools/engines` starts it.
pub fn scylla() -> Option<ScyllaSettings> {
    let nodes = server("SOTTO_TEST_CQL")?.split(',').map(str::to_owned).collect();
    Some(ScyllaSettings { nodes, keyspace: unique(), replicas: 1, ..ScyllaSettings::default() })
}

impl Engines {
    pub fn embedded() -> Self {
        Self { kind: Kind::Embedded(tempfile::tempdir().unwrap()), clock: Arc::default() }
    }

    pub fn servers() -> Option<Self> {
        let kind = Kind::Servers { kafka: Box::new(kafka()?), scylla: Box::new(scylla()?) };
        Some(Self { kind, clock: Arc::default() })
    }

    /// Opens the bus; opened again, it holds what it held.
    pub async fn bus(&self) -> Arc<dyn Bus> {
        match &self.kind {
            Kind::Embedded(folder) => {
                Arc::new(EmbeddedBus::open(&folder.path().join("bus.db"), &metrics()).await.unwrap())
            }
            Kind::Servers { kafka, .. } => Arc::new(KafkaBus::open(kafka, &metrics()).await.unwrap()),
        }
    }

    /// Opens the vault; opened again, it holds what it held.
    pub async fn vault(&self) -> Arc<dyn Vault> {
        let vault: Arc<dyn Vault> = match &self.kind {
            Kind::Embedded(folder) => {
                Arc::new(EmbeddedVault::open(&folder.path().join("vault.db"), &metrics()).unwrap())
            }
            Kind::Servers { scylla, .. } => {
                let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
                Arc::new(ScyllaVault::open(scylla, clock, &metrics()).await.unwrap())
            }
        };
        self.clock.0.get_or_init(Instant::now);
        vault
    }

    /// Removes the keyspace: a server with hundreds of them becomes slow.
    pub async fn forget(&self) {
        let Kind::Servers { scylla, .. } = &self.kind else { return };
        let session = SessionBuilder::new().known_nodes(&scylla.nodes).build().await.unwrap();
        session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {}", scylla.keyspace), ()).await.unwrap();
    }

    /// Lets time pass until what expires at `until` must be gone from the engine itself: a sweep removes it, or its own
    /// TTL, which counts whole seconds.
    pub async fn pass(&self, vault: &dyn Vault, until: Timestamp) {
        match &self.kind {
            Kind::Embedded(_) => drop(vault.sweep(until, 100).await.unwrap()),
            Kind::Servers { .. } => {
                let left = until.0 + 2_000 - self.clock.now().0;
                tokio::time::sleep(Duration::from_millis(left.max(0) as u64)).await;
            }
        }
    }
}
