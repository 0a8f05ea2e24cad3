//! Bus and vault as the configuration wants them: embedded, or Kafka and ScyllaDB.

use std::sync::Arc;

use sotto_events::Clock;
use sotto_storage::{
    StorageMetrics,
    bus::{Bus, embedded::EmbeddedBus, kafka::KafkaBus, spool::SpooledBus},
    vault::{Vault, embedded::EmbeddedVault, scylla::ScyllaVault},
};

use crate::{
    config::Config,
    failure::{Failure, failure},
};

/// Opens the bus; Kafka gets a spool before it, which follows from now on.
pub async fn bus(config: &Config, metrics: &StorageMetrics) -> Result<Arc<dyn Bus>, Failure> {
    let Some(settings) = &config.kafka else {
        return Ok(Arc::new(EmbeddedBus::open(&config.data.join("bus.db"), metrics).await?));
    };
    let kafka = Arc::new(KafkaBus::open(settings, metrics).await.map_err(|error| failure(format!("kafka: {error}")))?);
    let limit = settings.spool_megabytes << 20;
    let bus = Arc::new(SpooledBus::open(kafka, &config.data.join("spool.db"), limit, metrics).await?);
    tokio::spawn(Arc::clone(&bus).drain());
    Ok(bus)
}

/// Opens the vault.
pub async fn vault(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &StorageMetrics,
) -> Result<Arc<dyn Vault>, Failure> {
    let Some(settings) = config.scylla() else {
        return Ok(Arc::new(EmbeddedVault::open(&config.data.join("vault.db"), metrics)?));
    };
    let vault = ScyllaVault::open(&settings, Arc::clone(clock), metrics).await;
    Ok(Arc::new(vault.map_err(|error| failure(format!("scylla: {error}")))?))
}
