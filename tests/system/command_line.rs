//! The command line as a person uses it.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::*;

struct Done {
    code: i32,
    out: String,
    err: String,
}

fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn audio(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio").join(name).display().to_string()
}

#[test]
fn recordings_of_every_format_are_written_down() {
    for ending in ["wav", "flac", "mp3", "ogg", "opus", "m4a", "ulaw", "alaw", "raw"] {
        let file = audio(&format!("formats/sample.{ending}"));
        let done = done(sotto().args(["transcribe", "--json", &file]));
        assert_eq!(done.code, 0, "{ending}: {}", done.err);
        let finals: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let text: Vec<&str> = finals.iter().map(|made| made["text"].as_str().unwrap()).collect();
        assert!(text.join(" ").contains("Thank you for calling"), "{ending}: {text:?}");
        for made in &finals {
            assert_eq!(made["type"], "final");
            let (start, end) = (made["start"].as_f64().unwrap(), made["end"].as_f64().unwrap());
            let words = made["words"].as_array().unwrap();
            let spoken: Vec<&str> = words.iter().map(|word| word["text"].as_str().unwrap()).collect();
            assert_eq!(spoken.join(" "), made["text"].as_str().unwrap());
            for word in words {
                let (from, to) = (word["start"].as_f64().unwrap(), word["end"].as_f64().unwrap());
                assert!(start <= from && from <= to && to <= end, "{word} in {start}..{end}");
            }
        }
    }
}

#[test]
fn what_cannot_be_written_down_is_named_and_the_rest_is_done() {
    let missing = audio("no-such-file.wav");
    let done = done(sotto().args(["transcribe", &missing, &audio("README.md"), &audio("formats/sample.wav")]));
    assert_eq!(done.code, 1);
    assert!(done.out.contains("Thank you for calling"), "{}", done.out);
    assert!(done.err.contains("no-such-file.wav") && done.err.contains("use WAV, FLAC"), "{}", done.err);
    assert!(done.err.contains("2 of 3 files"), "{}", done.err);
}

#[test]
fn partials_are_shown_when_wanted() {
    let shown = || done(sotto().args(["transcribe", "--json", "--partials", &audio("sample_call.flac")])).out;
    let out = shown();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &'static str| lines.iter().filter(move |line| line["type"] == kind);
    let number = |line: &Value, key: &str| line[key].as_f64().unwrap();
    assert!(of("final").count() >= 10, "{out}");
    // what is hidden in a final may hide all of a partial
    for made in of("final").filter(|made| !made["text"].as_str().unwrap().contains('[')) {
        let same = |line: &&Value| line["channel"] == made["channel"] && line["utterance"] == made["utterance"];
        // the first words may not be heard in half a second or a whole one
        let due = (number(made, "end") - number(made, "start")) / 0.5 - 2.0;
        let partials = of("partial").filter(same).count();
        assert!(partials as f64 >= due.floor(), "{partials} partials of {made}");
    }
    assert_eq!(shown(), out, "a recording comes out the same each time, partials too");
}

#[tokio::test]
async fn a_call_is_sent_listed_shown_followed_exported_and_erased() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read,erase");
    let url = format!("ws://{}/v1/stream", server.calls);
    let api = format!("http://{}", server.api);
    let sotto = |args: &[&str]| {
        let mut command = sotto();
        command.args(args).env("SOTTO_KEY", &key).env("SOTTO_API", &api).env("SOTTO_URL", &url);
        tokio::task::spawn_blocking(move || done(&mut command))
    };
    let sent = sotto(&["send", &audio("formats/sample.wav"), "--call", "by-hand"]).await.unwrap();
    assert_eq!(sent.code, 0, "{}", sent.err);
    assert!(sent.out.contains("Thank you for calling"), "{}", sent.out);
    let again = sotto(&["send", &audio("formats/sample.wav"), "--call", "by-hand"]).await.unwrap();
    assert_eq!(again.code, 4);
    assert!(again.err.contains("is over; use a new id"), "{}", again.err);
    eventually("rows", || async {
        let kept = kept(&server, &key, "by-hand").await;
        (kept.last()?["type"] == "ended").then_some(())
    })
    .await;
    for (args, wanted) in [
        (&["calls", "list"][..], "by-hand"),
        (&["calls", "show", "by-hand"], "\"state\": \"ended\""),
        (&["calls", "follow", "by-hand"], "\"type\":\"ended\""),
        (&["calls", "export", "by-hand", "--format", "srt"], "00:00:00,"),
        (
            &["calls", "score", "by-hand", "--scorecard", "docs/examples/scorecards/cards.toml"],
            "Greet and name the bank",
        ),
        (&["calls", "erase", "by-hand"], "its key is destroyed"),
    ] {
        let done = sotto(args).await.unwrap();
        assert_eq!(done.code, 0, "{args:?}: {}", done.err);
        assert!(done.out.contains(wanted), "{args:?}: {}", done.out);
    }
    let gone = sotto(&["calls", "export", "by-hand"]).await.unwrap();
    assert_eq!(gone.code, 4);
    assert!(gone.err.contains("erased"), "{}", gone.err);
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let sotto = |args: &[&str]| done(sotto().env("SOTTO_DATA", folder.path()).args(args));
    let made = sotto(&["keys", "create", "acme", "--name", "pbx", "--purposes", "ingest"]);
    assert!(made.out.starts_with("sk_") && made.err.contains("shown only now"), "{}", made.err);
    let id = made.out.split('_').nth(1).unwrap();
    let listed = sotto(&["keys", "list"]).out;
    assert!(listed.contains(id) && listed.contains("active") && !listed.contains(made.out.trim()), "{listed}");
    assert_eq!(sotto(&["keys", "revoke", id]).code, 0);
    assert!(sotto(&["keys", "list"]).out.contains("revoked"));
    let wrong = sotto(&["keys", "revoke", "nobody"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("sotto keys list"), "{}", wrong.err);
    assert_eq!(sotto(&["keys", "create", "acme", "--purposes", "everything"]).code, 2);
}

#[test]
fn the_configuration_is_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sotto.toml");
    let sotto = |args: &[&str]| done(sotto().env("SOTTO_CONFIG", &file).args(args));
    std::fs::write(&file, "[limits]\nidle_seconds = 60").unwrap();
    assert_eq!(sotto(&["config", "check"]).code, 0);
    assert!(sotto(&["config", "show"]).out.contains("idle_seconds = 60"));
    std::fs::write(&file, "[limits]\nidle_secs = 60").unwrap();
    let wrong = sotto(&["config", "check"]);
    assert_eq!(wrong.code, 3);
    assert!(wrong.err.contains("idle_secs"), "{}", wrong.err);
}

#[test]
fn help_and_completions_are_there() {
    let help = done(sotto().arg("--help"));
    for wanted in ["serve", "transcribe", "send", "calls", "keys", "config", "Exit codes"] {
        assert!(help.out.contains(wanted), "{wanted}");
    }
    assert!(done(sotto().args(["completions", "bash"])).out.contains("_sotto"));
    assert_eq!(done(sotto().arg("no-such-command")).code, 2);
}

#[test]
fn mh13_a_recorded_conversation_is_measured() {
    let done = done(sotto().args(["score", "--json", &audio("sample_call.flac")]));
    let all: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{}", done.err));
    let measures = &all["measures"];
    // `sample_call.json` gives the agent 21.6 s and the customer 17.0 s, pauses inside their turns included; once they overlap
    let channel = |index: usize, name: &str| measures["channels"][index][name].as_f64().unwrap();
    assert!((channel(0, "talk") - 21.6).abs() < 4.0 && (channel(1, "talk") - 17.0).abs() < 4.0, "{measures}");
    assert!((0.45..0.6).contains(&channel(0, "talk_share")), "{measures}");
    assert!((120.0..260.0).contains(&channel(0, "words_per_minute")), "{measures}");
    assert!(measures["dead_air"] == 0.0 && measures["overlap"].as_f64().unwrap() < 1.0, "{measures}");
}

#[test]
fn mr9_a_scorecard_is_tried_on_a_recording() {
    let card = "docs/examples/scorecards/cards.toml";
    let done = done(sotto().args(["score", "--scorecard", card, "--json", &audio("sample_call.flac")]));
    let all: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{}", done.err));
    assert_eq!(all["scores"]["scorecard"], json!({ "name": "Card support", "version": "1" }));
    let script = all["scores"]["script"].as_array().unwrap();
    assert_eq!((&script[0]["id"], &script[0]["state"]), (&json!("greeting"), &json!("done")));
    assert_eq!(all["moments"][0]["id"], "lost-card");
    assert_eq!(all["moments"][0]["channel"], 1);
    assert!((1.0..100.0).contains(&all["scores"]["total"].as_f64().unwrap()), "{all}");
}

#[test]
fn a_wrong_scorecard_is_refused_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("card.toml");
    std::fs::write(&card, "name = \"a\"\nversion = \"1\"\n[[moments]]\nid = \"x\"\ntitle = \"X\"\nphrases = []")
        .unwrap();
    let done = done(sotto().args(["score", "--scorecard", card.to_str().unwrap(), &audio("sample_call.flac")]));
    assert_eq!(done.code, 1);
    assert!(done.err.contains("moments.x: phrases must be 1 to 32"), "{}", done.err);
}

#[test]
fn people_are_managed_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let users = |arguments: &[&str]| done(sotto().env("SOTTO_DATA", folder.path()).arg("users").args(arguments));
    let put = users(&["put", "acme", "Ana", "--name", "Ana Ruiz", "--role", "agent", "--teams", "cards,loans"]);
    assert_eq!(put.code, 0, "{}", put.err);
    assert!(users(&["list"]).out.contains("ana  acme  agent  cards,loans  Ana Ruiz"));
    assert!(users(&["link", "ana"]).out.starts_with("http://127.0.0.1:7301/open#sl_"));
    assert_eq!(users(&["put", "acme", "ben", "--name", "Ben", "--role", "king"]).code, 2);
    assert_eq!(users(&["remove", "nobody"]).code, 1);
    assert_eq!(users(&["remove", "ana"]).code, 0);
    assert_eq!(users(&["list"]).out, "");
}
