//! Runs the tests beside this file: a real Chromium against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails there")]

use std::{fs, path::Path, process::Command};

#[test]
fn pages_work_in_a_real_browser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(root.join("tests/browser")).unwrap().map(|entry| entry.unwrap().path());
    // by name: not every Node takes a folder
    let mut tests: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".test.mjs")).collect();
    tests.sort();
    assert!(tests.len() > 5, "{tests:?}");
    let status = Command::new("node")
        .args(["--test", "--test-concurrency=1"])
        .args(tests)
        .current_dir(root)
        .env("SOTTO_BIN", env!("CARGO_BIN_EXE_sotto"))
        .status()
        .expect("node is not here; `make test` finds or installs it");
    assert!(status.success(), "see above");
}
