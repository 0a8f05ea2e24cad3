//! What the hub knows of one call on air.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::value::RawValue;
use sotto_access::Owners;
use sotto_events::{
    CallEvent, CallId, ChannelRole, EventBody, Level, LiveScores, Moment, Scorecard, StepState, TenantId, Timestamp,
    Trend,
};
use sotto_storage::{CallSummary, LiveUpdate, envelope::Key};

use crate::view::{Labels, masked_caller, rfc3339};

/// Alerts remembered of one call; the oldest that somebody has in hand go first.
const ALERTS: usize = 50;
/// Alerts on a row.
const SHOWN: usize = 5;
/// A partial this old no longer means that somebody speaks.
const SPEAKING_MILLIS: u128 = 2_500;

/// Raised by a moment.
#[derive(Debug, Clone, Serialize)]
pub struct Alert {
    pub seq: u64,
    pub moment: String,
    pub title: String,
    pub level: Level,
    pub at: f64,
    pub raised_at: String,
    pub acknowledged_by: Option<String>,
}

/// A row as it was last told.
pub struct RowView {
    pub tenant: TenantId,
    pub call: CallId,
    pub owners: Owners,
    pub json: Box<RawValue>,
    pub alerts: usize,
    pub score: Option<f64>,
    pub sentiment: Option<f64>,
}

#[derive(Serialize)]
struct Row<'a> {
    call_id: &'a CallId,
    agent: Option<&'a str>,
    agent_name: Option<&'a str>,
    team: Option<&'a str>,
    queue: Option<&'a str>,
    caller: Option<&'a str>,
    started_at: &'a str,
    state: &'static str,
    channels: &'a [ChannelRole],
    speaking: Vec<u8>,
    quiet_since: Option<String>,
    talk_share: Vec<f64>,
    sentiment: Option<Feeling>,
    script: Option<Steps>,
    score: Option<f64>,
    alerts: Vec<&'a Alert>,
}

#[derive(Serialize)]
struct Feeling {
    score: f64,
    trend: Trend,
}

#[derive(Serialize)]
struct Steps {
    done: usize,
    overdue: usize,
    of: usize,
}

/// One call on air.
pub struct Entry {
    pub key: Key,
    pub tenant: TenantId,
    pub call: CallId,
    pub labels: Labels,
    pub created_at: Timestamp,
    pub channels: Vec<ChannelRole>,
    pub scorecard: Option<Box<Scorecard>>,
    caller: Option<String>,
    started_at: String,
    /// Last `seq` taken in.
    pub seq: u64,
    pub scores: Option<Box<LiveScores>>,
    alerts: VecDeque<Alert>,
    /// When each channel was last heard speaking.
    spoke: Vec<Option<Instant>>,
    quiet_since: Option<Timestamp>,
    pub on_air: bool,
    view: Option<Arc<RowView>>,
    /// When the row was told last, and the time before.
    told: [Option<Instant>; 2],
    /// An alert came or was taken in hand since the row was last told.
    alerted: bool,
}

impl Entry {
    pub fn new(key: Key, tenant: TenantId, summary: CallSummary, labels: Labels) -> Self {
        Self {
            key,
            tenant,
            labels,
            caller: masked_caller(&summary.metadata),
            started_at: rfc3339(summary.created_at),
            created_at: summary.created_at,
            spoke: vec![None; summary.format.channels.len()],
            channels: summary.format.channels,
            call: summary.call,
            scorecard: None,
            seq: 0,
            scores: None,
            alerts: VecDeque::new(),
            quiet_since: Some(summary.created_at),
            on_air: true,
            view: None,
            told: [None; 2],
            alerted: false,
        }
    }

    /// Takes in what came; gives true when the call is over.
    pub fn take(&mut self, update: LiveUpdate, now: Timestamp) -> bool {
        match update {
            LiveUpdate::Partial(partial) => self.speaks(partial.channel),
            LiveUpdate::Scores(scores) => self.scores = Some(scores),
            LiveUpdate::Event(event) => return self.event(event, now),
        }
        false
    }

    fn event(&mut self, event: CallEvent, now: Timestamp) -> bool {
        if event.seq <= self.seq {
            return false;
        }
        self.seq = event.seq;
        match event.body {
            EventBody::Started(started) => self.scorecard = started.scorecard,
            EventBody::Final(made) => {
                if let Some(spoke) = self.spoke.get_mut(usize::from(made.channel)) {
                    *spoke = None;
                }
                if self.speaking().is_empty() {
                    self.quiet_since = Some(now);
                }
            }
            EventBody::Moment(moment) => self.alert(event.seq, moment, now),
            EventBody::Ended { .. } => return true,
            EventBody::Gap { .. } | EventBody::Measured(_) | EventBody::Scored(_) => {}
        }
        false
    }

    fn speaks(&mut self, channel: u8) {
        if let Some(spoke) = self.spoke.get_mut(usize::from(channel)) {
            *spoke = Some(Instant::now());
            self.quiet_since = None;
        }
    }

    /// Somebody spoke since the row was last made, and may have stopped.
    pub fn was_speaking(&self) -> bool {
        self.spoke.iter().any(Option::is_some)
    }

    fn speaking(&self) -> Vec<u8> {
        let speaks = |spoke: &Option<Instant>| spoke.is_some_and(|at| at.elapsed().as_millis() < SPEAKING_MILLIS);
        (0_u8..).zip(&self.spoke).filter(|(_, spoke)| speaks(spoke)).map(|(channel, _)| channel).collect()
    }

    fn alert(&mut self, seq: u64, moment: Moment, now: Timestamp) {
        let Some(level) = moment.level else { return };
        self.alerted = true;
        if self.alerts.len() == ALERTS {
            let oldest = self.alerts.iter().position(|alert| alert.acknowledged_by.is_some()).unwrap_or(0);
            self.alerts.remove(oldest);
        }
        self.alerts.push_back(Alert {
            seq,
            moment: moment.id,
            title: moment.title,
            level,
            at: moment.evidence.at.seconds(),
            raised_at: rfc3339(now),
            acknowledged_by: None,
        });
    }

    /// Someone takes an alert in hand; false when there is none of that number.
    pub fn acknowledge(&mut self, seq: u64, by: &str) -> bool {
        let Some(alert) = self.alerts.iter_mut().find(|alert| alert.seq == seq) else { return false };
        alert.acknowledged_by.get_or_insert_with(|| by.to_owned());
        self.alerted = true;
        true
    }

    /// Whether the row was told so often lately that it waits: two changes may come together.
    pub fn rests(&self, rest: Duration) -> bool {
        !self.alerted && self.told[1].is_some_and(|at| at.elapsed() < rest)
    }

    /// The row as it is now; none when it is as it was last told.
    pub fn tell(&mut self) -> Option<Arc<RowView>> {
        self.alerted = false;
        let json = serde_json::value::to_raw_value(&self.row()).inspect_err(|error| {
            tracing::error!(%error, "a row could not be written");
        });
        let json = json.ok()?;
        if self.view.as_ref().is_some_and(|view| view.json.get() == json.get()) {
            return None;
        }
        self.told = [Some(Instant::now()), self.told[0]];
        let view = Arc::new(RowView {
            tenant: self.tenant.clone(),
            call: self.call.clone(),
            owners: self.labels.owners.clone(),
            json,
            alerts: self.alerts.iter().filter(|alert| alert.acknowledged_by.is_none()).count(),
            score: self.scores.as_ref().and_then(|scores| scores.scores.total),
            sentiment: self.feeling().map(|feeling| feeling.score),
        });
        self.view = Some(Arc::clone(&view));
        Some(view)
    }

    /// The row that was last made.
    pub fn last_view(&self) -> Option<&Arc<RowView>> {
        self.view.as_ref()
    }

    /// The customer's.
    fn feeling(&self) -> Option<Feeling> {
        let scores = self.scores.as_ref()?;
        let customer = self.channels.iter().position(|role| *role == ChannelRole::Customer)?;
        let sentiment = scores.scores.sentiment.get(customer)?.as_ref()?;
        Some(Feeling { score: sentiment.recent, trend: sentiment.trend })
    }

    fn steps(&self) -> Option<Steps> {
        let steps = &self.scores.as_ref()?.scores.script;
        let count = |wanted: &[StepState]| steps.iter().filter(|step| wanted.contains(&step.state)).count();
        (!steps.is_empty()).then(|| Steps {
            done: count(&[StepState::Done, StepState::Late]),
            overdue: count(&[StepState::Overdue]),
            of: steps.len(),
        })
    }

    fn row(&self) -> Row<'_> {
        let (mut waiting, mut acknowledged) = (Vec::new(), Vec::new());
        for alert in self.alerts.iter().rev() {
            if alert.acknowledged_by.is_none() { waiting.push(alert) } else { acknowledged.push(alert) }
        }
        waiting.append(&mut acknowledged);
        waiting.truncate(SHOWN);
        let scores = self.scores.as_ref();
        Row {
            call_id: &self.call,
            agent: self.labels.owners.agent.as_deref(),
            agent_name: self.labels.user.as_ref().map(|user| user.name.as_str()),
            team: self.labels.team.as_deref(),
            queue: self.labels.queue.as_deref(),
            caller: self.caller.as_deref(),
            started_at: &self.started_at,
            state: if self.on_air { "live" } else { "waiting" },
            channels: &self.channels,
            speaking: self.speaking(),
            quiet_since: self.quiet_since.map(rfc3339),
            talk_share: scores.map_or_else(
                || vec![0.0; self.channels.len()],
                |scores| scores.measures.channels.iter().map(|channel| channel.talk_share).collect(),
            ),
            sentiment: self.feeling(),
            script: self.steps(),
            score: scores.and_then(|scores| scores.scores.total),
            alerts: waiting,
        }
    }
}
