//! Holds: rows die by a TTL that nothing lengthens, so what must outlive it is copied to tables without one. The sealed
//! bytes are the same. That a call is held is part of its state, which changes by lightweight transactions only; so a call
//! is either held or erased.

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::DeserializeRow as Columns;
use sotto_events::{CallId, RetentionClass, TenantId, Timestamp};

use super::{
    AT_ONCE, CallRow, CallState, Event, EventRow, ON_AIR_SLACK_SECONDS, ScyllaVault, TRIES, bucket, damaged, event_row,
    hour, ttl,
};
use crate::{Result, StorageError, bus::CallKey, vault::MAX_HOLDS};

/// An hour that has a held call stays in the list of hours for at least this long after its release.
const RELEASED_HOUR_SECONDS: i32 = 500 * 86_400;
/// Rows copied at a time.
const PAGE: i32 = 500;

/// A held call as copied.
#[derive(Columns)]
struct Held {
    held_at: i64,
    state: i8,
    dialect: String,
    format: String,
    created_at: i64,
    ended_at: Option<i64>,
    expires_at: i64,
    wrapped_key: Option<Vec<u8>>,
    metadata: Option<Vec<u8>>,
    metadata_expires_at: Option<i64>,
    seq: i64,
    safe: String,
}

#[derive(Columns)]
struct HeldEvent {
    seq: i64,
    class: String,
    kind: String,
    sealed: Vec<u8>,
    expires_at: i64,
}

impl ScyllaVault {
    /// The copy of a call.
    pub(super) async fn held(&self, (tenant, call): CallKey<'_>) -> Result<Option<CallRow>> {
        let tables = self.tables(tenant).await?;
        let Some(held) = self.first::<Held>(&tables.held_call, (tenant.as_str(), call.as_str())).await? else {
            return Ok(None);
        };
        Ok(Some(CallRow {
            tenant: tenant.clone(),
            call: call.clone(),
            state: if held.state == 0 { CallState::Open } else { CallState::Ended },
            dialect: held.dialect,
            format: serde_json::from_str(&held.format)?,
            created_at: Timestamp(held.created_at),
            ended_at: held.ended_at.map(Timestamp),
            expires_at: Timestamp(held.expires_at),
            wrapped_key: held.wrapped_key,
            metadata: held.metadata.zip(held.metadata_expires_at.map(Timestamp)),
            seq: held.seq as u64,
            safe: serde_json::from_str(&held.safe)?,
            held_at: Some(Timestamp(held.held_at)),
        }))
    }

    pub(super) async fn keep_held(
        &self,
        tenant: &TenantId,
        call: &CallId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let tables = self.tables(tenant).await?;
        let of = (tenant.as_str(), call.as_str());
        // its state may change while this is at it
        let mut tries = 0..TRIES;
        let (row, since) = loop {
            tries.next().ok_or(StorageError::Busy)?;
            let Some(row) = self.visible(tenant, call, now).await? else { return Ok(None) };
            if row.state == CallState::Erased {
                return Err(StorageError::Erased);
            }
            if let Some(since) = row.held_at {
                // once more: an earlier try may have ended half way
                break (row, since);
            }
            let held = self.rows::<(i64,)>(&tables.count_held, (of.0,)).await?;
            if held.first().is_some_and(|(count,)| *count as usize >= MAX_HOLDS) {
                return Err(StorageError::TooManyHolds);
            }
            let Some(lives) = self.lives(&row, now) else { return Ok(None) };
            let (from, to): (i8, i8) = if row.state == CallState::Open { (0, 3) } else { (1, 4) };
            if self.try_run(&tables.change_state, (lives, to, of.0, of.1, from)).await? {
                break (row, now);
            }
        };
        self.run(&tables.list_hour, (of.0, hour(row.created_at), 0)).await?;
        self.run(&tables.list_call, (of.0, hour(row.created_at), row.created_at.0, of.1, 0)).await?;
        if row.state == CallState::Open {
            self.run(&self.shared.hold_open, of).await?;
        }
        self.copy(&CallRow { held_at: Some(since), ..row }).await?;
        Ok(Some(since))
    }

    /// Seconds that the row of a call has left.
    fn lives(&self, row: &CallRow, now: Timestamp) -> Option<i32> {
        let slack = if row.state == CallState::Open { ON_AIR_SLACK_SECONDS } else { 0 };
        ttl(row.expires_at.plus_seconds(slack), now)
    }

    /// Copies what is there of a held call and not yet copied, or is copied again to the same rows.
    pub(super) async fn copy(&self, row: &CallRow) -> Result<()> {
        let tables = self.tables(&row.tenant).await?;
        let (tenant, call) = (row.tenant.as_str(), row.call.as_str());
        for place in 0..=bucket(row.seq) {
            for class in RetentionClass::ALL {
                let mut after = -1;
                loop {
                    let values = (tenant, call, place, after, PAGE);
                    let rows = self.rows::<Event>(&tables.events(class).read, values).await?;
                    let Some(last) = rows.last() else { break };
                    after = last.seq;
                    let full = rows.len() == PAGE as usize;
                    let copies = rows.into_iter().map(|Event { seq, kind, sealed, expires_at }| {
                        let values = (tenant, call, place, seq, class.name(), kind, sealed, expires_at);
                        self.run(&tables.hold_event, values)
                    });
                    stream::iter(copies).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
                    if !full {
                        break;
                    }
                }
            }
        }
        // the call last: who finds it finds its events
        let (metadata, metadata_expires_at) = row.metadata.clone().unzip();
        let held = (
            (tenant, call, row.held_at.map(|at| at.0), i8::from(row.state != CallState::Open)),
            (&row.dialect, serde_json::to_string(&row.format)?, row.created_at.0, row.ended_at.map(|at| at.0)),
            (row.expires_at.0, &row.wrapped_key, metadata, metadata_expires_at.map(|at| at.0)),
            (row.seq as i64, serde_json::to_string(&row.safe)?),
        );
        let ((a, b, c, d), (e, f, g, h), (i, j, k, l), (m, n)) = held;
        self.run(&tables.hold_call, (a, b, c, d, e, f, g, h, i, j, k, l, m, n)).await
    }

    /// Copies what calls on air have come to since.
    pub(super) async fn copy_open(&self) -> Result<()> {
        for (tenant, call) in self.rows::<(String, String)>(&self.shared.held_open, ()).await? {
            let (tenant, call): (TenantId, CallId) = (tenant.parse().map_err(damaged)?, call.parse().map_err(damaged)?);
            match self.find(&tenant, &call).await? {
                Some(row) if row.held_at.is_some() && row.state == CallState::Open => self.copy(&row).await?,
                _ => self.run(&self.shared.held_ended, (tenant.as_str(), call.as_str())).await?,
            }
        }
        Ok(())
    }

    /// Of a held call: what is copied, and what has come since.
    pub(super) async fn held_events(
        &self,
        (tenant, call): CallKey<'_>,
        (place, after, most): (i32, u64, i32),
    ) -> Result<Vec<EventRow>> {
        let tables = self.tables(tenant).await?;
        let values = (tenant.as_str(), call.as_str(), place, after as i64, most);
        let rows = self.rows::<HeldEvent>(&tables.held_events, values).await?;
        let row = |HeldEvent { seq, class, kind, sealed, expires_at }| {
            let class = RetentionClass::ALL.into_iter().find(|known| known.name() == class);
            let class = class.ok_or_else(|| damaged("its class is unknown"))?;
            Ok(event_row(Event { seq, kind, sealed, expires_at }, class))
        };
        rows.into_iter().map(row).collect()
    }

    pub(super) async fn let_go(&self, tenant: &TenantId, call: &CallId) -> Result<bool> {
        let tables = self.tables(tenant).await?;
        let of = (tenant.as_str(), call.as_str());
        let found = self.find(tenant, call).await?.filter(|row| row.held_at.is_some());
        let row = match found {
            Some(row) => row,
            // an earlier try ended half way
            None => match self.held((tenant, call)).await? {
                Some(row) => row,
                None => return Ok(false),
            },
        };
        let now = self.clock.now();
        let lives = self.lives(&row, now).unwrap_or(1);
        let (from, to): (i8, i8) = if row.state == CallState::Open { (3, 0) } else { (4, 1) };
        self.try_run(&tables.change_state, (lives, to, of.0, of.1, from)).await?;
        self.run(&tables.list_hour, (of.0, hour(row.created_at), RELEASED_HOUR_SECONDS)).await?;
        self.run(&tables.list_call, (of.0, hour(row.created_at), row.created_at.0, of.1, lives)).await?;
        for place in 0..=bucket(row.seq) {
            self.run(&tables.drop_held_events, (of.0, of.1, place)).await?;
        }
        self.run(&self.shared.held_ended, of).await?;
        // last: until then another try finds it
        self.run(&tables.drop_held_call, of).await?;
        Ok(true)
    }
}
