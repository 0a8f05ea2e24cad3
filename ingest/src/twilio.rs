//! Twilio Media Streams: JSON with base64 mu-law at 8 kHz, one or both tracks, signed handshake.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, de};
use sha1::Sha1;
use sotto_events::{Audio, AudioFormat, CallInput, ChannelRole, Encoding, EndReason, Finish};
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use crate::{
    codec,
    native::drained,
    port::{Calls, OpenCall, OpenRequest, Sender},
    socket::{Incoming, Socket, close_code},
};

const RATE: u32 = 8_000;
/// Silence between two messages that is filled; a longer jump of the clock is not believed.
const LONGEST_GAP_SECONDS: u64 = 60;
/// A difference of timestamps below this is jitter.
const JITTER_SAMPLES: u64 = RATE as u64 / 10;
/// Milliseconds; a week, so that arithmetic on samples cannot overflow.
const LATEST_TIMESTAMP: u64 = 7 * 86_400_000;
/// A track this far behind the other holds up its events: what is missing is declared a gap.
const LAG_SAMPLES: u64 = 2 * RATE as u64;

/// Checks `X-Twilio-Signature`: HMAC-SHA1 over the URL that Twilio was told. It may sign it with a slash at the end or
/// with the port.
pub fn signed(auth_token: &str, url: &str, signature: &str) -> bool {
    let with_port = url.splitn(4, '/').collect::<Vec<_>>();
    let with_port = match with_port.as_slice() {
        [scheme, empty, host, path] if !host.contains(':') => format!("{scheme}/{empty}/{host}:443/{path}"),
        _ => url.to_owned(),
    };
    [url.to_owned(), format!("{url}/"), with_port]
        .iter()
        .fold(false, |found, url| found | one_signed(auth_token, url, signature))
}

fn one_signed(auth_token: &str, url: &str, signature: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()) else { return false };
    mac.update(url.as_bytes());
    let wanted = STANDARD.encode(mac.finalize().into_bytes());
    wanted.as_bytes().ct_eq(signature.as_bytes()).into()
}

/// Numbers that Twilio writes as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(|_| de::Error::custom("not a number")),
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Message {
    Connected,
    Start {
        start: Start,
    },
    Media {
        media: Media,
    },
    Stop,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    call_sid: String,
    #[serde(default)]
    tracks: Vec<String>,
    #[serde(default)]
    custom_parameters: BTreeMap<String, String>,
    media_format: MediaFormat,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MediaFormat {
    encoding: String,
    #[serde(deserialize_with = "number")]
    sample_rate: u64,
}

#[derive(Debug, Deserialize)]
struct Media {
    #[serde(default)]
    track: Option<String>,
    /// Milliseconds since the start of the stream.
    #[serde(deserialize_with = "number")]
    timestamp: u64,
    payload: String,
}

/// Serves one socket until it ends.
pub async fn serve(mut socket: Socket, sender: Sender, calls: &dyn Calls) {
    let reason = match session(&mut socket, sender, calls).await {
        Ok(reason) => reason,
        Err(reason) => {
            tracing::warn!(reason, "a Twilio stream was refused");
            reason
        }
    };
    socket.close(close_code(reason), reason).await;
}

async fn session(socket: &mut Socket, sender: Sender, calls: &dyn Calls) -> Result<&'static str, &'static str> {
    let wait = Duration::from_secs(socket.limits.start_seconds);
    let start = timeout(wait, first(socket)).await.map_err(|_| "start_timeout")??;
    let request = request(start, sender)?;
    let tracks = request.format.channels.iter().map(|&role| Track { role, position: 0, clock_start: 0 }).collect();
    let open = calls.open(request).await.map_err(|refusal| refusal.code())?;
    Session { tracks, open }.run(socket, calls).await
}

async fn first(socket: &mut Socket) -> Result<Start, &'static str> {
    loop {
        match socket.next().await {
            Incoming::Text(text) => match parse(&text)? {
                Message::Connected => {}
                Message::Start { start } => return Ok(start),
                _ => return Err("start_expected"),
            },
            Incoming::Binary(_) => return Err("text_expected"),
            Incoming::Gone(reason) => return Err(reason),
        }
    }
}

fn parse(text: &str) -> Result<Message, &'static str> {
    serde_json::from_str(text).map_err(|_| "message")
}

fn request(start: Start, sender: Sender) -> Result<OpenRequest, &'static str> {
    if start.media_format.encoding != "audio/x-mulaw" || start.media_format.sample_rate != u64::from(RATE) {
        return Err("format");
    }
    // inbound is what the caller says, outbound what the caller hears
    let roles = |track: &String| if track == "outbound" { ChannelRole::Agent } else { ChannelRole::Customer };
    let mut channels: Vec<ChannelRole> = start.tracks.iter().map(roles).collect();
    if channels.is_empty() {
        channels.push(ChannelRole::Customer);
    }
    channels.sort_by_key(|role| *role == ChannelRole::Customer);
    channels.dedup();
    Ok(OpenRequest {
        sender,
        call: start.call_sid.parse().map_err(|_| "call_id")?,
        dialect: "twilio",
        format: AudioFormat::new(Encoding::Mulaw, RATE, channels).map_err(|_| "format")?,
        metadata: start
            .custom_parameters
            .into_iter()
            .take(32)
            .filter(|(key, value)| key.len() <= 64 && value.len() <= 1024)
            .collect(),
        resume: false,
    })
}

struct Track {
    role: ChannelRole,
    /// Next sample to come.
    position: u64,
    /// Sample at which Twilio's clock stood at 0; not 0 once that clock has jumped.
    clock_start: i64,
}

struct Session {
    tracks: Vec<Track>,
    open: OpenCall,
}

impl Session {
    async fn run(mut self, socket: &mut Socket, calls: &dyn Calls) -> Result<&'static str, &'static str> {
        let drained = drained(calls.draining(), self.open.busy.clone(), socket.limits.drain_seconds);
        tokio::pin!(drained);
        loop {
            tokio::select! {
                biased;
                // Twilio wants nothing back; what the call says goes to those who watch it
                update = self.open.updates.recv() => match update {
                    None => return Err("taken_over"),
                    Some(crate::port::Update::Failed { code }) => return Err(code),
                    Some(_) => {}
                },
                incoming = socket.next() => match incoming {
                    Incoming::Text(text) => match parse(&text)? {
                        Message::Media { media } => self.media(media, socket).await?,
                        Message::Stop => return Ok(self.finish(EndReason::Stopped).await),
                        Message::Start { .. } => return Err("second_start"),
                        Message::Connected | Message::Other => {}
                    },
                    Incoming::Binary(_) => return Err("text_expected"),
                    // Twilio does not come back to a stream
                    Incoming::Gone(reason) => {
                        let end = if reason == "idle" { EndReason::Idle } else { EndReason::Lost };
                        self.finish(end).await;
                        return Ok(reason);
                    }
                },
                () = &mut drained => {
                    self.finish(EndReason::Drained).await;
                    return Ok("draining");
                }
            }
        }
    }

    async fn media(&mut self, media: Media, socket: &mut Socket) -> Result<(), &'static str> {
        let bytes = STANDARD.decode(media.payload.as_bytes()).map_err(|_| "payload")?;
        socket.count_audio(bytes.len());
        let role = match media.track.as_deref() {
            Some("outbound") => ChannelRole::Agent,
            _ => ChannelRole::Customer,
        };
        let index = self.tracks.iter().position(|track| track.role == role).ok_or("track")?;
        let mut samples = codec::decode(Encoding::Mulaw, 1, &bytes).remove(0);
        let clock = media.timestamp.min(LATEST_TIMESTAMP).saturating_mul(u64::from(RATE) / 1000) as i64;
        let track = &mut self.tracks[index];
        let off = clock + track.clock_start - track.position as i64;
        if off.unsigned_abs() > LONGEST_GAP_SECONDS * u64::from(RATE) {
            socket.count_jump();
            track.clock_start -= off;
        } else if off > JITTER_SAMPLES as i64 {
            self.fill(index, off as u64).await;
        } else if off < -(JITTER_SAMPLES as i64) {
            // it comes after its time was declared a gap
            samples.drain(..samples.len().min(off.unsigned_abs() as usize));
        }
        let position = self.tracks[index].position;
        self.tracks[index].position += samples.len() as u64;
        if self.tracks[index].position > socket.limits.call_seconds * u64::from(RATE) {
            self.finish(EndReason::TooLong).await;
            return Err("too_long");
        }
        self.input(CallInput::Audio(vec![Audio { channel: index as u8, position, samples }])).await;
        self.keep_up(index).await;
        Ok(())
    }

    /// A track that sends nothing must not hold up the other.
    async fn keep_up(&mut self, leader: usize) {
        let lead = self.tracks[leader].position;
        for index in 0..self.tracks.len() {
            let behind = lead.saturating_sub(self.tracks[index].position);
            if behind > LAG_SAMPLES {
                self.fill(index, behind - LAG_SAMPLES / 2).await;
            }
        }
    }

    async fn fill(&mut self, index: usize, samples: u64) {
        let position = self.tracks[index].position;
        self.tracks[index].position += samples;
        self.input(CallInput::Gap { channel: index as u8, position, samples }).await;
    }

    async fn input(&mut self, input: CallInput) {
        // the call is gone only after it has said why in its updates
        drop(self.open.inputs.send(input).await);
    }

    async fn finish(&mut self, reason: EndReason) -> &'static str {
        self.input(CallInput::Finish(Finish::End(reason))).await;
        while self.open.updates.recv().await.is_some() {}
        "stopped"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_the_platforms_own() {
        let url = "wss://example.com/media";
        for good in ["7PR3qMkpDyEJtMrVOY/LDyNq8J8=", "T+WBXwUXC0/CyoZ1DA+p9ilZORs=", "zyyJQiPZXIGCLy3HYdHEfry0yDg="] {
            assert!(signed("12345", url, good), "{good}");
        }
        assert!(!signed("12346", url, "7PR3qMkpDyEJtMrVOY/LDyNq8J8="));
        assert!(!signed("12345", url, ""));
    }

    #[test]
    fn numbers_may_be_text() {
        let text = r#"{"event":"media","media":{"track":"inbound","chunk":"1","timestamp":"20","payload":"/w=="}}"#;
        assert!(matches!(parse(text), Ok(Message::Media { media }) if media.timestamp == 20));
    }
}
