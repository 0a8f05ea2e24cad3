//! A call of the native protocol: one WebSocket, broken off and taken up again where the plan says so, or where the
//! server makes it necessary.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, SinkExt, StreamExt, stream::SplitSink};
use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error, Message as Frame, client::IntoClientRequest, handshake::client::Request, http::HeaderValue,
        protocol::WebSocketConfig,
    },
};

use super::{
    Failure,
    call::{Call, Ear, Stage, Target},
    check::{Fault, Message},
    figures::{Counted, Sent, Timed},
    wheel::Seat,
};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How often in a row a broken call is taken up again, and the first pause, which doubles.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);
/// Overdue frames are joined to messages of at most so many and so many bytes, as a client that catches up would.
const JOINED: u64 = 10;
const JOINED_BYTES: usize = 32 << 10;
/// And no more bytes than so many are handed to the socket at once; the next wake-up goes on. Its buffer holds twice as
/// many, and is empty then.
const AT_ONCE: usize = 64 << 10;

/// Errors of the server after which a client resumes.
const AGAIN: [&str; 6] = ["storage", "engine", "idle", "not_reading", "message_rate", "draining"];

/// How a session ended.
enum Over {
    Done,
    /// Broken by the plan.
    Broken,
    /// Broken by the server or the network; a client would resume.
    Dropped(String),
    /// The server does not want the call.
    Refused(String),
    /// The server cannot be reached.
    Unreachable(String),
    /// The server gave the call up for good.
    Failed(String),
}

/// Makes the call, from its arrival to its end.
pub async fn run(stage: Arc<Stage>, call: Call) {
    stage.figures.count(Counted::CallsStarted, 1);
    if call.slow.is_some() {
        stage.figures.count(Counted::SlowReaders, 1);
    }
    let deadline = call.pace.end() + stage.grace;
    let mut caller = Caller {
        ear: Ear::new(&stage, &call, true),
        seat: stage.wheel.seat(call.pace.origin),
        next_break: 0,
        sent: 0,
        stopped: false,
        heard_ready: false,
        stage,
        call,
    };
    match timeout_at(deadline, caller.play()).await {
        Ok(true) | Err(_) => caller.ear.finish().await,
        // a call that was refused has nothing to check
        Ok(false) => {}
    }
}

struct Caller {
    stage: Arc<Stage>,
    call: Call,
    ear: Ear,
    seat: Seat,
    /// Which of the planned breaks comes next.
    next_break: usize,
    /// Samples sent so far, of one channel, over all sockets.
    sent: u64,
    stopped: bool,
    heard_ready: bool,
}

impl Caller {
    /// False when the call never came to be.
    async fn play(&mut self) -> bool {
        let (mut tries, mut pause) = (0, PAUSE);
        loop {
            let again = self.heard_ready;
            self.heard_ready = false;
            let over = self.session(again).await;
            if self.heard_ready {
                (tries, pause) = (0, PAUSE);
            }
            self.heard_ready |= again;
            match over {
                Over::Done => return true,
                Over::Broken => {
                    self.stage.figures.count(Counted::SocketsBroken, 1);
                    sleep(self.stage.away).await;
                    continue;
                }
                Over::Refused(why) if !again => {
                    self.stage.figures.refused(&why);
                    return false;
                }
                Over::Unreachable(why) if !again => {
                    self.stage.figures.count(Counted::CallsFailed, 1);
                    self.stage.figures.dropped(&why);
                    return false;
                }
                Over::Failed(why) => {
                    self.stage.figures.dropped(&why);
                    return true;
                }
                Over::Dropped(why) | Over::Refused(why) | Over::Unreachable(why) => self.stage.figures.dropped(&why),
            }
            if !self.heard_ready {
                return true;
            }
            tries += 1;
            if tries > TRIES {
                return true;
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn session(&mut self, again: bool) -> Over {
        let mut socket = match connect(&self.stage, &self.call, again).await {
            Ok(socket) => socket,
            Err(over) => return over,
        };
        let roles: &[&str] =
            if self.stage.tapes[self.call.tape].channels == 2 { &["agent", "customer"] } else { &["other"] };
        let start = json!({
            "type": "start", "call_id": self.call.id, "encoding": self.stage.layout.coding.name(),
            "rate": self.stage.layout.rate, "channels": roles, "resume": again,
        });
        if let Err(error) = socket.send(Frame::text(start.to_string())).await {
            return Over::Dropped(short(&error));
        }
        let position = loop {
            match next(&mut socket).await {
                Err(why) => return Over::Dropped(why),
                Ok(message) if message.kind == "ready" => {
                    self.heard_ready = true;
                    self.ear.ready(&message, again, self.sent).await;
                    break message.position.unwrap_or(0);
                }
                Ok(message) if message.kind == "error" => return self.refused(message.code.unwrap_or_default(), again),
                Ok(message) => {
                    self.ear.checker.fault(Fault::NotUnderstood, format!("{:?} instead of ready", message.kind));
                }
            }
        };
        self.stopped = false;
        let old = again.then(Instant::now);
        Sending { position, behind: true, old, unflushed: false, lot: Vec::new() }.run(self, socket).await
    }

    fn refused(&mut self, code: String, again: bool) -> Over {
        match code.as_str() {
            // the answers to a stop were lost
            "over" if again => Over::Failed("over after a break".to_owned()),
            _ if AGAIN.contains(&code.as_str()) && again => Over::Dropped(code),
            _ if again => Over::Failed(code),
            _ => Over::Refused(code),
        }
    }

    /// When the plan breaks the socket next.
    fn break_at(&self) -> Option<Instant> {
        self.call.breaks.get(self.next_break).map(|&seconds| self.call.pace.due_at(seconds))
    }
}

/// Tries the door once, so that a wrong address or key is told at once and not by a thousand calls. A server that is
/// full is let pass: that is for the run to tell.
///
/// # Errors
/// When no call could ever come in.
pub async fn knock(target: &Target) -> Result<(), Failure> {
    let url = &target.url;
    match open(target, url.clone()).await {
        Ok(mut socket) => {
            // nobody waits for the answer
            drop(socket.close(None).await);
            Ok(())
        }
        Err(Over::Refused(why)) if ["full", "tenant_full", "draining", "storage"].contains(&why.as_str()) => Ok(()),
        Err(Over::Refused(why)) => {
            Err(format!("{url} refuses calls: {why}; it needs a key with the purpose ingest").into())
        }
        Err(Over::Unreachable(why)) => {
            Err(format!("{url} cannot be reached: {why}; is the server running there?").into())
        }
        Err(_) => Ok(()),
    }
}

async fn connect(stage: &Stage, call: &Call, again: bool) -> Result<Socket, Over> {
    let url = &stage.target.url;
    let mark = if url.contains('?') { '&' } else { '?' };
    // a server that is full lets a call back in that it knows
    let url = if again { format!("{url}{mark}resume={}", call.id) } else { url.clone() };
    open(&stage.target, url).await
}

async fn open(target: &Target, url: String) -> Result<Socket, Over> {
    let unreachable = |error: &dyn std::fmt::Display| Over::Unreachable(error.to_string());
    let mut request = url.into_client_request().map_err(|error| unreachable(&error))?;
    let bearer = HeaderValue::from_str(&format!("Bearer {}", target.key)).map_err(|error| unreachable(&error))?;
    request.headers_mut().insert("authorization", bearer);
    handshake(request).await.map_err(refusal)
}

/// What the server says is small. The library clears its whole buffer each time it looks whether something came, which
/// with its default of 128 KiB took a third of all CPU.
const READ_BUFFER: usize = 4 << 10;

/// Connects. Small frames do not wait for each other.
///
/// # Errors
/// As the library has them.
pub async fn handshake(request: Request) -> Result<Socket, Error> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    connect_async_with_config(request, Some(config), true).await.map(|(socket, _)| socket)
}

fn refusal(error: Error) -> Over {
    #[derive(serde::Deserialize)]
    struct Body {
        error: Message,
    }
    let Error::Http(response) = error else { return Over::Unreachable(short(&error)) };
    let code = response.body().as_deref().and_then(|body| serde_json::from_slice::<Body>(body).ok());
    let code = code.and_then(|body| body.error.code);
    Over::Refused(code.unwrap_or_else(|| response.status().as_u16().to_string()))
}

/// The next JSON message, or why none came.
async fn next<S>(stream: &mut S) -> Result<Message, String>
where
    S: futures_util::Stream<Item = Result<Frame, Error>> + Unpin,
{
    loop {
        match stream.next().await {
            Some(Ok(Frame::Text(text))) => {
                return serde_json::from_str(text.as_str())
                    .map_err(|error| format!("not JSON of the protocol: {error}"));
            }
            Some(Ok(Frame::Close(frame))) => {
                return Err(frame.map_or_else(|| "closed".to_owned(), |frame| format!("closed: {}", frame.reason)));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(short(&error)),
            None => return Err("closed".to_owned()),
        }
    }
}

/// An error without what is different for each call, so that the same ones are counted together.
pub fn short(error: &Error) -> String {
    match error {
        Error::Io(error) => format!("{}", error.kind()),
        error => error.to_string(),
    }
}

/// The sending side of one socket. Nothing waits in it: what is due and not sent is a number, since the audio lies on
/// a tape.
struct Sending {
    /// Next sample to send.
    position: u64,
    /// The backlog is not ours: the server was not ready, or did not take what was sent.
    behind: bool,
    /// Audio that was due by then was sent before or could not be, because the socket was broken: it is not timed.
    old: Option<Instant>,
    /// The socket did not take everything that was handed to it.
    unflushed: bool,
    lot: Vec<Sent>,
}

impl Sending {
    async fn run(mut self, caller: &mut Caller, socket: Socket) -> Over {
        let (mut sink, mut stream) = socket.split();
        let break_at = caller.break_at();
        let (slow_from, slow_to) = match caller.call.slow.map(|seconds| caller.call.pace.due_at(seconds)) {
            Some(from) => (Some(from), from + caller.stage.slow),
            None => (None, caller.stage.start),
        };
        let over = loop {
            let now = Instant::now();
            let deaf = slow_from.is_some_and(|from| (from..slow_to).contains(&now));
            tokio::select! {
                message = next(&mut stream), if !deaf => match message {
                    Ok(message) => {
                        if let Some(over) = told(caller, &message) {
                            break over;
                        }
                    }
                    Err(why) => break Over::Dropped(why),
                },
                () = sleep_until(slow_to), if deaf => {}
                flushed = sink.flush(), if self.unflushed => match flushed {
                    Ok(()) => self.unflushed = false,
                    Err(error) => break Over::Dropped(short(&error)),
                },
                () = caller.seat.due(), if !self.unflushed => {
                    if break_at.is_some_and(|at| at <= Instant::now()) {
                        caller.next_break += 1;
                        break Over::Broken;
                    }
                    if let Err(error) = self.send_due(caller, &mut sink) {
                        break Over::Dropped(short(&error));
                    }
                }
            }
        };
        caller.stage.figures.sent(&mut self.lot, true);
        over
    }

    /// Hands over what is due by now. Never waits.
    fn send_due(&mut self, caller: &mut Caller, sink: &mut SplitSink<Socket, Frame>) -> Result<(), Error> {
        let now = Instant::now();
        let pace = caller.call.pace;
        let due = pace.due_by(now);
        let tape = &caller.stage.tapes[caller.call.tape];
        let joined = (JOINED_BYTES / (tape.step() * pace.samples as usize)).clamp(1, JOINED as usize) as u64;
        let mut bytes = 0;
        while self.position < due * pace.samples && bytes < AT_ONCE {
            let index = self.position / pace.samples;
            // to the end of a frame, so that positions come back into step after a resume
            let to = (index + joined).min(due) * pace.samples;
            let audio = tape.audio(caller.call.first as u64 * pace.samples + self.position, to - self.position);
            let samples = (audio.len() / tape.step()) as u64;
            bytes += audio.len();
            give(sink, Frame::Binary(audio))?;
            if self.old.is_none_or(|old| pace.due(index) > old) {
                self.lot.push(Sent {
                    timed: if self.behind { Timed::Held } else { Timed::Lateness },
                    due: caller.stage.since(pace.due(index)),
                    late: now.saturating_duration_since(pace.due(index)),
                    frames: samples.div_ceil(pace.samples),
                });
            }
            self.position += samples;
            caller.sent = caller.sent.max(self.position);
        }
        if self.position >= pace.length() && !caller.stopped {
            give(sink, Frame::text(r#"{"type":"stop"}"#))?;
            caller.stopped = true;
        }
        let caught_up = self.position >= due * pace.samples;
        match sink.flush().now_or_never() {
            Some(flushed) => flushed?,
            None => self.unflushed = true,
        }
        self.behind = self.unflushed || !caught_up;
        caller.stage.figures.sent(&mut self.lot, false);
        Ok(())
    }
}

/// Puts a message into the socket's buffer, which has room for it: nothing is handed over before the last lot has left.
pub fn give(sink: &mut SplitSink<Socket, Frame>, frame: Frame) -> Result<(), Error> {
    sink.feed(frame).now_or_never().unwrap_or_else(|| Err(Error::Io(std::io::ErrorKind::WouldBlock.into())))
}

/// Something the server said while the call was on; gives how the session ends, if it does.
fn told(caller: &mut Caller, message: &Message) -> Option<Over> {
    match message.kind.as_str() {
        "error" => {
            let code = message.code.clone().unwrap_or_default();
            Some(if AGAIN.contains(&code.as_str()) { Over::Dropped(code) } else { Over::Failed(code) })
        }
        "reconnect" => Some(Over::Dropped("draining".to_owned())),
        _ => {
            caller.ear.hear(message, caller.sent);
            caller.ear.over.then_some(Over::Done)
        }
    }
}
