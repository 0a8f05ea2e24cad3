//! Twilio Media Streams over a real socket.

use futures_util::SinkExt;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::*;

const URL: &str = "wss://sotto.example.com/v1/twilio/acme";
const CONFIG: &str = "[tenants.acme.twilio]\nauth_token = \"12345\"\nurl = \"wss://sotto.example.com/v1/twilio/acme\"";

fn signature(token: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(URL.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

async fn connect(server: &Server, token: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/v1/twilio/acme", server.calls).into_client_request().unwrap();
    request.headers_mut().insert("x-twilio-signature", signature(token).parse().unwrap());
    connect_async(request).await.map(|(socket, _)| socket)
}

/// ITU-T G.711, by search: slow and plainly right.
fn mulaw(sample: i16) -> u8 {
    let bias = i32::from(sample).abs().min(32_635) + 0x84;
    let exponent = 31 - (bias as u32).leading_zeros() as i32 - 7;
    let mantissa = (bias >> (exponent + 3)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (exponent << 4) | mantissa) as u8
}

#[tokio::test]
async fn both_tracks_of_a_twilio_call_are_written_down() {
    let server = Server::start(CONFIG);
    let key = server.key("acme", "read");
    let recording = sample(18);
    let mut socket = connect(&server, "12345").await.unwrap();
    say(&mut socket, &json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" })).await;
    say(
        &mut socket,
        &json!({ "event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": {
            "streamSid": "MZ1", "accountSid": "AC1", "callSid": "CA1", "tracks": ["inbound", "outbound"],
            "customParameters": { "name": "Wilhelmina Featherstone" },
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 } } }),
    )
    .await;
    let frame = 1_600;
    for at in (0..recording.channels[0].len()).step_by(frame) {
        for (channel, track) in [(0, "outbound"), (1, "inbound")] {
            let samples = &recording.channels[channel][at..at + frame];
            let bytes: Vec<u8> = samples.chunks_exact(2).map(|pair| mulaw(pair[0] / 2 + pair[1] / 2)).collect();
            let media = json!({ "track": track, "chunk": "1", "timestamp": (at / 16).to_string(), "payload": STANDARD.encode(bytes) });
            say(&mut socket, &json!({ "event": "media", "streamSid": "MZ1", "media": media })).await;
            // the limit on messages is for real time
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    say(
        &mut socket,
        &json!({ "event": "stop", "streamSid": "MZ1", "stop": { "accountSid": "AC1", "callSid": "CA1" } }),
    )
    .await;
    hear_all(&mut socket).await;
    let kept = eventually("the end of the call", || async {
        let kept = kept(&server, &key, "CA1").await;
        (kept.last()?["type"] == "ended").then_some(kept)
    })
    .await;
    let said = |channel: u64, words: &str| {
        kept.iter()
            .any(|event| event["channel"] == channel && event["text"].as_str().is_some_and(|text| text.contains(words)))
    };
    assert_eq!(kept[0]["format"]["channels"], json!(["agent", "customer"]));
    assert!(said(0, "Thank you for calling") && said(1, "credit card"), "{kept:?}");
    assert!(!kept.iter().any(|event| event["type"] == "gap"), "{kept:?}");
}

#[tokio::test]
async fn a_wrong_signature_or_a_stray_frame_is_refused() {
    let server = Server::start(CONFIG);
    let refused = connect(&server, "54321").await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 403));
    let mut socket = connect(&server, "12345").await.unwrap();
    socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(hear_all(&mut socket).await, Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_hole_becomes_a_gap_and_a_jump_of_the_clock_is_not_believed() {
    let server = Server::start(CONFIG);
    let key = server.key("acme", "read");
    let mut socket = connect(&server, "12345").await.unwrap();
    say(
        &mut socket,
        &json!({ "event": "start", "start": { "callSid": "CA2", "tracks": ["inbound"],
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000 } } }),
    )
    .await;
    for timestamp in [0, 20, 3_000, 90_000_000] {
        let media = json!({ "track": "inbound", "timestamp": timestamp, "payload": STANDARD.encode([0xff; 160]) });
        say(&mut socket, &json!({ "event": "media", "media": media })).await;
    }
    say(&mut socket, &json!({ "event": "stop" })).await;
    hear_all(&mut socket).await;
    let kept = eventually("the end of the call", || async {
        let kept = kept(&server, &key, "CA2").await;
        (kept.last()?["type"] == "ended").then_some(kept)
    })
    .await;
    let gaps: Vec<_> = kept.iter().filter(|event| event["type"] == "gap").collect();
    assert_eq!(gaps.len(), 1, "{kept:?}");
    assert_eq!((&gaps[0]["start"], &gaps[0]["end"]), (&json!(0.04), &json!(3.0)));
    assert_eq!(server.metric("sotto_clock_jumps_total").await, 1.0);
}
