//! The main job: a call streams in; partials, finals and acks come out and are kept.

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

fn texts(events: &[Value]) -> Vec<(u64, String)> {
    let finals = events.iter().filter(|event| event["type"] == "final");
    finals.map(|event| (event["channel"].as_u64().unwrap(), event["text"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_call_is_written_down_told_and_kept() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let recording = sample(18);
    let heard = whole_call(&server, &key, "call-1", &recording, 320).await;
    assert_eq!(heard[0], json!({ "type": "ready", "call_id": "call-1", "position": 0, "seq": 0 }));
    let events = events(&heard);
    let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(events[0]["type"], "started");
    assert_eq!(events.last().unwrap()["type"], "ended");
    let said = texts(&events);
    assert!(said.iter().any(|(channel, text)| *channel == 0 && text.contains("Thank you for calling Harbor")));
    assert!(said.iter().any(|(channel, text)| *channel == 1 && text.contains("I lost my credit card")));
    assert!(of_type(&heard, "final").iter().all(|made| made["model"] == "moonshine-base-en-lean-3"));
    let measured = &events[events.len() - 3];
    assert_eq!((&measured["type"], &measured["version"]), (&json!("measured"), &json!("conversation-2")));
    let shares: Vec<f64> =
        measured["channels"].as_array().unwrap().iter().map(|c| c["talk_share"].as_f64().unwrap()).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 0.01 && shares.iter().all(|share| *share > 0.2), "{shares:?}");
    let last_ack = of_type(&heard, "ack").last().unwrap()["position"].as_u64().unwrap();
    assert_eq!(last_ack, recording.channels[0].len() as u64);
    assert!(of_type(&heard, "partial").len() > 5);
    let kept = eventually("rows", || async {
        let kept = kept(&server, &key, "call-1").await;
        (kept.len() == events.len()).then_some(kept)
    })
    .await;
    assert_same_events(&kept, &events);
}

#[tokio::test]
async fn what_partials_show_is_mostly_what_the_final_says() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let heard = whole_call(&server, &key, "call-1", &sample(45), 320).await;
    let (finals, partials) = (of_type(&heard, "final"), of_type(&heard, "partial"));
    let words = |event: &Value, part: &str| -> Vec<String> {
        let text = event[part].as_str().unwrap().to_lowercase();
        text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()).collect()
    };
    let (mut shown, mut kept) = (0, 0);
    for made in &finals {
        let same = |other: &&&Value| ["channel", "utterance"].iter().all(|name| other[name] == made[name]);
        let Some(last) = partials.iter().filter(same).max_by_key(|partial| partial["revision"].as_u64()) else {
            continue;
        };
        assert_eq!(last["stable"], "", "the final is written anew");
        let said = words(made, "text");
        let seen = words(last, "tail");
        shown += seen.len();
        kept += seen.iter().filter(|word| said.contains(word)).count();
    }
    assert!(shown > 30, "{shown} words were shown");
    assert!(10 * kept >= 9 * shown, "{kept} of {shown} words shown last are in the finals");
}

#[tokio::test]
async fn finals_do_not_depend_on_frame_sizes_or_on_other_calls() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let recording = sample(20);
    let alone = events(&whole_call(&server, &key, "alone", &recording, 320).await);
    let others = ["a", "b", "c", "d"].map(|call| whole_call(&server, &key, call, &recording, 1_601));
    let beside = futures_util::future::join_all(others).await;
    for heard in beside {
        assert_same_events(&events(&heard), &alone);
    }
}

#[tokio::test]
async fn a_quiet_or_ugly_sound_is_no_speech_and_no_trouble() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let length = 120 * 16_000;
    let mut seed = 7_u32;
    let mut noise = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as u16 as i16
    };
    let tone = |index: usize| ((index as f64 * 0.17).sin() * 20_000.0) as i16;
    // chords that change twice a second, with an octave above and a beat
    let music = |index: usize| {
        let (time, bar) = (index as f64 / 16_000.0, index / 8_000 % 4);
        let root = [220.0, 174.6, 261.6, 196.0][bar];
        let chord = [1.0, 1.26, 1.5, 2.0, 4.0].map(|step| (time * root * step * std::f64::consts::TAU).sin());
        (chord.iter().sum::<f64>() * 3_000.0 * (1.0 - (time * 2.0).fract() * 0.7)) as i16
    };
    let mut recording = sample(1);
    // silence beside constant offset, noise beside a clipped tone, music beside quiet music
    for (name, pair) in [
        ("quiet", [vec![0; length], vec![9_000; length]]),
        (
            "ugly",
            [
                (0..length).map(|_| noise() / 8).collect(),
                (0..length).map(|index| if tone(index) > 0 { i16::MAX } else { i16::MIN }).collect(),
            ],
        ),
        ("music", [(0..length).map(music).collect(), (0..length).map(|index| music(index) / 16).collect()]),
    ] {
        recording.channels = pair.to_vec();
        let heard = whole_call(&server, &key, name, &recording, 16_000).await;
        assert_eq!(events(&heard).last().unwrap()["type"], "ended");
        assert!(texts(&events(&heard)).len() <= 2, "{:?}", texts(&events(&heard)));
    }
}

#[tokio::test]
async fn live_events_are_followed_without_a_hole() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let recording = sample(18);
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("live", false)).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    let half = recording.channels[0].len() / 2;
    assert!(play(&mut socket, &recording, (0, half), 320, &mut heard).await);
    let url = format!("http://{}/v1/calls/live/live", server.api);
    let response = client().get(url).bearer_auth(&key).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(play(&mut socket, &recording, (half, 2 * half), 320, &mut heard).await);
    say(&mut socket, &json!({ "type": "stop" })).await;
    heard.extend(hear_all(&mut socket).await);
    let body = response.text().await.unwrap();
    assert!(body.lines().any(|line| line == "event: scores"));
    // how far the call has been heard is never more than there is of it
    let positions = body.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let positions: Vec<f64> = positions.filter_map(|data| data["position"].as_f64()).collect();
    assert!(!positions.is_empty() && positions.iter().all(|position| *position <= 18.0), "{positions:?}");
    let followed: Vec<Value> = body
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .filter(|event: &Value| event.get("seq").is_some())
        .collect();
    assert_eq!(followed, events(&heard));
}

#[tokio::test]
async fn a_transcript_is_exported_in_every_format() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    whole_call(&server, &key, "call-1", &sample(8), 1_600).await;
    eventually("rows", || async { (kept(&server, &key, "call-1").await.last()?["type"] == "ended").then_some(()) })
        .await;
    for (format, wanted) in [("text", "agent: Thank you"), ("srt", "1\n00:00:00,"), ("vtt", "WEBVTT\n\n00:00:0")] {
        let (status, body) = server.get(&key, &format!("/v1/calls/call-1/export?format={format}")).await;
        assert_eq!(status, 200);
        assert!(body.as_str().unwrap().contains(wanted), "{format}: {body}");
    }
    let (_, json) = server.get(&key, "/v1/calls/call-1/export").await;
    assert_eq!(json["call"]["metadata"]["customer_name"], "Wilhelmina Featherstone");
    assert_eq!(server.get(&key, "/v1/calls/call-1/export?format=doc").await.0, 400);
}

#[tokio::test]
async fn a_followed_call_that_is_over_does_not_hold_its_watcher() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    whole_call(&server, &key, "call-1", &sample(2), 1_600).await;
    let last = eventually("the end in rows", || async {
        let kept = kept(&server, &key, "call-1").await;
        (kept.last()?["type"] == "ended").then_some(kept.len())
    })
    .await;
    let url = format!("http://{}/v1/calls/call-1/live", server.api);
    // as a browser comes back that has seen everything
    let request = client().get(url).bearer_auth(&key).header("last-event-id", last.to_string());
    let body = tokio::time::timeout(PATIENCE, async { request.send().await.unwrap().text().await.unwrap() }).await;
    assert!(!body.expect("the stream never ended").contains("data:"));
}

#[tokio::test]
async fn an_opus_call_is_written_down_and_can_be_resumed() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let recording = sample(13);
    let mut encoder = opus::Encoder::new(16_000, opus::Channels::Stereo, opus::Application::Voip).unwrap();
    let packets: Vec<Vec<u8>> = (0..recording.channels[0].len())
        .step_by(320)
        .map(|at| {
            let both = (at..at + 320).flat_map(|index| recording.channels.iter().map(move |channel| channel[index]));
            encoder.encode_vec(&both.collect::<Vec<_>>(), 1_500).unwrap()
        })
        .collect();
    let start = |resume: bool| json!({ "type": "start", "call_id": "opus", "encoding": "opus", "rate": 16000, "channels": ["agent", "customer"], "resume": resume });
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start(false)).await;
    hear(&mut socket).await.unwrap();
    for packet in &packets[..500] {
        socket.send(Message::binary(packet.clone())).await.unwrap();
    }
    // broken off somewhere behind the first turn
    while hear(&mut socket).await.unwrap()["position"].as_u64().unwrap_or(0) == 0 {}
    drop(socket);
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start(true)).await;
    let from = hear(&mut socket).await.unwrap()["position"].as_u64().unwrap() as usize;
    assert!(from > 0);
    for packet in &packets[from / 320..] {
        socket.send(Message::binary(packet.clone())).await.unwrap();
    }
    say(&mut socket, &json!({ "type": "stop" })).await;
    hear_all(&mut socket).await;
    let kept = eventually("the end in rows", || async {
        let kept = kept(&server, &key, "opus").await;
        (kept.last()?["type"] == "ended").then_some(kept)
    })
    .await;
    let said = texts(&kept);
    assert!(said.iter().any(|(channel, text)| *channel == 0 && text.contains("Thank you for calling")), "{said:?}");
    assert!(said.iter().any(|(channel, text)| *channel == 1 && text.contains("lost my credit card")), "{said:?}");
    assert_eq!(kept.last().unwrap()["duration"], 13.0);
}
