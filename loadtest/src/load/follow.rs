//! Following a call over the HTTP API as it goes: server-sent events.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::time::sleep;

use super::{
    call::{Ear, Stage},
    check::{Fault, Message},
};

/// The server knows a call a moment after it has begun.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// Events that are told beside those of the call: how it stands, and the time.
const ASIDE: [&str; 2] = ["scores", "tick"];
/// One event is never larger.
const LARGEST_LINE: usize = 1 << 20;

/// Hears the call until it is over. What is wrong with that is told as a fault of the call.
pub async fn follow(stage: &Arc<Stage>, call: &str, ear: &mut Ear) {
    for _ in 0..TRIES {
        let Some(request) = stage.get(&format!("/v1/calls/{call}/live")) else { return };
        match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                hear(answer, ear).await;
                return;
            }
            Ok(answer) if answer.status().as_u16() == 404 => sleep(PAUSE).await,
            Ok(answer) => {
                return ear.checker.fault(Fault::Unfinished, format!("following was refused: {}", answer.status()));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
    ear.checker.fault(Fault::Unfinished, "the server never knew the call");
}

async fn hear(answer: reqwest::Response, ear: &mut Ear) {
    let mut body = answer.bytes_stream();
    let mut lines = Lines::default();
    while let Some(Ok(bytes)) = body.next().await {
        for (kind, data) in lines.take(&bytes) {
            match serde_json::from_str::<Message>(&data) {
                // partials have no type here, since the event has a name
                Ok(message) => ear.hear(&Message { kind, ..message }, u64::MAX),
                Err(error) => ear.checker.fault(Fault::NotUnderstood, format!("an event: {error}")),
            }
        }
        if ear.over {
            return;
        }
    }
}

/// Events out of pieces of a stream.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    event: String,
}

impl Lines {
    /// Names and data of events that are whole now, but those [`ASIDE`].
    fn take(&mut self, bytes: &[u8]) -> Vec<(String, String)> {
        let mut out = Vec::new();
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            if let Some(name) = line.strip_prefix("event:") {
                name.trim().clone_into(&mut self.event);
            } else if let Some(data) = line.strip_prefix("data:")
                && !ASIDE.contains(&self.event.as_str())
            {
                out.push((self.event.clone(), data.trim().to_owned()));
            }
        }
        if self.rest.len() > LARGEST_LINE {
            self.rest.clear();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_together_from_pieces() {
        let mut lines = Lines::default();
        assert!(lines.take(b"event: final\ndata: {\"a\"").is_empty());
        let events = lines.take(b":1}\nid: 2\n\nevent: scores\ndata: {}\n\nevent: partial\ndata: {}\n");
        let told: Vec<_> = events.iter().map(|(name, data)| (name.as_str(), data.as_str())).collect();
        assert_eq!(told, [("final", "{\"a\":1}"), ("partial", "{}")]);
    }
}
