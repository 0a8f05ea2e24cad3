//! `sotto calls`: the HTTP API from the command line.

use futures_util::StreamExt;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use sotto_events::{AudioFormat, CallEvent};

use crate::{
    cli::{Calls, Remote},
    failure::{Code, Failure, failure},
    print::out,
    score,
};

const PAGE: usize = 1000;

/// Runs a command against the API.
pub async fn run(command: Calls) -> Result<(), Failure> {
    match command {
        Calls::List { remote, limit } => {
            let page: Value = json(get(&remote, &format!("/v1/calls?limit={limit}")).await?).await?;
            for call in page["calls"].as_array().into_iter().flatten() {
                let text = |name: &str| call[name].as_str().unwrap_or("-").to_owned();
                out(&format!(
                    "{}  {:<6}  {:>5} events  {}  until {}",
                    text("created_at"),
                    text("state"),
                    call["seq"],
                    text("call_id"),
                    text("expires_at")
                ));
            }
        }
        Calls::Show { remote, call } => {
            let call: Value = json(get(&remote, &format!("/v1/calls/{call}")).await?).await?;
            out(&serde_json::to_string_pretty(&call)?);
        }
        Calls::Follow { remote, call, after } => {
            follow(get(&remote, &format!("/v1/calls/{call}/live?after={after}")).await?).await?;
        }
        Calls::Export { remote, call, format } => {
            let response = get(&remote, &format!("/v1/calls/{call}/export?format={format}")).await?;
            out(response.text().await.map_err(unreachable)?.trim_end());
        }
        Calls::Score { remote, call, scorecard, json: as_json } => {
            let summary: Value = json(get(&remote, &format!("/v1/calls/{call}")).await?).await?;
            let format: AudioFormat = serde_json::from_value(summary["format"].clone())?;
            let events = every_event(&remote, call.as_str()).await?;
            score::kept(&format.channels, &events, &scorecard, as_json)?;
        }
        Calls::Hold { remote, call } => {
            let held: Value = json(ask(&remote, Method::PUT, &format!("/v1/calls/{call}/hold")).await?).await?;
            out(&format!("{call} is held since {}", held["held_at"].as_str().unwrap_or("-")));
        }
        Calls::Release { remote, call } => {
            ask(&remote, Method::DELETE, &format!("/v1/calls/{call}/hold")).await?;
            out(&format!("{call} is released; what was due is gone"));
        }
        Calls::Erase { remote, call } => {
            let erased: Value = json(ask(&remote, Method::DELETE, &format!("/v1/calls/{call}")).await?).await?;
            out(&format!("erased {call}: its key is destroyed, {} rows removed", erased["rows"]));
        }
    }
    Ok(())
}

/// All kept events of a call, oldest first.
async fn every_event(remote: &Remote, call: &str) -> Result<Vec<CallEvent>, Failure> {
    let mut all: Vec<CallEvent> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.seq);
        let path = format!("/v1/calls/{call}/events?after={after}&limit={PAGE}");
        let mut page: Value = json(get(remote, &path).await?).await?;
        let page: Vec<CallEvent> = serde_json::from_value(page["events"].take())?;
        let full = page.len() == PAGE;
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}

/// The data lines of server-sent events, one JSON object a line.
async fn follow(response: Response) -> Result<(), Failure> {
    let mut stream = response.bytes_stream();
    let mut rest = Vec::new();
    while let Some(bytes) = stream.next().await {
        rest.extend_from_slice(&bytes.map_err(unreachable)?);
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data: ") {
                out(String::from_utf8_lossy(data).trim_end());
            }
        }
    }
    Ok(())
}

fn unreachable(error: reqwest::Error) -> Failure {
    failure(format!("the API cannot be reached: {}", error.without_url()))
}

async fn json(response: Response) -> Result<Value, Failure> {
    response.json().await.map_err(unreachable)
}

async fn get(remote: &Remote, path: &str) -> Result<Response, Failure> {
    ask(remote, Method::GET, path).await
}

async fn ask(remote: &Remote, method: Method, path: &str) -> Result<Response, Failure> {
    let url = format!("{}{path}", remote.api.trim_end_matches('/'));
    let response =
        reqwest::Client::new().request(method, url).bearer_auth(&remote.key).send().await.map_err(unreachable)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = response.json().await.unwrap_or_default();
    let why = body["error"]["message"].as_str().unwrap_or("no reason given").to_owned();
    let code = if status == StatusCode::INTERNAL_SERVER_ERROR { Code::Failed } else { Code::Refused };
    Err(Failure { message: format!("{why} ({status})"), code })
}
