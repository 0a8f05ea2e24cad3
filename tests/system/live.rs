//! The main job: a call streams in; partials, finals and acks come out and are kept.

use serde_json::{Value, json};

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
    assert!(said.iter().any(|(channel, text)| *channel == 0 && text.contains("Thank you for calling Harbor Bank")));
    assert!(said.iter().any(|(channel, text)| *channel == 1 && text.contains("I lost my credit card")));
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
async fn stable_text_is_never_taken_back() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let heard = whole_call(&server, &key, "call-1", &sample(30), 320).await;
    let finals = of_type(&heard, "final");
    let partials = of_type(&heard, "partial");
    let mut checked = 0;
    for partial in &partials {
        let same =
            |other: &&&Value| other["channel"] == partial["channel"] && other["utterance"] == partial["utterance"];
        let stable = partial["stable"].as_str().unwrap();
        let Some(made) = finals.iter().find(same) else { continue };
        assert!(made["text"].as_str().unwrap().starts_with(stable), "{partial} then {made}");
        checked += usize::from(!stable.is_empty());
        for later in
            partials.iter().filter(same).filter(|later| later["revision"].as_u64() > partial["revision"].as_u64())
        {
            assert!(later["stable"].as_str().unwrap().starts_with(stable), "{partial} then {later}");
        }
    }
    assert!(checked > 0, "no partial had stable text");
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
    let length = 60 * 16_000;
    let mut seed = 7_u32;
    let mut noise = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as u16 as i16
    };
    let tone = |index: usize| ((index as f64 * 0.17).sin() * 20_000.0) as i16;
    let mut recording = sample(1);
    // silence beside constant offset, then noise beside a clipped tone
    for pair in [
        [vec![0; length], vec![9_000; length]],
        [
            (0..length).map(|_| noise() / 8).collect(),
            (0..length).map(|index| if tone(index) > 0 { i16::MAX } else { i16::MIN }).collect(),
        ],
    ] {
        recording.channels = pair.to_vec();
        let call = format!("ugly-{}", recording.channels[0][1] != 0);
        let heard = whole_call(&server, &key, &call, &recording, 16_000).await;
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
