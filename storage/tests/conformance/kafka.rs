//! What only Kafka has: topics with settings, groups, other nodes, identities.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use sotto_storage::bus::{
    Bus, Live,
    kafka::{KafkaBus, KafkaSettings, Mechanism, Sasl, Tls},
};
use tokio::time::timeout;

use crate::{
    bus::take,
    engines::{kafka, metrics, server},
    rows::{call, record, tenant},
};

async fn open(settings: &KafkaSettings) -> KafkaBus {
    KafkaBus::open(settings, &metrics()).await.unwrap()
}

async fn refusal(settings: &KafkaSettings) -> String {
    KafkaBus::open(settings, &metrics()).await.err().expect("it opened").to_string()
}

async fn make_topic(settings: &KafkaSettings, name: &str, options: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    let mut topic = NewTopic::new(name, 2, TopicReplication::Fixed(1));
    for (option, value) in options {
        topic = topic.set(option, value);
    }
    for made in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
        made.unwrap();
    }
}

#[tokio::test]
async fn a_topic_that_would_lose_records_is_refused_with_what_would_be_right() {
    let Some(settings) = kafka() else { return };
    let missing = KafkaSettings { create_topics: false, ..settings.clone() };
    let error = refusal(&missing).await;
    assert!(error.contains("is missing") && error.contains("kafka.create_topics"), "{error}");
    for (option, value, wanted) in [
        ("cleanup.policy", "compact", "set it to delete"),
        ("retention.ms", "60000", "or more"),
        ("max.message.bytes", "1000000", "raise it"),
    ] {
        let settings = KafkaSettings { prefix: crate::engines::unique(), ..settings.clone() };
        make_topic(&settings, &settings.record_topic(), &[(option, value)]).await;
        let error = refusal(&settings).await;
        assert!(error.contains(option) && error.contains(wanted), "{error}");
    }
    let copies = KafkaSettings { replicas: 9, ..settings };
    let error = refusal(&copies).await;
    assert!(error.contains("kafka.replicas"), "{error}");
}

#[tokio::test]
async fn a_topic_that_is_there_keeps_its_partitions() {
    let Some(settings) = kafka() else { return };
    make_topic(&settings, &settings.record_topic(), &[("max.message.bytes", "20000000")]).await;
    let bus = open(&settings).await;
    assert_eq!(bus.ends(None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn brokers_that_do_not_answer_are_named() {
    if kafka().is_none() {
        return;
    }
    let settings = KafkaSettings { brokers: "127.0.0.1:1".to_owned(), ..KafkaSettings::default() };
    let error = refusal(&settings).await;
    assert!(error.contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn brokers_are_reached_over_tls_with_a_password_and_not_with_a_wrong_one() {
    let Some(plain) = kafka() else { return };
    let Some(brokers) = server("SOTTO_TEST_KAFKA_SECURE") else { return };
    let authority = server("SOTTO_TEST_CA").map(PathBuf::from);
    let sasl = |password: &str| {
        let (username, password) = ("sotto".to_owned(), password.to_owned());
        Some(Sasl { mechanism: Mechanism::Plain, username, password })
    };
    let tls = Tls { enabled: true, authority, ..Tls::default() };
    let settings = KafkaSettings { brokers, tls, sasl: sasl("sotto-secret"), ..plain };
    let bus = open(&settings).await;
    bus.append(record("acme", "one", 1..=1, false)).await.unwrap();
    let error = refusal(&KafkaSettings { sasl: sasl("wrong"), ..settings.clone() }).await;
    assert!(error.contains(&settings.brokers), "{error}");
    let untrusted = KafkaSettings { tls: Tls { enabled: true, ..Tls::default() }, ..settings };
    assert!(refusal(&untrusted).await.contains("do not answer"));
}

#[tokio::test]
async fn two_writers_share_the_partitions_and_one_that_goes_leaves_them_to_the_other() {
    let Some(settings) = kafka() else { return };
    let (first, second) = (open(&settings).await, open(&settings).await);
    let append = async |from: u64| {
        for number in from..from + 60 {
            first.append(record("acme", &format!("call-{number}"), number..=number, false)).await.unwrap();
        }
    };
    let mut one = first.consumer("writer").await.unwrap();
    let mut two = second.consumer("writer").await.unwrap();
    append(1).await;
    let mut seen = Vec::new();
    let mut by_two = 0;
    // while they come to terms about who has what, a record may come to both
    while (1..=60).any(|number| !seen.contains(&number)) || by_two == 0 {
        if by_two == 0 && seen.len() >= 60 {
            append(1).await;
        }
        tokio::select! {
            found = one.next(10) => {
                seen.extend(found.unwrap().into_iter().map(|delivered| delivered.record.seq));
                one.commit().await.unwrap();
            }
            found = two.next(10) => {
                let found = found.unwrap();
                by_two += found.len();
                seen.extend(found.into_iter().map(|delivered| delivered.record.seq));
                two.commit().await.unwrap();
            }
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("no more records; seen {seen:?}"),
        }
    }
    drop(one);
    append(100).await;
    let mut rest: Vec<u64> = Vec::new();
    while (100..160).any(|number| !rest.contains(&number)) {
        rest.extend(take(two.as_mut(), 1).await.into_iter().map(|(_, seq)| seq));
    }
}

#[tokio::test]
async fn what_one_node_publishes_every_other_hears_and_itself_but_once() {
    let Some(settings) = kafka() else { return };
    let (here, there) = (open(&settings).await, open(&settings).await);
    let (mut near, mut far) = (here.watch(), there.watch());
    let live = |seq| {
        let (tenant, call) = (tenant("acme"), call("one"));
        Arc::new(Live { tenant, call, kind: "partial".to_owned(), seq, sealed: vec![1, 2, 3] })
    };
    // a watcher hears from when its node follows the topic
    let mut first = 0;
    while far.is_empty() {
        first += 1;
        here.publish(live(first));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    here.publish(live(10_000));
    let mut heard = Vec::new();
    while heard.last() != Some(&10_000) {
        let live = timeout(Duration::from_secs(30), far.recv()).await.expect("nothing is heard").unwrap();
        assert_eq!(live.sealed, [1, 2, 3]);
        heard.push(live.seq);
    }
    assert!(heard.is_sorted_by(|a, b| a < b), "each once, in order: {heard:?}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut own = Vec::new();
    while let Ok(live) = near.try_recv() {
        own.push(live.seq);
    }
    assert!(own.iter().copied().eq((1..=first).chain([10_000])), "{own:?}");
}
