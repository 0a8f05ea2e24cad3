//! What SREs look at: boards and alerts name metrics that a running server has.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::*;

/// Names of metrics in an expression; recording rules have a colon in theirs.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !word(c));
    let metrics = words.filter(|name| name.starts_with("sotto_") && !name.contains(':'));
    metrics.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_panel_and_alert_names_a_metric_that_exists() {
    let server = Server::start("");
    let key = server.key("acme", "ingest,read");
    whole_call(&server, &key, "call-1", &sample(8), 320).await;
    let (_, metrics) = server.get("", "/metrics").await;
    let known: BTreeSet<&str> =
        metrics.as_str().unwrap().lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let boards = fs::read_dir(root.join("grafana")).unwrap().map(|entry| entry.unwrap().path());
    let files = boards.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let mut looked_at = 0;
    for file in files.chain([root.join("alerts/sotto.yaml")]) {
        for name in names(&fs::read_to_string(&file).unwrap()) {
            let plain = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
            let there = known.contains(name.as_str()) || plain.is_some_and(|plain| known.contains(plain));
            assert!(there, "{} names {name}, which a running server does not have", file.display());
            looked_at += 1;
        }
    }
    assert!(looked_at > 50, "{looked_at}");
}
