//! Broken sockets, kills and shutdowns: what was acknowledged is there, nothing twice, and the words are the same.

use serde_json::{Value, json};

use crate::support::*;

/// What a call comes to without any break.
async fn unbroken(server: &Server, key: &str) -> Vec<Value> {
    events(&whole_call(server, key, "unbroken", &sample(30), 1_600).await)
}

async fn ended(server: &Server, key: &str, call: &str) -> Vec<Value> {
    eventually("the end of the call in rows", || async {
        let kept = kept(server, key, call).await;
        (kept.last()?["type"] == "ended").then_some(kept)
    })
    .await
}

/// A small generator: tests that fail must fail again.
fn random(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*seed >> 33) as usize) % below
}

#[tokio::test]
async fn a_resumed_call_comes_out_as_if_nothing_had_happened() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let recording = sample(30);
    let wanted = unbroken(&server, &key).await;
    let length = recording.channels[0].len();
    let (mut seed, mut heard) = (11, Vec::new());
    for turn in 0.. {
        let mut socket = server.connect(&key).await;
        say(&mut socket, &start("broken", turn > 0)).await;
        let ready = hear(&mut socket).await.unwrap();
        let position = ready["position"].as_u64().unwrap() as usize;
        let end = if turn == 6 { length } else { length.min(position + random(&mut seed, 8 * 16_000)) };
        play(&mut socket, &recording, (position, end), 1_600, &mut heard).await;
        if turn == 6 {
            say(&mut socket, &json!({ "type": "stop" })).await;
            hear_all(&mut socket).await;
            break;
        }
        // half of the breaks are not even noticed by the server
        if turn % 2 == 0 { drop(socket) } else { std::mem::forget(socket) }
    }
    assert_same_events(&ended(&server, &key, "broken").await, &wanted);
}

#[tokio::test]
async fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let mut server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let recording = sample(30);
    let wanted = unbroken(&server, &key).await;
    let length = recording.channels[0].len();
    let mut seed = 23;
    for turn in 0..=12 {
        let mut socket = server.connect(&key).await;
        say(&mut socket, &start("killed", turn > 0)).await;
        let ready = hear(&mut socket).await.unwrap();
        let position = ready["position"].as_u64().unwrap() as usize;
        let mut heard = vec![ready];
        if turn == 12 {
            play(&mut socket, &recording, (position, length), 1_600, &mut heard).await;
            say(&mut socket, &json!({ "type": "stop" })).await;
            hear_all(&mut socket).await;
            break;
        }
        let end = length.min(position + random(&mut seed, 6 * 16_000));
        play(&mut socket, &recording, (position, end), 1_600, &mut heard).await;
        server.kill();
        server.boot();
        let told = events(&heard);
        let kept = kept(&server, &key, "killed").await;
        for event in told {
            let seq = event["seq"].as_u64().unwrap() as usize;
            assert_eq!(kept.get(seq - 1), Some(&event), "turn {turn}");
        }
    }
    assert_same_events(&ended(&server, &key, "killed").await, &wanted);
}

#[tokio::test]
async fn a_call_nobody_resumes_is_ended_as_lost() {
    let server = Server::start("[capacity]\nresume_seconds = 1");
    let key = server.key("acme", "ingest,read");
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("lost", false)).await;
    hear(&mut socket).await.unwrap();
    let mut heard = Vec::new();
    play(&mut socket, &sample(6), (0, 6 * 16_000), 1_600, &mut heard).await;
    drop(socket);
    let kept = ended(&server, &key, "lost").await;
    let ended = kept.last().unwrap();
    assert_eq!(ended["reason"], "lost");
    // it is no shorter than what was said in it, though it would be taken up before that
    let said = of_type(&kept, "final").iter().map(|made| made["end"].as_f64().unwrap()).fold(0.0, f64::max);
    assert!(said > 0.0 && ended["duration"].as_f64().unwrap() >= said, "{kept:?}");
}

#[tokio::test]
async fn a_shutdown_drains_and_tells_clients_to_come_back() {
    let mut server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let recording = sample(30);
    let wanted = unbroken(&server, &key).await;
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("drained", false)).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    play(&mut socket, &recording, (0, 9 * 16_000), 1_600, &mut heard).await;
    server.terminate();
    heard.extend(hear_all(&mut socket).await);
    let reconnect = of_type(&heard, "reconnect");
    assert_eq!(reconnect.len(), 1, "{heard:?}");
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    server.boot();
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("drained", true)).await;
    let ready = hear(&mut socket).await.unwrap();
    assert_eq!(ready["position"], reconnect[0]["position"]);
    let from = ready["position"].as_u64().unwrap() as usize;
    play(&mut socket, &recording, (from, recording.channels[0].len()), 1_600, &mut heard).await;
    say(&mut socket, &json!({ "type": "stop" })).await;
    hear_all(&mut socket).await;
    assert_same_events(&ended(&server, &key, "drained").await, &wanted);
}
