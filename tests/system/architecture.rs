//! The dependency rule of the rooms: each may know only those below it.

use std::{fs, path::Path};

/// A room and the rooms it may know.
const ALLOWED: [(&str, &[&str]); 6] = [
    ("events", &[]),
    ("pipeline", &["sotto-events"]),
    ("storage", &["sotto-events"]),
    ("access", &["sotto-events"]),
    ("ingest", &["sotto-events"]),
    ("dashboards", &["sotto-events", "sotto-storage", "sotto-access"]),
];

#[test]
fn rooms_know_only_what_they_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (room, allowed) in ALLOWED {
        let text = fs::read_to_string(root.join(room).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for name in dependencies.keys().filter(|name| name.starts_with("sotto-")) {
            assert!(allowed.contains(&name.as_str()), "{room} must not know {name}");
        }
    }
}
