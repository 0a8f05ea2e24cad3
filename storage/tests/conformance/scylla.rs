//! What only ScyllaDB and Cassandra have: keyspaces, versions of tables, TTLs, nodes that race.

use std::{path::PathBuf, sync::Arc};

use scylla::client::{session::Session, session_builder::SessionBuilder};
use sotto_events::{Clock, Timestamp};
use sotto_storage::vault::{
    CallRow, Vault,
    scylla::{ScyllaSettings, ScyllaVault, Tls},
};

use crate::{
    engines::{metrics, scylla, server},
    rows::{NOW, call, call_row, delivered, record, tenant},
};

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        NOW
    }
}

async fn try_open(settings: &ScyllaSettings) -> Result<ScyllaVault, String> {
    ScyllaVault::open(settings, Arc::new(Fixed), &metrics()).await.map_err(|error| error.to_string())
}

async fn open(settings: &ScyllaSettings) -> ScyllaVault {
    try_open(settings).await.unwrap()
}

async fn raw(settings: &ScyllaSettings) -> Session {
    SessionBuilder::new().known_nodes(&settings.nodes).build().await.unwrap()
}

async fn count(session: &Session, table: &str) -> i64 {
    let rows = session.query_unpaged(format!("SELECT count(*) FROM {table}"), ()).await.unwrap();
    rows.into_rows_result().unwrap().single_row::<(i64,)>().unwrap().0
}

#[tokio::test]
async fn nodes_are_reached_over_tls_and_only_those_that_the_authority_signed() {
    let Some(mut settings) = scylla() else { return };
    settings.tls = Tls { enabled: true, authority: server("SOTTO_TEST_CA").map(PathBuf::from) };
    let vault = open(&settings).await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&other, signed.cert.pem()).unwrap();
    settings.tls.authority = Some(other.clone());
    assert!(try_open(&settings).await.is_err());
    std::fs::write(&other, "no certificate").unwrap();
    let Err(error) = try_open(&settings).await else { panic!("it trusts nobody and was content") };
    assert!(error.contains("there is no certificate in it"), "{error}");
}

#[tokio::test]
async fn mr1_a_tenant_may_have_a_keyspace_of_its_own() {
    let Some(mut settings) = scylla() else { return };
    settings.own_keyspaces.insert(tenant("acme"));
    let vault = open(&settings).await;
    for owner in ["acme", "other"] {
        vault.create(call_row(owner, "same")).await.unwrap();
        vault.write(vec![delivered(1, record(owner, "same", 1..=3, false))]).await.unwrap();
        assert_eq!(vault.events(tenant(owner), call("same"), 0, 9, NOW).await.unwrap().len(), 3);
    }
    assert_eq!(vault.open_calls().await.unwrap().len(), 2);
    let session = raw(&settings).await;
    let shared = &settings.keyspace;
    let sql = format!("SELECT tenant FROM {shared}.calls");
    let rows = session.query_unpaged(sql, ()).await.unwrap().into_rows_result().unwrap();
    let tenants: Vec<String> = rows.rows::<(String,)>().unwrap().map(|row| row.unwrap().0).collect();
    assert_eq!(tenants, ["other"]);
    assert_eq!(count(&session, &format!("{shared}.events_transcript")).await, 3);
    let sql = "SELECT keyspace_name FROM system_schema.keyspaces";
    let rows = session.query_unpaged(sql, ()).await.unwrap().into_rows_result().unwrap();
    let own = rows
        .rows::<(String,)>()
        .unwrap()
        .map(|row| row.unwrap().0)
        .find(|name| name.starts_with(&format!("{shared}_")))
        .expect("no keyspace of its own");
    assert_eq!(count(&session, &format!("{own}.events_transcript")).await, 3);
}

#[tokio::test]
async fn mh6_rows_carry_the_ttl_of_their_class() {
    let Some(settings) = scylla() else { return };
    let vault = open(&settings).await;
    vault.create(call_row("acme", "one")).await.unwrap();
    let mut mixed = record("acme", "one", 1..=2, false);
    mixed.events[0].expires_at = NOW.plus_seconds(1_000);
    mixed.events[1].expires_at = NOW.plus_seconds(90_000);
    vault.write(vec![delivered(1, mixed)]).await.unwrap();
    let session = raw(&settings).await;
    let sql = format!("SELECT seq, TTL(sealed) FROM {}.events_transcript", settings.keyspace);
    let rows = session.query_unpaged(sql, ()).await.unwrap().into_rows_result().unwrap();
    let ttls: Vec<(i64, i32)> = rows.rows::<(i64, i32)>().unwrap().map(Result::unwrap).collect();
    assert!(matches!(ttls[..], [(1, 900..=1_000), (2, 89_900..=90_000)]), "{ttls:?}");
}

#[tokio::test]
async fn nodes_that_start_at_once_make_the_tables_once() {
    let Some(settings) = scylla() else { return };
    let (first, second, third) = tokio::join!(try_open(&settings), try_open(&settings), try_open(&settings));
    for vault in [first, second, third] {
        let vault = vault.unwrap();
        vault.create(call_row("acme", "one")).await.unwrap();
    }
}

#[tokio::test]
async fn of_nodes_that_make_a_call_at_once_one_makes_it() {
    let Some(settings) = scylla() else { return };
    let vault = Arc::new(open(&settings).await);
    let tries = (0..8_u8).map(|number| {
        let vault = Arc::clone(&vault);
        let row = CallRow {
            wrapped_key: Some(vec![number]),
            metadata: Some((vec![number], Timestamp(NOW.0 + 50_000))),
            ..call_row("acme", "one")
        };
        tokio::spawn(async move { (number, vault.create(row).await.unwrap()) })
    });
    let mut makers = Vec::new();
    for tried in tries.collect::<Vec<_>>() {
        if let (number, None) = tried.await.unwrap() {
            makers.push(number);
        }
    }
    assert_eq!(makers.len(), 1, "{makers:?}");
    let kept = vault.call(tenant("acme"), call("one"), NOW).await.unwrap().unwrap();
    assert_eq!((kept.wrapped_key, kept.metadata.unwrap().0), (Some(vec![makers[0]]), vec![makers[0]]));
    assert_eq!(vault.calls(tenant("acme"), None, 9, NOW).await.unwrap().len(), 1);
}

#[tokio::test]
async fn tables_of_another_version_or_none_are_refused_with_what_would_be_right() {
    let Some(settings) = scylla() else { return };
    let absent = ScyllaSettings { create_tables: false, ..settings.clone() };
    assert!(try_open(&absent).await.is_err());
    open(&settings).await;
    let session = raw(&settings).await;
    let set = async |version: i32| {
        let sql = format!("UPDATE {}.versions SET version = {version} WHERE name = 'version'", settings.keyspace);
        session.query_unpaged(sql, ()).await.unwrap();
    };
    assert!(try_open(&absent).await.is_ok());
    set(0).await;
    let error = try_open(&absent).await.err().unwrap();
    assert!(error.contains("create_tables"), "{error}");
    set(99).await;
    let error = try_open(&settings).await.err().unwrap();
    assert!(error.contains("run a newer one"), "{error}");
}

#[tokio::test]
async fn nodes_that_do_not_answer_are_named() {
    let Some(settings) = scylla() else { return };
    let settings = ScyllaSettings { nodes: vec!["127.0.0.1:1".to_owned()], ..settings };
    let error = try_open(&settings).await.err().unwrap();
    assert!(error.contains("127.0.0.1:1"), "{error}");
}
