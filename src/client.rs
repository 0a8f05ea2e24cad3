//! A caller of the native protocol: plays a recording in real time and comes back when its socket breaks.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sotto_events::CallId;
use sotto_ingest::file::{self, Recording};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{
    cli::Send,
    failure::{Code, Failure, failure},
    print::{note, out},
    terminal::Terminal,
    transcribe::roles,
};

const FRAME: Duration = Duration::from_millis(20);
/// How often in a row a broken socket is tried again, and the first pause, which doubles.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A call to play.
pub struct Player {
    pub url: String,
    pub key: String,
    pub call: CallId,
    pub recording: Recording,
    pub metadata: Value,
}

/// Errors after which the call is taken up again.
const AGAIN: [&str; 8] =
    ["idle", "storage", "engine", "not_reading", "message_rate", "full", "tenant_full", "draining"];

enum Over {
    Done,
    /// Connect again; whether the server had taken the call.
    Broken {
        heard: bool,
    },
}

/// `sotto send`.
pub async fn send(options: &Send) -> Result<(), Failure> {
    let recording = file::read(&options.file)?;
    let call = match &options.call {
        Some(call) => call.clone(),
        None => random_call("send")?,
    };
    note(&format!("call {call}: {:.0} s, {} channel(s)", recording.seconds(), recording.channels.len()));
    let mut terminal = Terminal::new(roles(recording.channels.len()));
    let metadata = json!(options.metadata.iter().cloned().collect::<BTreeMap<_, _>>());
    let player = Player { url: options.url.clone(), key: options.key.clone(), call, recording, metadata };
    let json = options.json;
    player.play(|message| if json { out(&message.to_string()) } else { terminal.show(message) }).await?;
    terminal.end();
    Ok(())
}

/// An id that no other call has.
pub fn random_call(prefix: &str) -> Result<CallId, Failure> {
    let mut random = [0_u8; 6];
    getrandom::fill(&mut random).map_err(|error| failure(error.to_string()))?;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}-{hex}").parse().map_err(|error| failure(format!("{error}")))
}

impl Player {
    /// Plays to the end; `heard` gets everything the server says.
    pub async fn play(&self, mut heard: impl FnMut(&Value)) -> Result<(), Failure> {
        let (mut tries, mut pause) = (0, PAUSE);
        let (mut resume, mut stopped) = (false, false);
        loop {
            let over = match self.connect(resume).await {
                Ok(socket) => self.session(socket, resume, &mut stopped, &mut heard).await?,
                Err(Error::Http(response)) => {
                    let why = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                    let status = response.status();
                    let busy = status.as_u16() == 503 || status.as_u16() == 429;
                    if !busy {
                        return Err(Failure { message: format!("refused: {status} {why}"), code: Code::Refused });
                    }
                    Over::Broken { heard: false }
                }
                Err(error) if !resume => return Err(failure(format!("cannot connect to {}: {error}", self.url))),
                Err(_) => Over::Broken { heard: false },
            };
            match over {
                Over::Done => return Ok(()),
                Over::Broken { heard: true } => (tries, pause) = (0, PAUSE),
                Over::Broken { heard: false } => {}
            }
            resume = true;
            tries += 1;
            if tries > TRIES {
                return Err(failure("the server cannot be reached any more"));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn connect(&self, resume: bool) -> Result<Socket, Error> {
        let mark = if self.url.contains('?') { '&' } else { '?' };
        // a server that takes no new calls lets one back in that it knows
        let url = if resume { format!("{}{mark}resume={}", self.url, self.call) } else { self.url.clone() };
        let mut request = url.into_client_request()?;
        let bearer =
            HeaderValue::from_str(&format!("Bearer {}", self.key)).map_err(|error| Error::HttpFormat(error.into()))?;
        request.headers_mut().insert("authorization", bearer);
        connect_async(request).await.map(|(socket, _)| socket)
    }

    async fn session(
        &self,
        mut socket: Socket,
        resume: bool,
        stopped: &mut bool,
        heard: &mut impl FnMut(&Value),
    ) -> Result<Over, Failure> {
        let start = json!({
            "type": "start", "call_id": self.call, "encoding": "s16le", "rate": self.recording.rate,
            "channels": roles(self.recording.channels.len()), "metadata": self.metadata, "resume": resume,
        });
        if socket.send(Message::text(start.to_string())).await.is_err() {
            return Ok(Over::Broken { heard: false });
        }
        let Some(ready) = next(&mut socket, *stopped, heard).await? else { return Ok(Over::Broken { heard: false }) };
        if ready["type"] == "error" {
            return Ok(Over::Done);
        }
        let mut position = ready["position"].as_u64().unwrap_or(0) as usize;
        let step = (self.recording.rate as u128 * FRAME.as_millis() / 1000) as usize;
        let length = self.recording.channels.first().map_or(0, Vec::len);
        let mut due = Instant::now();
        let mut ended = false;
        loop {
            tokio::select! {
                message = next(&mut socket, *stopped, heard) => match message? {
                    None => return Ok(Over::Broken { heard: true }),
                    Some(message) if message["type"] == "ended" => ended = true,
                    Some(message) if message["type"] == "ack" && ended => return Ok(Over::Done),
                    Some(message) if message["type"] == "reconnect" => return Ok(Over::Broken { heard: true }),
                    Some(_) => {}
                },
                () = tokio::time::sleep_until(due), if position <= length => {
                    let end = length.min(position + step);
                    let message = if position < length {
                        Message::binary(self.bytes(position, end))
                    } else {
                        Message::text(r#"{"type":"stop"}"#)
                    };
                    *stopped = position >= length;
                    position = if *stopped { length + 1 } else { end };
                    due += FRAME;
                    if socket.send(message).await.is_err() {
                        return Ok(Over::Broken { heard: true });
                    }
                }
            }
        }
    }

    fn bytes(&self, from: usize, to: usize) -> Vec<u8> {
        (from..to)
            .flat_map(|index| self.recording.channels.iter().flat_map(move |samples| samples[index].to_le_bytes()))
            .collect()
    }
}

/// The next message of the server; `None` when the socket broke.
///
/// # Errors
/// When the server refuses for a reason that will not pass.
async fn next(socket: &mut Socket, stopped: bool, heard: &mut impl FnMut(&Value)) -> Result<Option<Value>, Failure> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(text.as_str())?;
                heard(&message);
                if message["type"] != "error" {
                    return Ok(Some(message));
                }
                return match message["code"].as_str().unwrap_or_default() {
                    code if AGAIN.contains(&code) => Ok(None),
                    // the socket broke after everything had been said: that is what was wanted
                    "over" if stopped => Ok(Some(message)),
                    _ => {
                        let why = message["message"].as_str().unwrap_or("no reason given");
                        Err(Failure { message: format!("the server refused: {why}"), code: Code::Refused })
                    }
                };
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
            Some(Ok(_)) => {}
        }
    }
}
