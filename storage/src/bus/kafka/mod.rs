//! The log in Kafka: a record topic that makes events durable on several brokers, and a live topic for what is of the
//! moment. What reaches either is sealed.

mod consumer;
mod live;
mod settings;
mod table;
mod topics;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    producer::{DeliveryResult, FutureProducer, FutureRecord, ProducerContext},
};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

use self::{consumer::KafkaConsumer, live::LiveTopic};
use super::{Bus, CallKey, Consumer, Live, Offset, Record};
use crate::{Result, StorageError, StorageMetrics, metrics::Retries, writer::CONSUMER};

pub use self::{
    settings::{KafkaSettings, Mechanism, Sasl, Tls},
    table::{Entry, SharedTable},
};

/// How long a question about offsets may take.
const ASK: Duration = Duration::from_secs(5);

/// Kafka as a bus.
pub struct KafkaBus {
    settings: KafkaSettings,
    producer: FutureProducer<Counting>,
    /// Asks about offsets; never a member of the group.
    asker: Arc<BaseConsumer<Log>>,
    live: LiveTopic,
    partitions: topics::Partitions,
    metrics: StorageMetrics,
}

impl KafkaBus {
    /// Connects, makes and checks the topics.
    ///
    /// # Errors
    /// When the brokers do not answer or a topic is not as it must be.
    pub async fn open(settings: &KafkaSettings, metrics: &StorageMetrics) -> Result<Self> {
        let partitions = topics::prepare(settings).await?;
        let producer = settings
            .client()
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("message.timeout.ms", settings.append_timeout_ms.to_string())
            .set("message.max.bytes", topics::MAX_MESSAGE.to_string())
            .set("queue.buffering.max.kbytes", "65536")
            .set("statistics.interval.ms", "5000")
            .create_with_context(Counting(metrics.retries("kafka")))
            .map_err(failed)?;
        let asker = settings
            .client()
            .set("group.id", settings.group(CONSUMER))
            .set("enable.auto.commit", "false")
            .create_with_context(Log)
            .map_err(failed)?;
        let live = LiveTopic::open(settings, partitions.live, metrics)?;
        let (settings, metrics) = (settings.clone(), metrics.clone());
        Ok(Self { settings, producer, asker: Arc::new(asker), live, partitions, metrics })
    }

    /// Asks something that blocks.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<Log>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let asker = Arc::clone(&self.asker);
        tokio::task::spawn_blocking(move || question(&asker)).await.map_err(|_| StorageError::Stopped)?
    }
}

/// A call's place among the partitions. Stays the same as long as their number does.
fn partition_of((tenant, call): CallKey<'_>, partitions: u32) -> u32 {
    let hash = Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(call.as_str()).finalize();
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (number % u64::from(partitions.max(1))) as u32
}

/// Kafka counts from 0.
fn at(partition: i32, offset: i64) -> Offset {
    Offset { partition: partition as u32, number: (offset + 1) as u64 }
}

fn raw(partition: u32) -> i32 {
    partition as i32
}

fn failed(error: KafkaError) -> StorageError {
    StorageError::Bus(error.to_string())
}

impl Bus for KafkaBus {
    fn append(&self, record: Record) -> BoxFuture<'_, Result<Offset>> {
        Box::pin(async move {
            let partition = partition_of((&record.tenant, &record.call), self.partitions.records);
            let payload = serde_json::to_vec(&record)?;
            let topic = self.settings.record_topic();
            let message: FutureRecord<'_, (), [u8]> =
                FutureRecord::to(&topic).partition(raw(partition)).payload(&payload);
            let delivery = self.producer.send(message, Duration::from_millis(self.settings.append_timeout_ms)).await;
            let delivery = delivery.map_err(|(error, _)| {
                self.metrics.bus_failures.inc();
                failed(error)
            })?;
            Ok(at(delivery.partition, delivery.offset))
        })
    }

    fn consumer<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move { Ok(Box::new(KafkaConsumer::join(&self.settings, name)?) as Box<dyn Consumer>) })
    }

    fn ends<'a>(&'a self, call: Option<CallKey<'a>>) -> BoxFuture<'a, Result<Vec<Offset>>> {
        let count = self.partitions.records;
        let of = call.map(|call| partition_of(call, count));
        let topic = self.settings.record_topic();
        Box::pin(self.ask(move |asker| {
            let end = |partition| {
                let (_, next) = asker.fetch_watermarks(&topic, raw(partition), ASK).map_err(failed)?;
                Ok(at(raw(partition), next - 1))
            };
            of.map_or(0..count, |partition| partition..partition + 1).map(end).collect()
        }))
    }

    fn positions<'a>(&'a self, consumer: &'a str, of: &'a [Offset]) -> BoxFuture<'a, Result<Vec<Offset>>> {
        debug_assert_eq!(consumer, CONSUMER, "the asker asks for one group");
        let (topic, of) = (self.settings.record_topic(), of.to_vec());
        Box::pin(self.ask(move |asker| {
            let mut wanted = TopicPartitionList::new();
            for Offset { partition, .. } in &of {
                wanted.add_partition(&topic, raw(*partition));
            }
            let found = asker.committed_offsets(wanted, ASK).map_err(failed)?;
            let position = |Offset { partition, .. }: Offset| {
                let position = found.find_partition(&topic, raw(partition));
                // Kafka keeps the offset of the next one; negative: none yet
                let next = position.and_then(|position| position.offset().to_raw()).unwrap_or(0);
                Offset { partition, number: next.max(0) as u64 }
            };
            Ok(of.into_iter().map(position).collect())
        }))
    }

    fn trim<'a>(&'a self, _consumer: &'a str) -> BoxFuture<'a, Result<u64>> {
        // the topic's retention does it
        Box::pin(async { Ok(0) })
    }

    fn publish(&self, live: Arc<Live>) {
        let partition = partition_of((&live.tenant, &live.call), self.partitions.live);
        self.live.publish(live, partition);
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn watch(&self) -> broadcast::Receiver<Arc<Live>> {
        self.live.watch()
    }
}

/// What the library says goes to Sotto's log.
pub(crate) struct Log;

impl ClientContext for Log {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, message, "kafka");
            }
            _ => tracing::debug!(facility, message, "kafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
    }
}

impl ConsumerContext for Log {}

/// That, and what the producer sends again.
struct Counting(Retries);

impl ClientContext for Counting {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Log.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.up_to(statistics.brokers.values().map(|broker| broker.txretries).sum());
    }
}

impl ProducerContext for Log {
    type DeliveryOpaque = ();

    /// Of what is of the moment nobody asks whether it arrived.
    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_keeps_its_partition_and_calls_are_spread() {
        let tenant = "acme".parse().unwrap();
        let mut seen = [0; 12];
        for number in 0..1_200 {
            let call = format!("call-{number}").parse().unwrap();
            let partition = partition_of((&tenant, &call), 12);
            assert_eq!(partition, partition_of((&tenant, &call), 12));
            seen[partition as usize] += 1;
        }
        assert!(seen.iter().all(|count| (60..140).contains(count)), "{seen:?}");
        // it is part of what is kept: rows are written from where a call's records are
        let call = "call-1".parse().unwrap();
        assert_eq!(partition_of((&tenant, &call), 12), 11);
    }
}
