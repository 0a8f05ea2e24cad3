//! What the promises say about the data.

use std::{fs, path::Path};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{servers::ended, support::*};

fn holds(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        if bytes.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes())) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn mh1_ci10_no_word_and_no_name_lies_on_the_disk_or_in_the_log() {
    // even when somebody turns the log up as far as it goes
    let mut server = Server::start_with("", &[("SOTTO_LOG", "trace")]);
    let key = server.key("acme", "ingest,read");
    let heard = whole_call(&server, &key, "call-1", &sample(20), 1_600).await;
    assert!(heard.iter().any(|message| message["text"].as_str().is_some_and(|text| text.contains("[name]"))));
    let (_, metrics) = server.get("", "/metrics").await;
    for word in ["Daniel", "credit card", "Featherstone"] {
        assert_eq!(holds(&server.data(), word), Vec::<String>::new());
        assert!(!metrics.as_str().unwrap().contains(word));
    }
    server.terminate();
    let (_, log) = server.wait();
    for word in ["Daniel", "credit", "Featherstone", key.as_str()] {
        assert!(!log.contains(word), "{log}");
        assert_eq!(holds(&server.data(), word), Vec::<String>::new());
    }
}

#[tokio::test]
async fn mr6_mh11_an_erased_call_is_gone_for_ever() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read,erase");
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("call-1", false)).await;
    hear(&mut socket).await.unwrap();
    eventually("the call to be known", || async {
        (server.get(&key, "/v1/calls/call-1").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(server.ask(Method::DELETE, &key, "/v1/calls/call-1").await.0, 409);
    say(&mut socket, &json!({ "type": "stop" })).await;
    hear_all(&mut socket).await;
    let erased = eventually("the call to be erasable", || async {
        let (status, body) = server.ask(Method::DELETE, &key, "/v1/calls/call-1").await;
        (status == 200).then_some(body)
    })
    .await;
    assert_eq!(erased["call_id"], "call-1");
    assert_eq!(server.get(&key, "/v1/calls/call-1/events").await.0, 410);
    let (_, shown) = server.get(&key, "/v1/calls/call-1").await;
    assert_eq!((&shown["state"], &shown["metadata"]), (&json!("erased"), &json!({})));
}

#[tokio::test]
async fn mr6_a_held_call_is_not_erased_until_it_is_released() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read,erase");
    let reader = server.key("acme", "read");
    whole_call(&server, &key, "call-1", &sample(5), 1_600).await;
    ended(&server, &key, "call-1").await;
    assert_eq!(server.ask(Method::PUT, &reader, "/v1/calls/call-1/hold").await.0, 403);
    assert_eq!(server.ask(Method::PUT, &key, "/v1/calls/call-2/hold").await.0, 404);
    let (status, held) = server.ask(Method::PUT, &key, "/v1/calls/call-1/hold").await;
    assert_eq!(status, 200, "{held}");
    let (_, shown) = server.get(&key, "/v1/calls/call-1").await;
    assert!(shown["held_at"].is_string() && shown["held_at"] == held["held_at"], "{shown}");
    let (status, refused) = server.ask(Method::DELETE, &key, "/v1/calls/call-1").await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("held")), "{refused}");
    assert_eq!(server.ask(Method::DELETE, &key, "/v1/calls/call-1/hold").await.0, 200);
    assert_eq!(server.ask(Method::DELETE, &key, "/v1/calls/call-1").await.0, 200);
    assert_eq!(server.ask(Method::PUT, &key, "/v1/calls/call-1/hold").await.0, 410);
}

#[tokio::test]
async fn mh6_what_has_expired_is_not_read_swept_or_not() {
    let server = Server::start("sweep_seconds = 3600\n[tenants.brief.retention]\ntranscript_seconds = 6");
    let key = server.key("brief", "ingest,read");
    whole_call(&server, &key, "call-1", &sample(8), 1_600).await;
    let kinds = || async {
        let kept = kept(&server, &key, "call-1").await;
        kept.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // rows follow the events of the socket by a moment
    eventually("the whole call", || async { kinds().await.contains(&"ended".to_owned()).then_some(()) }).await;
    let is_final = |kind: &String| kind == "final";
    assert!(kinds().await.iter().any(is_final), "it expired before it was seen");
    eventually("expiry", || async { (!kinds().await.iter().any(is_final)).then_some(()) }).await;
    assert_eq!(kinds().await, ["started", "measured", "scored", "ended"]);
}

#[tokio::test]
async fn mh10_mr4_a_tenant_sees_only_its_own() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    let other = server.key("other", "ingest,read,erase");
    whole_call(&server, &key, "call-1", &sample(2), 1_600).await;
    eventually("rows", || async { (server.get(&key, "/v1/calls/call-1").await.0 == 200).then_some(()) }).await;
    for path in ["/v1/calls/call-1", "/v1/calls/call-1/events", "/v1/calls/call-1/live", "/v1/calls/call-1/export"] {
        assert_eq!(server.get(&other, path).await.0, 404, "{path}");
        assert_eq!(server.get("", path).await.0, 401, "{path}");
    }
    assert_eq!(server.ask(Method::DELETE, &other, "/v1/calls/call-1").await.0, 404);
    assert_eq!(server.get(&other, "/v1/calls").await.1["calls"], json!([]));
    assert_eq!(server.ask(Method::DELETE, &key, "/v1/calls/call-1").await.0, 403);
}

#[tokio::test]
async fn the_openapi_document_is_true() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    whole_call(&server, &key, "call-1", &sample(5), 1_600).await;
    let (status, document) = server.get("", "/openapi.json").await;
    assert_eq!(status, 200);
    let call = document["components"]["schemas"]["Call"]["required"].as_array().unwrap();
    let (_, page) = server.get(&key, "/v1/calls").await;
    let keys = page["calls"][0].as_object().unwrap();
    // a list also says how each came out, and where what was searched for was said
    assert_eq!(keys.len(), call.len() + 2);
    assert!(call.iter().all(|name| keys.contains_key(name.as_str().unwrap())));
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let (status, _) =
                server.ask(method.clone(), "", &path.replace("{call}", "call-1").replace("{seq}", "1")).await;
            assert!(matches!(status, 401 | 403 | 415), "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn mr8_ci4_names_and_card_numbers_leave_no_call() {
    let server = Server::start("[tenants.open.redaction]\nname = false");
    let key = server.key("acme", "ingest,read");
    let recording = sample(45);
    let heard = whole_call(&server, &key, "call-1", &recording, 320).await;
    // a position in the sound may hold any digits
    let all = strings(&Value::from(heard.clone())).to_lowercase();
    for secret in ["daniel", "foster", "grace", "3782", "8224", "10005"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let finals = of_type(&heard, "final");
    let texts: Vec<&str> = finals.iter().map(|made| made["text"].as_str().unwrap()).collect();
    assert!(texts.iter().any(|text| text.contains("[card]")), "{texts:?}");
    assert!(
        texts.iter().any(|text| text.contains("five working days") || text.contains("3 to 5 working days")),
        "{texts:?}"
    );
    // a tenant that wants names gets them, and only them
    let key = server.key("open", "ingest,read");
    let all = strings(&Value::from(whole_call(&server, &key, "call-1", &recording, 320).await));
    assert!(all.contains("Daniel") && !all.contains("3782"), "{all}");
    assert!(server.metric_with("sotto_redactions_total", "kind=\"card\"").await >= 2.0);
}

#[tokio::test]
async fn every_stage_is_visible_in_the_metrics() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    whole_call(&server, &key, "call-1", &sample(18), 320).await;
    eventually("rows", || async { (server.metric("sotto_vault_rows_total").await > 2.0).then_some(()) }).await;
    let (_, text) = server.get("", "/metrics").await;
    let text = text.as_str().unwrap();
    for name in [
        "sotto_messages_total",
        "sotto_audio_bytes_total",
        "sotto_sockets",
        "sotto_calls_on_air",
        "sotto_speech_queue_depth",
        "sotto_speech_calls_that_fit",
        "sotto_speech_queue_wait_seconds_count",
        "sotto_speech_batch_size_count",
        "sotto_vad_seconds_total",
        "sotto_vad_frames_total",
        "sotto_recogniser_seconds_total",
        "sotto_recogniser_tokens_total",
        "sotto_final_real_time_factor_count",
        "sotto_partial_latency_seconds_count",
        "sotto_final_latency_seconds_count",
        "sotto_bus_append_seconds_count",
        "sotto_database_commit_seconds_count",
        "sotto_database_queue_depth",
        "sotto_vault_write_seconds_count",
        "sotto_sweeps_total",
        "sotto_oldest_row_age_seconds",
        "process_resident_memory_bytes",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing");
    }
    let least = [("sotto_seals_total", 4.0), ("sotto_utterances_total", 3.0), ("sotto_audio_seconds_total", 35.0)];
    for (name, least) in least {
        assert!(server.metric(name).await >= least, "{name}");
    }
}

/// Every string in it, one a line.
fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => items.iter().map(strings).collect(),
        Value::Object(fields) => fields.values().map(strings).collect(),
        _ => String::new(),
    }
}
