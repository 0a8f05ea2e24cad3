//! Who sees what: people with roles, their boards, searches and overlays, over HTTP.

use std::path::Path;

use futures_util::StreamExt;
use reqwest::{Method, Response, header::SET_COOKIE};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::*;

const CARD: &str = "name = \"Cards\"\nversion = \"1\"\n[[moments]]\nid = \"lost\"\ntitle = \"Lost card\"\n\
                    phrases = [\"lost my credit card\"]\nspeaker = \"customer\"\nlevel = \"urgent\"\n\
                    prompt = { say = \"I will block it\" }\n[[script]]\nid = \"greet\"\ntitle = \"Greet\"\n\
                    phrases = [\"thank you for calling\"]\n[[criteria]]\nid = \"script\"\ntitle = \"Script\"\n\
                    weight = 1\nmeasure = \"script\"\n";

/// Somebody in a browser.
pub struct Browser {
    pub api: String,
    cookie: String,
}

impl Server {
    pub fn user(&self, tenant: &str, login: &str, role: &str, teams: &str) {
        let done = sotto()
            .arg("--config")
            .arg(self.config_file())
            .args(["users", "put", tenant, login, "--name", login, "--role", role, "--teams", teams])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Logs in by a one-time link.
    pub async fn browser(&self, login: &str) -> Browser {
        let done = sotto().arg("--config").arg(self.config_file()).args(["users", "link", login]).output().unwrap();
        let link = String::from_utf8(done.stdout).unwrap();
        let secret = link.trim().split_once('#').unwrap().1;
        let mut browser = Browser { api: format!("http://{}", self.api), cookie: String::new() };
        let answer = browser.send(Method::POST, "/v1/session/link", json!({ "secret": secret })).await;
        assert_eq!(answer.status(), 204);
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        browser.cookie = cookie.split(';').next().unwrap().to_owned();
        browser
    }
}

impl Browser {
    async fn send(&self, method: Method, path: &str, body: Value) -> Response {
        let mut request =
            client().request(method.clone(), format!("{}{path}", self.api)).header("cookie", &self.cookie);
        if method != Method::GET {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    async fn status(&self, method: Method, path: &str, body: Value) -> u16 {
        self.send(method, path, body).await.status().as_u16()
    }

    async fn json(&self, method: Method, path: &str, body: Value) -> Value {
        self.send(method, path, body).await.json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.json(Method::GET, path, Value::Null).await
    }

    pub async fn stream(&self, path: &str) -> Events {
        Events::of(self.send(Method::GET, path, Value::Null).await)
    }
}

/// Server-sent events as they come.
pub struct Events {
    bytes: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<axum::body::Bytes>>>>,
    rest: String,
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self { bytes: Box::pin(response.bytes_stream()), rest: String::new() }
    }

    /// The next event: its name and data; none when the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.rest.find("\n\n") {
                let event: String = self.rest.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                return Some((field("event: ").to_owned(), serde_json::from_str(field("data: ")).unwrap()));
            }
            let bytes = timeout(PATIENCE, self.bytes.next()).await.expect("the stream says nothing")?.unwrap();
            self.rest.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event of this name.
    async fn named(&mut self, wanted: &str) -> Value {
        self.until(wanted, |name, data| (name == wanted).then(|| data.clone())).await
    }

    /// Goes on until `found` gives something; pulses alone do not keep it waiting.
    pub async fn until<T>(&mut self, what: &str, found: impl Fn(&str, &Value) -> Option<T>) -> T {
        let search = async {
            loop {
                let (name, data) = self.next().await.expect("the stream has ended");
                if let Some(found) = found(&name, &data) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("never told: {what}"))
    }

    /// The next row, of a whole board or of a change, that is as wanted.
    pub async fn row(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until("a row", |_, data| data["rows"].as_array()?.iter().find(|row| wanted(row)).cloned()).await
    }
}

fn start_of(call: &str, agent: &str, queue: &str) -> Value {
    let mut start = start(call, false);
    start["metadata"]["agent"] = agent.into();
    start["metadata"]["queue"] = queue.into();
    start["metadata"]["customer_number"] = "+1 202 555 0143".into();
    start
}

fn with_card(folder: &Path) -> String {
    std::fs::write(folder.join("card.toml"), CARD).unwrap();
    format!("scorecards = {:?}", folder.display().to_string())
}

/// Everybody of the tests: two teams with an agent each, a supervisor of one, an admin, a viewer; another tenant's admin.
fn everybody(server: &Server) {
    server.user("acme", "ada", "admin", "");
    server.user("acme", "sam", "supervisor", "cards");
    server.user("acme", "lou", "supervisor", "loans");
    server.user("acme", "grace", "agent", "cards");
    server.user("acme", "tom", "agent", "loans");
    server.user("acme", "vera", "viewer", "");
    server.user("umbrella", "olga", "admin", "cards");
}

#[tokio::test]
async fn mh4_ci7_mh10_everybody_sees_only_what_their_role_lets_them() {
    let server = Server::start("");
    everybody(&server);
    let key = server.key("acme", "ingest,read");
    let recording = sample(8);
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start_of("call-1", "Grace", "cards")).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    assert!(play(&mut socket, &recording, (0, recording.channels[0].len()), 1_600, &mut heard).await);
    // who asks, and what they get: the board's rows, the call, its words, an alert of it, erasing it
    for (login, rows, counted, show, words, erase) in [
        ("ada", 1, 1, 200, 200, 409),
        ("sam", 1, 1, 200, 200, 403),
        ("lou", 0, 0, 404, 404, 403),
        ("grace", 1, 1, 200, 200, 403),
        ("tom", 0, 0, 404, 404, 403),
        ("vera", 0, 1, 403, 403, 403),
        ("olga", 0, 0, 404, 404, 404),
    ] {
        let browser = server.browser(login).await;
        let board = eventually("the board", || async {
            let board = browser.stream("/v1/board/live").await.named("board").await;
            (board["numbers"]["calls"] == counted).then_some(board)
        })
        .await;
        assert_eq!(board["rows"].as_array().unwrap().len(), rows, "{login}");
        let get = |path: &'static str| browser.status(Method::GET, path, Value::Null);
        assert_eq!(get("/v1/calls/call-1").await, show, "{login}");
        for path in ["/v1/calls/call-1/events", "/v1/calls/call-1/live", "/v1/calls/call-1/export"] {
            assert_eq!(get(path).await, words, "{login} {path}");
        }
        let listed = browser.get("/v1/calls").await;
        assert_eq!(listed["calls"].as_array().map_or(0, Vec::len), rows, "{login}: {listed}");
        assert_eq!(browser.status(Method::DELETE, "/v1/calls/call-1", json!({})).await, erase, "{login}");
        let by_agent = get("/v1/trends?by=agent").await;
        assert_eq!(by_agent, 200);
        // an API of programs gives people no keys
        assert_eq!(browser.status(Method::POST, "/v1/tokens", json!({ "purpose": "read" })).await, 403, "{login}");
    }
}

#[tokio::test]
async fn a_board_shows_a_call_its_alert_and_who_has_it_in_hand() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&with_card(folder.path()));
    everybody(&server);
    let sam = server.browser("sam").await;
    let mut board = sam.stream("/v1/board/live").await;
    assert_eq!(board.named("board").await["rows"], json!([]));
    let key = server.key("acme", "ingest,read");
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start_of("call-1", "grace", "cards")).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    let recording = sample(14);
    assert!(play(&mut socket, &recording, (0, recording.channels[0].len()), 320, &mut heard).await);
    let row = board.row(|row| row["alerts"][0]["moment"] == "lost").await;
    assert_eq!((&row["agent_name"], &row["team"]), (&json!("grace"), &json!("cards")));
    assert_eq!((&row["caller"], &row["state"]), (&json!("***-***-0143"), &json!("live")));
    assert_eq!(row["script"], json!({ "done": 1, "overdue": 0, "of": 1 }));
    assert_eq!(row["score"], 100.0);
    let alert = &row["alerts"][0];
    assert_eq!((&alert["title"], &alert["level"]), (&json!("Lost card"), &json!("urgent")));
    let path = format!("/v1/calls/call-1/alerts/{}/acknowledge", alert["seq"]);
    let lou = server.browser("lou").await;
    assert_eq!(lou.status(Method::POST, &path, json!({})).await, 404);
    assert_eq!(sam.status(Method::POST, &path, json!({})).await, 204);
    board.row(|row| row["alerts"][0]["acknowledged_by"] == "sam").await;
    // its socket breaks: the call waits for its caller
    drop(socket);
    board.row(|row| row["state"] == "waiting").await;
    let mut socket = server.connect(&key).await;
    let mut again = start_of("call-1", "grace", "cards");
    again["resume"] = true.into();
    say(&mut socket, &again).await;
    board.row(|row| row["state"] == "live").await;
    hear(&mut socket).await.unwrap();
    say(&mut socket, &json!({ "type": "stop" })).await;
    board.until("that it is gone", |_, data| (data["gone"] == json!(["call-1"])).then_some(())).await;
}

#[tokio::test]
async fn ci12_an_overlay_shows_one_agent_the_own_call_and_who_is_calling() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&with_card(folder.path()));
    let key = server.key("acme", "ingest,read");
    let token = |agent: &'static str| {
        let body = json!({ "purpose": "overlay", "agent": agent });
        let request = client().post(format!("http://{}/v1/tokens", server.api)).bearer_auth(&key).json(&body);
        async move { request.send().await.unwrap().json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned() }
    };
    let overlay = |token: String| {
        let request = client().get(format!("http://{}/v1/overlay/live", server.api)).bearer_auth(token);
        async move { request.send().await.unwrap() }
    };
    let answer = overlay(token("grace").await).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let mut grace = Events::of(answer);
    let mut tom = Events::of(overlay(token("tom").await).await);
    assert_eq!((grace.next().await.unwrap().0, tom.next().await.unwrap().0), ("idle".to_owned(), "idle".to_owned()));
    // a plain key is nobody's overlay, and the token opens nothing else
    assert_eq!(overlay(key.clone()).await.status(), 403);
    assert_eq!(server.get(&token("grace").await, "/v1/calls").await.0, 403);
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start_of("call-1", "grace", "cards")).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    let call = grace.named("call").await;
    assert_eq!(call["call_id"], "call-1");
    assert_eq!(call["scorecard"]["script"][0]["title"], "Greet");
    assert_eq!(call["pop"]["fields"]["customer_name"], "Wilhelmina Featherstone");
    assert!(call["pop"]["fields"]["agent"].is_null());
    let until: jiff::Timestamp = call["pop"]["until"].as_str().unwrap().parse().unwrap();
    let started: jiff::Timestamp = call["started_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(until.as_millisecond() - started.as_millisecond(), 300_000);
    let recording = sample(14);
    assert!(play(&mut socket, &recording, (0, recording.channels[0].len()), 320, &mut heard).await);
    grace.named("partial").await;
    assert_eq!(grace.named("moment").await["prompt"]["say"], "I will block it");
    assert_eq!(grace.named("scores").await["scores"]["script"][0]["state"], "done");
    say(&mut socket, &json!({ "type": "stop" })).await;
    grace.named("ended").await;
    assert_eq!(grace.named("idle").await, json!({}));
    // the other agent heard nothing of it
    let (name, _) = tom.next().await.unwrap();
    assert_eq!(name, "tick");
}

#[tokio::test]
async fn mr9_scorecards_change_without_a_restart_and_a_call_keeps_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_card(folder.path());
    let mut server = Server::start(&config);
    let key = server.key("acme", "ingest,read");
    let recording = sample(8);
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("call-1", false)).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    assert!(play(&mut socket, &recording, (0, 16_000), 1_600, &mut heard).await);
    let card = folder.path().join("card.toml");
    std::fs::write(&card, "name = 1").unwrap();
    eventually("the wrong one to be refused", || async {
        (server.metric("sotto_scorecards_rejected_total").await == 1.0).then_some(())
    })
    .await;
    std::fs::write(&card, CARD.replace("version = \"1\"", "version = \"two\"")).unwrap();
    let version = |events: &[Value]| events.last().map(|event| event["scorecard"]["version"].clone());
    eventually("a call with the new one", || async {
        let call = format!("probe-{}", jiff::Timestamp::now().as_nanosecond());
        let heard = whole_call(&server, &key, &call, &sample(1), 16_000).await;
        let started: Vec<Value> = of_type(&heard, "started").into_iter().cloned().collect();
        (version(&started) == Some(json!("two"))).then_some(())
    })
    .await;
    // not even a restart gives the call on air another one
    drop(socket);
    server.kill();
    server.boot();
    let mut socket = server.connect(&key).await;
    say(&mut socket, &start("call-1", true)).await;
    let from = hear(&mut socket).await.unwrap()["position"].as_u64().unwrap() as usize;
    assert!(play(&mut socket, &recording, (from, recording.channels[0].len()), 1_600, &mut heard).await);
    say(&mut socket, &json!({ "type": "stop" })).await;
    heard.extend(hear_all(&mut socket).await);
    let scored = of_type(&heard, "scored").last().copied().cloned().unwrap();
    assert_eq!(scored["scorecard"], json!({ "name": "Cards", "version": "1" }));
    assert_eq!(scored["script"][0]["state"], "done");
}

#[tokio::test]
async fn calls_are_searched_by_words_and_counted_in_trends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&with_card(folder.path()));
    everybody(&server);
    let key = server.key("acme", "ingest,read");
    for (call, agent) in [("call-1", "grace"), ("call-2", "tom")] {
        let recording = sample(14);
        let mut socket = server.connect(&key).await;
        say(&mut socket, &start_of(call, agent, "cards")).await;
        let mut heard = vec![hear(&mut socket).await.unwrap()];
        assert!(play(&mut socket, &recording, (0, recording.channels[0].len()), 1_600, &mut heard).await);
        say(&mut socket, &json!({ "type": "stop" })).await;
        hear_all(&mut socket).await;
    }
    let ada = server.browser("ada").await;
    let found = |filter: Value| {
        let ada = &ada;
        async move {
            let found = ada.json(Method::POST, "/v1/calls/search", filter).await;
            found["calls"].as_array().unwrap_or_else(|| panic!("{found}")).clone()
        }
    };
    eventually("both in rows", || async { (found(json!({ "moment": "lost" })).await.len() == 2).then_some(()) }).await;
    let hits = found(json!({ "words": "Lost my CREDIT card", "agent": "grace" })).await;
    assert_eq!(hits.len(), 1);
    assert!(hits[0]["hits"][0]["text"].as_str().unwrap().contains("lost my credit card"));
    assert_eq!(hits[0]["summary"]["moments"], json!(["lost"]));
    for nothing in [
        json!({ "words": "parrot" }),
        json!({ "queue": "loans" }),
        json!({ "moment": "other" }),
        json!({ "to": "2020-01-01T00:00:00Z" }),
        json!({ "from": "2120-01-01T00:00:00Z" }),
    ] {
        assert!(found(nothing.clone()).await.is_empty(), "{nothing}");
    }
    assert_eq!(ada.status(Method::POST, "/v1/calls/search", json!({ "from": "yesterday" })).await, 400);
    assert_eq!(ada.status(Method::POST, "/v1/calls/search", json!({ "word": "x" })).await, 422);
    // one at a time, with nothing twice
    let first = ada.json(Method::POST, "/v1/calls/search", json!({ "limit": 1 })).await;
    let then = json!({ "limit": 1, "before": first["next"] });
    let second = ada.json(Method::POST, "/v1/calls/search", then).await;
    assert_ne!(first["calls"][0]["call_id"], second["calls"][0]["call_id"]);
    // an agent searches the own calls only
    let grace = server.browser("grace").await;
    let own = grace.json(Method::POST, "/v1/calls/search", json!({ "words": "credit card" })).await;
    assert_eq!(own["calls"].as_array().unwrap().len(), 1);
    let by = |browser: &'static str, by: &'static str| {
        let server = &server;
        async move {
            let trends = server.browser(browser).await.get(&format!("/v1/trends?by={by}&days=7")).await;
            assert_eq!(trends["days"].as_array().unwrap().len(), 7);
            let ids = trends["groups"].as_array().unwrap().iter().map(|group| group["id"].as_str().unwrap().to_owned());
            let mut ids: Vec<String> = ids.collect();
            ids.sort();
            ids
        }
    };
    assert_eq!(by("ada", "agent").await, ["grace", "tom"]);
    assert_eq!(by("sam", "agent").await, ["grace"]);
    assert_eq!(by("tom", "agent").await, ["tom"]);
    assert_eq!(by("vera", "agent").await, Vec::<String>::new());
    assert_eq!(by("vera", "team").await, ["cards", "loans"]);
}

#[tokio::test]
async fn a_person_speaks_as_themselves_and_takes_up_nobody_elses_call() {
    let server = Server::start("");
    everybody(&server);
    let key = server.key("acme", "ingest,read");
    let token = |login: &'static str| {
        let server = &server;
        async move {
            let browser = server.browser(login).await;
            let answer = browser.send(Method::POST, "/v1/tokens", json!({ "purpose": "ingest" })).await;
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["token"].as_str().map(str::to_owned))
        }
    };
    let grace = token("grace").await.1.unwrap();
    let path = format!("ws://{}/v1/stream?token={grace}", server.api);
    let (mut socket, _) = tokio_tungstenite::connect_async(path).await.unwrap();
    say(&mut socket, &start_of("mine", "tom", "cards")).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "ready");
    let (_, call) = server.get(&key, "/v1/calls/mine").await;
    assert_eq!(call["metadata"]["agent"], "grace");
    let tom = token("tom").await.1.unwrap();
    let (mut other, _) =
        tokio_tungstenite::connect_async(format!("ws://{}/v1/stream?token={tom}", server.api)).await.unwrap();
    let mut take = start_of("mine", "tom", "cards");
    take["resume"] = true.into();
    say(&mut other, &take).await;
    assert_eq!(hear(&mut other).await.unwrap()["code"], "over");
    // whose call it is hears nothing of it
    say(&mut socket, &json!({ "type": "stop" })).await;
    let rest = hear_all(&mut socket).await;
    assert!(of_type(&rest, "error").is_empty() && !of_type(&rest, "ended").is_empty(), "{rest:?}");
    assert_eq!(token("vera").await.0, 403);
}

#[tokio::test]
async fn mm5_a_session_changes_nothing_for_other_pages_and_ends_when_told() {
    let server = Server::start("");
    everybody(&server);
    let grace = server.browser("grace").await;
    assert_eq!(grace.get("/v1/session").await["user"]["login"], "grace");
    let post = || client().post(format!("{}/v1/tokens", grace.api)).header("cookie", &grace.cookie);
    let body = "{\"purpose\": \"ingest\"}";
    // what a form of another page can send
    assert_eq!(post().header("content-type", "text/plain").body(body).send().await.unwrap().status(), 415);
    let foreign = post().header("content-type", "application/json").header("sec-fetch-site", "cross-site").body(body);
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert_eq!(grace.status(Method::DELETE, "/v1/session", json!({})).await, 204);
    assert_eq!(grace.status(Method::GET, "/v1/session", Value::Null).await, 401);
    assert_eq!(grace.status(Method::GET, "/v1/board/live", Value::Null).await, 401);
}

#[tokio::test]
async fn mh3_pages_say_what_may_run_in_them() {
    let server = Server::start("");
    for path in ["/", "/login", "/calls/call-1", "/wall", "/history", "/trends", "/overlay", "/microphone"] {
        let answer = client().get(format!("http://{}{path}", server.api)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("permissions-policy").contains("microphone=(self)"), path == "/microphone", "{path}");
    }
    let script = client().get(format!("http://{}/assets/overlay.js", server.api)).send().await.unwrap();
    assert_eq!(script.headers()["access-control-allow-origin"], "*");
    let tag = script.headers()["etag"].to_str().unwrap().to_owned();
    let again = client().get(script.url().clone()).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let compressed = client().get(script.url().clone()).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    assert!(compressed.bytes().await.unwrap().len() < 60_000);
    assert_eq!(server.get("", "/assets/none.js").await.0, 404);
}
