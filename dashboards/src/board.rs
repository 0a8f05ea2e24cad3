//! The board's live stream: everything first, then rows as they change. Also taking alerts in hand.

use std::sync::{Arc, PoisonError};

use axum::{
    extract::{Path, State},
    http::{StatusCode, request::Parts},
    response::{Response, sse::Event},
};
use serde::Serialize;
use serde_json::value::RawValue;
use sotto_access::{Action, Principal};
use sotto_events::CallId;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    api::{Api, Shared, call_id},
    caller::Caller,
    hub::{Change, Numbers, Sight},
    problem::{Answer, Problem},
    sse::{Source, data, tell},
    view::rfc3339,
};

#[derive(Serialize)]
struct Board<'a> {
    now: String,
    rows: Vec<&'a RawValue>,
    numbers: Numbers,
}

#[derive(Serialize)]
struct BoardChange<'a> {
    now: String,
    rows: Vec<&'a RawValue>,
    gone: Vec<&'a CallId>,
    numbers: Numbers,
}

struct Watch {
    api: Arc<Api>,
    sight: Sight,
    changes: Receiver<Arc<Change>>,
    whole: bool,
}

/// GET /v1/board/live
pub async fn live(State(api): Shared, parts: Parts) -> Answer<Response> {
    let caller = Caller::with(&api, &parts, Action::SeeNumbers)?;
    let sight = Sight::of(&caller.principal);
    // watching begins before reading, so that nothing falls between
    let watch = Watch { changes: api.hub.changes(), api: Arc::clone(&api), sight, whole: true };
    Ok(tell(api, caller, "board", watch))
}

impl Source for Watch {
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.whole) {
            return Some(self.board());
        }
        loop {
            match self.changes.recv().await {
                Ok(change) => {
                    if let Some(event) = self.change(&change) {
                        return Some(event);
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    self.api.metrics.lag.inc();
                    return Some(self.board());
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Watch {
    fn board(&self) -> Event {
        let rows = self.api.hub.rows(&self.sight);
        let board = Board {
            now: rfc3339(self.api.clock.now()),
            rows: rows.iter().map(|row| &*row.json).collect(),
            numbers: self.api.hub.numbers(&self.sight),
        };
        data("board", &board)
    }

    /// What this one sees of a change; none when that is nothing.
    fn change(&self, change: &Change) -> Option<Event> {
        let mut written = change.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = written.get(&self.sight) {
            return event.clone();
        }
        let event = self.write(change);
        written.insert(self.sight.clone(), event.clone());
        event
    }

    fn write(&self, change: &Change) -> Option<Event> {
        let sight = &self.sight;
        if !change.rows.iter().chain(&change.gone).any(|row| sight.counts(row)) {
            return None;
        }
        let change = BoardChange {
            now: rfc3339(self.api.clock.now()),
            rows: change.rows.iter().filter(|row| sight.shows(row)).map(|row| &*row.json).collect(),
            gone: change.gone.iter().filter(|row| sight.shows(row)).map(|row| &row.call).collect(),
            numbers: self.api.hub.numbers(sight),
        };
        Some(data("rows", &change))
    }
}

/// POST /v1/calls/{call}/alerts/{seq}/acknowledge
pub async fn acknowledge(
    State(api): Shared,
    Path((call, seq)): Path<(String, String)>,
    parts: Parts,
) -> Answer<StatusCode> {
    let caller = Caller::with(&api, &parts, Action::Acknowledge)?;
    let seq = seq.parse().map_err(|_| Problem::bad("seq", "an alert is named by the seq of its moment, a number"))?;
    let call = call_id(&call)?;
    let by = match &caller.principal {
        Principal::Person(user) => user.name.as_str(),
        Principal::Key(_) => "a program",
    };
    if !api.hub.acknowledge(&caller.principal, &call, seq, by) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_alert", "there is no such alert on air"));
    }
    api.metrics.acknowledged.inc();
    Ok(StatusCode::NO_CONTENT)
}
