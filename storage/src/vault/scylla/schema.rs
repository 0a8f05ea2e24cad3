//! The tables, in versions. ScyllaDB and Cassandra take the same text.
//!
//! Rows of events are only ever inserted, with the age of their record as timestamp, so that repeating or reordering
//! them changes nothing. The row of a call changes by lightweight transactions only: made once, ended once, erased once.

use std::time::Duration;

use scylla::client::session::Session;
use sotto_events::RetentionClass;
use tokio::time::sleep;

use super::{ScyllaSettings, failed};
use crate::{Result, StorageError};

/// The version of the tables that this program writes.
const VERSION: i32 = 2;
/// How long one node may hold the right to change tables.
const LOCK_SECONDS: i32 = 60;
/// Tombstones must outlive what the bus may still bring of an erased call: ten days, which is also the longest
/// retention a record topic may have.
const GC_GRACE_SECONDS: i32 = 10 * 86_400;

/// The table of the events of a class. Each class has its own, so that rows of one table die at about the same age and
/// whole files of them are dropped at once.
pub(super) const fn events_table(class: RetentionClass) -> &'static str {
    match class {
        RetentionClass::Transcript => "events_transcript",
        RetentionClass::Personal => "events_personal",
        RetentionClass::Score => "events_score",
    }
}

/// Hours in one file of a class's events: some thirty files over the time that such rows live.
const fn window_hours(class: RetentionClass) -> u32 {
    match class {
        RetentionClass::Transcript => 6,
        RetentionClass::Personal => 24,
        RetentionClass::Score => 24 * 15,
    }
}

/// What every keyspace with calls has, by version: `tables(keyspace)[0]` makes version 1.
fn tables(keyspace: &str) -> [Vec<String>; VERSION as usize] {
    let mut first = vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.calls (tenant text, call text, state tinyint, dialect text, \
             format text, created_at bigint, ended_at bigint, expires_at bigint, wrapped_key blob, \
             PRIMARY KEY ((tenant, call))) WITH gc_grace_seconds = {GC_GRACE_SECONDS}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.metadata (tenant text, call text, key_id blob, sealed blob, \
             expires_at bigint, PRIMARY KEY ((tenant, call), key_id)) WITH gc_grace_seconds = {GC_GRACE_SECONDS}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.progress (tenant text, call text, created_at bigint, seq bigint, \
             safe text, expires_at bigint, PRIMARY KEY ((tenant, call)))"
        ),
        // a tenant with a million calls a day has some 42 thousand rows in an hour: 4 MB
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.calls_by_hour (tenant text, hour int, created_at bigint, call text, \
             PRIMARY KEY ((tenant, hour), created_at, call)) WITH CLUSTERING ORDER BY (created_at DESC, call DESC)"
        ),
        // at most 12 thousand rows: the hours of 500 days
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.call_hours (tenant text, hour int, PRIMARY KEY (tenant, hour)) \
             WITH CLUSTERING ORDER BY (hour DESC)"
        ),
    ];
    for class in RetentionClass::ALL {
        first.push(format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.{table} (tenant text, call text, bucket int, seq bigint, kind text, \
             sealed blob, expires_at bigint, PRIMARY KEY ((tenant, call, bucket), seq)) \
             WITH gc_grace_seconds = {GC_GRACE_SECONDS} AND compaction = {{'class': 'TimeWindowCompactionStrategy', \
             'compaction_window_unit': 'HOURS', 'compaction_window_size': {window}}}",
            table = events_table(class),
            window = window_hours(class),
        ));
    }
    // what is held has no TTL. 10,000 calls of a tenant at most: 10 MB in one partition
    let second = vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.held_calls (tenant text, call text, held_at bigint, state tinyint, \
             dialect text, format text, created_at bigint, ended_at bigint, expires_at bigint, wrapped_key blob, \
             metadata blob, metadata_expires_at bigint, seq bigint, safe text, PRIMARY KEY (tenant, call))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.held_events (tenant text, call text, bucket int, seq bigint, \
             class text, kind text, sealed blob, expires_at bigint, PRIMARY KEY ((tenant, call, bucket), seq))"
        ),
    ];
    [first, second]
}

/// What only the shared keyspace has.
fn shared_tables(keyspace: &str) -> [Vec<String>; VERSION as usize] {
    let first = vec![
        format!("CREATE TABLE IF NOT EXISTS {keyspace}.tenant_keys (tenant text PRIMARY KEY, wrapped blob)"),
        // calls on air, spread over a few partitions; rows come and go, so tombstones go soon
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.open_calls (shard tinyint, tenant text, call text, \
             PRIMARY KEY (shard, tenant, call)) WITH gc_grace_seconds = 3600"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.class_hours (class text, hour int, until int, \
             PRIMARY KEY (class, hour, until))"
        ),
    ];
    // held calls of which a copy is still to be made or completed
    let second = vec![format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.to_copy (shard tinyint, tenant text, call text, held_at bigint, \
         PRIMARY KEY (shard, tenant, call)) WITH gc_grace_seconds = 3600"
    )];
    [first, second]
}

/// Brings a keyspace to [`VERSION`], or says that it is not there.
pub(super) async fn prepare(session: &Session, settings: &ScyllaSettings, keyspace: &str, shared: bool) -> Result<()> {
    if settings.create_tables {
        let ScyllaSettings { datacenter, replicas, .. } = settings;
        execute(
            session,
            &format!(
                "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
                 {{'class': 'NetworkTopologyStrategy', '{datacenter}': {replicas}}}"
            ),
        )
        .await?;
        execute(
            session,
            &format!(
                "CREATE TABLE IF NOT EXISTS {keyspace}.versions (name text PRIMARY KEY, version int, holder text)"
            ),
        )
        .await?;
    }
    let version = version(session, keyspace).await?;
    if version > VERSION {
        return Err(StorageError::Vault(format!(
            "keyspace {keyspace} has tables of version {version}, and this Sotto knows up to {VERSION}; run a newer one"
        )));
    }
    if version == VERSION {
        return Ok(());
    }
    if !settings.create_tables {
        return Err(StorageError::Vault(format!(
            "keyspace {keyspace} has tables of version {version}, {VERSION} is needed, and scylla.create_tables \
             is false; start one Sotto with it set to true"
        )));
    }
    migrate(session, keyspace, version, shared).await
}

/// 0 for a new one.
async fn version(session: &Session, keyspace: &str) -> Result<i32> {
    let sql = format!("SELECT version FROM {keyspace}.versions WHERE name = 'version'");
    let rows = session.query_unpaged(sql, ()).await.map_err(failed)?.into_rows_result().map_err(failed)?;
    let row = rows.maybe_first_row::<(Option<i32>,)>().map_err(failed)?;
    Ok(row.and_then(|(version,)| version).unwrap_or(0))
}

/// Changes tables while no other node does.
async fn migrate(session: &Session, keyspace: &str, from: i32, shared: bool) -> Result<()> {
    let lock = format!(
        "INSERT INTO {keyspace}.versions (name, holder) VALUES ('lock', 'sotto') IF NOT EXISTS USING TTL {LOCK_SECONDS}"
    );
    while !super::applied(session.query_unpaged(lock.as_str(), ()).await.map_err(failed)?)? {
        if version(session, keyspace).await? == VERSION {
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
    let from = version(session, keyspace).await?.max(from) as usize;
    tracing::info!(keyspace, from, to = VERSION, "bringing tables up to date");
    for (own, shared_too) in tables(keyspace).into_iter().zip(shared_tables(keyspace)).skip(from) {
        for statement in own.iter().chain(shared.then_some(&shared_too).into_iter().flatten()) {
            execute(session, statement).await?;
        }
    }
    execute(session, &format!("UPDATE {keyspace}.versions SET version = {VERSION} WHERE name = 'version'")).await?;
    execute(session, &format!("DELETE FROM {keyspace}.versions WHERE name = 'lock' IF EXISTS")).await
}

async fn execute(session: &Session, statement: &str) -> Result<()> {
    session.query_unpaged(statement, ()).await.map(drop).map_err(failed)
}
