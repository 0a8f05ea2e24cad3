//! `sotto demo`: a real server, a real socket, a call in real time, and what was kept of it.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};
use sotto_events::{Clock, TenantId};
use sotto_ingest::file;
use sotto_storage::clock::SystemClock;

use crate::{
    client::{Player, random_call},
    config::{Config, Listen},
    failure::{Failure, failure},
    print::{note, out},
    server::{Server, open_keys},
    terminal::Terminal,
    transcribe::roles,
};

/// How often, and how long apart, the last row is looked for.
const ROW_TRIES: u32 = 50;
const ROW_PAUSE: Duration = Duration::from_millis(100);

/// Plays `path` and shows it.
pub async fn run(mut config: Config, path: &Path) -> Result<(), Failure> {
    let recording = file::read(path)?;
    config.data = config.data.with_file_name("sotto-demo");
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    config.listen = Listen { calls: anywhere, api: anywhere, ..Listen::default() };
    note("demo: starting Sotto (models, keys, databases, sockets)");
    let tenant: TenantId = "demo".parse().map_err(|error| failure(format!("{error}")))?;
    let purposes: sotto_access::Purposes = "ingest,read,erase".parse().map_err(failure)?;
    let keys = open_keys(&config)?;
    let (info, secret) = keys.create(&tenant, "demo", &purposes, SystemClock.now())?;
    let server = Server::start(&config).await?;
    let api = format!("http://{}", server.api_address);
    let call = random_call("demo")?;
    note(&format!(
        "demo: playing {} ({:.0} s) as call {call} in real time; Ctrl-C ends it\n",
        path.display(),
        recording.seconds()
    ));
    let mut terminal = Terminal::new(roles(recording.channels.len()));
    let player = Player {
        url: format!("ws://{}/v1/stream", server.calls_address),
        key: secret.reveal().to_owned(),
        call: call.clone(),
        recording,
        metadata: json!({ "agent": "Grace", "queue": "cards" }),
    };
    let played = tokio::select! {
        played = player.play(|message| terminal.show(message)) => Some(played),
        interrupted = tokio::signal::ctrl_c() => { interrupted?; None }
    };
    terminal.end();
    match played {
        Some(played) => {
            played?;
            kept(&api, secret.reveal(), call.as_str(), &config).await?;
        }
        None => note("\ndemo: interrupted; closing down"),
    }
    drop(player);
    server.drain().await?;
    keys.revoke(&info.id, SystemClock.now())?;
    Ok(())
}

/// Says what was kept, where, and until when.
async fn kept(api: &str, key: &str, call: &str, config: &Config) -> Result<(), Failure> {
    let unreachable = |error: reqwest::Error| failure(format!("the API cannot be reached: {error}"));
    let client = reqwest::Client::new();
    let ask = |path: String| client.get(format!("{api}/v1/calls/{call}{path}")).bearer_auth(key).send();
    let summary: Value = ask(String::new()).await.map_err(unreachable)?.json().await.map_err(unreachable)?;
    let mut events = Vec::new();
    // an event is told when it is durable on the bus; its row follows a moment later
    for _ in 0..ROW_TRIES {
        let answer = ask("/events?limit=1000".to_owned()).await.map_err(unreachable)?;
        let answer: Value = answer.json().await.map_err(unreachable)?;
        events = answer["events"].as_array().cloned().unwrap_or_default();
        if events.last().is_some_and(|event| event["type"] == "ended") {
            break;
        }
        tokio::time::sleep(ROW_PAUSE).await;
    }
    let finals = events.iter().filter(|event| event["type"] == "final").count();
    let days = |seconds: u64| seconds as f64 / 86_400.0;
    out("");
    out(&format!(
        "kept      {} events of call {call}, {finals} of them utterances, each sealed with the call's own key",
        events.len()
    ));
    out(&format!("where     {}", config.data.join("vault.db").display()));
    out(&format!("words     {} days", days(config.retention.transcript_seconds)));
    out(&format!("metadata  {} days", days(config.retention.personal_seconds)));
    out(&format!("all gone  by {}", summary["expires_at"].as_str().unwrap_or("unknown")));
    Ok(())
}
