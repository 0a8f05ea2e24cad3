//! How agents and teams do, day by day.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::request::Parts,
};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use sotto_access::Action;
use sotto_events::Timestamp;

use crate::{
    api::Shared,
    caller::Caller,
    newest::Newest,
    outcome::{Means, TrendPoint, outcome},
    problem::{Answer, Problem, query},
    view::Labels,
};

/// Calls read for one answer.
const MOST: usize = 5_000;
const BATCH: usize = 200;
/// Groups in one answer, those with most calls.
const GROUPS: usize = 200;
/// Whose a call is known no longer than its metadata are kept.
const MOST_DAYS: u32 = 30;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Agent,
    Team,
}

#[derive(Debug, Deserialize)]
pub struct TrendsQuery {
    by: By,
    days: Option<u32>,
}

#[derive(Serialize)]
pub struct Trends {
    days: Vec<String>,
    groups: Vec<Group>,
    calls: usize,
    truncated: bool,
}

#[derive(Serialize)]
struct Group {
    id: String,
    name: String,
    total: TrendPoint,
    daily: Vec<TrendPoint>,
}

struct Gathered {
    name: String,
    total: Means,
    daily: Vec<Means>,
}

fn day(at: Timestamp) -> Option<Date> {
    Some(TimeZone::UTC.to_datetime(jiff::Timestamp::from_millisecond(at.0).ok()?).date())
}

/// GET /v1/trends
pub async fn trends(
    State(api): Shared,
    wanted: Result<Query<TrendsQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Json<Trends>> {
    let caller = Caller::with(&api, &parts, Action::SeeNumbers)?;
    let TrendsQuery { by, days } = query(wanted)?;
    let principal = &caller.principal;
    let _place = api.places.searches.acquire().await;
    // numbers of a named agent are for those who may see whose calls they are
    let action = match by {
        By::Agent => Action::SeeCalls,
        By::Team => Action::SeeNumbers,
    };
    let count = i64::from(days.unwrap_or(7).clamp(1, MOST_DAYS));
    let today = day(api.clock.now()).ok_or_else(|| Problem::internal("the clock is wrong"))?;
    let days: Vec<Date> = (0..count).rev().filter_map(|back| today.checked_sub(back.days()).ok()).collect();
    let mut groups: BTreeMap<String, Gathered> = BTreeMap::new();
    let mut newest = Newest::new(&api.reader, principal.tenant(), None, BATCH);
    let (mut read, mut counted, mut truncated) = (0, 0, false);
    while let Some(call) = newest.next().await? {
        let begun = day(call.created_at);
        // begun after today was looked up
        if begun > Some(today) {
            continue;
        }
        // newest first: what is older than the first day is all that follows
        let Some(index) = days.iter().position(|day| begun == Some(*day)) else { break };
        if read == MOST {
            truncated = true;
            break;
        }
        read += 1;
        let labels = Labels::new(&api.users, principal.tenant(), &call.metadata);
        let id = match by {
            By::Agent => labels.owners.agent.clone(),
            By::Team => labels.team.clone(),
        };
        let Some(id) = id.filter(|_| principal.may(action, &labels.owners)) else { continue };
        let Some(outcome) = outcome(&api, principal, &call).await? else { continue };
        let name = match by {
            By::Agent => labels.user.as_ref().map_or_else(|| id.clone(), |user| user.name.clone()),
            By::Team => id.clone(),
        };
        let group = groups.entry(id).or_insert_with(|| Gathered::new(name, days.len()));
        group.total.add(&outcome);
        group.daily[index].add(&outcome);
        counted += 1;
    }
    let mut groups: Vec<Group> = groups.into_iter().map(|(id, gathered)| gathered.group(id)).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.total.calls));
    let cut = groups.len() > GROUPS;
    groups.truncate(GROUPS);
    let days = days.iter().map(Date::to_string).collect();
    Ok(Json(Trends { days, groups, calls: counted, truncated: truncated || cut }))
}

impl Gathered {
    fn new(name: String, days: usize) -> Self {
        Self { name, total: Means::default(), daily: vec![Means::default(); days] }
    }

    fn group(self, id: String) -> Group {
        Group { id, name: self.name, total: self.total.point(), daily: self.daily.iter().map(Means::point).collect() }
    }
}
