//! A disk that takes no more: nothing that was acknowledged is lost, callers are told, and all goes on when there is room.

use std::fs;

use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let server = Server::start_on(Some("1m"), "");
    let key = server.key("acme", "ingest,read");
    let recording = sample(12);
    let wanted = events(&whole_call(&server, &key, "before", &recording, 1_600).await);
    eventually("rows", || async { (kept(&server, &key, "before").await.len() == wanted.len()).then_some(()) }).await;
    let ballast = server.seen_data().join("ballast");
    // fill it to the last byte
    let mut size = 1 << 20;
    while size > 0 {
        let grown = fs::metadata(&ballast).map_or(0, |metadata| metadata.len() as usize) + size;
        if fs::write(&ballast, vec![7; grown]).is_err() {
            size /= 2;
        }
    }
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("full", false)).await;
    let mut heard = Vec::new();
    // either the call cannot begin, or its first events cannot be kept
    if play(&mut socket, &recording, (0, recording.channels[0].len()), 1_600, &mut heard).await {
        heard.extend(hear_all(&mut socket).await);
    }
    assert_eq!(of_type(&heard, "error").first().unwrap()["code"], "storage", "{heard:?}");
    assert_eq!(server.get("", "/livez").await.0, 200);
    // what was kept before can be read all the while
    assert_same_events(&kept(&server, &key, "before").await, &wanted);
    fs::remove_file(&ballast).unwrap();
    let heard = eventually("room again", || async {
        let mut socket = server.connect(&key).await;
        say(&mut socket, &start("full", true)).await;
        let ready = hear(&mut socket).await?;
        let from = ready["position"].as_u64()? as usize;
        let mut heard = Vec::new();
        if !play(&mut socket, &recording, (from, recording.channels[0].len()), 1_600, &mut heard).await {
            return None;
        }
        say(&mut socket, &json!({ "type": "stop" })).await;
        heard.extend(hear_all(&mut socket).await);
        (!of_type(&heard, "ended").is_empty()).then_some(heard)
    })
    .await;
    let last = events(&heard).last().unwrap()["seq"].as_u64().unwrap() as usize;
    let kept = eventually("rows", || async {
        let kept = kept(&server, &key, "full").await;
        (kept.len() == last).then_some(kept)
    })
    .await;
    assert_same_events(&kept, &wanted);
}
