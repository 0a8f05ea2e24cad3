//! The prepared statements of one keyspace.

use scylla::{client::session::Session, statement::prepared::PreparedStatement};
use sotto_events::RetentionClass;

use super::{failed, schema::events_table};
use crate::Result;

/// Rows of a call in one partition: 4 MB at 1 KB a row. A call of 24 hours has some 60 thousand rows in 15 partitions.
pub(super) const BUCKET: u64 = 4_096;

/// Statements on the events of one class.
pub(super) struct Events {
    pub insert: PreparedStatement,
    pub read: PreparedStatement,
    pub count: PreparedStatement,
    pub erase: PreparedStatement,
}

/// Statements on calls and their events.
pub(super) struct Tables {
    pub make_call: PreparedStatement,
    pub call: PreparedStatement,
    pub end_call: PreparedStatement,
    pub erase_call: PreparedStatement,
    pub forget_call: PreparedStatement,
    pub forget_husk: PreparedStatement,
    pub keep_metadata: PreparedStatement,
    pub metadata: PreparedStatement,
    pub erase_metadata: PreparedStatement,
    pub move_on: PreparedStatement,
    pub progress: PreparedStatement,
    pub list_call: PreparedStatement,
    pub list_hour: PreparedStatement,
    pub hours: PreparedStatement,
    pub calls_of_hour: PreparedStatement,
    pub state: PreparedStatement,
    pub change_state: PreparedStatement,
    pub hold_call: PreparedStatement,
    pub held_call: PreparedStatement,
    pub count_held: PreparedStatement,
    pub held_times: PreparedStatement,
    pub drop_held_call: PreparedStatement,
    pub hold_event: PreparedStatement,
    pub held_events: PreparedStatement,
    pub drop_held_events: PreparedStatement,
    events: [Events; RetentionClass::ALL.len()],
}

/// Statements of the shared keyspace.
pub(super) struct Shared {
    pub keep_tenant_key: PreparedStatement,
    pub tenant_key: PreparedStatement,
    pub any_tenant_key: PreparedStatement,
    pub open: PreparedStatement,
    pub close: PreparedStatement,
    pub open_calls: PreparedStatement,
    pub copy_later: PreparedStatement,
    pub to_copy: PreparedStatement,
    pub copied: PreparedStatement,
    pub mark_hour: PreparedStatement,
    pub oldest_hour: PreparedStatement,
}

/// A statement that may run twice.
async fn prepare(session: &Session, statement: String) -> Result<PreparedStatement> {
    let mut prepared = session.prepare(statement).await.map_err(failed)?;
    prepared.set_is_idempotent(true);
    Ok(prepared)
}

/// A lightweight transaction: its answer counts, so the driver does not repeat it by itself.
async fn transaction(session: &Session, statement: String) -> Result<PreparedStatement> {
    session.prepare(statement).await.map_err(failed)
}

impl Tables {
    pub async fn prepare(session: &Session, keyspace: &str) -> Result<Self> {
        let of = "WHERE tenant = ? AND call = ?";
        let mut events = Vec::with_capacity(RetentionClass::ALL.len());
        for class in RetentionClass::ALL {
            let table = format!("{keyspace}.{}", events_table(class));
            let of = "WHERE tenant = ? AND call = ? AND bucket = ?";
            events.push(Events {
                insert: prepare(
                    session,
                    format!(
                        "INSERT INTO {table} (tenant, call, bucket, seq, kind, sealed, expires_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?"
                    ),
                )
                .await?,
                read: prepare(
                    session,
                    format!("SELECT seq, kind, sealed, expires_at FROM {table} {of} AND seq > ? LIMIT ?"),
                )
                .await?,
                count: prepare(session, format!("SELECT count(*) FROM {table} {of}")).await?,
                erase: prepare(session, format!("DELETE FROM {table} USING TIMESTAMP ? {of}")).await?,
            });
        }
        let Ok(events) = <[Events; RetentionClass::ALL.len()]>::try_from(events) else {
            unreachable!("one for each class was made")
        };
        Ok(Self {
            make_call: transaction(
                session,
                format!(
                    "INSERT INTO {keyspace}.calls (tenant, call, state, dialect, format, created_at, expires_at, \
                     wrapped_key) VALUES (?, ?, 0, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?"
                ),
            )
            .await?,
            call: prepare(
                session,
                format!(
                    "SELECT state, dialect, format, created_at, ended_at, expires_at, wrapped_key \
                     FROM {keyspace}.calls {of}"
                ),
            )
            .await?,
            end_call: transaction(
                session,
                format!(
                    "UPDATE {keyspace}.calls USING TTL ? SET state = ?, ended_at = ?, expires_at = ?, dialect = ?, \
                     format = ?, created_at = ?, wrapped_key = ? {of} IF state = ?"
                ),
            )
            .await?,
            erase_call: transaction(
                session,
                format!(
                    "UPDATE {keyspace}.calls USING TTL ? SET state = 2, wrapped_key = null {of} IF state IN (0, 1, 2)"
                ),
            )
            .await?,
            forget_call: transaction(session, format!("DELETE FROM {keyspace}.calls {of} IF created_at = ?")).await?,
            // what is left of a row whose columns have all expired but whose making has not
            forget_husk: transaction(session, format!("DELETE FROM {keyspace}.calls {of} IF state = null")).await?,
            keep_metadata: prepare(
                session,
                format!(
                    "INSERT INTO {keyspace}.metadata (tenant, call, key_id, sealed, expires_at) \
                     VALUES (?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?"
                ),
            )
            .await?,
            metadata: prepare(
                session,
                format!("SELECT sealed, expires_at FROM {keyspace}.metadata {of} AND key_id = ?"),
            )
            .await?,
            erase_metadata: prepare(session, format!("DELETE FROM {keyspace}.metadata USING TIMESTAMP ? {of}")).await?,
            move_on: prepare(
                session,
                format!(
                    "INSERT INTO {keyspace}.progress (tenant, call, created_at, seq, safe, expires_at) \
                     VALUES (?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?"
                ),
            )
            .await?,
            progress: prepare(
                session,
                format!("SELECT created_at, seq, safe, expires_at FROM {keyspace}.progress {of}"),
            )
            .await?,
            list_call: prepare(
                session,
                format!(
                    "INSERT INTO {keyspace}.calls_by_hour (tenant, hour, created_at, call) VALUES (?, ?, ?, ?) \
                     USING TTL ?"
                ),
            )
            .await?,
            list_hour: prepare(
                session,
                format!("INSERT INTO {keyspace}.call_hours (tenant, hour) VALUES (?, ?) USING TTL ?"),
            )
            .await?,
            hours: prepare(
                session,
                format!("SELECT hour FROM {keyspace}.call_hours WHERE tenant = ? AND hour <= ? LIMIT ?"),
            )
            .await?,
            calls_of_hour: prepare(
                session,
                format!(
                    "SELECT created_at, call FROM {keyspace}.calls_by_hour WHERE tenant = ? AND hour = ? \
                     AND (created_at, call) < (?, ?) LIMIT ?"
                ),
            )
            .await?,
            state: prepare(session, format!("SELECT state FROM {keyspace}.calls {of}")).await?,
            change_state: transaction(
                session,
                format!("UPDATE {keyspace}.calls USING TTL ? SET state = ? {of} IF state = ?"),
            )
            .await?,
            hold_call: prepare(
                session,
                format!(
                    "INSERT INTO {keyspace}.held_calls (tenant, call, held_at, state, dialect, format, created_at, \
                     ended_at, expires_at, wrapped_key, metadata, metadata_expires_at, seq, safe) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
                ),
            )
            .await?,
            held_call: prepare(
                session,
                format!(
                    "SELECT held_at, state, dialect, format, created_at, ended_at, expires_at, wrapped_key, metadata, \
                     metadata_expires_at, seq, safe FROM {keyspace}.held_calls {of}"
                ),
            )
            .await?,
            count_held: prepare(session, format!("SELECT count(*) FROM {keyspace}.held_calls WHERE tenant = ?"))
                .await?,
            held_times: prepare(session, format!("SELECT created_at FROM {keyspace}.held_calls WHERE tenant = ?"))
                .await?,
            drop_held_call: prepare(session, format!("DELETE FROM {keyspace}.held_calls USING TIMESTAMP ? {of}"))
                .await?,
            hold_event: prepare(
                session,
                format!(
                    "INSERT INTO {keyspace}.held_events (tenant, call, bucket, seq, class, kind, sealed, expires_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
                ),
            )
            .await?,
            held_events: prepare(
                session,
                format!(
                    "SELECT seq, class, kind, sealed, expires_at FROM {keyspace}.held_events {of} AND bucket = ? \
                     AND seq > ? LIMIT ?"
                ),
            )
            .await?,
            drop_held_events: prepare(
                session,
                format!("DELETE FROM {keyspace}.held_events USING TIMESTAMP ? {of} AND bucket = ?"),
            )
            .await?,
            events,
        })
    }

    pub fn events(&self, class: RetentionClass) -> &Events {
        &self.events[class as usize]
    }
}

impl Shared {
    pub async fn prepare(session: &Session, keyspace: &str) -> Result<Self> {
        Ok(Self {
            keep_tenant_key: transaction(
                session,
                format!("INSERT INTO {keyspace}.tenant_keys (tenant, wrapped) VALUES (?, ?) IF NOT EXISTS"),
            )
            .await?,
            tenant_key: prepare(session, format!("SELECT wrapped FROM {keyspace}.tenant_keys WHERE tenant = ?"))
                .await?,
            any_tenant_key: prepare(session, format!("SELECT tenant FROM {keyspace}.tenant_keys LIMIT 1")).await?,
            open: prepare(
                session,
                format!("INSERT INTO {keyspace}.open_calls (shard, tenant, call) VALUES (?, ?, ?) USING TTL ?"),
            )
            .await?,
            close: prepare(
                session,
                format!("DELETE FROM {keyspace}.open_calls WHERE shard = ? AND tenant = ? AND call = ?"),
            )
            .await?,
            open_calls: prepare(session, format!("SELECT tenant, call FROM {keyspace}.open_calls WHERE shard = ?"))
                .await?,
            copy_later: prepare(
                session,
                format!("INSERT INTO {keyspace}.to_copy (shard, tenant, call, held_at) VALUES (0, ?, ?, ?)"),
            )
            .await?,
            to_copy: prepare(session, format!("SELECT tenant, call, held_at FROM {keyspace}.to_copy WHERE shard = 0"))
                .await?,
            copied: prepare(
                session,
                format!("DELETE FROM {keyspace}.to_copy WHERE shard = 0 AND tenant = ? AND call = ?"),
            )
            .await?,
            mark_hour: prepare(
                session,
                format!("INSERT INTO {keyspace}.class_hours (class, hour, until) VALUES (?, ?, ?) USING TTL ?"),
            )
            .await?,
            oldest_hour: prepare(session, format!("SELECT hour FROM {keyspace}.class_hours WHERE class = ? LIMIT 1"))
                .await?,
        })
    }
}
