//! What is missing or broken at the start: one clear line with the mend, and the right exit code.

use std::{fs, net::TcpListener, path::Path};

use futures_util::{SinkExt, StreamExt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::{
    Connector, connect_async_tls_with_config,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::support::*;

/// Starts `serve`, which must fail; gives exit code and message.
fn fails(folder: &Path, config: &str, models: Option<&Path>) -> (i32, String) {
    let file = folder.join("sotto.toml");
    fs::write(&file, format!("data = \"{}\"\n{config}", folder.join("data").display())).unwrap();
    let mut command = sotto();
    if let Some(models) = models {
        command.env("SOTTO_MODELS", models);
    }
    let output = command.arg("--config").arg(file).arg("serve").output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

const ANYWHERE: &str = "[listen]\ncalls = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"";

#[test]
fn a_wrong_setting_is_named_before_a_port_binds() {
    let folder = tempfile::tempdir().unwrap();
    let (code, message) = fails(folder.path(), "[limits]\nidle_seconds = 0", None);
    assert_eq!(code, 3);
    assert!(message.contains("limits.idle_seconds is 0, must be between 1 and 3600"), "{message}");
}

/// SHA-256 of an empty file.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn a_missing_or_damaged_model_is_named_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    fs::create_dir(&models).unwrap();
    let (code, message) = fails(folder.path(), ANYWHERE, Some(&models));
    assert_eq!(code, 1);
    assert!(message.contains("make setup"), "{message}");
    // of either kind, whichever processor this is
    let damaged = ["tiny/encoder.onnx", "tiny/avx2/encoder.onnx"];
    let sound = ["libonnxruntime.so", "vad.onnx", "tiny/stem.onnx", "tiny/avx2/stem.onnx"];
    let sound = sound.into_iter().chain(["tiny/decoder.onnx", "tiny/tokenizer.bin"]);
    fs::create_dir_all(models.join("tiny/avx2")).unwrap();
    let mut files = serde_json::Map::new();
    for (name, text) in sound.map(|name| (name, "")).chain(damaged.map(|name| (name, "damaged"))) {
        fs::write(models.join(name), text).unwrap();
        files.insert(name.to_owned(), serde_json::json!({ "sha256": OF_NOTHING }));
    }
    let shape = serde_json::json!({ "layers": 1, "width": 1, "heads": 1, "stem": 1, "vocabulary": 1 });
    fs::write(
        models.join("manifest.json"),
        serde_json::json!({ "recognisers": { "tiny": { "version": "x", "shape": shape } }, "files": files })
            .to_string(),
    )
    .unwrap();
    let (_, message) = fails(folder.path(), ANYWHERE, Some(&models));
    let named = message.contains("encoder.onnx") && message.contains("is damaged");
    assert!(named && message.contains("make setup"), "{message}");
}

#[test]
fn a_recogniser_that_is_not_there_is_named_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let (code, message) = fails(folder.path(), &format!("{ANYWHERE}\n[recognisers]\nfinals = \"huge\""), None);
    assert_eq!(code, 1);
    assert!(message.contains("no recogniser huge") && message.contains("base, tiny"), "{message}");
}

#[test]
fn a_damaged_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/vault.db"), "this is no database, whatever its name says".repeat(200)).unwrap();
    let (code, message) = fails(folder.path(), ANYWHERE, None);
    assert_eq!(code, 1);
    assert!(message.contains("vault.db") && message.contains("backup"), "{message}");
}

#[tokio::test]
async fn a_lost_root_key_is_never_made_anew_over_sealed_data() {
    let mut server = Server::start("");
    let key = server.key("acme", "ingest");
    whole_call(&server, &key, "call-1", &sample(2), 1_600).await;
    server.kill();
    fs::remove_file(server.data().join("root.key")).unwrap();
    let (code, message) = fails(server.folder.path(), ANYWHERE, None);
    assert_eq!(code, 1);
    assert!(message.contains("root.key"), "{message}");
    assert!(!server.data().join("root.key").exists());
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!("[listen]\ncalls = \"{address}\"\napi = \"127.0.0.1:0\"");
    let (code, message) = fails(folder.path(), &config, None);
    assert_eq!(code, 1);
    assert!(message.contains(&address.to_string()) && message.contains("another port"), "{message}");
}

#[tokio::test]
async fn the_door_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let server = Server::start(&format!(
        "[listen]\ntls_certificate = \"{}\"\ntls_key = \"{}\"",
        certificate.display(),
        key.display()
    ));
    let secret = server.key("acme", "ingest");
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let port = server.calls.rsplit(':').next().unwrap();
    let mut request = format!("wss://localhost:{port}/v1/stream").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    let connector = Connector::Rustls(std::sync::Arc::new(tls));
    let (mut socket, _) = connect_async_tls_with_config(request, None, false, Some(connector)).await.unwrap();
    socket.send(Message::text(start("tls", false).to_string())).await.unwrap();
    let ready = socket.next().await.unwrap().unwrap();
    assert!(ready.to_text().unwrap().contains("ready"));
    assert!(server.try_connect("/v1/stream", &secret).await.is_err(), "plain text was taken");
}
