//! One WebSocket, with its limits: sending never waits for ever, receiving knows idleness, rate and pings.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use prometheus::IntCounter;
use serde::Serialize;
use tokio::time::{Sleep, interval_at, sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    limits::{Limits, MessageRate},
    metrics::IngestMetrics,
};

/// What came.
pub enum Incoming {
    Text(String),
    Binary(Bytes),
    /// The other side is gone, or broke a limit; says why.
    Gone(&'static str),
}

/// The library clears its whole buffer each time it reads. A usual message of 20 ms has up to 1.3 KB; a long one takes several
/// reads.
const READ_BUFFER: usize = 8 << 10;

pub struct Socket {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    pub limits: Limits,
    metrics: IngestMetrics,
    /// Messages and bytes of its dialect.
    messages: IntCounter,
    bytes: IntCounter,
    rate: MessageRate,
    pings: tokio::time::Interval,
    last: Instant,
    /// When it is to be looked whether anything has come: not moved with every message.
    idle: Pin<Box<Sleep>>,
    closed: bool,
}

impl Socket {
    pub async fn new(upgraded: Upgraded, limits: Limits, metrics: IngestMetrics, dialect: &'static str) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.message_bytes))
            .max_write_buffer_size(1 << 20);
        let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        metrics.sockets.inc();
        let now = Instant::now();
        let ping = Duration::from_secs(limits.ping_seconds);
        Self {
            stream,
            rate: MessageRate::new(limits.messages_per_second, now),
            pings: interval_at((now + ping).into(), ping),
            messages: metrics.messages.with_label_values(&[dialect]),
            bytes: metrics.bytes.with_label_values(&[dialect]),
            metrics,
            last: now,
            idle: Box::pin(sleep(Duration::from_secs(limits.idle_seconds))),
            limits,
            closed: false,
        }
    }

    /// The next message. Safe to drop while it waits.
    pub async fn next(&mut self) -> Incoming {
        loop {
            let message = tokio::select! {
                // what comes without end must not keep pings waiting; what has come is heard before anyone is called idle
                biased;
                _ = self.pings.tick() => {
                    if !self.write(Message::Ping(Bytes::new())).await {
                        return Incoming::Gone("not_reading");
                    }
                    continue;
                }
                message = self.stream.next() => message,
                () = &mut self.idle => {
                    let until = self.last + Duration::from_secs(self.limits.idle_seconds);
                    if until <= Instant::now() {
                        return Incoming::Gone("idle");
                    }
                    self.idle.as_mut().reset(until.into());
                    continue;
                }
            };
            let now = Instant::now();
            self.messages.inc();
            if !self.rate.take(now) {
                return Incoming::Gone("message_rate");
            }
            match message {
                None | Some(Ok(Message::Close(_))) => return Incoming::Gone("closed"),
                Some(Ok(Message::Text(text))) => {
                    self.last = now;
                    return Incoming::Text(text.as_str().to_owned());
                }
                Some(Ok(Message::Binary(bytes))) => {
                    self.last = now;
                    return Incoming::Binary(bytes);
                }
                // answers to pings are no sign that anyone speaks
                Some(Ok(_)) => {}
                Some(Err(Error::Capacity(_))) => return Incoming::Gone("message_too_large"),
                Some(Err(Error::Protocol(_) | Error::Utf8(_))) => return Incoming::Gone("protocol"),
                Some(Err(_)) => return Incoming::Gone("broken"),
            }
        }
    }

    /// Sends JSON; false when the client does not read or is gone.
    pub async fn send<T: Serialize>(&mut self, message: &T) -> bool {
        match serde_json::to_string(message) {
            Ok(text) => self.write(Message::text(text)).await,
            Err(error) => {
                tracing::error!(%error, "a message could not be written as JSON");
                false
            }
        }
    }

    async fn write(&mut self, message: Message) -> bool {
        matches!(timeout(self.limits.send(), self.stream.send(message)).await, Ok(Ok(())))
    }

    pub fn count_audio(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
    }

    pub fn count_jump(&self) {
        self.metrics.jumps.inc();
    }

    /// Says goodbye and waits a moment for the answer, so that the last messages arrive.
    pub async fn close(mut self, code: CloseCode, reason: &'static str) {
        self.closed = true;
        self.metrics.closed.with_label_values(&[reason]).inc();
        let goodbye = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        if self.write(goodbye).await {
            let answer = async { while let Some(Ok(_)) = self.stream.next().await {} };
            // a client that never answers is let go
            drop(timeout(Duration::from_secs(2), answer).await);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.metrics.sockets.dec();
        if !self.closed {
            self.metrics.closed.with_label_values(&["dropped"]).inc();
        }
    }
}

/// The close code that fits a reason.
pub fn close_code(reason: &str) -> CloseCode {
    match reason {
        "message_too_large" => CloseCode::Size,
        "protocol" => CloseCode::Protocol,
        "draining" => CloseCode::Restart,
        "storage" | "engine" => CloseCode::Error,
        "stopped" | "closed" => CloseCode::Normal,
        _ => CloseCode::Policy,
    }
}
