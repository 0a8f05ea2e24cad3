//! Runs the tests of `tests/browser`: a real Chromium against real servers.

use std::{path::Path, process::Command};

#[test]
fn pages_work_in_a_real_browser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new("node")
        .args(["--test", "--test-concurrency=1", "tests/browser/"])
        .current_dir(root)
        .env("SOTTO_BIN", env!("CARGO_BIN_EXE_sotto"))
        .status()
        .expect("node is not here; `make test` finds or installs it");
    assert!(status.success(), "see above");
}
