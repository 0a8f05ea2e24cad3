//! A call as Twilio's Media Streams brings it: JSON with base64, both tracks, a signed handshake. Nothing comes back on
//! the socket; the call is followed over the HTTP API.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{FutureExt, SinkExt, StreamExt, stream::SplitSink};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Error, Message as Frame, client::IntoClientRequest, http::HeaderValue};

use super::{
    call::{Call, Ear, Stage, TwilioTarget},
    figures::{Counted, Sent, Timed},
    follow,
    native::{Socket, give, handshake, short},
    wheel::Seat,
};

/// Overdue frames that are handed to the socket at once; the next wake-up goes on.
const AT_ONCE: u64 = 50;

/// Makes the call, from its arrival to its end.
pub async fn run(stage: Arc<Stage>, call: Call) {
    stage.figures.count(Counted::CallsStarted, 1);
    let Some(target) = stage.target.twilio.clone() else { return };
    let deadline = call.pace.end() + stage.grace;
    let socket = match timeout_at(deadline, connect(&target)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(Error::Http(response))) => return stage.figures.refused(&response.status().as_u16().to_string()),
        Ok(Err(error)) => {
            stage.figures.count(Counted::CallsFailed, 1);
            return stage.figures.dropped(&short(&error));
        }
        Err(_) => return stage.figures.count(Counted::CallsFailed, 1),
    };
    let mut sending = Sending {
        seat: stage.wheel.seat(call.pace.origin),
        frame: 0,
        messages: 1,
        behind: true,
        unflushed: false,
        lot: Vec::new(),
        call: &call,
        stage: &stage,
    };
    if stage.target.api.is_none() {
        stage.figures.count(Counted::Unfollowed, 1);
        drop(timeout_at(deadline, sending.run(socket)).await);
        return;
    }
    let mut ear = Ear::new(&stage, &call, false);
    let both = async { tokio::join!(sending.run(socket), follow::follow(&stage, &call.id, &mut ear)) };
    // one that does not end in time is told by what was heard of it
    drop(timeout_at(deadline, both).await);
    ear.finish().await;
}

async fn connect(target: &TwilioTarget) -> Result<Socket, Error> {
    let mut request = target.connect.as_str().into_client_request()?;
    let signature = signature(&target.token, &target.url);
    let signature = HeaderValue::from_str(&signature).map_err(|error| Error::HttpFormat(error.into()))?;
    request.headers_mut().insert("x-twilio-signature", signature);
    handshake(request).await
}

/// HMAC-SHA1 of the URL under the account's token, as Twilio signs.
fn signature(token: &str, url: &str) -> String {
    // a key of any length will do, so there is always one
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else { return String::new() };
    mac.update(url.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

struct Sending<'a> {
    stage: &'a Arc<Stage>,
    call: &'a Call,
    seat: Seat,
    /// Next frame to send.
    frame: u64,
    messages: u64,
    behind: bool,
    unflushed: bool,
    lot: Vec<Sent>,
}

impl Sending<'_> {
    async fn run(&mut self, socket: Socket) {
        let (mut sink, mut stream) = socket.split();
        let tracks: &[&str] =
            if self.stage.tapes[self.call.tape].channels == 2 { &["inbound", "outbound"] } else { &["inbound"] };
        let opening = [
            json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" }),
            json!({ "event": "start", "sequenceNumber": "1", "streamSid": "MZload", "start": {
                "streamSid": "MZload", "accountSid": "ACload", "callSid": self.call.id, "tracks": tracks,
                "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 } } }),
        ];
        for message in opening {
            if let Err(error) = sink.send(Frame::text(message.to_string())).await {
                return self.stage.figures.dropped(&short(&error));
            }
        }
        let mut stopped = false;
        loop {
            tokio::select! {
                heard = stream.next() => match heard {
                    Some(Ok(Frame::Close(frame))) => {
                        let reason = frame.map_or_else(|| "closed".to_owned(), |frame| frame.reason.to_string());
                        if reason != "stopped" {
                            self.stage.figures.dropped(&reason);
                        }
                        break;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        self.stage.figures.dropped(&short(&error));
                        break;
                    }
                    None => break,
                },
                flushed = sink.flush(), if self.unflushed => {
                    self.unflushed = false;
                    if let Err(error) = flushed {
                        self.stage.figures.dropped(&short(&error));
                        break;
                    }
                }
                () = self.seat.due(), if !self.unflushed && !stopped => {
                    match self.send_due(&mut sink) {
                        Ok(done) => stopped = done,
                        Err(error) => {
                            self.stage.figures.dropped(&short(&error));
                            break;
                        }
                    }
                }
            }
        }
        self.stage.figures.sent(&mut self.lot, true);
    }

    /// Hands over what is due by now, and the stop when that was all. Never waits. True after the stop.
    fn send_due(&mut self, sink: &mut SplitSink<Socket, Frame>) -> Result<bool, Error> {
        let now = Instant::now();
        let pace = self.call.pace;
        let due = pace.due_by(now);
        let tape = &self.stage.tapes[self.call.tape];
        let from = self.frame;
        while self.frame < due && self.frame < from + AT_ONCE {
            self.lot.push(Sent {
                timed: if self.behind { Timed::Held } else { Timed::Lateness },
                due: self.stage.since(pace.due(self.frame)),
                late: now.saturating_duration_since(pace.due(self.frame)),
                frames: 1,
            });
            for channel in 0..tape.channels {
                let payload = tape.payload(channel, self.call.first + self.frame as usize);
                self.messages += 1;
                give(sink, self.media(channel, tape.channels, &payload))?;
            }
            self.frame += 1;
        }
        let stopped = self.frame >= pace.frames;
        if stopped {
            let stop = json!({ "event": "stop", "streamSid": "MZload", "stop": { "accountSid": "ACload", "callSid": self.call.id } });
            give(sink, Frame::text(stop.to_string()))?;
        }
        match sink.flush().now_or_never() {
            Some(flushed) => flushed?,
            None => self.unflushed = true,
        }
        self.behind = self.unflushed || self.frame < due;
        self.stage.figures.sent(&mut self.lot, false);
        Ok(stopped)
    }

    /// One message: the frame that was coded beforehand, and its time.
    fn media(&self, channel: usize, channels: usize, payload: &[u8]) -> Frame {
        // channel 0 is the agent: what the caller hears
        let track = if channels == 2 && channel == 0 { "outbound" } else { "inbound" };
        let milliseconds = self.frame * self.call.pace.frame.as_millis() as u64;
        let payload = std::str::from_utf8(payload).unwrap_or_default();
        Frame::text(format!(
            r#"{{"event":"media","sequenceNumber":"{}","streamSid":"MZload","media":{{"track":"{track}","chunk":"{}","timestamp":"{milliseconds}","payload":"{payload}"}}}}"#,
            self.messages,
            self.frame + 1,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_server_checks() {
        let url = "wss://example.com/media";
        assert!(sotto_ingest::twilio::signed("12345", url, &signature("12345", url)));
    }
}
