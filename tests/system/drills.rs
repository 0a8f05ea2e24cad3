//! The faults at their full length and with many calls: `make drills`. They take minutes, so `make test` leaves them
//! out; it has the same faults in short.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, future::join_all};
use serde_json::{Value, json};
use sotto_ingest::file::Recording;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    cluster::Cluster,
    servers::{Own, ended, kafka, scylla, wanted},
    support::*,
};

/// Seconds of the sample.
const LENGTH: usize = 40;
/// No drill takes longer.
const LONGEST: Duration = Duration::from_secs(400);

/// One address before several nodes.
#[derive(Clone)]
struct Balancer {
    address: String,
    nodes: Arc<Mutex<Vec<String>>>,
}

impl Balancer {
    async fn start(nodes: &[&Server]) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = door.local_addr().unwrap().to_string();
        let nodes: Arc<Mutex<Vec<String>>> =
            Arc::new(Mutex::new(nodes.iter().map(|node| node.calls.clone()).collect()));
        let (known, turn) = (Arc::clone(&nodes), AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = door.accept().await {
                let node = {
                    let known = known.lock().unwrap();
                    known[turn.fetch_add(1, Ordering::Relaxed) % known.len()].clone()
                };
                tokio::spawn(async move {
                    let Ok(mut node) = TcpStream::connect(node).await else { return };
                    // either end may be killed
                    drop(copy_bidirectional(&mut caller, &mut node).await);
                });
            }
        });
        Self { address, nodes }
    }

    fn without(&self, node: &str) {
        self.nodes.lock().unwrap().retain(|known| known != node);
    }

    fn with(&self, node: &str) {
        self.nodes.lock().unwrap().push(node.to_owned());
    }
}

/// A caller who talks at `speed` times its natural pace, comes back whenever the socket breaks, and goes when told that
/// the call has ended. Gives how many times it was broken off.
async fn caller(address: String, key: String, call: String, speed: f64) -> usize {
    let recording = sample(LENGTH);
    let (begun, mut breaks, mut known) = (Instant::now(), 0, false);
    loop {
        assert!(begun.elapsed() < LONGEST, "{call} never ends");
        sleep(Duration::from_millis(250)).await;
        let Ok(mut socket) = connect_to(&address, "/v1/stream", &key).await else { continue };
        if socket.send(Message::text(start(&call, known).to_string())).await.is_err() {
            continue;
        }
        let Some(first) = hear(&mut socket).await else { continue };
        if first["type"] == "error" {
            assert!(first["code"] == "storage" || first["code"] == "capacity", "{first}");
            continue;
        }
        known = true;
        let from = first["position"].as_u64().unwrap() as usize;
        if talk(&mut socket, &recording, from, speed, begun).await {
            return breaks;
        }
        breaks += 1;
    }
}

/// True when the end was heard.
async fn talk(socket: &mut Socket, recording: &Recording, from: usize, speed: f64, begun: Instant) -> bool {
    let (length, mut heard) = (recording.channels[0].len(), Vec::new());
    for at in (from..length).step_by(16_000) {
        sleep_until(begun + Duration::from_secs_f64(at as f64 / 16_000.0 / speed)).await;
        if !play(socket, recording, (at, length.min(at + 16_000)), 1_600, &mut heard).await {
            return false;
        }
    }
    if socket.send(Message::text(json!({ "type": "stop" }).to_string())).await.is_err() {
        return false;
    }
    hear_all(socket).await.iter().any(|message| message["type"] == "ended")
}

/// Calls at one address, all at once; `fault` is what happens meanwhile.
async fn calls(address: &str, key: &str, count: usize, speed: f64, fault: impl Future<Output = ()>) -> usize {
    let callers = (0..count)
        .map(|number| tokio::spawn(caller(address.to_owned(), key.to_owned(), format!("call-{number}"), speed)));
    let callers: Vec<_> = callers.collect();
    fault.await;
    let breaks = timeout(LONGEST, join_all(callers)).await.expect("calls that never end");
    breaks.into_iter().map(Result::unwrap).sum()
}

/// What every call has in rows is what an unbroken one comes to.
async fn all_as(server: &Server, key: &str, count: usize, wanted: &[Value]) {
    for number in 0..count {
        assert_same_events(&ended(server, key, &format!("call-{number}")).await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make drills"]
async fn fifty_calls_outlive_a_node_killed_among_them_and_replaced() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let wanted = wanted(LENGTH).await;
    let key = cluster.key("acme", "ingest,read").await;
    let balancer = Balancer::start(&cluster.nodes.iter().collect::<Vec<_>>()).await;
    let (address, gate) = (balancer.address.clone(), balancer.clone());
    let dying = &mut cluster.nodes[0];
    let breaks = calls(&address, &key, 50, 1.0, async move {
        sleep(Duration::from_secs(15)).await;
        assert!(dying.metric("sotto_calls_on_air").await >= 10.0);
        let place = dying.calls.clone();
        dying.kill();
        gate.without(&place);
        sleep(Duration::from_secs(5)).await;
        dying.boot();
        gate.with(&dying.calls);
    })
    .await;
    assert!(breaks >= 10, "{breaks} calls broke off");
    for node in &cluster.nodes {
        all_as(node, &key, 50, &wanted).await;
    }
}

/// Kafka or the store is gone for a minute, by this pair of faults, while eight calls go on.
async fn a_minute(own: &Own, config: &str, node: &str, (away, here): (&str, &str)) {
    let wanted = wanted(LENGTH).await;
    let server = Server::start(config);
    let key = server.key("acme", "ingest,read");
    // slow talkers, so that the call is there before, all the while and after
    let breaks = calls(&server.calls, &key, 8, 0.4, async {
        sleep(Duration::from_secs(15)).await;
        own.node(away, node);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(server.metric("sotto_calls_on_air").await, 8.0);
        own.node(here, node);
    })
    .await;
    assert_eq!(breaks, 0, "calls broke off");
    all_as(&server, &key, 8, &wanted).await;
    eventually("an empty spool", || async { (server.metric("sotto_spool_bytes").await == 0.0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make drills"]
async fn kafka_is_away_for_a_minute() {
    let Some(own) = Own::start(1, 0) else { return };
    a_minute(&own, &kafka(own.address("SOTTO_TEST_KAFKA"), "sotto", 1), "kafka-1", ("kill", "revive")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make drills"]
async fn kafka_says_nothing_for_a_minute() {
    let Some(own) = Own::start(1, 0) else { return };
    a_minute(&own, &kafka(own.address("SOTTO_TEST_KAFKA"), "sotto", 1), "kafka-1", ("pause", "resume")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make drills"]
async fn the_store_is_away_for_a_minute() {
    let Some(own) = Own::start(0, 1) else { return };
    a_minute(&own, &scylla(own.address("SOTTO_TEST_CQL"), "sotto", 1), "cql-1", ("kill", "revive")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make drills"]
async fn the_store_says_nothing_for_a_minute() {
    let Some(own) = Own::start(0, 1) else { return };
    a_minute(&own, &scylla(own.address("SOTTO_TEST_CQL"), "sotto", 1), "cql-1", ("pause", "resume")).await;
}

/// Each of three is killed and comes back, one after the other, and nobody notices.
async fn each_of_three(own: &Own, config: &str, kind: &str) {
    let wanted = wanted(LENGTH).await;
    let server = Server::start(config);
    let key = server.key("acme", "ingest,read");
    let breaks = calls(&server.calls, &key, 8, 0.4, async {
        for number in 1..=3 {
            sleep(Duration::from_secs(8)).await;
            own.node("kill", &format!("{kind}-{number}"));
            sleep(Duration::from_secs(15)).await;
            own.node("revive", &format!("{kind}-{number}"));
        }
    })
    .await;
    assert_eq!(breaks, 0, "calls broke off");
    all_as(&server, &key, 8, &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make drills"]
async fn each_of_three_brokers_is_killed() {
    let Some(own) = Own::start(3, 0) else { return };
    each_of_three(&own, &kafka(own.address("SOTTO_TEST_KAFKA"), "sotto", 3), "kafka").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make drills"]
async fn each_of_three_nodes_of_the_store_is_killed() {
    let Some(own) = Own::start(0, 3) else { return };
    each_of_three(&own, &scylla(own.address("SOTTO_TEST_CQL"), "sotto", 3), "cql").await;
}
