//! A server that takes calls of the native protocol, answers as it must, and writes nothing down: what it and
//! sotto-load use is what sockets and the tool cost.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{Error, Message},
};

use super::Failure;

/// Takes calls until the process ends; tells the address first.
///
/// # Errors
/// When it cannot listen.
pub async fn serve(listen: SocketAddr, told: impl FnOnce(SocketAddr)) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen).await.map_err(|error| format!("cannot listen at {listen}: {error}"))?;
    told(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        // a caller that goes away harms nobody else
        tokio::spawn(async move { drop(call(stream).await) });
    }
}

async fn call(stream: TcpStream) -> Result<(), Error> {
    let mut socket = accept_async(stream).await?;
    let (mut bytes_a_sample, mut rate, mut bytes, mut seq) = (1, 8_000, 0_u64, 0);
    let tell = async |socket: &mut _, message: Value| -> Result<(), Error> {
        SinkExt::<Message>::send(socket, Message::text(message.to_string())).await
    };
    while let Some(message) = socket.next().await {
        match message? {
            Message::Binary(audio) => bytes += audio.len() as u64,
            Message::Text(text) => {
                let said: Value = serde_json::from_str(text.as_str()).unwrap_or_default();
                let samples = bytes / bytes_a_sample;
                if said["type"] == "start" {
                    let width = if said["encoding"] == "s16le" { 2 } else { 1 };
                    bytes_a_sample = width * said["channels"].as_array().map_or(1, Vec::len).max(1) as u64;
                    rate = said["rate"].as_u64().unwrap_or(8_000);
                    tell(&mut socket, json!({ "type": "ready", "call_id": said["call_id"], "position": 0, "seq": 0 }))
                        .await?;
                    seq += 1;
                    tell(&mut socket, json!({ "seq": seq, "type": "started" })).await?;
                } else if said["type"] == "stop" {
                    seq += 1;
                    let duration = samples as f64 / rate as f64;
                    tell(
                        &mut socket,
                        json!({ "seq": seq, "type": "ended", "reason": "stopped", "duration": duration }),
                    )
                    .await?;
                    tell(&mut socket, json!({ "type": "ack", "position": samples, "seconds": duration })).await?;
                    return socket.close(None).await;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
