//! Backups and restores.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;

use crate::support::*;

/// Runs `sotto` with a server's configuration; gives what it said.
fn run(server: &Server, arguments: &[&str]) -> (bool, String) {
    let done = sotto().arg("--config").arg(server.config_file()).args(arguments).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

fn backup(server: &Server, to: &Path) -> PathBuf {
    let (done, said) = run(server, &["backup", to.to_str().unwrap()]);
    assert!(done, "{said}");
    said.lines().next().unwrap().into()
}

async fn call(server: &Server, key: &str, name: &str) -> Vec<Value> {
    whole_call(server, key, name, &sample(8), 1_600).await;
    eventually("the whole call", || async {
        let kept = kept(server, key, name).await;
        (kept.last()?["type"] == "ended").then_some(kept)
    })
    .await
}

/// The data folder as if the disk were lost; the root key is kept elsewhere.
fn lose(server: &Server) {
    let key = server.data().join("root.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_dir_all(server.data()).unwrap();
    std::fs::create_dir(server.data()).unwrap();
    std::fs::copy(server.folder.path().join("root.copy"), &key).unwrap();
    assert_eq!(std::fs::read(&key).unwrap(), kept);
}

#[tokio::test]
async fn mb7_a_restored_backup_has_everything_but_what_was_erased_since() {
    let away = tempfile::tempdir().unwrap();
    let erased = away.path().join("erased").display().to_string();
    let mut server = Server::start(&format!("erased = \"{erased}\""));
    let key = server.key("acme", "ingest,read,erase");
    let kept_call = call(&server, &key, "kept").await;
    call(&server, &key, "erased").await;
    std::fs::copy(server.data().join("root.key"), server.folder.path().join("root.copy")).unwrap();
    // while the server runs
    let archive = backup(&server, away.path());
    assert_eq!(server.ask(Method::DELETE, &key, "/v1/calls/erased").await.0, 200);
    server.kill();
    // nothing in the archive can be read, and no key of a call is in it
    let bytes = std::fs::read(&archive).unwrap();
    for word in ["Daniel", "acme", "kept", "SQLite"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
    lose(&server);
    let (done, said) = run(&server, &["restore", archive.to_str().unwrap()]);
    assert!(done && said.contains("restored 1 calls") && said.contains("1 that were erased"), "{said}");
    server.boot();
    assert_same_events(&kept(&server, &key, "kept").await, &kept_call);
    assert_eq!(server.get(&key, "/v1/calls/erased/events").await.0, 410);
    assert_eq!(server.get(&key, "/v1/calls/erased").await.1["state"], "erased");
    // and it goes on
    call(&server, &key, "next").await;
}

#[tokio::test]
async fn mb7_an_older_archive_does_not_open_what_a_newer_backup_no_longer_has() {
    let away = tempfile::tempdir().unwrap();
    let mut server = Server::start("");
    let key = server.key("acme", "ingest,read,erase");
    call(&server, &key, "erased").await;
    std::fs::copy(server.data().join("root.key"), server.folder.path().join("root.copy")).unwrap();
    let older = backup(&server, away.path());
    assert_eq!(server.ask(Method::DELETE, &key, "/v1/calls/erased").await.0, 200);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    backup(&server, away.path());
    server.kill();
    lose(&server);
    // no list of erasures: the archive alone must not be enough
    let (done, said) = run(&server, &["restore", older.to_str().unwrap()]);
    assert!(done && said.contains("restored 0 calls"), "{said}");
    server.boot();
    assert_eq!(server.get(&key, "/v1/calls/erased/events").await.0, 410);
}

#[tokio::test]
async fn mb7_a_restore_that_cannot_be_right_changes_nothing_and_says_why() {
    let away = tempfile::tempdir().unwrap();
    let mut server = Server::start("");
    let key = server.key("acme", "ingest,read");
    call(&server, &key, "kept").await;
    std::fs::copy(server.data().join("root.key"), server.folder.path().join("root.copy")).unwrap();
    backup(&server, away.path());
    let old_keys = away.path().join("old-keys");
    std::fs::copy(away.path().join("call-keys.sotto"), &old_keys).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let archive = backup(&server, away.path());
    let restore =
        |server: &Server, more: &[&str]| run(server, &[&["restore", archive.to_str().unwrap()], more].concat());
    let (done, said) = restore(&server, &[]);
    assert!(!done && said.contains("already"), "{said}");
    server.kill();
    lose(&server);
    let (done, said) = restore(&server, &["--keys", old_keys.to_str().unwrap()]);
    assert!(!done && said.contains("newer than the keys"), "{said}");
    let whole = std::fs::read(&archive).unwrap();
    for damaged in [
        whole[..whole.len() - 40].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        [&whole[..whole.len() / 2], &[7; 99], &whole[whole.len() / 2 + 99..]].concat(),
        b"something else".to_vec(),
    ] {
        std::fs::write(&archive, damaged).unwrap();
        let (done, said) = restore(&server, &[]);
        assert!(!done && (said.contains("damaged") || said.contains("no archive")), "{said}");
        let left: Vec<_> = std::fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["root.key"]);
    }
    std::fs::write(&archive, whole).unwrap();
    std::fs::remove_file(server.data().join("root.key")).unwrap();
    let (done, said) = restore(&server, &[]);
    assert!(!done && said.contains("root.key"), "{said}");
}
