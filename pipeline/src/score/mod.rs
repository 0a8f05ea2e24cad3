//! Scores of a call: a fold over its own finals, so whoever holds the events comes to the same numbers.

mod conversation;
mod criteria;
mod moments;
mod phrase;
mod script;
mod sentiment;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sotto_events::{
    ChannelRole, CriterionScore, Final, LiveScores, Measures, MediaTime, Moment, Scorecard, ScorecardName, Scores,
    Speaker,
};

pub use conversation::Conversation;
use moments::Spotter;
use phrase::Speech;
use script::Script;
use sentiment::Feeling;

/// Names the definitions: of matching, script, moments and criteria, and the lexicon of the sentiment.
pub const VERSION: &str = "scores-1+vader-sentimental-0.1.3";

/// Everything that is scored of one call.
pub struct Scoring {
    roles: Vec<ChannelRole>,
    card: Option<Arc<Scorecard>>,
    conversation: Conversation,
    speech: Vec<Speech>,
    feelings: Vec<Feeling>,
    script: Script,
    spotter: Option<Spotter>,
}

impl Scoring {
    pub fn new(roles: &[ChannelRole], card: Option<Arc<Scorecard>>) -> Self {
        let channels = |speaker: Speaker| roles.iter().map(|&role| speaker.is(role)).collect::<Vec<bool>>();
        let (script, spotter) = match &card {
            Some(card) => (Script::new(card, channels), Some(Spotter::new(card, channels))),
            None => Default::default(),
        };
        Self {
            roles: roles.to_vec(),
            conversation: Conversation::default(),
            speech: roles.iter().map(|_| Speech::default()).collect(),
            feelings: vec![Feeling::default(); roles.len()],
            card,
            script,
            spotter,
        }
    }

    /// Takes in a final; gives the moments that came with it.
    pub fn add(&mut self, made: &Final) -> Vec<Moment> {
        let channel = usize::from(made.channel);
        let (Some(speech), Some(feeling)) = (self.speech.get_mut(channel), self.feelings.get_mut(channel)) else {
            return Vec::new();
        };
        self.conversation.add(made);
        feeling.add(made);
        let Some(spotter) = &mut self.spotter else { return Vec::new() };
        speech.add(made);
        self.script.add(made, speech);
        spotter.add(made, speech)
    }

    /// How the conversation went so far.
    pub fn measures(&self) -> Measures {
        self.conversation.measures(self.roles.len())
    }

    /// How the call does by its scorecard once it has been heard up to `position`, or is `over`.
    pub fn scores(&self, position: MediaTime, over: bool) -> Scores {
        self.judge(&self.measures(), position, over)
    }

    /// How it goes so far.
    pub fn live(&self, position: MediaTime) -> LiveScores {
        let measures = self.measures();
        let scores = self.judge(&measures, position, false);
        let pace = (0..self.roles.len() as u8).map(|channel| self.conversation.pace(channel, position)).collect();
        LiveScores { position, measures, scores, pace }
    }

    fn judge(&self, measures: &Measures, position: MediaTime, over: bool) -> Scores {
        let sentiment: Vec<_> = self.feelings.iter().map(Feeling::sentiment).collect();
        let script = self.script.scores(position, over);
        let adherence = self.script.adherence(&script);
        let nothing = (0, Vec::new());
        let heard = criteria::Heard {
            roles: &self.roles,
            measures,
            sentiment: &sentiment,
            adherence,
            script: &script,
            forbidden: self.spotter.as_ref().map_or(&nothing, Spotter::forbidden),
            conversation: &self.conversation,
        };
        let criteria: Vec<CriterionScore> =
            self.card.iter().flat_map(|card| &card.criteria).map(|criterion| heard.judge(criterion)).collect();
        Scores {
            version: VERSION.to_owned(),
            scorecard: self
                .card
                .as_ref()
                .map(|card| ScorecardName { name: card.name.clone(), version: card.version.clone() }),
            total: criteria::total(&criteria),
            moments: self.spotter.as_ref().map(Spotter::counts).unwrap_or_default(),
            sentiment,
            script,
            adherence,
            criteria,
        }
    }
}

fn rounded(value: f64, by: f64) -> f64 {
    (value * by).round() / by
}
