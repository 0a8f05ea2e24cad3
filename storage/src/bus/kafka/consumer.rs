//! One member of a group that shares the partitions of the record topic.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use rdkafka::{
    Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    message::BorrowedMessage,
};

use super::{KafkaSettings, Log, at, failed, raw};
use crate::{
    Result, StorageError,
    bus::{Consumer, Delivered},
};

/// Kilobytes of records a consumer may hold that have not been asked for.
const AHEAD: &str = "16384";

pub(super) struct KafkaConsumer {
    consumer: Arc<StreamConsumer<Log>>,
    topic: String,
    /// Offset of the last record given, by partition.
    given: BTreeMap<u32, u64>,
}

impl KafkaConsumer {
    pub fn join(settings: &KafkaSettings, name: &str) -> Result<Self> {
        let consumer: StreamConsumer<Log> = settings
            .client()
            .set("group.id", settings.group(name))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            // members keep what they have while others come and go
            .set("partition.assignment.strategy", "cooperative-sticky")
            // a node that was killed leaves its partitions to others after so long
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1500")
            .set("queued.max.messages.kbytes", AHEAD)
            .set("fetch.wait.max.ms", "100")
            .create_with_context(Log)
            .map_err(failed)?;
        let topic = settings.record_topic();
        consumer.subscribe(&[&topic]).map_err(failed)?;
        Ok(Self { consumer: Arc::new(consumer), topic, given: BTreeMap::new() })
    }
}

fn delivered(message: &BorrowedMessage<'_>) -> Result<Delivered> {
    let record = serde_json::from_slice(message.payload().unwrap_or_default())?;
    Ok(Delivered { offset: at(message.partition(), message.offset()), record })
}

impl Consumer for KafkaConsumer {
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Delivered>>> {
        Box::pin(async move {
            let mut found = vec![delivered(&self.consumer.recv().await.map_err(failed)?)?];
            while found.len() < limit {
                match self.consumer.recv().now_or_never() {
                    Some(message) => found.push(delivered(&message.map_err(failed)?)?),
                    None => break,
                }
            }
            for Delivered { offset, .. } in &found {
                self.given.insert(offset.partition, offset.number);
            }
            Ok(found)
        })
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut positions = TopicPartitionList::new();
            for (partition, number) in std::mem::take(&mut self.given) {
                // Kafka keeps the offset of the next one
                let next = KafkaOffset::Offset(number as i64);
                positions.add_partition_offset(&self.topic, raw(partition), next).map_err(failed)?;
            }
            if positions.count() == 0 {
                return Ok(());
            }
            let consumer = Arc::clone(&self.consumer);
            let commit = move || consumer.commit(&positions, CommitMode::Sync).map_err(failed);
            tokio::task::spawn_blocking(commit).await.map_err(|_| StorageError::Stopped)?
        })
    }
}
