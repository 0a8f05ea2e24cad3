//! A table that all nodes share: a compacted topic of one partition, whose order all nodes follow. Keys are hashed and
//! values sealed.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{FutureProducer, FutureRecord},
};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{KafkaSettings, Log, failed, topics};
use crate::{
    Result, StorageError,
    envelope::{Key, Place, open, seal},
};

/// Values that wait for whoever follows.
const QUEUE: usize = 1_024;
const TURN: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

/// A table of small sealed values.
pub struct SharedTable {
    topic: String,
    producer: FutureProducer<Log>,
    key: Key,
    settings: KafkaSettings,
    alive: Arc<()>,
}

/// What comes of a table.
#[derive(Debug)]
pub enum Entry {
    Value(Vec<u8>),
    /// Everything that was there when it was asked has been given.
    Complete,
}

fn place(key: &str) -> Place<'_> {
    Place { tenant: "", call: key, kind: "table", seq: 0 }
}

impl SharedTable {
    /// Opens or makes it.
    ///
    /// # Errors
    /// When the brokers do not answer or the topic is not as it must be.
    pub async fn open(settings: &KafkaSettings, name: &str, key: Key) -> Result<Self> {
        let topic = format!("{}.{name}", settings.prefix);
        topics::prepare_table(settings, &topic).await?;
        let producer = settings
            .client()
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", settings.append_timeout_ms.to_string())
            .create_with_context(Log)
            .map_err(failed)?;
        Ok(Self { topic, producer, key, settings: settings.clone(), alive: Arc::default() })
    }

    /// Nobody who reads the topic learns what a value is of, nor can try names.
    fn name(&self, key: &str) -> String {
        let hash = Sha256::new().chain_update(self.key.bytes()).chain_update(key).finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Tells a value to all nodes; `None` for one that nobody needs to know of any more.
    ///
    /// # Errors
    /// When the brokers do not acknowledge it.
    pub async fn put(&self, key: &str, value: Option<&[u8]>) -> Result<()> {
        let name = self.name(key);
        let sealed = value.map(|value| seal(&self.key, place(&name), value)).transpose()?;
        let mut record = FutureRecord::to(&self.topic).partition(0).key(name.as_bytes());
        if let Some(sealed) = &sealed {
            record = record.payload(sealed.as_slice());
        }
        self.producer.send(record, PATIENCE).await.map(drop).map_err(|(error, _)| failed(error))
    }

    /// Every value as it is, then each as it is told.
    ///
    /// # Errors
    /// When the topic cannot be read.
    pub fn follow(&self) -> Result<mpsc::Receiver<Entry>> {
        let consumer: BaseConsumer<Log> = self
            .settings
            .client()
            .set("group.id", self.settings.group("table"))
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "20")
            .set("enable.partition.eof", "true")
            .create_with_context(Log)
            .map_err(failed)?;
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(&self.topic, 0, KafkaOffset::Beginning).map_err(failed)?;
        consumer.assign(&all).map_err(failed)?;
        let (entries, followed) = mpsc::channel(QUEUE);
        let (key, alive) = (self.key.clone(), Arc::downgrade(&self.alive));
        std::thread::Builder::new()
            .name("kafka-table".to_owned())
            .spawn(move || read(&consumer, &key, &entries, &alive))
            .map_err(|_| StorageError::Stopped)?;
        Ok(followed)
    }
}

fn read(consumer: &BaseConsumer<Log>, key: &Key, entries: &mpsc::Sender<Entry>, alive: &Weak<()>) {
    let complete = AtomicBool::new(false);
    while alive.strong_count() > 0 {
        let entry = match consumer.poll(TURN) {
            None => continue,
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => {
                if complete.swap(true, Ordering::Relaxed) {
                    continue;
                }
                Entry::Complete
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "what nodes share cannot be read now");
                continue;
            }
            Some(Ok(message)) => {
                let name = message.key().map(String::from_utf8_lossy).unwrap_or_default();
                let Some(sealed) = message.payload() else { continue };
                match open(key, place(&name), sealed) {
                    Ok(value) => Entry::Value(value.to_vec()),
                    Err(_) => {
                        tracing::error!("what another node shared does not open; do all have the same root key?");
                        continue;
                    }
                }
            }
        };
        if entries.blocking_send(entry).is_err() {
            return;
        }
    }
}
