//! One member of a group that shares the partitions of the record topic.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use rdkafka::{
    Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    message::BorrowedMessage,
    types::RDKafkaErrorCode,
};
use tokio::time::timeout;

use super::{KafkaSettings, Log, at, failed, raw};
use crate::{
    Result, StorageError,
    bus::{Consumer, Delivered},
};

/// Until it is said again how far this is, when that was refused.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether a commit was refused because members of the group come or go: they are about to have their partitions.
const fn is_of_a_change(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress, UnknownMemberId};
    matches!(code, IllegalGeneration | RebalanceInProgress | UnknownMemberId)
}

/// Kilobytes of records a consumer may hold that have not been asked for.
const AHEAD: &str = "16384";

pub(super) struct KafkaConsumer {
    consumer: Arc<StreamConsumer<Log>>,
    topic: String,
    /// Offset of the last record given, by partition.
    given: BTreeMap<u32, u64>,
    /// The same of those that are done, and of which Kafka has not been told.
    done: BTreeMap<u32, u64>,
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
        Ok(Self { consumer: Arc::new(consumer), topic, given: BTreeMap::new(), done: BTreeMap::new() })
    }

    /// Says how far this is. While members of the group come or go that is refused; then it is said again, here or by
    /// whoever has the partition, to whom its records come once more.
    async fn tell(&mut self) -> Result<()> {
        let mine = self.consumer.assignment().map_err(failed)?;
        self.done.retain(|partition, _| mine.find_partition(&self.topic, raw(*partition)).is_some());
        let mut positions = TopicPartitionList::new();
        for (partition, number) in &self.done {
            // Kafka keeps the offset of the next one
            let next = KafkaOffset::Offset(*number as i64);
            positions.add_partition_offset(&self.topic, raw(*partition), next).map_err(failed)?;
        }
        if positions.count() == 0 {
            return Ok(());
        }
        let consumer = Arc::clone(&self.consumer);
        let commit = move || consumer.commit(&positions, CommitMode::Sync);
        match tokio::task::spawn_blocking(commit).await.map_err(|_| StorageError::Stopped)? {
            Err(error) if error.rdkafka_error_code().is_some_and(is_of_a_change) => Ok(()),
            outcome => {
                self.done.clear();
                outcome.map_err(failed)
            }
        }
    }

    /// The next record. Members come and go while it is waited for.
    async fn first(&mut self) -> Result<Delivered> {
        while !self.done.is_empty() {
            match timeout(AGAIN, self.consumer.recv()).await {
                Ok(message) => return delivered(&message.map_err(failed)?),
                Err(_) => self.tell().await?,
            }
        }
        delivered(&self.consumer.recv().await.map_err(failed)?)
    }
}

fn delivered(message: &BorrowedMessage<'_>) -> Result<Delivered> {
    let record = serde_json::from_slice(message.payload().unwrap_or_default())?;
    Ok(Delivered { offset: at(message.partition(), message.offset()), record })
}

impl Consumer for KafkaConsumer {
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Delivered>>> {
        Box::pin(async move {
            let mut found = vec![self.first().await?];
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
        self.done.append(&mut self.given);
        Box::pin(self.tell())
    }
}
