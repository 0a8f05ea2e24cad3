//! Several nodes on one Kafka and one ScyllaDB.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    servers::{Shared, ended, seconds, stop, wanted},
    support::*,
};

/// Nodes that share everything but their data folders.
pub struct Cluster {
    pub nodes: Vec<Server>,
    _shared: TempDir,
    config: String,
}

impl Cluster {
    pub fn start(nodes: usize) -> Option<Self> {
        Self::of(&vec![""; nodes], &Shared::new()?.config())
    }

    /// A node for each text that goes before what all have in their configuration.
    fn of(own: &[&str], engines: &str) -> Option<Self> {
        let shared = tempfile::tempdir().unwrap();
        let root = shared.path().join("root.key").display().to_string();
        let config = format!("root_key = {root:?}\n{engines}");
        let nodes = own.iter().map(|own| Server::start(&format!("{own}{config}"))).collect();
        Some(Self { nodes, _shared: shared, config })
    }

    /// A key that every node knows.
    pub async fn key(&self, tenant: &str, purposes: &str) -> String {
        let key = self.nodes[0].key(tenant, purposes);
        for node in &self.nodes {
            let known = || async { (node.get(&key, "/v1/calls").await.0 == 200).then_some(()) };
            eventually("the key at every node", known).await;
        }
        key
    }
}

/// Waits until a node takes a key that was made at another.
async fn knows(server: &Server, key: &str) {
    eventually("the key at the node", || async { server.try_connect("/v1/stream", key).await.ok().map(drop) }).await;
}

/// Goes on with a call, from where the node says.
pub async fn resume(server: &Server, key: &str, call: &str, heard: &mut Vec<Value>) -> (Socket, usize) {
    knows(server, key).await;
    take_up(server, key, start(call, true), heard).await
}

/// Frames of the sample that come after `from`, to its `to`th second.
async fn go_on(socket: &mut Socket, from: usize, to: usize, heard: &mut Vec<Value>) {
    assert!(play(socket, &sample(30), (from, to * 16_000), 1_600, heard).await, "{heard:?}");
}

#[tokio::test]
async fn keys_and_people_of_one_node_hold_at_all() {
    let Some(cluster) = Cluster::start(2) else { return };
    let [here, there] = &cluster.nodes[..] else { panic!() };
    let key = here.key("acme", "ingest,read");
    eventually("the key at the other node", || async { (there.get(&key, "/v1/calls").await.0 == 200).then_some(()) })
        .await;
    here.user("acme", "ada", "admin", "");
    let mut browser = here.browser("ada").await;
    browser.api = format!("http://{}", there.api);
    eventually("the session at the other node", || async {
        let asked = client().get(format!("{}/v1/session", browser.api)).header("cookie", browser.cookie());
        (asked.send().await.unwrap().status() == 200).then_some(())
    })
    .await;
    // and at one that comes later
    let third = Server::start(&cluster.config);
    assert_eq!(third.get(&key, "/v1/calls").await.0, 200);
    // which takes calls at once, for all to see
    whole_call(&third, &key, "late", &sample(5), 1_600).await;
    ended(here, &key, "late").await;
    let id = key.split('_').nth(1).unwrap().to_owned();
    let done = sotto().arg("--config").arg(there.config_file()).args(["keys", "revoke", &id]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for node in [here, &third] {
        eventually("the end of the key", || async { (node.get(&key, "/v1/calls").await.0 == 401).then_some(()) }).await;
    }
}

#[tokio::test]
async fn a_call_goes_on_at_another_node_after_a_kill_and_every_board_shows_it() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let wanted = wanted(30).await;
    let key = cluster.nodes[0].key("acme", "ingest,read");
    cluster.nodes[0].user("acme", "ada", "admin", "");
    let mut browser = cluster.nodes[0].browser("ada").await;
    let mut heard = Vec::new();
    let mut socket = cluster.nodes[0].connect(&key).await;
    say(&mut socket, &start("call-1", false)).await;
    heard.push(hear(&mut socket).await.unwrap());
    seconds(&mut socket, 30, (0, 10), &mut heard).await;
    // a board elsewhere
    browser.api = format!("http://{}", cluster.nodes[2].api);
    let session = || async {
        let asked = client().get(format!("{}/v1/session", browser.api)).header("cookie", browser.cookie());
        (asked.send().await.unwrap().status() == 200).then_some(())
    };
    eventually("the session at the third node", session).await;
    let mut board = browser.stream("/v1/board/live").await;
    board.row(|row| row["call_id"] == "call-1" && row["state"] == "live").await;
    cluster.nodes[0].kill();
    board.row(|row| row["call_id"] == "call-1" && row["state"] == "waiting").await;
    let (mut socket, from) = resume(&cluster.nodes[1], &key, "call-1", &mut heard).await;
    board.row(|row| row["call_id"] == "call-1" && row["state"] == "live").await;
    go_on(&mut socket, from, 20, &mut heard).await;
    // its caller goes to the third node though the second still has it
    let (mut again, from) = resume(&cluster.nodes[2], &key, "call-1", &mut heard).await;
    go_on(&mut again, from, 30, &mut heard).await;
    stop(&mut again, &mut heard).await;
    board.until("that it is gone", |_, data| (data["gone"] == json!(["call-1"])).then_some(())).await;
    for node in &cluster.nodes[1..] {
        assert_same_events(&ended(node, &key, "call-1").await, &wanted);
    }
    drop(socket);
}

#[tokio::test]
async fn a_call_that_another_node_feeds_is_left_alone_and_one_that_nobody_feeds_is_ended() {
    let Some(shared) = Shared::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.key").display().to_string();
    let config = format!("root_key = {root:?}\n{}[capacity]\nresume_seconds = 4\n", shared.config());
    let mut first = Server::start(&config);
    let key = first.key("acme", "ingest,read");
    let mut heard = Vec::new();
    let mut fed = first.connect(&key).await;
    say(&mut fed, &start("fed", false)).await;
    heard.push(hear(&mut fed).await.unwrap());
    // comes up, finds the call open, and hears that it is fed
    let second = Server::start(&config);
    for second in 0..12 {
        seconds(&mut fed, 30, (second, second + 1), &mut heard).await;
        sleep(Duration::from_millis(900)).await;
    }
    assert_eq!(first.metric("sotto_calls_on_air").await, 1.0);
    let (_, shown) = second.get(&key, "/v1/calls/fed").await;
    assert_eq!(shown["state"], "open", "{shown}");
    first.kill();
    let kept = ended(&second, &key, "fed").await;
    assert_eq!(kept.last().unwrap()["reason"], "lost");
}

#[tokio::test]
async fn roles_may_be_on_nodes_of_their_own() {
    let Some(shared) = Shared::new() else { return };
    let wanted = wanted(20).await;
    let roles = ["roles = [\"ingest\"]\n", "roles = [\"writer\"]\n", "roles = [\"board\"]\n"];
    let mut cluster = Cluster::of(&roles, &shared.config()).unwrap();
    let [ingest, writer, board] = &mut cluster.nodes[..] else { panic!() };
    let key = board.key("acme", "ingest,read");
    board.user("acme", "ada", "admin", "");
    let browser = board.browser("ada").await;
    let mut shown = browser.stream("/v1/board/live").await;
    let mut heard = Vec::new();
    knows(ingest, &key).await;
    let (mut socket, _) = take_up(ingest, &key, start("call-1", false), &mut heard).await;
    seconds(&mut socket, 20, (0, 10), &mut heard).await;
    shown.row(|row| row["call_id"] == "call-1" && row["state"] == "live").await;
    // what is said while nobody writes waits for who comes next
    writer.kill();
    seconds(&mut socket, 20, (10, 20), &mut heard).await;
    stop(&mut socket, &mut heard).await;
    assert_same_events(&events(&heard), &wanted);
    shown.until("that it is gone", |_, data| (data["gone"] == json!(["call-1"])).then_some(())).await;
    writer.boot();
    assert_same_events(&ended(board, &key, "call-1").await, &wanted);
    // each keeps to its own
    assert_eq!(ingest.get(&key, "/v1/calls").await.0, 404);
    assert!(board.try_connect("/v1/stream", &key).await.is_err());
    for node in [ingest, writer, board] {
        assert_eq!(node.get("", "/readyz").await.0, 200);
    }
}

#[tokio::test]
async fn a_rolling_restart_drops_no_call() {
    let Some(mut cluster) = Cluster::start(2) else { return };
    let wanted = wanted(30).await;
    let key = cluster.key("acme", "ingest,read").await;
    let calls = ["one", "two", "three", "four"];
    let (mut at, mut heard) = (Vec::new(), vec![Vec::new(); calls.len()]);
    for (index, call) in calls.iter().enumerate() {
        let mut socket = cluster.nodes[index % 2].connect(&key).await;
        say(&mut socket, &start(call, false)).await;
        heard[index].push(hear(&mut socket).await.unwrap());
        seconds(&mut socket, 30, (0, 6 + index), &mut heard[index]).await;
        at.push((index % 2, socket));
    }
    for leaving in 0..2 {
        cluster.nodes[leaving].terminate();
        for (index, call) in calls.iter().enumerate() {
            if at[index].0 != leaving {
                continue;
            }
            heard[index].extend(hear_all(&mut at[index].1).await);
            assert!(!of_type(&heard[index], "reconnect").is_empty(), "{call}: {:?}", heard[index].last());
            let (mut socket, from) = resume(&cluster.nodes[1 - leaving], &key, call, &mut heard[index]).await;
            go_on(&mut socket, from, 14 + 4 * leaving, &mut heard[index]).await;
            at[index] = (1 - leaving, socket);
        }
        let (code, log) = cluster.nodes[leaving].wait();
        assert_eq!(code, 0, "{log}");
        cluster.nodes[leaving].boot();
    }
    for (index, call) in calls.iter().enumerate() {
        let from = 14 * 16_000 + if at[index].0 == 0 { 4 * 16_000 } else { 0 };
        go_on(&mut at[index].1, from, 30, &mut heard[index]).await;
        stop(&mut at[index].1, &mut heard[index]).await;
        assert_same_events(&ended(&cluster.nodes[0], &key, call).await, &wanted);
    }
}
