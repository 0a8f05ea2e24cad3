//! The calls on air: opens, resumes and takes over, and carries what a call gives to storage and back to its caller.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use sotto_access::{ApiKeys, Denied, Purpose};
use sotto_events::{CallId, CallInput, Clock, EndReason, EventBody, Finish, StartedCall, TenantId, Timestamp};
use sotto_ingest::{Calls, OpenCall, OpenRequest, Refusal, Sender, TwilioAccount, Update, port::BoxFuture};
use sotto_pipeline::{CallOutput, CallTask, Engine, PipelineSettings, Resume};
use sotto_storage::{
    CallRecorder, NewCall, OpenedCall, Recorder, StorageError,
    bus::{Live, ON_AIR},
    vault::CallRow,
};
use tokio::{
    sync::{
        broadcast::error::RecvError,
        mpsc::{self, error::TrySendError},
        watch,
    },
    time::interval,
};

use crate::{
    config::Capacity,
    failure::{Failure, failure},
    presence::{BEAT, Elsewhere},
    scorecards::Scorecards,
};

/// Messages of audio a call may have waiting; then its socket is read no further.
const INPUTS: usize = 64;
const OUTPUTS: usize = 16;
/// Updates a caller may have waiting; beyond it partials are dropped, and a missed event ends the socket.
const UPDATES: usize = 256;

type Id = (TenantId, CallId);

fn id(request: &OpenRequest) -> Id {
    (request.sender.tenant.clone(), request.call.clone())
}

/// Whoever is bound to an agent takes up no other agent's call.
fn own(request: &OpenRequest, metadata: &BTreeMap<String, String>) -> bool {
    let agent = || metadata.get("agent").map(|agent| agent.trim().to_lowercase());
    request.sender.agent.is_none() || request.sender.agent == agent()
}

/// A call that someone feeds.
struct OnAir {
    /// Set to stop it, for a takeover.
    stop: watch::Sender<bool>,
    /// Closed when it has stopped.
    done: watch::Receiver<()>,
    /// To park it again, should whoever takes it over fail to.
    request: OpenRequest,
    /// When this node took it up.
    since: Timestamp,
}

#[derive(Default)]
struct Table {
    on_air: HashMap<Id, OnAir>,
    /// Calls whose socket broke. They keep their place.
    parked: HashMap<Id, Parked>,
    parkings: u64,
    /// Calls that other nodes feed.
    elsewhere: Elsewhere,
}

/// A call that waits for its caller.
struct Parked {
    /// Another one for each time, so that an old timer leaves a resumed call alone.
    number: u64,
    request: OpenRequest,
    /// When this node had taken it up.
    since: Timestamp,
    /// Another node's, found open and fed by nobody. It takes no place here.
    found: bool,
}

impl Table {
    fn places(&self) -> usize {
        self.on_air.len() + self.parked.values().filter(|parked| !parked.found).count()
    }

    fn places_of(&self, tenant: &TenantId) -> usize {
        let parked = self.parked.iter().filter(|(_, parked)| !parked.found).map(|(id, _)| id);
        self.on_air.keys().chain(parked).filter(|(owner, _)| owner == tenant).count()
    }

    fn knows(&self, id: &Id) -> bool {
        self.on_air.contains_key(id) || self.parked.contains_key(id)
    }
}

/// Handles to the metrics of the calls.
#[derive(Clone)]
pub struct CallMetrics {
    on_air: IntGauge,
    parked: IntGauge,
    partials_dropped: IntCounter,
    failures: IntCounter,
    /// Times a queue was full, by queue.
    queue_full: IntCounterVec,
}

impl CallMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            on_air: IntGauge::new("sotto_calls_on_air", "Calls that someone feeds.")?,
            parked: IntGauge::new("sotto_calls_parked", "Calls whose socket broke and that wait for their caller.")?,
            partials_dropped: IntCounter::new(
                "sotto_partials_dropped_total",
                "Partials not sent because the client reads too slowly.",
            )?,
            failures: IntCounter::new("sotto_call_failures_total", "Calls that could not go on here.")?,
            queue_full: IntCounterVec::new(
                Opts::new("sotto_call_queue_full_total", "Times a queue between a call and its caller was full."),
                &["queue"],
            )?,
        };
        metrics.queue_full.with_label_values(&["updates"]);
        registry.register(Box::new(metrics.queue_full.clone()))?;
        registry.register(Box::new(metrics.on_air.clone()))?;
        registry.register(Box::new(metrics.parked.clone()))?;
        registry.register(Box::new(metrics.partials_dropped.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        Ok(metrics)
    }
}

/// What the registry works with.
pub struct Parts {
    pub engine: Engine,
    pub recorder: Recorder,
    pub keys: Arc<ApiKeys>,
    pub clock: Arc<dyn Clock>,
    pub pipeline: PipelineSettings,
    /// For tenants that have their own.
    pub pipelines: BTreeMap<TenantId, PipelineSettings>,
    pub capacity: Capacity,
    pub twilio: BTreeMap<String, TwilioAccount>,
    pub scorecards: Arc<Scorecards>,
    pub metrics: CallMetrics,
}

/// The registry. Cheap to clone.
#[derive(Clone)]
pub struct CallRegistry {
    parts: Arc<Parts>,
    table: Arc<Mutex<Table>>,
    draining: Arc<watch::Sender<bool>>,
    /// Tells this node from others.
    node: [u8; 8],
}

impl CallRegistry {
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(parts: Parts) -> Result<Self, Failure> {
        let mut node = [0; 8];
        getrandom::fill(&mut node).map_err(|error| failure(format!("no random numbers: {error}")))?;
        let draining = Arc::new(watch::Sender::new(false));
        Ok(Self { parts: Arc::new(parts), table: Arc::default(), draining, node })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // every change is one insertion or removal, so a panic elsewhere leaves nothing half done
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more calls and asks those on air to leave.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Whether calls are taken.
    pub fn ready(&self) -> bool {
        !*self.draining.borrow()
    }

    /// Whether someone feeds the call at this moment, here or at another node.
    pub fn on_air(&self, tenant: &TenantId, call: &CallId) -> bool {
        let (id, table) = ((tenant.clone(), call.clone()), self.table());
        table.on_air.contains_key(&id) || table.elsewhere.feeds(&id, Instant::now())
    }

    /// Calls on air.
    pub fn count(&self) -> usize {
        self.table().on_air.len()
    }

    /// Calls that were open when the server last stopped, or whose node is gone, wait for their callers like any whose
    /// socket broke.
    pub fn adopt(&self, open: Vec<CallRow>) {
        let shared = self.parts.recorder.is_shared();
        for row in open {
            let id = (row.tenant.clone(), row.call.clone());
            {
                let table = self.table();
                if table.knows(&id) || table.elsewhere.feeds(&id, Instant::now()) {
                    continue;
                }
            }
            let request = OpenRequest {
                sender: Sender { tenant: row.tenant, agent: None },
                call: row.call,
                dialect: "native",
                format: row.format,
                metadata: BTreeMap::new(),
                resume: true,
            };
            self.park(request, shared);
        }
    }

    /// With other nodes: tells them what is on air here, hears it of them, and takes up what nobody feeds. Runs for ever.
    pub async fn keep_company(self) {
        let mut live = self.parts.recorder.watch();
        let mut beat = interval(BEAT);
        let mut look = interval(Duration::from_secs(self.parts.capacity.resume_seconds.max(10)));
        loop {
            tokio::select! {
                _ = beat.tick() => self.announce(),
                _ = look.tick() => match self.parts.recorder.open_calls().await {
                    Ok(open) => self.adopt(open),
                    Err(error) => tracing::warn!(%error, "calls that nobody feeds cannot be looked for now"),
                },
                update = live.recv() => match update {
                    Ok(live) if live.kind == ON_AIR => self.hear(&live),
                    // the next beat tells again
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    fn announce(&self) {
        let mut table = self.table();
        table.elsewhere.forget_silent(Instant::now());
        for (id, on_air) in &table.on_air {
            self.parts.recorder.announce((&id.0, &id.1), on_air.since, &self.node);
        }
    }

    fn hear(&self, live: &Live) {
        if live.sealed == self.node {
            return;
        }
        let id = (live.tenant.clone(), live.call.clone());
        let mut table = self.table();
        let (on_air, parked) = (table.on_air.get(&id), table.parked.get(&id));
        let since = on_air.map(|on_air| on_air.since).max(parked.map(|parked| parked.since));
        // it had the call before this node, and is about to hear of it
        if since.is_some_and(|since| live.seq <= since.0 as u64) {
            return;
        }
        if let Some(on_air) = on_air {
            on_air.stop.send_replace(true);
        }
        table.parked.remove(&id);
        self.parts.metrics.parked.set(table.parked.len() as i64);
        table.elsewhere.hear(id, Instant::now());
    }

    fn park(&self, request: OpenRequest, found: bool) {
        // the server itself gives it up, whoever sent it
        let sender = Sender { agent: None, ..request.sender.clone() };
        let request = OpenRequest { sender, resume: true, ..request };
        let id = id(&request);
        let number = {
            let mut table = self.table();
            table.parkings += 1;
            let number = table.parkings;
            let since = if found { Timestamp::default() } else { self.parts.clock.now() };
            table.parked.insert(id.clone(), Parked { number, request: request.clone(), since, found });
            self.parts.metrics.parked.set(table.parked.len() as i64);
            number
        };
        let registry = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(registry.parts.capacity.resume_seconds)).await;
            let waits = registry.table().parked.get(&id).is_some_and(|parked| parked.number == number);
            if waits {
                registry.give_up(request, found).await;
            }
        });
    }

    /// Ends a call whose caller did not come back.
    async fn give_up(&self, request: OpenRequest, found: bool) {
        if found {
            // every node found it: who is first ends it, and the others see that it is over
            let mut late = [0; 2];
            if let Err(error) = getrandom::fill(&mut late) {
                tracing::debug!(%error, "no random numbers; not waiting");
            }
            tokio::time::sleep(Duration::from_millis(u64::from(u16::from_be_bytes(late)) / 16)).await;
        }
        match self.begin(request).await {
            Ok(mut open) => {
                drop(open.inputs.send(CallInput::Finish(Finish::End(EndReason::Lost))).await);
                while open.updates.recv().await.is_some() {}
            }
            // it is parked again and will be tried again
            Err(refusal) => tracing::warn!(reason = refusal.code(), "a lost call could not be ended now"),
        }
    }

    /// Whether there is room for one more call.
    fn room(&self, table: &Table, tenant: &TenantId) -> Result<(), Refusal> {
        let places = table.places();
        if places >= self.parts.capacity.calls {
            return Err(Refusal::Full);
        }
        if table.places_of(tenant) >= self.parts.capacity.calls_per_tenant {
            return Err(Refusal::TenantFull);
        }
        if self.parts.engine.overloaded(places) { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Reserves the call's place on air, taking it over when that is wanted.
    async fn reserve(&self, id: &Id, request: &OpenRequest) -> Result<(watch::Receiver<bool>, Seat), Refusal> {
        let mut taken_over = None;
        loop {
            let mut done = {
                let mut table = self.table();
                match table.on_air.get(id) {
                    None => {
                        // now that it is about to take its place: others may have come meanwhile
                        if taken_over.is_none() && !table.parked.contains_key(id) {
                            self.room(&table, &id.0)?;
                        }
                        let (stop, stopped) = watch::channel(false);
                        let (alive, done) = watch::channel(());
                        let since = self.parts.clock.now();
                        table.on_air.insert(id.clone(), OnAir { stop, done, request: request.clone(), since });
                        if self.parts.recorder.is_shared() {
                            self.parts.recorder.announce((&id.0, &id.1), since, &self.node);
                        }
                        let parked = table.parked.remove(id).map(|parked| parked.request).or(taken_over);
                        self.parts.metrics.on_air.set(table.on_air.len() as i64);
                        self.parts.metrics.parked.set(table.parked.len() as i64);
                        let seat = Seat { registry: self.clone(), id: id.clone(), parked, _alive: alive };
                        return Ok((stopped, seat));
                    }
                    Some(_) if !request.resume => return Err(Refusal::OnAir),
                    Some(old) => {
                        old.stop.send_replace(true);
                        taken_over = Some(old.request.clone());
                        old.done.clone()
                    }
                }
            };
            // an error means that the other has gone, which is what is waited for
            while done.changed().await.is_ok() {}
        }
    }

    async fn begin(&self, request: OpenRequest) -> Result<OpenCall, Refusal> {
        let id = id(&request);
        // asked before the call is taken from whoever feeds it
        if request.resume {
            self.check_known(&request).await?;
        }
        let (stopped, mut seat) = self.reserve(&id, &request).await?;
        let opened = match self.open_storage(&request).await {
            Ok(opened) => opened,
            Err(refusal) => {
                if refusal == Refusal::Over {
                    seat.parked = None;
                }
                return Err(refusal);
            }
        };
        if opened.format != request.format {
            return Err(Refusal::Format);
        }
        if opened.seq > 0 && !request.resume {
            return Err(Refusal::OnAir);
        }
        // again, since another may have begun it meanwhile
        if !own(&request, &opened.metadata) {
            return Err(Refusal::Over);
        }
        let OpenedCall { recorder, seq, safe, format, history, metadata } = opened;
        let position = safe.iter().map(|safe| safe.position).min().unwrap_or(0);
        let scorecard = self.parts.scorecards.of(&id.0, metadata.get("queue").map(|queue| queue.trim()));
        let first = (seq == 0).then(|| {
            EventBody::Started(StartedCall {
                format: format.clone(),
                dialect: request.dialect.to_owned(),
                scorecard: scorecard.as_deref().cloned().map(Box::new),
            })
        });
        let resume = Resume { seq, safe, history, scorecard };
        let pipeline = self.parts.pipelines.get(&id.0).unwrap_or(&self.parts.pipeline).clone();
        let task = CallTask::new(self.parts.engine.clone(), pipeline, &format, resume)
            .map_err(|_| Refusal::Format)?
            .of_tenant(share_of(&id.0));
        seat.parked = None;
        let (inputs, input) = mpsc::channel(INPUTS);
        let (update, updates) = mpsc::channel(UPDATES);
        let (output, outputs) = mpsc::channel(OUTPUTS);
        let busy = task.busy();
        let running = tokio::spawn(task.run(first, input, output));
        let actor = Actor { registry: self.clone(), request, recorder, update, outputs, ended: false };
        let registry = self.clone();
        tokio::spawn(async move {
            let lost = actor.run(running, stopped).await;
            drop(seat);
            // parked only once its place on air is free, so that a caller who comes back finds it so
            if let Some(request) = lost {
                registry.park(request, false);
            }
        });
        Ok(OpenCall { position, seq, inputs, updates, busy })
    }

    async fn check_known(&self, request: &OpenRequest) -> Result<(), Refusal> {
        let known = self.parts.recorder.known(&request.sender.tenant, &request.call).await.map_err(|error| {
            tracing::error!(%error, "a call could not be looked up");
            Refusal::Storage
        })?;
        match known {
            Some(known) if !own(request, &known.metadata) => Err(Refusal::Over),
            Some(known) if known.format != request.format => Err(Refusal::Format),
            _ => Ok(()),
        }
    }

    async fn open_storage(&self, request: &OpenRequest) -> Result<OpenedCall, Refusal> {
        let failed = |error: StorageError| match error {
            StorageError::Ended | StorageError::Erased => Refusal::Over,
            error => {
                tracing::error!(%error, "a call could not be opened");
                Refusal::Storage
            }
        };
        let new = NewCall {
            tenant: request.sender.tenant.clone(),
            call: request.call.clone(),
            dialect: request.dialect.to_owned(),
            format: request.format.clone(),
            metadata: request.metadata.clone(),
        };
        self.parts.recorder.open(new).await.map_err(failed)
    }
}

/// A place on air; given up when dropped.
struct Seat {
    registry: CallRegistry,
    id: Id,
    /// The call waited for its caller and has not been taken up yet; it waits again when this is dropped.
    parked: Option<OpenRequest>,
    _alive: watch::Sender<()>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        {
            let mut table = self.registry.table();
            table.on_air.remove(&self.id);
            self.registry.parts.metrics.on_air.set(table.on_air.len() as i64);
        }
        if let Some(request) = self.parked.take() {
            self.registry.park(request, false);
        }
    }
}

/// Updates kept free for the one that says why a call ended.
const LAST_WORDS: usize = 1;

/// Carries the outputs of one call.
struct Actor {
    registry: CallRegistry,
    request: OpenRequest,
    recorder: CallRecorder,
    update: mpsc::Sender<Update>,
    outputs: mpsc::Receiver<CallOutput>,
    ended: bool,
}

/// A closed channel means that nobody can ask any more.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|&stop| stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

type Running = tokio::task::JoinHandle<Result<(), sotto_pipeline::engine::EngineError>>;

impl Actor {
    /// Runs until the call is over or its caller gone; gives back a call that waits to be resumed.
    async fn run(mut self, mut running: Running, mut stopped: watch::Receiver<bool>) -> Option<OpenRequest> {
        let mut taken_over = false;
        let failed = loop {
            tokio::select! {
                output = self.outputs.recv() => match output {
                    None => break None,
                    Some(output) => if let Err(code) = self.carry(output).await {
                        break Some(code);
                    },
                },
                () = told_to_stop(&mut stopped) => {
                    taken_over = true;
                    break None;
                }
            }
        };
        self.outputs.close();
        running.abort();
        let outcome = (&mut running).await;
        let broken = match outcome {
            Ok(Err(_)) => Some("engine"),
            Err(error) if error.is_panic() => Some("engine"),
            _ => None,
        };
        if let Some(code) = failed.or(broken) {
            self.registry.parts.metrics.failures.inc();
            // a caller that is gone finds out when it comes back
            drop(self.update.try_send(Update::Failed { code }));
        }
        (!self.ended && !taken_over && self.registry.ready()).then_some(self.request)
    }

    async fn carry(&mut self, output: CallOutput) -> Result<(), &'static str> {
        match output {
            CallOutput::Partial(partial) => {
                if let Err(error) = self.recorder.publish(&partial) {
                    tracing::error!(%error, "a partial could not be sealed");
                    return Err("storage");
                }
                // events need the room more
                if self.update.capacity() > UPDATES / 2 {
                    drop(self.update.try_send(Update::Partial(partial)));
                } else {
                    self.registry.parts.metrics.partials_dropped.inc();
                }
            }
            CallOutput::Scores(scores) => {
                if let Err(error) = self.recorder.publish_scores(&scores) {
                    tracing::error!(%error, "scores could not be sealed");
                    return Err("storage");
                }
            }
            CallOutput::Record { events, safe } => {
                let position = safe.iter().map(|safe| safe.position).min().unwrap_or(0);
                if let Err(error) = self.recorder.append(&events, safe).await {
                    tracing::error!(%error, "events could not be made durable");
                    return Err("storage");
                }
                for event in events {
                    self.ended |= matches!(event.body, EventBody::Ended { .. });
                    self.tell(Update::Event(event))?;
                }
                self.tell(Update::Ack { position })?;
            }
        }
        Ok(())
    }

    /// A caller that is gone is no failure: what is under way is still made durable.
    fn tell(&self, update: Update) -> Result<(), &'static str> {
        let room = self.update.capacity() > LAST_WORDS;
        let sent = if room || self.update.is_closed() {
            self.update.try_send(update)
        } else {
            Err(TrySendError::Full(update))
        };
        match sent {
            Err(TrySendError::Full(_)) => {
                self.registry.parts.metrics.queue_full.with_label_values(&["updates"]).inc();
                Err("not_reading")
            }
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }
}

impl Calls for CallRegistry {
    fn authenticate(&self, secret: &str, token_only: bool) -> Result<Sender, Refusal> {
        let holder = self.parts.keys.authenticate(secret, Purpose::Ingest, self.parts.clock.now()).map_err(
            |denied| match denied {
                Denied::Missing => Refusal::NoKey,
                Denied::Unknown => Refusal::UnknownKey,
                Denied::Purpose => Refusal::Purpose,
                Denied::Store => Refusal::Storage,
            },
        )?;
        if token_only && !holder.token {
            return Err(Refusal::UnknownKey);
        }
        Ok(Sender { tenant: holder.tenant, agent: holder.agent })
    }

    fn twilio(&self, account: &str) -> Option<TwilioAccount> {
        self.parts.twilio.get(account).cloned()
    }

    fn admit(&self, tenant: &TenantId, known: Option<&CallId>) -> Result<(), Refusal> {
        if !self.ready() {
            return Err(Refusal::Draining);
        }
        let table = self.table();
        if known.is_some_and(|call| table.knows(&(tenant.clone(), call.clone()))) {
            return Ok(());
        }
        self.room(&table, tenant)
    }

    fn open(&self, request: OpenRequest) -> BoxFuture<'_, Result<OpenCall, Refusal>> {
        Box::pin(async move {
            self.admit(&request.sender.tenant, Some(&request.call))?;
            self.begin(request).await
        })
    }

    fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }
}

/// The number under which a tenant's calls share the speech engine's time.
fn share_of(tenant: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    tenant.hash(&mut hasher);
    hasher.finish()
}
