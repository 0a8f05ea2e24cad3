//! A handful of calls to a real server, with all that can be checked of them.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use clap::Parser;
use tempfile::TempDir;

use super::{
    command::{Code, run_options},
    figures::{Counted, Timed},
    options::Options,
    report::Report,
};

const SIGNED: &str = "wss://sotto.example.com/v1/twilio/acme";

/// The part of the sample call that is played: three whole turns.
const SECONDS: usize = 13;
const WORDS: &str = "Thank you for calling Harbor Bank, this is Grace. How can I help you? \
    Hi, I lost my credit card yesterday and I need a replacement. \
    I'm sorry to hear that. May I have your full name, please?";

/// `SOTTO_BIN`, or the one that `cargo test --workspace` has built beside this test.
fn sotto() -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().join("sotto")
    };
    let found = std::env::var_os("SOTTO_BIN").map_or_else(beside, PathBuf::from);
    assert!(found.is_file(), "there is no {}: run `cargo build` first, or set SOTTO_BIN", found.display());
    found
}

struct Server {
    folder: TempDir,
    child: Child,
    calls: String,
    api: String,
    key: String,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("sotto.toml");
        let data = folder.path().join("data");
        let text = format!(
            "data = {data:?}\n[listen]\ncalls = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n\
             [capacity]\nslowest_partials = 60.0\n[tenants.acme.twilio]\n\
             auth_token = \"12345\"\nurl = \"{SIGNED}\"\n[tenants.acme.redaction]\nname = false\n"
        );
        fs::write(&config, text).unwrap();
        let command = || {
            let mut command = Command::new(sotto());
            command.env_remove("SOTTO_DATA").env_remove("SOTTO_KEY").arg("--config").arg(&config);
            command
        };
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut child = command().arg("serve").stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: Vec<&str> = line.split_whitespace().filter(|word| word.contains("127.0.0.1")).collect();
        let &[calls, api] = &addresses[..] else { panic!("no ready line but {line:?}") };
        let made = command().args(["keys", "create", "acme", "--purposes", "ingest,read"]).output().unwrap();
        let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        Self { calls: calls.trim_end_matches(',').to_owned(), api: api.to_owned(), key, folder, child }
    }

    /// Runs sotto-load against it as from the command line; gives what it ended with and the report it wrote.
    fn load(&self, more: &[&str]) -> (Code, Report) {
        let (url, api) = (format!("ws://{}/v1/stream", self.calls), format!("http://{}", self.api));
        let out = self.folder.path().join("results");
        let audio = self.folder.path().join("call.wav");
        write_call(&audio);
        let (folder, recording) = (out.display().to_string(), audio.display().to_string());
        let mut line = vec!["sotto-load", "run", "--quiet", "--name", "test", "--url", &url, "--api", &api];
        line.extend(["--key", &self.key, "--out", &folder, "--audio", &recording]);
        // right and wrong is judged here, not the speed of a machine that is busy with other tests
        line.extend(["--max-final-p95", "60000", "--max-partial-gap-p95", "60000", "--max-drift", "60000"]);
        line.extend(["--max-late-frames", "100", "--max-dropped", "1000000", "--grace", "60s"]);
        line.extend(more);
        let outcome = run_options(Options::parse_from(line)).unwrap();
        assert!(out.join("test.html").is_file());
        let json = out.join("test.json");
        assert!(!fs::read_to_string(&json).unwrap().contains(&self.key), "the key is in the report");
        (outcome.code, Report::read(&json).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The sample call's beginning, and beside it what is said in it.
fn write_call(to: &Path) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/audio/sample_call.flac");
    let mut recording = sotto_ingest::file::read(&sample).unwrap();
    let length = SECONDS * recording.rate as usize;
    recording.channels.iter_mut().for_each(|channel| channel.truncate(length));
    let samples: Vec<u8> = (0..length)
        .flat_map(|index| recording.channels.iter().flat_map(move |channel| channel[index].to_le_bytes()))
        .collect();
    fs::write(to, [wav_head(recording.rate, samples.len() as u32), samples].concat()).unwrap();
    fs::write(to.with_extension("txt"), WORDS).unwrap();
}

fn wav_head(rate: u32, bytes: u32) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(b"RIFF");
    head.extend((36 + bytes).to_le_bytes());
    head.extend(b"WAVEfmt ");
    head.extend(16_u32.to_le_bytes());
    // PCM, two channels, 16 bits
    head.extend([1_u16, 2].map(u16::to_le_bytes).concat());
    head.extend([rate, rate * 4].map(u32::to_le_bytes).concat());
    head.extend([4_u16, 16].map(u16::to_le_bytes).concat());
    head.extend(b"data");
    head.extend(bytes.to_le_bytes());
    head
}

#[test]
fn calls_of_both_protocols_pass_all_checks_and_their_words_come_back() {
    let server = Server::start();
    let seconds = SECONDS.to_string();
    let length = format!("constant:{SECONDS}");
    let plan = ["--calls", "6", "--length", &length, "--ramp", "0s", "--for", &seconds, "--max-word-errors", "25"];
    let twilio = ["--twilio", "0.3", "--twilio-url", SIGNED, "--twilio-token", "12345"];
    let churn = ["--breaks-per-minute", "10", "--away", "500ms"];
    let (code, report) = server.load(&[&plan[..], &twilio, &churn].concat());
    let run = &report.runs[0];
    assert_eq!(run.faults.len(), 0, "{:?}", run.examples);
    assert_eq!((code, &run.verdict.broken[..]), (Code::Passed, &[][..]));
    assert_eq!((run.count(Counted::CallsStarted), run.count(Counted::CallsCompleted)), (6, 6));
    assert!(run.count(Counted::Resumes) > 0 && run.count(Counted::Resumes) == run.count(Counted::SocketsBroken));
    assert_eq!(run.count(Counted::SocketsDropped), 0, "{:?}", run.drops);
    assert!(run.words.words > 150, "{:?}", run.words);
    for timed in [Timed::Final, Timed::FinalAfterSpeech, Timed::Word, Timed::Partial, Timed::Lateness] {
        assert!(run.latency[&timed].count > 0, "{}", timed.name());
    }
    let twilio = run.server.as_ref().unwrap().counted.keys().filter(|name| name.contains("twilio")).count();
    assert!(twilio > 0, "no call came as from Twilio");
}
