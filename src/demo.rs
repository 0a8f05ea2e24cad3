//! `sotto demo`: a real server, a real socket, a call in real time, what was kept of it, and the way to the board.

use std::{
    io::IsTerminal,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use sotto_access::{Role, User, Users};
use sotto_events::{Clock, TenantId};
use sotto_ingest::file::{self, Recording};
use sotto_storage::clock::SystemClock;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    client::{Player, random_call},
    config::{Config, Listen},
    failure::{Failure, failure},
    print::{note, out},
    server::{Server, open_keys, open_users},
    terminal::Terminal,
    transcribe::roles,
    users,
};

/// How often, and how long apart, the last row is looked for.
const ROW_TRIES: u32 = 50;
const ROW_PAUSE: Duration = Duration::from_millis(100);
/// Between two calls that come in by themselves, and how many are on air at once.
const NEXT_CALL: Duration = Duration::from_secs(14);
const CALLS: usize = 4;

/// Login, name, role; all of the team that the demo's calls belong to.
const PEOPLE: [(&str, &str, Role); 6] = [
    ("admin", "Ada Admin", Role::Admin),
    ("sam", "Sam Okoye", Role::Supervisor),
    ("grace", "Grace Lin", Role::Agent),
    ("tom", "Tom Berg", Role::Agent),
    ("ana", "Ana Ruiz", Role::Agent),
    ("vera", "Vera Holm", Role::Viewer),
];
const AGENTS: [&str; 3] = ["grace", "tom", "ana"];
const TEAM: &str = "cards";

struct Demo {
    server: Server,
    key: String,
    recording: Recording,
}

/// Plays `path` and shows it; on a terminal the board then stays open and calls go on coming.
pub async fn run(mut config: Config, path: &Path, scorecards: Option<PathBuf>) -> Result<(), Failure> {
    let recording = file::read(path)?;
    config.data = config.data.with_file_name("sotto-demo");
    config.scorecards = scorecards.or(config.scorecards);
    // of its own in all it keeps
    config = Config { kafka: None, scylla: None, root_key: None, erased: None, ..config };
    config.roles = Config::default().roles;
    for tenant in config.tenants.values_mut() {
        tenant.own_keyspace = false;
    }
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    config.listen = Listen { calls: anywhere, api: anywhere, ..Listen::default() };
    note("demo: starting Sotto (models, keys, people, databases, sockets)");
    let tenant: TenantId = "demo".parse().map_err(|error| failure(format!("{error}")))?;
    let purposes: sotto_access::Purposes = "ingest,read,erase".parse().map_err(failure)?;
    let keys = open_keys(&config)?;
    let people = open_users(&config)?;
    seed(&people, &tenant)?;
    let (info, secret) = keys.create(&tenant, "demo", &purposes, SystemClock.now())?;
    let server = Server::start(&config).await?;
    let api = format!("http://{}", server.api_address);
    note(&format!("demo: the board, opened once by this link:\n      {}", users::link(&people, "admin", &api)?));
    let demo = Demo { server, key: secret.reveal().to_owned(), recording };
    let ended = demo.first_call(path, &config).await;
    demo.server.drain().await?;
    keys.revoke(&info.id, SystemClock.now())?;
    ended
}

fn seed(people: &Users, tenant: &TenantId) -> Result<(), Failure> {
    for (login, name, role) in PEOPLE {
        let (login, name) = (login.to_owned(), name.to_owned());
        let user = User { login, tenant: tenant.clone(), name, role, teams: vec![TEAM.to_owned()] };
        people.put(&user, SystemClock.now())?;
    }
    Ok(())
}

impl Demo {
    async fn first_call(&self, path: &Path, config: &Config) -> Result<(), Failure> {
        let player = self.player(0)?;
        note(&format!(
            "demo: playing {} ({:.0} s) as call {} in real time; Ctrl-C ends it\n",
            path.display(),
            self.recording.seconds(),
            player.call
        ));
        let mut terminal = Terminal::new(roles(self.recording.channels.len()));
        let played = tokio::select! {
            played = player.play(|message| terminal.show(message)) => Some(played),
            interrupted = tokio::signal::ctrl_c() => { interrupted?; None }
        };
        terminal.end();
        let Some(played) = played else {
            note("\ndemo: interrupted; closing down");
            return Ok(());
        };
        played?;
        kept(&format!("http://{}", self.server.api_address), &self.key, player.call.as_str(), config).await?;
        if std::io::stdout().is_terminal() {
            note("\ndemo: the board stays open and calls go on coming; Ctrl-C ends it");
            tokio::select! {
                failed = self.more_calls() => failed?,
                interrupted = tokio::signal::ctrl_c() => interrupted?,
            }
            note("\ndemo: closing down");
        }
        Ok(())
    }

    /// Goes on until something fails.
    async fn more_calls(&self) -> Result<(), Failure> {
        let mut calls = JoinSet::new();
        for number in 1.. {
            let player = self.player(number)?;
            calls.spawn(async move { player.play(|_| {}).await });
            sleep(NEXT_CALL).await;
            while calls.len() >= CALLS {
                if let Some(Ok(ended)) = calls.join_next().await {
                    ended?;
                }
            }
        }
        Ok(())
    }

    fn player(&self, number: usize) -> Result<Player, Failure> {
        let calls = self.server.calls_address.ok_or_else(|| failure("no calls are taken"))?;
        Ok(Player {
            url: format!("ws://{calls}/v1/stream"),
            key: self.key.clone(),
            call: random_call("demo")?,
            recording: self.recording.clone(),
            metadata: json!({
                "agent": AGENTS[number % AGENTS.len()],
                "queue": "cards",
                "customer_name": "Mary Wilson",
                "customer_number": "+1 202 555 0143",
            }),
        })
    }
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
