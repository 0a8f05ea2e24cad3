//! A Sotto of one's own, and a caller.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sotto_ingest::file::{self, Recording};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Nothing here takes this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Who may mount.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

pub fn sotto() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sotto"));
    command.env_remove("SOTTO_CONFIG").env_remove("SOTTO_DATA").env_remove("SOTTO_KEY");
    command
}

pub struct Server {
    pub folder: TempDir,
    child: Option<Child>,
    /// Size of a disk of its own for the data folder.
    disk: Option<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
    pub calls: String,
    pub api: String,
    config: String,
}

impl Server {
    pub fn start(config: &str) -> Self {
        Self::start_on(None, config)
    }

    pub fn start_with(config: &str, environment: &[(&'static str, &'static str)]) -> Self {
        Self::begin(None, config, environment)
    }

    /// With its data on a disk of this size (as for `mount -t tmpfs -o size=`); for who is not root in a mount namespace
    /// of its own.
    pub fn start_on(disk: Option<&'static str>, config: &str) -> Self {
        Self::begin(disk, config, &[])
    }

    fn begin(disk: Option<&'static str>, config: &str, environment: &[(&'static str, &'static str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (calls, api, config) = (String::new(), String::new(), config.to_owned());
        let environment = environment.to_vec();
        let mut server = Self { folder, child: None, disk, environment, calls, api, config };
        if let Some(size) = disk.filter(|_| is_root()) {
            std::fs::create_dir_all(server.data()).unwrap();
            let options = format!("mode=700,size={size}");
            let mount =
                Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(server.data()).status();
            assert!(mount.unwrap().success(), "a small disk could not be mounted");
        }
        server.boot();
        server
    }

    fn command(&self) -> Command {
        let Some(size) = self.disk.filter(|_| !is_root()) else { return sotto() };
        std::fs::create_dir_all(self.data()).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command.arg("mount -t tmpfs -o mode=700,size=\"$0\" tmpfs \"$1\" && shift && exec \"$@\"");
        command.arg(size).arg(self.data()).arg(sotto().get_program());
        command
    }

    /// The program once more, where the server sees its data.
    fn beside(&self) -> Command {
        if self.disk.is_none() || is_root() {
            return sotto();
        }
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.child.as_ref().unwrap().id().to_string());
        command.args(["--user", "--mount", "--preserve-credentials"]).arg(sotto().get_program());
        command
    }

    /// The data folder as the server sees it.
    pub fn seen_data(&self) -> PathBuf {
        let id = self.child.as_ref().unwrap().id();
        Path::new("/proc").join(id.to_string()).join("root").join(self.data().strip_prefix("/").unwrap())
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("sotto.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the process; used again after a kill.
    pub fn boot(&mut self) {
        let mut text: toml::Table = toml::from_str(&self.config).unwrap();
        text.insert("data".into(), self.data().display().to_string().into());
        let listen = text.entry("listen").or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
        listen.insert("calls".into(), "127.0.0.1:0".into());
        listen.insert("api".into(), "127.0.0.1:0".into());
        // many tests at once overload the machine, which is no reason to refuse their calls
        let capacity = text.entry("capacity").or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
        capacity.entry("slowest_partials").or_insert_with(|| 60.0.into());
        std::fs::write(self.config_file(), text.to_string()).unwrap();
        // a file, since nobody reads a pipe while the server runs
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut child = self
            .command()
            .envs(self.environment.iter().copied())
            .arg("--config")
            .arg(self.config_file())
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: Vec<&str> = line.split_whitespace().filter(|word| word.contains("127.0.0.1")).collect();
        // a node that takes no calls has one door
        let [.., api] = addresses[..] else {
            panic!("no ready line but {line:?}: {}", std::fs::read_to_string(self.log_file()).unwrap());
        };
        self.calls = addresses[0].trim_end_matches(',').to_owned();
        self.api = api.to_owned();
        self.child = Some(child);
    }

    pub fn key(&self, tenant: &str, purposes: &str) -> String {
        let made = self
            .beside()
            .arg("--config")
            .arg(self.config_file())
            .args(["keys", "create", tenant, "--purposes", purposes])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits for the process to end by itself; gives its log.
    pub fn wait(&mut self) -> (i32, String) {
        let status = self.child.take().unwrap().wait().unwrap();
        (status.code().unwrap(), std::fs::read_to_string(self.log_file()).unwrap())
    }

    pub async fn connect(&self, key: &str) -> Socket {
        self.try_connect("/v1/stream", key).await.unwrap()
    }

    pub async fn try_connect(&self, path: &str, key: &str) -> Result<Socket, Error> {
        connect_to(&self.calls, path, key).await
    }

    pub async fn get(&self, key: &str, path: &str) -> (u16, Value) {
        self.ask(reqwest::Method::GET, key, path).await
    }

    pub async fn ask(&self, method: reqwest::Method, key: &str, path: &str) -> (u16, Value) {
        let url = format!("http://{}{path}", self.api);
        let response = client().request(method, url).bearer_auth(key).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The value of a metric with this label.
    pub async fn metric_with(&self, name: &str, label: &str) -> f64 {
        let (_, text) = self.get("", "/metrics").await;
        let text = text.as_str().unwrap_or_default().to_owned();
        let wanted = format!("{name}{{{label}}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&wanted)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no metric {wanted}")).parse().unwrap()
    }

    /// The value of a metric without labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("", "/metrics").await;
        let text = text.as_str().unwrap_or_default().to_owned();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no metric {name}")).rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // it may have ended already
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            // a log that cannot be read is none
            let log = std::fs::read(self.log_file()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(50)..].join("\n");
            eprintln!("the last lines of the log of the server at {}:\n{last}", self.api);
        }
        if self.disk.is_some() && is_root() {
            drop(Command::new("umount").arg(self.data()).status());
        }
    }
}

pub async fn connect_to(address: &str, path: &str, key: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    connect_async(request).await.map(|(socket, _)| socket)
}

/// An HTTP client; TLS has its provider from the first call on.
pub fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

/// The sample call, or its first `seconds`.
pub fn sample(seconds: usize) -> Recording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/sample_call.flac");
    let mut recording = file::read(&path).unwrap();
    for channel in &mut recording.channels {
        channel.truncate(seconds * recording.rate as usize);
    }
    recording
}

pub fn interleaved(recording: &Recording, from: usize, to: usize) -> Vec<u8> {
    (from..to)
        .flat_map(|index| recording.channels.iter().flat_map(move |channel| channel[index].to_le_bytes()))
        .collect()
}

pub fn start(call: &str, resume: bool) -> Value {
    json!({
        "type": "start", "call_id": call, "encoding": "s16le", "rate": 16000, "channels": ["agent", "customer"],
        "metadata": { "customer_name": "Wilhelmina Featherstone" }, "resume": resume,
    })
}

pub async fn say(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The next JSON message; `None` when the socket has ended.
pub async fn hear(socket: &mut Socket) -> Option<Value> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("the server says nothing") {
            Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(text.as_str()).unwrap()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

/// Everything until the socket ends.
pub async fn hear_all(socket: &mut Socket) -> Vec<Value> {
    let mut all = Vec::new();
    while let Some(message) = hear(socket).await {
        all.push(message);
    }
    all
}

/// Sends `recording` from `from` to `to` in frames of `frame` samples, faster than real time; what the server says
/// meanwhile is taken in. False when the socket broke.
pub async fn play(
    socket: &mut Socket,
    recording: &Recording,
    (from, to): (usize, usize),
    frame: usize,
    heard: &mut Vec<Value>,
) -> bool {
    for at in (from..to).step_by(frame) {
        let bytes = interleaved(recording, at, to.min(at + frame));
        if socket.send(Message::binary(bytes)).await.is_err() {
            return false;
        }
        while let Ok(message) = timeout(Duration::from_millis(3), socket.next()).await {
            match message {
                Some(Ok(Message::Text(text))) => heard.push(serde_json::from_str(text.as_str()).unwrap()),
                Some(Ok(_)) => {}
                _ => return false,
            }
        }
    }
    true
}

/// A whole call; gives everything the server said.
pub async fn whole_call(server: &Server, key: &str, call: &str, recording: &Recording, frame: usize) -> Vec<Value> {
    let mut socket = server.connect(key).await;
    say(&mut socket, &start(call, false)).await;
    let mut heard = vec![hear(&mut socket).await.unwrap()];
    assert!(play(&mut socket, recording, (0, recording.channels[0].len()), frame, &mut heard).await, "{heard:?}");
    say(&mut socket, &json!({ "type": "stop" })).await;
    heard.extend(hear_all(&mut socket).await);
    heard
}

/// The kept events among what a server said.
pub fn events(heard: &[Value]) -> Vec<Value> {
    heard.iter().filter(|message| message.get("seq").is_some() && message["type"] != "ready").cloned().collect()
}

/// Two calls' events are the same; says the first that differ, not all of them.
#[track_caller]
pub fn assert_same_events(got: &[Value], wanted: &[Value]) {
    for (at, pair) in got.iter().zip(wanted).enumerate() {
        assert_eq!(pair.0, pair.1, "event {at}");
    }
    assert_eq!(got.len(), wanted.len(), "as many events");
}

pub fn of_type<'a>(heard: &'a [Value], name: &str) -> Vec<&'a Value> {
    heard.iter().filter(|message| message["type"] == name).collect()
}

pub async fn kept(server: &Server, key: &str, call: &str) -> Vec<Value> {
    let (status, body) = server.get(key, &format!("/v1/calls/{call}/events?limit=1000")).await;
    assert_eq!(status, 200, "{body}");
    body["events"].as_array().unwrap().clone()
}

/// Begins or takes up a call, and tries again for as long as the server says that it will be able to: as a client does.
pub async fn take_up(server: &Server, key: &str, start: Value, heard: &mut Vec<Value>) -> (Socket, usize) {
    for _ in 0..120 {
        let mut socket = server.connect(key).await;
        say(&mut socket, &start).await;
        let first = hear(&mut socket).await.unwrap();
        if first["type"] == "ready" {
            let position = first["position"].as_u64().unwrap() as usize;
            heard.push(first);
            return (socket, position);
        }
        assert_eq!(first["code"], "storage", "{first}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("never taken up: {start}");
}

/// Asks again until `wanted` gives something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut wanted: impl FnMut() -> F) -> T {
    for _ in 0..600 {
        if let Some(found) = wanted().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never came true: {what}");
}
