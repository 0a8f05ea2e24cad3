//! On Kafka and a CQL server instead of the embedded engines: the same calls, through the same faults.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::*;

/// Where a server of the test run is; none when it could not be had, which some runs take for a failure.
fn server(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        assert!(std::env::var_os("SOTTO_REQUIRE_ENGINES").is_none(), "{variable} is not set; run `make engines`");
        eprintln!("not run: {variable} is not set (make engines)");
    }
    found
}

fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("s{since:x}_{:x}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn kafka(brokers: &str, prefix: &str, replicas: u8) -> String {
    format!("[kafka]\nbrokers = \"{brokers}\"\nprefix = \"{prefix}\"\npartitions = 3\nreplicas = {replicas}\n")
}

pub fn scylla(nodes: &str, keyspace: &str, replicas: u8) -> String {
    let nodes: Vec<&str> = nodes.split(',').collect();
    format!("[scylla]\nnodes = {}\nkeyspace = \"{keyspace}\"\nreplicas = {replicas}\n", json!(nodes))
}

/// Topics and a keyspace of its own on the servers of the test run.
pub struct Shared {
    kafka: String,
    prefix: String,
    scylla: String,
}

impl Shared {
    pub fn new() -> Option<Self> {
        let (brokers, nodes, prefix) = (server("SOTTO_TEST_KAFKA")?, server("SOTTO_TEST_CQL")?, unique());
        Some(Self { kafka: brokers, scylla: scylla(&nodes, &prefix, 1), prefix })
    }

    pub fn config(&self) -> String {
        kafka(&self.kafka, &self.prefix, 1) + &self.scylla
    }
}

/// Servers of its own, to be killed and brought back.
pub struct Own {
    folder: TempDir,
    addresses: Value,
}

impl Own {
    pub fn start(brokers: u8, cql: u8) -> Option<Self> {
        server("SOTTO_TEST_KAFKA")?;
        let mut own = Self { folder: tempfile::tempdir().unwrap(), addresses: json!({}) };
        let started = own.engines(&["start"], &[("BROKERS", brokers), ("CQL_NODES", cql)]);
        for line in started.lines() {
            let (name, value) = line.trim_start_matches("export ").split_once('=').unwrap();
            own.addresses[name] = value.into();
        }
        Some(own)
    }

    fn engines(&self, arguments: &[&str], environment: &[(&str, u8)]) -> String {
        let done = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/engines"))
            .args(arguments)
            .env("SOTTO_ENGINES", self.folder.path().join("engines"))
            .envs(environment.iter().map(|(name, value)| (name, value.to_string())))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    pub fn address(&self, name: &str) -> &str {
        self.addresses[name].as_str().unwrap()
    }

    /// `kill`, `revive`, `pause` or `resume` of `kafka-1`, `cql-1` and so on.
    pub fn node(&self, what: &str, node: &str) {
        self.engines(&[what, node], &[]);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.engines(&["stop"], &[]);
    }
}

pub async fn ended(server: &Server, key: &str, call: &str) -> Vec<Value> {
    eventually("the end of the call in rows", || async {
        let (status, body) = server.get(key, &format!("/v1/calls/{call}/events?limit=1000")).await;
        let kept = (status == 200).then(|| body["events"].as_array().unwrap().clone())?;
        (kept.last()?["type"] == "ended").then_some(kept)
    })
    .await
}

/// What the sample comes to on the embedded engines.
pub async fn wanted(seconds: usize) -> Vec<Value> {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    events(&whole_call(&server, &key, "wanted", &sample(seconds), 1_600).await)
}

/// Plays the sample from its `from`th second to its `to`th.
pub async fn seconds(socket: &mut Socket, length: usize, (from, to): (usize, usize), heard: &mut Vec<Value>) {
    assert!(play(socket, &sample(length), (from * 16_000, to * 16_000), 1_600, heard).await, "{heard:?}");
}

pub async fn stop(socket: &mut Socket, heard: &mut Vec<Value>) {
    say(socket, &json!({ "type": "stop" })).await;
    heard.extend(hear_all(socket).await);
}

#[tokio::test]
async fn a_call_comes_out_the_same_and_goes_on_over_kills() {
    let Some(shared) = Shared::new() else { return };
    let wanted = wanted(30).await;
    let mut server = Server::start(&shared.config());
    let key = server.key("acme", "ingest,read");
    let heard = whole_call(&server, &key, "whole", &sample(30), 1_600).await;
    assert_same_events(&events(&heard), &wanted);
    assert_same_events(&ended(&server, &key, "whole").await, &wanted);
    let mut heard = Vec::new();
    for turn in 0..4 {
        let (mut socket, from) = take_up(&server, &key, start("killed", turn > 0), &mut heard).await;
        let to = if turn == 3 { 30 * 16_000 } else { from + (3 + 2 * turn) * 16_000 };
        play(&mut socket, &sample(30), (from, to), 1_600, &mut heard).await;
        if turn == 3 {
            stop(&mut socket, &mut heard).await;
        } else {
            server.kill();
            server.boot();
        }
    }
    assert_same_events(&ended(&server, &key, "killed").await, &wanted);
}

/// Every message of a topic.
fn topic(brokers: &str, name: &str) -> Vec<Value> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "look")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let patience = Duration::from_secs(20);
    let (mut all, mut left) = (TopicPartitionList::new(), 0);
    for partition in 0..3 {
        let (low, high) = consumer.fetch_watermarks(name, partition, patience).unwrap();
        all.add_partition_offset(name, partition, Offset::Beginning).unwrap();
        left += high - low;
    }
    consumer.assign(&all).unwrap();
    let mut found = Vec::new();
    while found.len() < left as usize {
        let message = consumer.poll(patience).expect("messages are missing").unwrap();
        found.push(serde_json::from_slice(message.payload().unwrap()).unwrap());
    }
    found
}

/// Every `sealed` in a value, as bytes.
fn sealed(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(text) if name == "sealed" => found.push(BASE64.decode(text).unwrap()),
                    _ => sealed(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| sealed(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn mh1_what_reaches_kafka_holds_no_word_and_no_name() {
    let Some(shared) = Shared::new() else { return };
    let server = Server::start(&shared.config());
    let key = server.key("acme", "ingest,read");
    let heard = whole_call(&server, &key, "call-1", &sample(20), 1_600).await;
    assert!(heard.iter().any(|message| message["text"].as_str().is_some_and(|text| text.contains("[name]"))));
    ended(&server, &key, "call-1").await;
    for name in ["records", "live"] {
        let messages = topic(&shared.kafka, &format!("{}.{name}", shared.prefix));
        let mut fields = Vec::new();
        for message in &messages {
            fields.push(message.to_string().into_bytes());
            sealed(message, &mut fields);
        }
        // how many records share a message is chance
        assert!(fields.len() > messages.len() + 5, "{} fields in {} messages of {name}", fields.len(), messages.len());
        for word in ["Daniel", "credit card", "Featherstone", "[name]", "\"text\""] {
            let holds =
                |field: &Vec<u8>| field.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()));
            assert!(!fields.iter().any(holds), "{word} in {name}");
        }
    }
}

#[tokio::test]
async fn while_kafka_is_away_a_call_goes_on_and_all_of_it_arrives_in_order() {
    let Some(own) = Own::start(1, 0) else { return };
    let wanted = wanted(30).await;
    let server = Server::start(&kafka(own.address("SOTTO_TEST_KAFKA"), "sotto", 1));
    let key = server.key("acme", "ingest,read");
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("call-1", false)).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    seconds(&mut socket, 30, (0, 10), &mut heard).await;
    own.node("kill", "kafka-1");
    seconds(&mut socket, 30, (10, 20), &mut heard).await;
    // told though Kafka is away
    let before = events(&heard).len();
    while events(&heard).len() == before {
        heard.push(hear(&mut socket).await.unwrap());
    }
    assert!(server.metric("sotto_spool_bytes").await > 0.0);
    // and a new call begins and ends
    whole_call(&server, &key, "call-2", &sample(8), 1_600).await;
    own.node("revive", "kafka-1");
    seconds(&mut socket, 30, (20, 30), &mut heard).await;
    stop(&mut socket, &mut heard).await;
    assert_same_events(&events(&heard), &wanted);
    assert_same_events(&ended(&server, &key, "call-1").await, &wanted);
    ended(&server, &key, "call-2").await;
    let empty = || async { (server.metric("sotto_spool_bytes").await == 0.0).then_some(()) };
    eventually("an empty spool", empty).await;
}

#[tokio::test]
async fn while_the_store_is_away_a_call_goes_on_and_all_of_it_arrives() {
    let Some(own) = Own::start(0, 1) else { return };
    let wanted = wanted(30).await;
    let server = Server::start(&scylla(own.address("SOTTO_TEST_CQL"), "sotto", 1));
    let key = server.key("acme", "ingest,read");
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("call-1", false)).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    seconds(&mut socket, 30, (0, 10), &mut heard).await;
    own.node("kill", "cql-1");
    seconds(&mut socket, 30, (10, 20), &mut heard).await;
    // a new call has no place to be kept under: it is refused, and says when to come again
    let mut refused = server.connect(&key).await;
    say(&mut refused, &start("call-2", false)).await;
    let told = hear_all(&mut refused).await;
    assert_eq!(told.last().unwrap()["type"], "error", "{told:?}");
    own.node("revive", "cql-1");
    seconds(&mut socket, 30, (20, 30), &mut heard).await;
    stop(&mut socket, &mut heard).await;
    assert_same_events(&events(&heard), &wanted);
    assert_same_events(&ended(&server, &key, "call-1").await, &wanted);
}
