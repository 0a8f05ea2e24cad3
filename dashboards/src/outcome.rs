//! How a call came out: what its last events say, without a word of it.

use serde::Serialize;
use sotto_access::Principal;
use sotto_events::{CallEvent, ChannelRole, EventBody, Measures, Scores};
use sotto_storage::{CallSummary, StorageError, vault::CallState};

use crate::{
    api::Api,
    mean::Mean,
    problem::{Answer, Problem},
};

/// Events after which nothing comes: `measured`, `scored`, `ended`.
const LAST: u64 = 3;

/// Closed with the call.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    pub duration: f64,
    pub score: Option<f64>,
    pub adherence: Option<f64>,
    /// The customer's.
    pub sentiment: Option<f64>,
    pub talk_share: Vec<f64>,
    /// Ids of those that came.
    pub moments: Vec<String>,
    #[serde(skip)]
    pub agent_talk_share: Option<f64>,
    #[serde(skip)]
    pub agent_words_per_minute: Option<f64>,
}

/// None while a call is on air, and once its scores have expired.
pub async fn outcome(api: &Api, principal: &Principal, call: &CallSummary) -> Answer<Option<Outcome>> {
    if call.state != CallState::Ended {
        return Ok(None);
    }
    let after = call.seq.saturating_sub(LAST);
    match api.reader.events(principal.tenant(), &call.call, after, LAST as usize).await {
        Ok(events) => Ok(fold(&events, &call.format.channels)),
        Err(StorageError::NoSuchCall | StorageError::Erased) => Ok(None),
        Err(error) => Err(Problem::from(error)),
    }
}

fn fold(events: &[CallEvent], roles: &[ChannelRole]) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    for event in events {
        match &event.body {
            EventBody::Measured(measures) => outcome.measured(measures, roles),
            EventBody::Scored(scores) => outcome.scored(scores, roles),
            EventBody::Ended { duration, .. } => outcome.duration = duration.seconds(),
            _ => {}
        }
    }
    events.iter().any(|event| matches!(event.body, EventBody::Ended { .. })).then_some(outcome)
}

impl Outcome {
    fn measured(&mut self, measures: &Measures, roles: &[ChannelRole]) {
        self.talk_share = measures.channels.iter().map(|channel| channel.talk_share).collect();
        let agent = roles.iter().position(|role| *role == ChannelRole::Agent);
        let agent = agent.and_then(|agent| measures.channels.get(agent)).filter(|channel| channel.words > 0);
        self.agent_talk_share = agent.map(|channel| channel.talk_share);
        self.agent_words_per_minute = agent.map(|channel| channel.words_per_minute);
    }

    fn scored(&mut self, scores: &Scores, roles: &[ChannelRole]) {
        (self.score, self.adherence) = (scores.total, scores.adherence);
        let customer = roles.iter().position(|role| *role == ChannelRole::Customer);
        let sentiment = customer.and_then(|customer| scores.sentiment.get(customer)?.as_ref());
        self.sentiment = sentiment.map(|sentiment| sentiment.score);
        self.moments = scores.moments.iter().map(|moment| moment.id.clone()).collect();
    }
}

/// Means over calls.
#[derive(Debug, Clone, Default)]
pub struct Means {
    calls: u64,
    score: Mean,
    adherence: Mean,
    sentiment: Mean,
    talk_share: Mean,
    words_per_minute: Mean,
}

/// A group of calls in numbers; each mean is over the calls that have it.
#[derive(Debug, Clone, Serialize)]
pub struct TrendPoint {
    pub calls: u64,
    pub score: Option<f64>,
    pub adherence: Option<f64>,
    pub sentiment: Option<f64>,
    pub talk_share: Option<f64>,
    pub words_per_minute: Option<f64>,
}

impl Means {
    pub fn add(&mut self, outcome: &Outcome) {
        self.calls += 1;
        self.score.add(outcome.score);
        self.adherence.add(outcome.adherence);
        self.sentiment.add(outcome.sentiment);
        self.talk_share.add(outcome.agent_talk_share);
        self.words_per_minute.add(outcome.agent_words_per_minute);
    }

    pub fn point(&self) -> TrendPoint {
        TrendPoint {
            calls: self.calls,
            score: self.score.value(3),
            adherence: self.adherence.value(3),
            sentiment: self.sentiment.value(3),
            talk_share: self.talk_share.value(3),
            words_per_minute: self.words_per_minute.value(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_over_the_calls_that_have_the_number() {
        let mut means = Means::default();
        means.add(&Outcome { score: Some(80.0), ..Outcome::default() });
        means.add(&Outcome { score: Some(60.0), sentiment: Some(-0.5), ..Outcome::default() });
        means.add(&Outcome::default());
        let point = means.point();
        assert_eq!((point.calls, point.score, point.sentiment, point.adherence), (3, Some(70.0), Some(-0.5), None));
    }
}
