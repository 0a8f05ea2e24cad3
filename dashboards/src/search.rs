//! Looking for calls: by whose they are, when, what came up, and, opening what is sealed, by words.

use serde::{Deserialize, Serialize};
use sotto_access::{Action, Principal};
use sotto_events::{CallEvent, CallId, EventBody, Timestamp};
use sotto_storage::{CallSummary, vault::CallState};

use crate::{
    api::{Api, call_id},
    calls::{every_event, view},
    newest::Newest,
    outcome::{Outcome, outcome},
    problem::{Answer, Problem},
    view::{CallView, Labels},
};

const PAGE: usize = 50;
const LARGEST_PAGE: usize = 1000;
/// Calls looked at for one answer, and how many when those that fit are opened to look for words.
const LOOKED_AT: usize = 2_000;
const OPENED: usize = 200;
/// Calls read at once, at the most.
const BATCH: usize = 100;
const HITS: usize = 5;
const LONGEST_WORDS: usize = 100;

/// What is looked for; everything given must be true.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub before: Option<String>,
    pub agent: Option<String>,
    pub team: Option<String>,
    pub queue: Option<String>,
    /// Id of a moment that came up.
    pub moment: Option<String>,
    /// RFC 3339.
    pub from: Option<String>,
    pub to: Option<String>,
    /// Said in one utterance, in this order.
    pub words: Option<String>,
}

/// A page of calls, newest first.
#[derive(Serialize)]
pub struct History {
    calls: Vec<Found>,
    next: Option<String>,
    searched: usize,
}

#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    call: CallView,
    summary: Option<Outcome>,
    hits: Vec<Hit>,
}

/// Where the words were said.
#[derive(Serialize)]
struct Hit {
    seq: u64,
    channel: u8,
    at: f64,
    text: String,
}

/// A filter whose parts have been read.
struct Wanted<'a> {
    filter: &'a Filter,
    agent: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    words: Option<String>,
}

impl<'a> Wanted<'a> {
    fn read(filter: &'a Filter) -> Answer<Self> {
        let time = |name: &'static str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match text.parse::<jiff::Timestamp>() {
                Ok(at) => Ok(Some(Timestamp(at.as_millisecond()))),
                Err(_) => Err(Problem::bad(name, format!("{name} must be a time such as 2026-11-25T08:00:00Z"))),
            },
        };
        let words = filter.words.as_ref().map(|words| folded(words)).filter(|words| !words.is_empty());
        if words.as_ref().is_some_and(|words| words.len() > LONGEST_WORDS) {
            return Err(Problem::bad("words", format!("words must have at most {LONGEST_WORDS} bytes")));
        }
        Ok(Self {
            filter,
            agent: filter.agent.as_ref().map(|agent| agent.trim().to_lowercase()),
            from: time("from", &filter.from)?,
            to: time("to", &filter.to)?,
            words,
        })
    }

    fn labelled(&self, labels: &Labels) -> bool {
        let same = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        let team = self.filter.team.as_ref().is_none_or(|team| labels.owners.teams.contains(team));
        team && same(&self.agent, &labels.owners.agent) && same(&self.filter.queue, &labels.queue)
    }
}

/// Lower case, words with single spaces between.
fn folded(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

fn contains(text: &str, words: &str) -> bool {
    format!(" {} ", folded(text)).contains(&format!(" {words} "))
}

fn cursor(text: &str) -> Answer<(Timestamp, CallId)> {
    let bad = || Problem::bad("before", "before must be the `next` of an earlier page");
    let (at, call) = text.split_once('~').ok_or_else(bad)?;
    Ok((Timestamp(at.parse().map_err(|_| bad())?), call_id(call)?))
}

/// Calls that `principal` may see, newest first.
pub async fn search(api: &Api, principal: &Principal, filter: &Filter) -> Answer<History> {
    // they read much: few at a time, so that they slow nobody who follows a call
    let _place = api.places.searches.acquire().await;
    let wanted = Wanted::read(filter)?;
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let most = if wanted.words.is_some() { OPENED } else { LOOKED_AT };
    let mut before = filter.before.as_deref().map(cursor).transpose()?;
    if let (None, Some(to)) = (&before, wanted.to) {
        // no id comes before this one
        before = Some((Timestamp(to.0 + 1), call_id("-")?));
    }
    let mut newest = Newest::new(&api.reader, principal.tenant(), before, limit.min(BATCH));
    let (mut calls, mut looked_at, mut searched) = (Vec::new(), 0, 0);
    while let Some(call) = newest.next().await? {
        if wanted.from.is_some_and(|from| call.created_at < from) {
            break;
        }
        looked_at += 1;
        let labels = Labels::new(&api.users, principal.tenant(), &call.metadata);
        let visible = principal.may(Action::SeeCalls, &labels.owners);
        // a call that one may not see is not named: those of its millisecond are looked at again
        let next = match visible {
            true => format!("{}~{}", call.created_at.0, call.call),
            false => format!("{}~-", call.created_at.0 + 1),
        };
        if visible {
            searched += 1;
            calls.extend(matched(api, principal, &wanted, call, &labels).await?);
        }
        if calls.len() == limit || looked_at == most {
            return Ok(History { calls, next: Some(next), searched });
        }
    }
    Ok(History { calls, next: None, searched })
}

async fn matched(
    api: &Api,
    principal: &Principal,
    wanted: &Wanted<'_>,
    call: CallSummary,
    labels: &Labels,
) -> Answer<Option<Found>> {
    if !wanted.labelled(labels) {
        return Ok(None);
    }
    let summary = outcome(api, principal, &call).await?;
    if let Some(moment) = &wanted.filter.moment
        && !summary.as_ref().is_some_and(|summary| summary.moments.contains(moment))
    {
        return Ok(None);
    }
    let mut hits = Vec::new();
    if let Some(words) = &wanted.words {
        if call.state == CallState::Erased || !principal.may(Action::ReadCalls, &labels.owners) {
            return Ok(None);
        }
        hits = said(api, principal, &call.call, words).await?;
        if hits.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(Found { call: view(api, principal, call, labels), summary, hits }))
}

async fn said(api: &Api, principal: &Principal, call: &CallId, words: &str) -> Answer<Vec<Hit>> {
    let events = every_event(api, principal, call).await?;
    let hit = |event: CallEvent| match event.body {
        EventBody::Final(made) if contains(&made.text, words) => {
            Some(Hit { seq: event.seq, channel: made.channel, at: made.start.seconds(), text: made.text })
        }
        _ => None,
    };
    Ok(events.into_iter().filter_map(hit).take(HITS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_case_and_punctuation_but_whole() {
        let words = folded("Cancel, my CONTRACT");
        assert!(contains("I want to cancel my contract!", &words));
        assert!(!contains("cancel my contractor", &words));
        assert!(!contains("my contract, cancel", &words));
    }
}
