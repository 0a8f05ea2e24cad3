//! The vault in ScyllaDB, or in Cassandra, which speaks the same protocol. Rows expire by `USING TTL`; reads and writes
//! touch single partitions, at `LOCAL_QUORUM`.

mod holds;
mod schema;
mod settings;
mod tables;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt, TryStreamExt,
    future::{BoxFuture, try_join, try_join3},
    stream,
};
use openssl::{
    error::ErrorStack,
    ssl::{SslConnector, SslMethod, SslVersion},
    x509::{X509, store::X509StoreBuilder},
};
use scylla::{
    DeserializeRow as Columns,
    client::{
        execution_profile::ExecutionProfile,
        session::{OpenSsl010Config, Session},
        session_builder::SessionBuilder,
    },
    deserialize::row::DeserializeRow,
    frame::types::{Consistency, SerialConsistency},
    policies::{
        load_balancing::DefaultPolicy, retry::DefaultRetryPolicy,
        speculative_execution::SimpleSpeculativeExecutionPolicy,
    },
    response::query_result::QueryResult,
    serialize::row::SerializeRow,
    statement::prepared::PreparedStatement,
    value::{CqlValue, Row},
};
use sha2::{Digest, Sha256};
use sotto_events::{CallId, Clock, RetentionClass, SafePoint, TenantId, Timestamp};
use tokio::sync::OnceCell;

use self::tables::{BUCKET, Shared, Tables};
use super::{CallRow, CallState, EventRow, Swept, Vault};
use crate::{
    Result, StorageError, StorageMetrics,
    bus::{CallKey, Delivered, Record},
    metrics::Retries,
};

pub use self::settings::{ScyllaSettings, Tls};

/// Rows written, or calls read, at once for one request.
const AT_ONCE: usize = 64;
/// How long one statement may take, tried again and all.
const PATIENCE: Duration = Duration::from_secs(5);
/// When one node has not answered, another is asked as well.
const SPECULATE: Duration = Duration::from_millis(100);
/// How often a call that others make and unmake at the same time is tried to be made.
const TRIES: usize = 8;
/// Partitions of the list of open calls.
const SHARDS: u8 = 16;
/// A call's own row outlives its data by this much while it is open, so that a call on air outlives its retention. Calls
/// last a day at most. When it ends, its row gets the time that is due.
const ON_AIR_SLACK_SECONDS: u64 = 2 * 86_400;
const HOUR_MILLIS: i64 = 3_600_000;
/// Hours looked through for one page of calls, at once.
const HOURS: i32 = 500;

/// ScyllaDB as a vault.
pub struct ScyllaVault {
    session: Session,
    settings: ScyllaSettings,
    clock: Arc<dyn Clock>,
    shared: Shared,
    tables: Arc<Tables>,
    own: HashMap<TenantId, OnceCell<Arc<Tables>>>,
    /// Hours of classes that are marked already: (class, hour, until). Only those of the hour that runs.
    marked: Mutex<HashSet<(RetentionClass, i32, i32)>>,
    retries: Retries,
}

fn failed(error: impl Error) -> StorageError {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        source = cause.source();
    }
    StorageError::Vault(why)
}

/// Whether a lightweight transaction was applied: always the first column of its answer.
fn applied(result: QueryResult) -> Result<bool> {
    let rows = result.into_rows_result().map_err(failed)?;
    let row: Option<Row> = rows.maybe_first_row().map_err(failed)?;
    match row.as_ref().and_then(|row| row.columns.first()) {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        _ => Err(StorageError::Vault("a transaction gave no answer".to_owned())),
    }
}

fn damaged(error: impl std::fmt::Display) -> StorageError {
    StorageError::Vault(format!("a row cannot be read: {error}"))
}

/// Seconds that something lives which dies at `expires_at`; none when it is over.
fn ttl(expires_at: Timestamp, now: Timestamp) -> Option<i32> {
    let left = expires_at.0.saturating_sub(now.0);
    (left > 0).then(|| i32::try_from((left + 999) / 1000).unwrap_or(i32::MAX))
}

const fn hour(at: Timestamp) -> i32 {
    at.0.div_euclid(HOUR_MILLIS) as i32
}

fn shard(tenant: &TenantId, call: &CallId) -> i8 {
    let hash = Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(call.as_str()).finalize();
    (hash[0] % SHARDS) as i8
}

/// A tenant's own keyspace. Tenants' names hold characters that those of keyspaces may not.
fn keyspace_of(shared: &str, tenant: &TenantId) -> String {
    let hash = Sha256::digest(tenant.as_str());
    let digits: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{shared}_{digits}")
}

/// Names one wrapping of a call's key: two nodes that make the same call at once keep two pieces of metadata, of which
/// the row of the call tells the right one.
fn key_id(wrapped: &[u8]) -> Vec<u8> {
    Sha256::digest(wrapped)[..8].to_vec()
}

fn bucket(seq: u64) -> i32 {
    i32::try_from(seq / BUCKET).unwrap_or(i32::MAX)
}

/// Rows of events carry the time of their record, so that an erasure, which is later, always wins.
const fn micros(at: Timestamp) -> i64 {
    at.0.saturating_mul(1000)
}

/// The timestamp of how far a call is: that of a record that comes late or again is smaller, and changes nothing.
fn reached(record: &Record) -> i64 {
    micros(record.created_at).saturating_add(record.progress() as i64)
}

/// Trusts that authority alone.
fn tls(settings: &Tls) -> Result<Option<OpenSsl010Config>> {
    let (true, Some(authority)) = (settings.enabled, &settings.authority) else { return Ok(None) };
    let problem = |why: String| StorageError::Vault(format!("authority {}: {why}", authority.display()));
    let pem = std::fs::read(authority).map_err(|error| problem(error.to_string()))?;
    let build = || -> std::result::Result<_, ErrorStack> {
        let (certificates, mut trusted) = (X509::stack_from_pem(&pem)?, X509StoreBuilder::new()?);
        let count = certificates.len();
        for certificate in certificates {
            trusted.add_cert(certificate)?;
        }
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_cert_store(trusted.build());
        Ok((count, builder))
    };
    match build().map_err(|error| problem(error.to_string()))? {
        (0, _) => Err(problem("there is no certificate in it".to_owned())),
        (_, builder) => Ok(Some(OpenSsl010Config::new(builder))),
    }
}

/// The row of a call.
#[derive(Columns)]
struct Header {
    state: Option<i8>,
    dialect: Option<String>,
    format: Option<String>,
    created_at: Option<i64>,
    ended_at: Option<i64>,
    expires_at: Option<i64>,
    wrapped_key: Option<Vec<u8>>,
}

#[derive(Columns)]
struct Progress {
    created_at: i64,
    seq: i64,
    safe: String,
    expires_at: i64,
}

#[derive(Columns)]
struct Event {
    seq: i64,
    kind: String,
    sealed: Vec<u8>,
    expires_at: i64,
}

impl ScyllaVault {
    /// Connects, makes or checks the tables, prepares the statements.
    ///
    /// # Errors
    /// When no node answers or the tables are not as they must be.
    pub async fn open(settings: &ScyllaSettings, clock: Arc<dyn Clock>, metrics: &StorageMetrics) -> Result<Self> {
        let session = connect(settings).await?;
        let keyspace = &settings.keyspace;
        schema::prepare(&session, settings, keyspace, true).await?;
        let shared = Shared::prepare(&session, keyspace).await?;
        let tables = Arc::new(Tables::prepare(&session, keyspace).await?);
        let own = settings.own_keyspaces.iter().map(|tenant| (tenant.clone(), OnceCell::new())).collect();
        let (settings, retries) = (settings.clone(), metrics.retries("cql"));
        Ok(Self { session, settings, clock, shared, tables, own, marked: Mutex::default(), retries })
    }

    async fn tables(&self, tenant: &TenantId) -> Result<Arc<Tables>> {
        let Some(own) = self.own.get(tenant) else { return Ok(Arc::clone(&self.tables)) };
        let prepare = async || {
            let keyspace = keyspace_of(&self.settings.keyspace, tenant);
            schema::prepare(&self.session, &self.settings, &keyspace, false).await?;
            Ok(Arc::new(Tables::prepare(&self.session, &keyspace).await?))
        };
        own.get_or_try_init(prepare).await.cloned()
    }

    async fn run(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<()> {
        self.session.execute_unpaged(statement, values).await.map(drop).map_err(failed)
    }

    async fn try_run(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<bool> {
        applied(self.session.execute_unpaged(statement, values).await.map_err(failed)?)
    }

    async fn rows<R: for<'r> DeserializeRow<'r, 'r>>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>> {
        let rows = self.session.execute_unpaged(statement, values).await.map_err(failed)?;
        let rows = rows.into_rows_result().map_err(failed)?;
        rows.rows::<R>().map_err(failed)?.map(|row| row.map_err(failed)).collect()
    }

    async fn first<R: for<'r> DeserializeRow<'r, 'r>>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<R>> {
        Ok(self.rows(statement, values).await?.pop())
    }

    /// A call as kept, expired or not.
    async fn find(&self, tenant: &TenantId, call: &CallId) -> Result<Option<CallRow>> {
        let tables = self.tables(tenant).await?;
        let of = (tenant.as_str(), call.as_str());
        let header = self.first::<Header>(&tables.call, of);
        let progress = self.first::<Progress>(&tables.progress, of);
        let (header, progress) = try_join(header, progress).await?;
        let Some(Header { state: Some(state), dialect, format, created_at, ended_at, expires_at, wrapped_key }) =
            header
        else {
            return self.held((tenant, call)).await;
        };
        let (Some(dialect), Some(format), Some(created_at), Some(expires_at)) =
            (dialect, format, created_at, expires_at)
        else {
            // its columns die within the same second, but not at once
            return self.held((tenant, call)).await;
        };
        // what is left of an earlier call of this id is not this one's
        let progress = progress.filter(|progress| progress.created_at == created_at);
        let held = if matches!(state, 3 | 4) { self.held((tenant, call)).await? } else { None };
        let copied = held.as_ref().and_then(|held| held.metadata.clone());
        let metadata = match &wrapped_key {
            Some(_) if copied.is_some() => copied,
            Some(wrapped) => {
                let row = (tenant.as_str(), call.as_str(), key_id(wrapped));
                let found = self.first::<(Vec<u8>, i64)>(&tables.metadata, row).await?;
                found.map(|(sealed, expires_at)| (sealed, Timestamp(expires_at)))
            }
            None => None,
        };
        let safe: Vec<SafePoint> = match &progress {
            Some(progress) => serde_json::from_str(&progress.safe)?,
            None => Vec::new(),
        };
        // what is held is held from its copy on; until that is there, from its beginning
        let held_at = matches!(state, 3 | 4).then(|| held.as_ref().and_then(|held| held.held_at));
        let held_at = held_at.map(|since| since.unwrap_or(Timestamp(created_at)));
        let last = progress.as_ref().map_or(0, |progress| progress.expires_at);
        Ok(Some(CallRow {
            tenant: tenant.clone(),
            call: call.clone(),
            state: match state {
                0 | 3 => CallState::Open,
                1 | 4 => CallState::Ended,
                _ => CallState::Erased,
            },
            dialect,
            format: serde_json::from_str(&format)?,
            created_at: Timestamp(created_at),
            ended_at: ended_at.map(Timestamp),
            expires_at: Timestamp(expires_at.max(last)),
            wrapped_key,
            metadata,
            seq: progress.map_or(0, |progress| progress.seq as u64).max(held.map_or(0, |held| held.seq)),
            safe,
            held_at,
        }))
    }

    /// The same, as it is to be seen at `now`.
    async fn visible(&self, tenant: &TenantId, call: &CallId, now: Timestamp) -> Result<Option<CallRow>> {
        let mut row = self.find(tenant, call).await?;
        if let Some(row) = &mut row {
            let held = row.held_at.is_some();
            row.metadata.take_if(|(_, expires_at)| *expires_at <= now && !held);
        }
        Ok(row.filter(|row| row.expires_at > now || row.state == CallState::Open || row.held_at.is_some()))
    }

    async fn insert(&self, row: &CallRow) -> Result<bool> {
        let tables = self.tables(&row.tenant).await?;
        let (tenant, call) = (row.tenant.as_str(), row.call.as_str());
        let now = self.clock.now();
        let lives = ttl(row.expires_at.plus_seconds(ON_AIR_SLACK_SECONDS), now).unwrap_or(1);
        let at = hour(row.created_at);
        // the lists first: an entry without a call is passed over, a call without one would never be found
        self.run(&tables.list_hour, (tenant, at, lives)).await?;
        self.run(&tables.list_call, (tenant, at, row.created_at.0, call, lives)).await?;
        self.run(&self.shared.open, (shard(&row.tenant, &row.call), tenant, call, lives)).await?;
        if let (Some((sealed, expires_at)), Some(wrapped)) = (&row.metadata, &row.wrapped_key)
            && let Some(lives) = ttl(*expires_at, now)
        {
            let values = (tenant, call, key_id(wrapped), sealed, expires_at.0, lives, micros(row.created_at));
            self.run(&tables.keep_metadata, values).await?;
            self.mark(RetentionClass::Personal, row.created_at, *expires_at).await?;
        }
        let format = serde_json::to_string(&row.format)?;
        let values = (tenant, call, &row.dialect, &format, row.created_at.0, row.expires_at.0, &row.wrapped_key, lives);
        self.try_run(&tables.make_call, values).await
    }

    async fn make(&self, row: CallRow) -> Result<Option<CallRow>> {
        let tables = self.tables(&row.tenant).await?;
        for _ in 0..TRIES {
            if let Some(found) = self.find(&row.tenant, &row.call).await? {
                if found.wrapped_key.is_some() && found.wrapped_key == row.wrapped_key {
                    // an earlier try of this very request came through
                    return Ok(None);
                }
                let lives = found.expires_at > row.created_at || found.held_at.is_some();
                if found.state == CallState::Open || lives {
                    return Ok(Some(found));
                }
                // one that has expired but is not yet gone gives its id free
                let values = (row.tenant.as_str(), row.call.as_str(), found.created_at.0);
                self.try_run(&tables.forget_call, values).await?;
                self.drop_copy(&found).await?;
            }
            if self.insert(&row).await? {
                return Ok(None);
            }
            // another was quicker, or there is what is left of one that expired
            self.try_run(&tables.forget_husk, (row.tenant.as_str(), row.call.as_str())).await?;
        }
        Err(StorageError::Vault("a call was made and unmade by others again and again".to_owned()))
    }

    /// Writes the records of one call: their rows in any order, then how far the last of them is.
    async fn write_call(&self, records: Vec<Record>) -> Result<()> {
        let Some(last) = records.last() else { return Ok(()) };
        let now = self.clock.now();
        let tables = self.tables(&last.tenant).await?;
        let (tenant, call) = (last.tenant.as_str(), last.call.as_str());
        let mut events = Vec::new();
        for record in &records {
            events.extend(record.events.iter().map(|event| (record, event)));
        }
        let mut rows = Vec::with_capacity(events.len());
        for (record, event) in &events {
            let Some(lives) = ttl(event.expires_at, now) else { continue };
            let statement = &tables.events(event.class).insert;
            let (place, seq, at) = (bucket(event.seq), event.seq as i64, micros(record.at));
            let values = (tenant, call, place, seq, &event.kind, &event.sealed, event.expires_at.0, lives, at);
            rows.push(async move { self.run(statement, values).await });
        }
        stream::iter(rows).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        for (record, event) in &events {
            self.mark(event.class, record.at, event.expires_at).await?;
        }
        // one that came late among them moves nothing
        let mut furthest = last;
        for record in &records {
            furthest = if reached(record) > reached(furthest) { record } else { furthest };
        }
        self.move_on(&tables, furthest, now).await?;
        if let Some(record) = records.iter().find(|record| record.ended) {
            self.end(&tables, record, now).await?;
        }
        Ok(())
    }

    /// Only once its rows are there: whoever resumes from it must find them.
    async fn move_on(&self, tables: &Tables, record: &Record, now: Timestamp) -> Result<()> {
        let mut last = record.events.iter().map(|event| event.expires_at).max().unwrap_or(record.at);
        if record.ended {
            // those before may live longer
            let of = (record.tenant.as_str(), record.call.as_str());
            let header = self.first::<Header>(&tables.call, of).await?;
            last = last.max(Timestamp(header.and_then(|header| header.expires_at).unwrap_or(0)));
        }
        let lives = if record.ended { ttl(last, now) } else { ttl(last.plus_seconds(ON_AIR_SLACK_SECONDS), now) };
        let Some(lives) = lives else { return Ok(()) };
        let safe = serde_json::to_string(&record.safe)?;
        let at = reached(record);
        let (tenant, call) = (record.tenant.as_str(), record.call.as_str());
        let values = (tenant, call, record.created_at.0, record.seq as i64, &safe, last.0, lives, at);
        self.run(&tables.move_on, values).await
    }

    /// The call's row gets the time that is due.
    async fn end(&self, tables: &Tables, record: &Record, now: Timestamp) -> Result<()> {
        let Some(row) = self.find(&record.tenant, &record.call).await? else { return Ok(()) };
        let (tenant, call) = (record.tenant.as_str(), record.call.as_str());
        let late = row.state != CallState::Open || row.created_at != record.created_at;
        if !late && let Some(lives) = ttl(row.expires_at, now) {
            let format = serde_json::to_string(&row.format)?;
            let (ended, expires) = (record.at.0, row.expires_at.0);
            let (created, key) = (row.created_at.0, &row.wrapped_key);
            let (from, to): (i8, i8) = if row.held_at.is_some() { (3, 4) } else { (0, 1) };
            let values = (lives, to, ended, expires, &row.dialect, &format, created, key, tenant, call, from);
            if !self.try_run(&tables.end_call, values).await? {
                // held or released at this moment
                return Box::pin(self.end(tables, record, now)).await;
            }
        }
        if row.held_at.is_some() {
            self.copy_ended(&record.tenant, &record.call).await?;
        }
        self.run(&self.shared.close, (shard(&record.tenant, &record.call), tenant, call)).await
    }

    /// Notes that a class has rows of this hour, and until when.
    async fn mark(&self, class: RetentionClass, at: Timestamp, expires_at: Timestamp) -> Result<()> {
        let until = hour(expires_at) + 1;
        let mark = (class, hour(at), until);
        {
            let mut marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
            if marked.contains(&mark) {
                return Ok(());
            }
            marked.retain(|(_, hour, _)| *hour == mark.1);
        }
        let Some(lives) = ttl(expires_at, self.clock.now()) else { return Ok(()) };
        self.run(&self.shared.mark_hour, (class.name(), mark.1, until, lives.saturating_add(3_600))).await?;
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).insert(mark);
        Ok(())
    }

    async fn page(
        &self,
        (tenant, call): CallKey<'_>,
        after: u64,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<EventRow>> {
        let tables = self.tables(tenant).await?;
        let progress = self.first::<Progress>(&tables.progress, (tenant.as_str(), call.as_str()));
        let (progress, held) = try_join(progress, self.held((tenant, call))).await?;
        let last = progress.map(|progress| progress.seq as u64).max(held.as_ref().map(|held| held.seq));
        let Some(last) = last else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let most = i32::try_from(limit).unwrap_or(i32::MAX);
        for bucket in bucket(after + 1)..=bucket(last) {
            let of_class = |class: RetentionClass| {
                let (tables, values) = (&tables, (tenant.as_str(), call.as_str(), bucket, after as i64, most));
                async move {
                    let rows = self.rows::<Event>(&tables.events(class).read, values).await?;
                    Ok::<_, StorageError>(rows.into_iter().map(move |row| event_row(row, class)).collect::<Vec<_>>())
                }
            };
            let [first, second, third] = RetentionClass::ALL.map(of_class);
            let (first, second, third) = try_join3(first, second, third).await?;
            let from = found.len();
            let living = [first, second, third].into_iter().flatten();
            if held.is_some() {
                found.extend(living);
                found.extend(self.held_events((tenant, call), (bucket, after, most)).await?);
            } else {
                found.extend(living.filter(|row| row.expires_at > now));
            }
            // those behind it are being written, in any order: given out now, one would hide what comes before it
            found.retain(|row| row.seq <= last);
            found[from..].sort_by_key(|row| row.seq);
            found.dedup_by_key(|row| row.seq);
            if found.len() >= limit {
                found.truncate(limit);
                break;
            }
        }
        Ok(found)
    }

    async fn list(
        &self,
        tenant: &TenantId,
        before: Option<(Timestamp, CallId)>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<CallRow>> {
        let tables = self.tables(tenant).await?;
        let (time, name) = before.map_or((i64::MAX, String::new()), |(time, call)| (time.0, call.to_string()));
        let mut from = hour(Timestamp(time));
        if time == i64::MAX {
            from = i32::MAX;
        }
        let most = i32::try_from(limit).unwrap_or(i32::MAX);
        let held = self.held_hours(tenant).await?;
        let mut found: Vec<CallRow> = Vec::new();
        loop {
            let hours = self.rows::<(i32,)>(&tables.hours, (tenant.as_str(), from, HOURS)).await?;
            let mut hours: Vec<i32> = hours.into_iter().map(|(hour,)| hour).collect();
            let last = hours.last().copied().filter(|_| hours.len() == HOURS as usize);
            hours.extend(held.iter().filter(|hour| **hour <= from && last.is_none_or(|last| **hour >= last)));
            hours.sort_unstable_by(|one, other| other.cmp(one));
            hours.dedup();
            for hour in hours {
                let mut place = (time, name.clone());
                loop {
                    let values = (tenant.as_str(), hour, place.0, place.1.as_str(), most);
                    let listed = self.rows::<(i64, String)>(&tables.calls_of_hour, values).await?;
                    let Some(last) = listed.last().cloned() else { break };
                    let full = listed.len() >= limit;
                    found.extend(self.listed(tenant, listed, now).await?);
                    if found.len() >= limit {
                        found.truncate(limit);
                        return Ok(found);
                    }
                    if !full {
                        break;
                    }
                    place = last;
                }
            }
            match last {
                Some(last) => from = last - 1,
                None => return Ok(found),
            }
        }
    }

    /// Those of the entries that are calls and may be seen, in the same order.
    async fn listed(&self, tenant: &TenantId, listed: Vec<(i64, String)>, now: Timestamp) -> Result<Vec<CallRow>> {
        let rows = stream::iter(listed).map(|(created_at, call)| async move {
            let call: CallId = call.parse().map_err(damaged)?;
            // an entry of another try to make the call has another time
            let row = self.visible(tenant, &call, now).await?;
            Ok::<_, StorageError>(row.filter(|row| row.created_at.0 == created_at))
        });
        rows.buffered(AT_ONCE).try_filter_map(async |row| Ok(row)).try_collect().await
    }

    async fn all_open(&self) -> Result<Vec<CallRow>> {
        let mut open = Vec::new();
        for shard in 0..SHARDS as i8 {
            let listed = self.rows::<(String, String)>(&self.shared.open_calls, (shard,)).await?;
            let rows = stream::iter(listed).map(|(tenant, call)| async move {
                self.find(&tenant.parse().map_err(damaged)?, &call.parse().map_err(damaged)?).await
            });
            let rows: Vec<CallRow> = rows.buffered(AT_ONCE).try_filter_map(async |row| Ok(row)).try_collect().await?;
            open.extend(rows.into_iter().filter(|row| row.state == CallState::Open));
        }
        Ok(open)
    }

    async fn destroy(&self, tenant: &TenantId, call: &CallId) -> Result<Option<u64>> {
        let Some(row) = self.find(tenant, call).await? else { return Ok(None) };
        if row.held_at.is_some() {
            return Err(StorageError::Held);
        }
        let tables = self.tables(tenant).await?;
        let of = (tenant.as_str(), call.as_str());
        let now = self.clock.now();
        // the key first: from here on nothing opens, whatever fails below
        let lives = ttl(row.expires_at, now).unwrap_or(1);
        if !self.try_run(&tables.erase_call, (lives, of.0, of.1)).await?
            && self.find(tenant, call).await?.is_some_and(|row| row.held_at.is_some())
        {
            return Err(StorageError::Held);
        }
        let at = micros(now) + 999;
        self.run(&tables.erase_metadata, (at, of.0, of.1)).await?;
        let mut rows = 0;
        for bucket in 0..=bucket(row.seq) {
            for class in RetentionClass::ALL {
                let events = tables.events(class);
                let counted = self.first::<(i64,)>(&events.count, (of.0, of.1, bucket)).await?;
                rows += counted.map_or(0, |(count,)| count as u64);
                self.run(&events.erase, (at, of.0, of.1, bucket)).await?;
            }
        }
        // should a release have ended half way
        self.drop_copy(&row).await?;
        self.run(&self.shared.close, (shard(tenant, call), of.0, of.1)).await?;
        Ok(Some(rows))
    }
}

fn event_row(row: Event, class: RetentionClass) -> EventRow {
    let Event { seq, kind, sealed, expires_at } = row;
    EventRow { seq: seq as u64, kind, class, sealed, expires_at: Timestamp(expires_at) }
}

async fn connect(settings: &ScyllaSettings) -> Result<Session> {
    let speculate = SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: SPECULATE };
    let nearest = DefaultPolicy::builder().prefer_datacenter(settings.datacenter.clone()).token_aware(true).build();
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(PATIENCE))
        .load_balancing_policy(nearest)
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .speculative_execution_policy(Some(Arc::new(speculate)))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&settings.nodes)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(PATIENCE)
        .tcp_nodelay(true)
        .tls_context(tls(&settings.tls)?);
    if let (Some(username), Some(password)) = (&settings.username, &settings.password) {
        builder = builder.user(username, password);
    }
    let nodes = settings.nodes.join(", ");
    builder.build().await.map_err(|error| match failed(error) {
        StorageError::Vault(why) => StorageError::Vault(format!("no node answers at {nodes} ({why})")),
        other => other,
    })
}

impl Vault for ScyllaVault {
    fn create(&self, row: CallRow) -> BoxFuture<'_, Result<Option<CallRow>>> {
        Box::pin(self.make(row))
    }

    fn write(&self, records: Vec<Delivered>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut calls: BTreeMap<(TenantId, CallId), Vec<Record>> = BTreeMap::new();
            for Delivered { record, .. } in records {
                calls.entry((record.tenant.clone(), record.call.clone())).or_default().push(record);
            }
            let calls = calls.into_values().map(|records| self.write_call(records));
            let written = stream::iter(calls).buffer_unordered(AT_ONCE).try_collect().await;
            self.retries.up_to(self.session.get_metrics().get_retries_num());
            written
        })
    }

    fn call(&self, tenant: TenantId, call: CallId, now: Timestamp) -> BoxFuture<'_, Result<Option<CallRow>>> {
        Box::pin(async move { self.visible(&tenant, &call, now).await })
    }

    fn calls(
        &self,
        tenant: TenantId,
        before: Option<(Timestamp, CallId)>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CallRow>>> {
        Box::pin(async move { self.list(&tenant, before, limit, now).await })
    }

    fn open_calls(&self) -> BoxFuture<'_, Result<Vec<CallRow>>> {
        Box::pin(self.all_open())
    }

    fn events(
        &self,
        tenant: TenantId,
        call: CallId,
        after: u64,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<EventRow>>> {
        Box::pin(async move { self.page((&tenant, &call), after, limit, now).await })
    }

    fn hold(&self, tenant: TenantId, call: CallId, now: Timestamp) -> BoxFuture<'_, Result<Option<Timestamp>>> {
        Box::pin(async move { self.keep_held(&tenant, &call, now).await })
    }

    fn release(&self, tenant: TenantId, call: CallId) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move { self.let_go(&tenant, &call).await })
    }

    fn erase(&self, tenant: TenantId, call: CallId) -> BoxFuture<'_, Result<Option<u64>>> {
        Box::pin(async move { self.destroy(&tenant, &call).await })
    }

    fn sweep(&self, _now: Timestamp, _limit: usize) -> BoxFuture<'_, Result<Swept>> {
        // rows die by their TTL; what is held of calls on air is copied before
        Box::pin(async { self.copy_all().await.map(|()| Swept::default()) })
    }

    fn oldest(&self, class: RetentionClass) -> BoxFuture<'_, Result<Option<Timestamp>>> {
        Box::pin(async move {
            let found = self.first::<(i32,)>(&self.shared.oldest_hour, (class.name(),)).await?;
            // to the hour: not younger than it says
            Ok(found.map(|(hour,)| Timestamp(i64::from(hour) * HOUR_MILLIS)))
        })
    }

    fn has_keys(&self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async { Ok(self.first::<(String,)>(&self.shared.any_tenant_key, ()).await?.is_some()) })
    }

    fn tenant_key(&self, tenant: TenantId) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            let found = self.first::<(Vec<u8>,)>(&self.shared.tenant_key, (tenant.as_str(),)).await?;
            Ok(found.map(|(wrapped,)| wrapped))
        })
    }

    fn keep_tenant_key(&self, tenant: TenantId, wrapped: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            if self.try_run(&self.shared.keep_tenant_key, (tenant.as_str(), &wrapped)).await? {
                return Ok(wrapped);
            }
            let kept = self.tenant_key(tenant).await?;
            kept.ok_or_else(|| StorageError::Vault("a tenant's key is not there".to_owned()))
        })
    }
}
