//! What is of the moment: told at once to watchers of this node, and by the live topic to those of all others.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::RDKafkaErrorCode,
};
use tokio::sync::broadcast;

use super::{KafkaSettings, Log, failed, raw};
use crate::{Result, StorageError, StorageMetrics, bus::Live};

/// What a watcher may lag behind before it is told that it missed something.
const CAPACITY: usize = 16_384;
/// Header that names the node a message comes from.
const NODE: &str = "node";
/// How long the threads wait for something to do.
const TURN: Duration = Duration::from_millis(100);

/// Both ends of the live topic.
pub(super) struct LiveTopic {
    topic: String,
    producer: Arc<BaseProducer<Log>>,
    node: [u8; 8],
    watchers: broadcast::Sender<Arc<Live>>,
    metrics: StorageMetrics,
    _alive: Arc<()>,
}

impl LiveTopic {
    pub fn open(settings: &KafkaSettings, partitions: u32, metrics: &StorageMetrics) -> Result<Self> {
        let producer: BaseProducer<Log> = settings
            .client()
            // a partial that is lost is followed by the next
            .set("acks", "1")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "2000")
            .set("queue.buffering.max.messages", "20000")
            .set("queue.buffering.max.kbytes", "32768")
            .create_with_context(Log)
            .map_err(failed)?;
        let mut node = [0; 8];
        getrandom::fill(&mut node).map_err(|error| StorageError::Random(error.to_string()))?;
        let (producer, alive) = (Arc::new(producer), Arc::new(()));
        let watchers = broadcast::Sender::new(CAPACITY);
        let live = Self {
            topic: settings.live_topic(),
            producer,
            node,
            watchers,
            metrics: metrics.clone(),
            _alive: Arc::clone(&alive),
        };
        live.follow(settings, partitions, Arc::downgrade(&alive))?;
        live.deliver(Arc::downgrade(&alive))?;
        Ok(live)
    }

    /// Reads what other nodes publish, from now on.
    fn follow(&self, settings: &KafkaSettings, partitions: u32, alive: std::sync::Weak<()>) -> Result<()> {
        let consumer: BaseConsumer<Log> = settings
            .client()
            // of no group: every node reads all of it
            .set("group.id", settings.group("live"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest")
            .set("fetch.wait.max.ms", "20")
            .set("queued.max.messages.kbytes", "16384")
            .create_with_context(Log)
            .map_err(failed)?;
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition_offset(&self.topic, raw(partition), KafkaOffset::End).map_err(failed)?;
        }
        consumer.assign(&all).map_err(failed)?;
        let (node, watchers, metrics) = (self.node, self.watchers.clone(), self.metrics.clone());
        spawn("kafka-live", move || {
            while alive.strong_count() > 0 {
                match consumer.poll(TURN) {
                    None => {}
                    Some(Err(error)) => tracing::warn!(%error, "the live topic cannot be read now"),
                    Some(Ok(message)) if from(message.headers(), node) => {}
                    Some(Ok(message)) => match serde_json::from_slice(message.payload().unwrap_or_default()) {
                        // nobody watching is no failure
                        Ok(live) => drop(watchers.send(Arc::new(live))),
                        Err(_) => metrics.live_unreadable.inc(),
                    },
                }
            }
        })
    }

    /// Serves the producer's queue.
    fn deliver(&self, alive: std::sync::Weak<()>) -> Result<()> {
        let producer = Arc::clone(&self.producer);
        spawn("kafka-publish", move || {
            while alive.strong_count() > 0 {
                producer.poll(TURN);
            }
            // what is of the moment has nobody to wait for it
            producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
        })
    }

    /// Never waits.
    pub fn publish(&self, live: Arc<Live>, partition: u32) {
        // cannot fail: no map has keys that are no strings
        let Ok(payload) = serde_json::to_vec(live.as_ref()) else { return };
        let headers = OwnedHeaders::new().insert(Header { key: NODE, value: Some(&self.node) });
        let record: BaseRecord<'_, (), [u8]> =
            BaseRecord::to(&self.topic).partition(raw(partition)).payload(payload.as_slice()).headers(headers);
        match self.producer.send(record) {
            Ok(()) => {}
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                self.metrics.live_dropped.inc();
            }
            Err((error, _)) => {
                self.metrics.live_dropped.inc();
                tracing::debug!(%error, "live update not sent");
            }
        }
        drop(self.watchers.send(live));
    }

    pub fn watch(&self) -> broadcast::Receiver<Arc<Live>> {
        self.watchers.subscribe()
    }
}

fn from(headers: Option<&impl Headers>, node: [u8; 8]) -> bool {
    headers.is_some_and(|headers| headers.iter().any(|header| header.key == NODE && header.value == Some(&node[..])))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(|_| StorageError::Stopped)
}
