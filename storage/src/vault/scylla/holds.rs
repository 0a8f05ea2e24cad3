//! Holds: rows die by a TTL that nothing lengthens, so what must outlive it is copied to tables without one. The sealed
//! bytes are the same. That a call is held is part of its state, which changes by lightweight transactions only; so a call
//! is either held or erased.

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::DeserializeRow as Columns;
use sotto_events::{CallId, RetentionClass, TenantId, Timestamp};

use super::{
    AT_ONCE, CallRow, CallState, Event, EventRow, ON_AIR_SLACK_SECONDS, ScyllaVault, TRIES, bucket, damaged, event_row,
    hour, micros, ttl,
};
use crate::{Result, StorageError, bus::CallKey, vault::MAX_HOLDS};

/// Within this long a hold is made or has failed.
const HOLDING_SECONDS: u64 = 120;
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
        let mut since = now;
        // its state may change while this is at it
        for _ in 0..TRIES {
            let Some(row) = self.visible(tenant, call, now).await? else { return Ok(None) };
            if row.state == CallState::Erased {
                return Err(StorageError::Erased);
            }
            if row.held_at.is_some() {
                // the copy once more: an earlier try may have ended before it
                let copied = self.held((tenant, call)).await?.and_then(|copy| copy.held_at);
                let since = copied.unwrap_or(since);
                self.run(&tables.list_call, (of.0, hour(row.created_at), row.created_at.0, of.1, 0)).await?;
                self.complete(tenant, call, since).await?;
                return Ok(Some(since));
            }
            let held = self.first::<(i64,)>(&tables.count_held, (of.0,)).await?;
            if held.is_some_and(|(count,)| count as usize >= MAX_HOLDS) {
                return Err(StorageError::TooManyHolds);
            }
            let Some(lives) = self.lives(&row, now) else { return Ok(None) };
            // first, so that a sweep makes the copy should this end here
            since = now;
            self.run(&self.shared.copy_later, (of.0, of.1, since.0)).await?;
            let (from, to): (i8, i8) = if row.state == CallState::Open { (0, 3) } else { (1, 4) };
            self.try_run(&tables.change_state, (lives, to, of.0, of.1, from)).await?;
        }
        Err(StorageError::Busy)
    }

    /// Copies what is there of a held call; once it has ended that is all, and nothing more is to be copied.
    async fn complete(&self, tenant: &TenantId, call: &CallId, since: Timestamp) -> Result<()> {
        // before the call is looked up: what was seen earlier never replaces what was seen later
        let at = self.clock.now();
        let Some(row) = self.find(tenant, call).await?.filter(|row| row.held_at.is_some()) else { return Ok(()) };
        let ended = row.state == CallState::Ended;
        self.copy(&CallRow { held_at: Some(since), ..row }, at).await?;
        if ended {
            self.run(&self.shared.copied, (tenant.as_str(), call.as_str())).await?;
        }
        Ok(())
    }

    /// Seconds that the row of a call has left.
    fn lives(&self, row: &CallRow, now: Timestamp) -> Option<i32> {
        let slack = if row.state == CallState::Open { ON_AIR_SLACK_SECONDS } else { 0 };
        ttl(row.expires_at.plus_seconds(slack), now)
    }

    /// Copies a held call as it was seen at `at` and what there is of its events; again to the same rows.
    async fn copy(&self, row: &CallRow, at: Timestamp) -> Result<()> {
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
                        let values = (tenant, call, place, seq, class.name(), kind, sealed, expires_at, micros(at));
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
            tenant,
            call,
            row.held_at.map(|at| at.0),
            i8::from(row.state != CallState::Open),
            &row.dialect,
            serde_json::to_string(&row.format)?,
            row.created_at.0,
            row.ended_at.map(|at| at.0),
            row.expires_at.0,
            &row.wrapped_key,
            metadata,
            metadata_expires_at.map(|at| at.0),
            row.seq as i64,
            serde_json::to_string(&row.safe)?,
            micros(at),
        );
        self.run(&tables.hold_call, held).await
    }

    /// Makes or completes the copies that are not all there: of calls on air, and of holds that ended half way.
    pub(super) async fn copy_all(&self) -> Result<()> {
        for (tenant, call, since) in self.rows::<(String, String, i64)>(&self.shared.to_copy, ()).await? {
            let (tenant, call): (TenantId, CallId) = (tenant.parse().map_err(damaged)?, call.parse().map_err(damaged)?);
            let held = self.find(&tenant, &call).await?.is_some_and(|row| row.held_at.is_some());
            if held {
                let copied = self.held((&tenant, &call)).await?.and_then(|copy| copy.held_at);
                self.complete(&tenant, &call, copied.unwrap_or(Timestamp(since))).await?;
            } else if Timestamp(since).plus_seconds(HOLDING_SECONDS) < self.clock.now() {
                self.run(&self.shared.copied, (tenant.as_str(), call.as_str())).await?;
            }
        }
        Ok(())
    }

    /// Of a held call that has just ended.
    pub(super) async fn copy_ended(&self, tenant: &TenantId, call: &CallId) -> Result<()> {
        let copied = self.held((tenant, call)).await?.and_then(|copy| copy.held_at);
        self.complete(tenant, call, copied.unwrap_or(self.clock.now())).await
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
        for _ in 0..TRIES {
            let found = self.find(tenant, call).await?.filter(|row| row.held_at.is_some());
            let row = match found {
                Some(row) => row,
                // released, but its copy is there: an earlier try ended half way
                None => match self.held((tenant, call)).await? {
                    Some(row) => row,
                    None => return Ok(false),
                },
            };
            let lives = self.lives(&row, self.clock.now()).unwrap_or(1);
            let (from, to): (i8, i8) = if row.state == CallState::Open { (3, 0) } else { (4, 1) };
            let released = self.try_run(&tables.change_state, (lives, to, of.0, of.1, from)).await?;
            let state = self.first::<(Option<i8>,)>(&tables.state, of).await?.and_then(|(state,)| state);
            if !released && matches!(state, Some(3 | 4)) {
                // it ended at this moment
                continue;
            }
            self.run(&tables.list_call, (of.0, hour(row.created_at), row.created_at.0, of.1, lives)).await?;
            self.run(&self.shared.copied, of).await?;
            self.drop_copy(&row).await?;
            return Ok(true);
        }
        Err(StorageError::Busy)
    }

    /// Removes the copy of a call that is not held any more, also what somebody who has not heard of it still copies.
    pub(super) async fn drop_copy(&self, row: &CallRow) -> Result<()> {
        let tables = self.tables(&row.tenant).await?;
        let (tenant, call) = (row.tenant.as_str(), row.call.as_str());
        let at = micros(self.clock.now()) + 999;
        for place in 0..=bucket(row.seq) {
            self.run(&tables.drop_held_events, (at, tenant, call, place)).await?;
        }
        // last: until then another try finds it
        self.run(&tables.drop_held_call, (at, tenant, call)).await
    }

    /// Hours in which calls that are held began: those of a call outlive the list of hours.
    pub(super) async fn held_hours(&self, tenant: &TenantId) -> Result<Vec<i32>> {
        let tables = self.tables(tenant).await?;
        let times = self.rows::<(i64,)>(&tables.held_times, (tenant.as_str(),)).await?;
        Ok(times.into_iter().map(|(at,)| hour(Timestamp(at))).collect())
    }
}
