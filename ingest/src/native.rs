//! The native protocol (docs/protocol.md): JSON `start`, binary audio, JSON `stop`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use sotto_events::{
    Audio, AudioFormat, CallEvent, CallId, CallInput, ChannelRole, Encoding, EndReason, EventBody, Finish, MediaTime,
    Partial,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    codec::CallDecoder,
    port::{Calls, OpenCall, OpenRequest, Sender, Update},
    socket::{Incoming, Socket, close_code},
};

const MAX_METADATA: usize = 32;
const MAX_METADATA_KEY: usize = 64;
const MAX_METADATA_VALUE: usize = 1024;

/// What a client says in JSON.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ClientMessage {
    Start {
        call_id: String,
        encoding: String,
        rate: u32,
        channels: Vec<ChannelRole>,
        #[serde(default)]
        metadata: BTreeMap<String, String>,
        #[serde(default)]
        resume: bool,
    },
    Stop {},
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerMessage<'a> {
    /// Send audio from `position` on (samples a channel from the start of the call).
    Ready {
        call_id: &'a str,
        position: u64,
        seq: u64,
    },
    Partial(&'a Partial),
    /// Everything before `position` is durable.
    Ack {
        position: u64,
        seconds: MediaTime,
    },
    Error {
        code: &'a str,
        message: &'a str,
    },
    /// Connect again and resume.
    Reconnect {
        position: u64,
    },
}

/// Why a session ends: the code tells the client, the message what would be right.
#[derive(Debug)]
struct Bad {
    code: &'static str,
    message: String,
}

fn bad(code: &'static str, message: impl Into<String>) -> Bad {
    Bad { code, message: message.into() }
}

/// Serves one socket until it ends.
pub async fn serve(mut socket: Socket, sender: Sender, calls: &dyn Calls) {
    let reason = match session(&mut socket, sender, calls).await {
        Ok(reason) => reason,
        Err(Bad { code, message }) => {
            socket.send(&ServerMessage::Error { code, message: &message }).await;
            code
        }
    };
    socket.close(close_code(reason), reason).await;
}

async fn session(socket: &mut Socket, sender: Sender, calls: &dyn Calls) -> Result<&'static str, Bad> {
    let wait = Duration::from_secs(socket.limits.start_seconds);
    let first = timeout(wait, socket.next()).await;
    let request = match first.map_err(|_| bad("start_timeout", "no start message came in time"))? {
        Incoming::Text(text) => start(&text, sender)?,
        Incoming::Binary(_) => {
            return Err(bad("start_expected", "audio came before start; send a start message first"));
        }
        Incoming::Gone(reason) => return Ok(reason),
    };
    let format = request.format.clone();
    let call = request.call.clone();
    let open = calls.open(request).await.map_err(|refusal| bad(refusal.code(), refusal.to_string()))?;
    let ready = ServerMessage::Ready { call_id: call.as_str(), position: open.position, seq: open.seq };
    if !socket.send(&ready).await {
        return Ok("not_reading");
    }
    let decoder = CallDecoder::new(format.clone()).map_err(|error| bad(error.code(), error.to_string()))?;
    let (position, acked) = (open.position, open.position);
    Session { acked, position, open, format, decoder, resuming: true, over: false }.run(socket, calls).await
}

fn start(text: &str, sender: Sender) -> Result<OpenRequest, Bad> {
    let message = parse(text)?;
    let ClientMessage::Start { call_id, encoding, rate, channels, mut metadata, resume } = message else {
        return Err(bad("start_expected", "the first message must be start"));
    };
    let call: CallId = call_id.parse().map_err(|error| bad("call_id", format!("call_id: {error}")))?;
    let encoding: Encoding = encoding.parse().map_err(|error| bad("encoding", format!("encoding: {error}")))?;
    let format = AudioFormat::new(encoding, rate, channels).map_err(|error| bad("format", error.to_string()))?;
    if let Some(agent) = &sender.agent {
        metadata.insert("agent".to_owned(), agent.clone());
        // the teams of the agent count
        metadata.remove("team");
    }
    let fits = |(key, value): (&String, &String)| key.len() <= MAX_METADATA_KEY && value.len() <= MAX_METADATA_VALUE;
    if metadata.len() > MAX_METADATA || !metadata.iter().all(fits) {
        return Err(bad(
            "metadata",
            format!(
                "metadata may have {MAX_METADATA} entries, keys of {MAX_METADATA_KEY} and values of {MAX_METADATA_VALUE} bytes"
            ),
        ));
    }
    Ok(OpenRequest { sender, call, dialect: "native", format, metadata, resume })
}

fn parse(text: &str) -> Result<ClientMessage, Bad> {
    // serde's message may quote the input: only its place is told
    serde_json::from_str(text).map_err(|error| {
        bad("message", format!("not a start or stop message as docs/protocol.md has them{}", near(error.column())))
    })
}

/// Serde knows no place for what is missing altogether.
fn near(column: usize) -> String {
    if column == 0 { String::new() } else { format!(" (near column {column})") }
}

struct Session {
    open: OpenCall,
    format: AudioFormat,
    decoder: CallDecoder,
    /// No audio has come over this socket yet.
    resuming: bool,
    /// Next sample to come.
    position: u64,
    acked: u64,
    /// The end of the call has been told.
    over: bool,
}

impl Session {
    async fn run(mut self, socket: &mut Socket, calls: &dyn Calls) -> Result<&'static str, Bad> {
        let drained = drained(calls.draining(), self.open.busy.clone(), socket.limits.drain_seconds);
        tokio::pin!(drained);
        loop {
            tokio::select! {
                biased;
                update = self.open.updates.recv() => {
                    if let Some(end) = self.tell(socket, update).await? {
                        return Ok(end);
                    }
                }
                incoming = socket.next() => match incoming {
                    Incoming::Binary(bytes) => self.audio(&bytes, socket).await?,
                    Incoming::Text(text) => match parse(&text)? {
                        ClientMessage::Stop {} => return self.finish(socket, Finish::End(EndReason::Stopped)).await,
                        ClientMessage::Start { .. } => {
                            return Err(bad("second_start", "the call has started already; use one socket a call"));
                        }
                    },
                    Incoming::Gone(reason) => {
                        self.input(CallInput::Finish(Finish::Park)).await?;
                        return match reason {
                            "idle" => Err(bad("idle", "nothing came for too long; connect again and resume")),
                            "message_rate" => Err(bad("message_rate", "too many messages a second; send longer frames")),
                            "message_too_large" => Err(bad("message_too_large", "a message is too large; send shorter frames")),
                            reason => Ok(reason),
                        };
                    }
                },
                () = &mut drained => {
                    return self.finish(socket, Finish::Park).await;
                }
            }
        }
    }

    async fn audio(&mut self, bytes: &[u8], socket: &mut Socket) -> Result<(), Bad> {
        let channels = self.decoder.decode(bytes).map_err(|error| bad(error.code(), error.to_string()))?;
        socket.count_audio(bytes.len());
        let samples = channels.first().map_or(0, Vec::len) as u64;
        if self.decoder.in_packets() && self.resuming && samples > 0 {
            // the client sends the whole packet in which the position lies
            self.position -= self.position % samples;
        }
        self.resuming = false;
        let position = self.position;
        self.position += samples;
        let channels = channels.into_iter().zip(0..);
        let audio = channels.map(|(samples, channel)| Audio { channel, position, samples }).collect();
        self.input(CallInput::Audio(audio)).await?;
        if self.position > socket.limits.call_seconds * u64::from(self.format.rate) {
            self.finish(socket, Finish::End(EndReason::TooLong)).await?;
            return Err(bad("too_long", "the call has reached the longest length that is allowed"));
        }
        Ok(())
    }

    async fn input(&mut self, input: CallInput) -> Result<(), Bad> {
        // the call is gone only after it has said why in its updates
        drop(self.open.inputs.send(input).await);
        Ok(())
    }

    /// Finishes the call and tells everything that comes of it.
    async fn finish(&mut self, socket: &mut Socket, finish: Finish) -> Result<&'static str, Bad> {
        self.input(CallInput::Finish(finish)).await?;
        while let Some(update) = self.open.updates.recv().await {
            if let Some(end) = self.tell(socket, Some(update)).await? {
                return Ok(end);
            }
        }
        if finish == Finish::Park {
            socket.send(&ServerMessage::Reconnect { position: self.acked }).await;
            return Ok("draining");
        }
        Ok("stopped")
    }

    /// Passes an update on; gives the reason when the session is over.
    async fn tell(&mut self, socket: &mut Socket, update: Option<Update>) -> Result<Option<&'static str>, Bad> {
        let sent = match update {
            None if self.over => return Ok(Some("stopped")),
            None => return Err(bad("taken_over", "the call goes on over another socket")),
            Some(Update::Partial(partial)) => socket.send(&ServerMessage::Partial(&partial)).await,
            Some(Update::Event(event)) => {
                self.over |= matches!(event.body, EventBody::Ended { .. });
                socket.send::<CallEvent>(&event).await
            }
            Some(Update::Ack { position }) => {
                self.acked = position;
                let seconds = MediaTime::of_sample(position, self.format.rate);
                socket.send(&ServerMessage::Ack { position, seconds }).await
            }
            Some(Update::Failed { code }) => {
                return Err(bad(code, "the call cannot go on here; connect again and resume from the last ack"));
            }
        };
        Ok((!sent).then_some("not_reading"))
    }
}

/// Waits until the server drains and the call is quiet, or `patience` seconds have passed.
pub async fn drained(mut draining: watch::Receiver<bool>, mut busy: watch::Receiver<bool>, patience: u64) {
    if draining.wait_for(|&draining| draining).await.is_err() {
        return;
    }
    tokio::select! {
        quiet = busy.wait_for(|&busy| !busy) => drop(quiet),
        () = sleep(Duration::from_secs(patience)) => {}
    }
}
