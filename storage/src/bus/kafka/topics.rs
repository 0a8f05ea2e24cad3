//! The topics: made when missing, checked at every start.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    error::RDKafkaErrorCode,
};

use tokio::time::{Instant, sleep};

use super::{KafkaSettings, Log, failed};
use crate::{Result, StorageError, bus::MAX_RECORD};

/// How long the brokers may take to answer at the start.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a live message may be late for.
const LIVE_RETENTION: Duration = Duration::from_secs(600);
/// Largest message: the largest record, as text.
pub(super) const MAX_MESSAGE: usize = MAX_RECORD / 3 * 4 + (1 << 20);

/// A topic as it must be.
struct Wanted {
    name: String,
    partitions: u32,
    policy: &'static str,
    retention: Duration,
    /// Segments roll this often, since only whole ones are removed.
    segment: Duration,
    /// A record is acknowledged only when so many copies have it.
    in_step: u32,
}

fn wanted(settings: &KafkaSettings) -> [Wanted; 2] {
    let kept = Duration::from_secs(settings.record_retention_hours * 3600);
    [
        Wanted {
            name: settings.record_topic(),
            partitions: settings.partitions,
            policy: "delete",
            retention: kept,
            segment: (kept / 8).min(Duration::from_secs(6 * 3600)),
            in_step: in_step(settings),
        },
        Wanted {
            name: settings.live_topic(),
            partitions: settings.partitions,
            policy: "delete",
            retention: LIVE_RETENTION,
            segment: LIVE_RETENTION,
            in_step: 1,
        },
    ]
}

/// One copy may be away.
fn in_step(settings: &KafkaSettings) -> u32 {
    settings.replicas.saturating_sub(1).max(1)
}

/// Makes or checks the topic of a table: of each key the last value is kept.
pub(super) async fn prepare_table(settings: &KafkaSettings, name: &str) -> Result<()> {
    let wanted = Wanted {
        name: name.to_owned(),
        // all nodes follow one order
        partitions: 1,
        policy: "compact",
        retention: Duration::ZERO,
        segment: Duration::from_secs(6 * 3600),
        in_step: in_step(settings),
    };
    let count = prepare_one(settings, &wanted).await?;
    if count == 1 { Ok(()) } else { Err(refused(name, format!("has {count} partitions; it must have one"))) }
}

/// Partitions of the two topics.
pub(super) struct Partitions {
    pub records: u32,
    pub live: u32,
}

/// Makes what is missing, if it may, and checks the rest.
pub(super) async fn prepare(settings: &KafkaSettings) -> Result<Partitions> {
    let [records, live] = wanted(settings);
    Ok(Partitions { records: prepare_one(settings, &records).await?, live: prepare_one(settings, &live).await? })
}

/// Gives the number of partitions.
async fn prepare_one(settings: &KafkaSettings, wanted: &Wanted) -> Result<u32> {
    let admin: Arc<AdminClient<Log>> = Arc::new(settings.client().create_with_context(Log).map_err(failed)?);
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let mut count = partitions(&admin, &wanted.name, &settings.brokers).await?;
    if count == 0 {
        if !settings.create_topics {
            return Err(refused(&wanted.name, "is missing and kafka.create_topics is false; make it"));
        }
        create(&admin, &options, settings, wanted).await?;
        count = wanted.partitions;
    }
    check(&admin, &options, wanted).await?;
    Ok(count)
}

fn refused(topic: &str, why: impl std::fmt::Display) -> StorageError {
    StorageError::Bus(format!("topic {topic} {why}"))
}

/// 0 when there is no such topic.
async fn partitions(admin: &Arc<AdminClient<Log>>, topic: &str, brokers: &str) -> Result<u32> {
    let (asked, name) = (Arc::clone(admin), topic.to_owned());
    let ask = move || asked.inner().fetch_metadata(Some(&name), PATIENCE);
    let answer = tokio::task::spawn_blocking(ask).await.map_err(|_| StorageError::Stopped)?;
    let metadata =
        answer.map_err(|error| StorageError::Bus(format!("the brokers at {brokers} do not answer ({error})")))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(0) };
    match found.error() {
        None => Ok(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX)),
        Some(code) => match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => Ok(0),
            code => Err(refused(topic, format!("cannot be looked up ({code})"))),
        },
    }
}

async fn create(
    admin: &AdminClient<Log>,
    options: &AdminOptions,
    settings: &KafkaSettings,
    wanted: &Wanted,
) -> Result<()> {
    let [retention, segment] = [wanted.retention, wanted.segment].map(|length| length.as_millis().to_string());
    let (in_step, largest) = (wanted.in_step.to_string(), MAX_MESSAGE.to_string());
    let partitions = i32::try_from(wanted.partitions).unwrap_or(i32::MAX);
    let replicas = i32::try_from(settings.replicas).unwrap_or(i32::MAX);
    let mut topic = NewTopic::new(&wanted.name, partitions, TopicReplication::Fixed(replicas))
        .set("cleanup.policy", wanted.policy)
        .set("segment.ms", &segment)
        .set("min.insync.replicas", &in_step)
        .set("max.message.bytes", &largest);
    if wanted.policy == "delete" {
        topic = topic.set("retention.ms", &retention);
    }
    for made in admin.create_topics([&topic], options).await.map_err(failed)? {
        match made {
            // another node was quicker
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                let why = format!(
                    "cannot have {replicas} copies: there are fewer brokers; set kafka.replicas, or add brokers"
                );
                return Err(refused(&wanted.name, why));
            }
            Err((_, code)) => return Err(refused(&wanted.name, format!("could not be made ({code})"))),
        }
    }
    Ok(())
}

async fn check(admin: &AdminClient<Log>, options: &AdminOptions, wanted: &Wanted) -> Result<()> {
    let config = described(admin, options, &wanted.name).await?;
    let policy = config.get("cleanup.policy").and_then(|entry| entry.value.clone()).unwrap_or_default();
    if policy != wanted.policy {
        let why = format!("has cleanup.policy={policy}; set it to {}", wanted.policy);
        return Err(refused(&wanted.name, why));
    }
    let least = wanted.retention.as_millis() as i64;
    let kept = number(&config, "retention.ms");
    // negative: for ever, which erasure does not mind, since keys are destroyed elsewhere
    if wanted.policy == "delete" && (0..least).contains(&kept) {
        return Err(refused(&wanted.name, format!("has retention.ms={kept}; set it to {least} or more")));
    }
    if wanted.policy == "delete" && number(&config, "max.message.bytes") < MAX_MESSAGE as i64 {
        return Err(refused(&wanted.name, format!("has a smaller max.message.bytes than {MAX_MESSAGE}; raise it")));
    }
    Ok(())
}

/// How a topic is set. One that was just made is not known to every broker at once.
async fn described(admin: &AdminClient<Log>, options: &AdminOptions, name: &str) -> Result<ConfigResource> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut answers = admin.describe_configs([&ResourceSpecifier::Topic(name)], options).await.map_err(failed)?;
        let why = match answers.pop() {
            Some(Ok(config)) if config.get("cleanup.policy").is_some_and(|entry| entry.value.is_some()) => {
                return Ok(config);
            }
            Some(Err(code)) => format!("does not say how it is set ({code})"),
            Some(Ok(_)) | None => "does not say how it is set".to_owned(),
        };
        if Instant::now() > deadline {
            return Err(refused(name, why));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn number(config: &ConfigResource, name: &str) -> i64 {
    config.get(name).and_then(|entry| entry.value.as_ref()?.parse().ok()).unwrap_or(-1)
}
