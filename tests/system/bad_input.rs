//! Whatever a client does wrong: it learns what, and nobody else notices.

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::*;

fn with(field: &str, value: Value) -> Value {
    let mut message = start("bad", false);
    message[field] = value;
    message
}

#[tokio::test]
async fn a_bad_start_says_what_would_be_right() {
    let server = Server::start("");
    let key = server.key("acme", "ingest");
    for (message, code, hint) in [
        (with("encoding", json!("g729")), "encoding", "s16le, mulaw, alaw, opus"),
        (with("rate", json!(11_025)), "format", "8000, 16000"),
        (with("channels", json!([])), "format", "use 1 to 8"),
        (with("call_id", json!("a b")), "call_id", "letters, digits"),
        (with("surprise", json!(1)), "message", "docs/protocol.md"),
        (with("metadata", json!({ "x": "y".repeat(2_000) })), "metadata", "1024 bytes"),
        (json!({ "type": "stop" }), "start_expected", "must be start"),
        (json!("hello"), "message", "docs/protocol.md"),
    ] {
        let mut socket = server.connect(&key).await;
        say(&mut socket, &message).await;
        let answer = hear(&mut socket).await.unwrap();
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{message}");
        assert!(answer["message"].as_str().unwrap().contains(hint), "{answer}");
    }
}

/// Sends `messages` after a good start; gives the error that comes.
async fn after_start(server: &Server, key: &str, call: &str, messages: Vec<Message>) -> Value {
    let mut socket = server.connect(key).await;
    say(&mut socket, &start(call, false)).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "ready");
    for message in messages {
        // the server may have hung up already
        if socket.send(message).await.is_err() {
            break;
        }
    }
    let heard = hear_all(&mut socket).await;
    of_type(&heard, "error").first().map(|error| error["code"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn bad_audio_ends_only_its_own_call() {
    let server = Server::start("[limits]\nmessages_per_second = 50");
    let key = server.key("acme", "ingest,read");
    let bytes = |count: usize| Message::binary(vec![0; count]);
    let text = |text: &str| Message::text(text.to_owned());
    let again = start("again", false).to_string();
    let cases = [
        ("odd_byte_count", vec![bytes(642), bytes(641)]),
        ("second_start", vec![text(&again)]),
        ("message", vec![text("not json")]),
        ("message_too_large", vec![bytes(65_540)]),
        ("message_rate", vec![bytes(4); 200]),
    ];
    let mut good = server.connect(&key).await;
    say(&mut good, &start("good", false)).await;
    hear(&mut good).await.unwrap();
    for (index, (code, messages)) in cases.into_iter().enumerate() {
        assert_eq!(after_start(&server, &key, &format!("bad-{index}"), messages).await, json!(code));
    }
    say(&mut good, &json!({ "type": "stop" })).await;
    assert_eq!(of_type(&hear_all(&mut good).await, "ended").len(), 1);
}

#[tokio::test]
async fn audio_before_start_is_refused() {
    let server = Server::start("[limits]\nstart_seconds = 1\nidle_seconds = 2");
    let key = server.key("acme", "ingest");
    let mut socket = server.connect(&key).await;
    socket.send(Message::binary(vec![0; 640])).await.unwrap();
    assert_eq!(hear(&mut socket).await.unwrap()["code"], "start_expected");
    let mut socket = server.connect(&key).await;
    assert_eq!(hear(&mut socket).await.unwrap()["code"], "start_timeout");
    assert_eq!(after_start(&server, &key, "idle", vec![]).await, json!("idle"));
}

fn status(error: Result<Socket, Error>) -> u16 {
    match error {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => 101,
    }
}

#[tokio::test]
async fn who_may_not_is_told_before_a_socket_exists() {
    let server = Server::start("[capacity]\ncalls_per_tenant = 1");
    let key = server.key("acme", "ingest");
    assert_eq!(status(server.try_connect("/v1/stream", "sk_00_wrong").await), 401);
    assert_eq!(status(server.try_connect("/v1/stream", &server.key("acme", "read")).await), 403);
    assert_eq!(status(server.try_connect("/v1/elsewhere", &key).await), 404);
    let url = format!("http://{}/v1/stream", server.calls);
    assert_eq!(client().get(&url).send().await.unwrap().status(), 401);
    assert_eq!(client().get(&url).bearer_auth(&key).send().await.unwrap().status(), 426);
    // a long-lived key has no place in a URL
    assert_eq!(client().get(format!("{url}?token={key}")).send().await.unwrap().status(), 401);
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("one", false)).await;
    hear(&mut socket).await.unwrap();
    assert_eq!(status(server.try_connect("/v1/stream", &key).await), 429);
}

#[tokio::test]
async fn a_call_id_is_used_once() {
    let server = Server::start("");
    let key = server.key("acme", "ingest");
    whole_call(&server, &key, "once", &sample(2), 1_600).await;
    for (resume, wanted) in [(false, "over"), (true, "over")] {
        let code = eventually("the place on air to be free", || async {
            let mut socket = server.connect(&key).await;
            say(&mut socket, &start("once", resume)).await;
            let answer = hear(&mut socket).await?;
            (answer["code"] != "on_air").then(|| answer["code"].clone())
        })
        .await;
        assert_eq!(code, json!(wanted));
    }
}

#[tokio::test]
async fn a_client_that_never_reads_holds_up_nobody() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let mut deaf = server.connect(&key).await;
    say(&mut deaf, &start("deaf", false)).await;
    let recording = sample(20);
    for at in (0..recording.channels[0].len()).step_by(3_200) {
        deaf.send(Message::binary(interleaved(&recording, at, at + 3_200))).await.unwrap();
    }
    let other =
        tokio::time::timeout(Duration::from_secs(30), whole_call(&server, &key, "other", &recording, 1_600)).await;
    assert_eq!(of_type(&other.expect("held up"), "ended").len(), 1);
    drop(deaf);
}

#[tokio::test]
async fn a_call_that_never_stops_is_stopped() {
    let server = Server::start("[limits]\ncall_seconds = 3");
    let key = server.key("acme", "ingest,read");
    let frames = vec![Message::binary(vec![0; 64_000]); 4];
    assert_eq!(after_start(&server, &key, "long", frames).await, json!("too_long"));
    let last = eventually("the end in rows", || async {
        kept(&server, &key, "long").await.last().cloned().filter(|event| event["type"] == "ended")
    })
    .await;
    assert_eq!(last["reason"], "too_long");
}

#[tokio::test]
async fn a_full_server_lets_a_call_back_in() {
    let server = Server::start("[capacity]\ncalls = 1");
    let key = server.key("acme", "ingest");
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("one", false)).await;
    hear(&mut socket).await.unwrap();
    assert_eq!(status(server.try_connect("/v1/stream", &key).await), 503);
    drop(socket);
    // a call that waits for its caller keeps its place
    assert_eq!(status(server.try_connect("/v1/stream", &key).await), 503);
    let mut socket = server.try_connect("/v1/stream?resume=one", &key).await.unwrap();
    say(&mut socket, &start("one", true)).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "ready");
    // and the mark in the URL opens the door to no other call
    let mut other = server.try_connect("/v1/stream?resume=one", &key).await.unwrap();
    say(&mut other, &start("two", false)).await;
    assert_eq!(hear(&mut other).await.unwrap()["code"], "full");
}

#[tokio::test]
async fn more_calls_than_the_machine_has_time_for_are_turned_away_before_they_cost_any() {
    let server = Server::start("[capacity]\nslowest_partials = 1.0\nspeech_threads = 1");
    let key = server.key("acme", "ingest");
    let room = server.metric("sotto_speech_calls_that_fit").await as usize;
    assert!((4..64).contains(&room), "{room}");
    let mut sockets = Vec::new();
    for number in 0..room {
        let mut socket = server.connect(&key).await;
        say(&mut socket, &start(&format!("call-{number}"), false)).await;
        assert_eq!(hear(&mut socket).await.unwrap()["type"], "ready", "call {number} of {room}");
        sockets.push(socket);
    }
    let Err(Error::Http(refused)) = server.try_connect("/v1/stream", &key).await else { panic!("let in") };
    assert_eq!(refused.status().as_u16(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    // one that was let in before may come back, and where one has ended there is room
    drop(sockets.pop());
    let last = format!("call-{}", room - 1);
    let mut socket = eventually("a way back", || async {
        server.try_connect(&format!("/v1/stream?resume={last}"), &key).await.ok()
    })
    .await;
    say(&mut socket, &start(&last, true)).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "ready");
    say(&mut socket, &json!({ "type": "stop" })).await;
    hear_all(&mut socket).await;
    eventually("room", || async { server.try_connect("/v1/stream", &key).await.ok() }).await;
}

#[tokio::test]
async fn a_call_that_is_resumed_wrongly_still_waits_for_its_caller() {
    let server = Server::start("[capacity]\nresume_seconds = 1");
    let key = server.key("acme", "ingest,read");
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("waits", false)).await;
    hear(&mut socket).await.unwrap();
    drop(socket);
    let mut wrong = start("waits", true);
    wrong["rate"] = json!(8_000);
    let refused = eventually("a refusal", || async {
        let mut socket = server.connect(&key).await;
        say(&mut socket, &wrong).await;
        hear(&mut socket).await
    })
    .await;
    assert_eq!(refused["code"], "format_differs");
    let last = eventually("its end", || async {
        kept(&server, &key, "waits").await.last().cloned().filter(|event| event["type"] == "ended")
    })
    .await;
    assert_eq!(last["reason"], "lost");
}

#[tokio::test]
async fn answering_pings_does_not_keep_a_silent_call_on_air() {
    let server = Server::start("[limits]\nidle_seconds = 2\nping_seconds = 1");
    let key = server.key("acme", "ingest");
    assert_eq!(after_start(&server, &key, "silent", vec![]).await, json!("idle"));
}

#[tokio::test]
async fn sockets_count_as_connections_until_they_end() {
    let server = Server::start("[capacity]\nconnections = 2");
    let key = server.key("acme", "ingest");
    let (first, _second) = (server.connect(&key).await, server.connect(&key).await);
    let third = tokio::time::timeout(Duration::from_millis(500), server.try_connect("/v1/stream", &key)).await;
    assert!(third.is_err(), "a third connection was served");
    drop(first);
    tokio::time::timeout(PATIENCE, server.try_connect("/v1/stream", &key)).await.expect("no place came free").unwrap();
}
