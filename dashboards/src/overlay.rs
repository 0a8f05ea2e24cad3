//! The overlay's live stream: an agent's own call, and the next one when that is over.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_MAX_AGE,
        },
        request::Parts,
    },
    response::{IntoResponse, Response, sse::Event},
};
use serde::Serialize;
use sotto_access::{Action, Principal, Purpose, Scope};
use sotto_events::{CallId, ChannelRole, Scorecard, TenantId};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    api::{Api, Shared},
    caller::Caller,
    hub::{Current, Notice},
    live::Follow,
    problem::{Answer, Problem},
    sse::{Source, data, tell},
    view::{LABELS, rfc3339},
};

/// How long the agent sees who is calling, from the start of the call, in seconds.
const POP_SECONDS: u64 = 300;

#[derive(Serialize)]
struct OverlayCall {
    call_id: CallId,
    started_at: String,
    channels: Vec<ChannelRole>,
    scorecard: Option<Box<Scorecard>>,
    pop: Option<Pop>,
}

/// Who is calling.
#[derive(Serialize)]
struct Pop {
    fields: BTreeMap<String, String>,
    until: String,
}

struct Watch {
    api: Arc<Api>,
    tenant: TenantId,
    agent: String,
    notices: Receiver<Notice>,
    following: Option<(CallId, Follow)>,
    /// The call that has told its end; the hub may not have heard of it yet.
    over: Option<CallId>,
    /// Something may have begun or ended since the last look.
    look: bool,
    told_idle: bool,
}

/// Any page may embed the overlay: it brings a token, and no cookie goes with it.
pub const CORS: [(HeaderName, HeaderValue); 4] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization")),
    (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET")),
    (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
];

/// OPTIONS /v1/overlay/live
pub async fn preflight() -> Response {
    (StatusCode::NO_CONTENT, CORS).into_response()
}

/// GET /v1/overlay/live
pub async fn live(State(api): Shared, parts: Parts) -> Response {
    // a page of another origin reads refusals too
    (CORS, begin(api, &parts)).into_response()
}

fn begin(api: Arc<Api>, parts: &Parts) -> Answer<Response> {
    let caller = Caller::identify(&api, parts, Purpose::Overlay)?;
    if matches!(caller.principal, Principal::Person(_)) && caller.principal.scope(Action::Speak) == Scope::Nobody {
        return Err(Problem::forbidden());
    }
    let agent = caller.principal.agent().ok_or_else(Problem::forbidden)?.to_owned();
    let watch = Watch {
        tenant: caller.principal.tenant().clone(),
        notices: api.hub.notices(),
        api: Arc::clone(&api),
        agent,
        following: None,
        over: None,
        look: true,
        told_idle: false,
    };
    Ok(tell(api, caller, "overlay", watch))
}

impl Source for Watch {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if std::mem::take(&mut self.look) {
                match self.look().await {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => continue,
                    // whoever reads comes back
                    Err(error) => {
                        tracing::warn!(%error, "an agent's call cannot be shown");
                        return None;
                    }
                }
            }
            let Some((_, follow)) = &mut self.following else {
                self.look = self.noticed().await?;
                continue;
            };
            // what is being told goes first: a call that ends says so before the next begins
            let event = tokio::select! {
                biased;
                event = follow.next() => event,
                noticed = noticed(&mut self.notices, &self.tenant, &self.agent) => {
                    self.look = noticed?;
                    continue;
                }
            };
            match event {
                Some(event) => return Some(event),
                // cut off: whoever reads comes back
                None if !follow.is_over() => return None,
                None => {
                    self.over = self.following.take().map(|(call, _)| call);
                    self.look = true;
                }
            }
        }
    }
}

impl Watch {
    async fn noticed(&mut self) -> Option<bool> {
        noticed(&mut self.notices, &self.tenant, &self.agent).await
    }

    /// Turns to the call that is on air; says so when that is another one than before.
    async fn look(&mut self) -> sotto_storage::Result<Option<Event>> {
        let current = self.api.hub.current(&self.tenant, &self.agent);
        let current = current.filter(|current| self.over.as_ref() != Some(&current.call));
        match (&self.following, current) {
            // it tells its end by itself
            (Some(_), None) => Ok(None),
            (None, None) if self.told_idle => Ok(None),
            (None, None) => {
                self.told_idle = true;
                Ok(Some(data("idle", &serde_json::json!({}))))
            }
            (Some((call, _)), Some(current)) if *call == current.call => Ok(None),
            (_, Some(current)) => self.turn_to(current).await.map(Some),
        }
    }

    async fn turn_to(&mut self, current: Current) -> sotto_storage::Result<Event> {
        let follow = Follow::open(self.api.reader.clone(), self.tenant.clone(), current.call.clone(), 0).await?;
        let summary = self.api.reader.call(&self.tenant, &current.call).await?;
        let scores = self.api.hub.scores(&self.tenant, &current.call);
        self.following = Some((current.call.clone(), follow.with_scores(scores)));
        self.told_idle = false;
        let until = current.created_at.plus_seconds(POP_SECONDS);
        let fields: BTreeMap<_, _> =
            summary.metadata.into_iter().filter(|(key, _)| !LABELS.contains(&key.as_str())).collect();
        let shown = until > self.api.clock.now() && !fields.is_empty();
        let call = OverlayCall {
            call_id: current.call,
            started_at: rfc3339(current.created_at),
            channels: current.channels,
            scorecard: current.scorecard,
            pop: shown.then(|| Pop { fields, until: rfc3339(until) }),
        };
        Ok(data("call", &call))
    }
}

/// Waits for a call of the agent to begin or end; none when the hub is gone.
async fn noticed(notices: &mut Receiver<Notice>, tenant: &TenantId, agent: &str) -> Option<bool> {
    loop {
        match notices.recv().await {
            Ok(notice) if notice.tenant == *tenant && notice.agent.as_deref() == Some(agent) => return Some(true),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return Some(true),
            Err(RecvError::Closed) => return None,
        }
    }
}
