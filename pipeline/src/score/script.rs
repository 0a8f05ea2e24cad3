//! The script: what was said of it, in time and in order.

use sotto_events::{Final, MediaTime, Scorecard, StepScore, StepState};

use super::{
    phrase::{Phrases, Said, Speech},
    rounded,
};

#[derive(Debug, Clone)]
struct Progress {
    id: String,
    phrases: Phrases,
    channels: Vec<bool>,
    due: Option<MediaTime>,
    /// Index of the step it must follow.
    after: Option<usize>,
    weight: f64,
    said: Option<(StepState, Said)>,
}

/// The steps of a scorecard, in its order.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<Progress>,
}

impl Script {
    pub fn new(card: &Scorecard, channels: impl Fn(sotto_events::Speaker) -> Vec<bool>) -> Self {
        let step = |step: &sotto_events::Step| Progress {
            id: step.id.clone(),
            phrases: Phrases::new(&step.phrases, step.nearness),
            channels: channels(step.speaker),
            due: step.within.map(|seconds| MediaTime::from_micros((seconds * 1e6) as u64)),
            after: step.after.as_ref().and_then(|after| card.script.iter().position(|step| step.id == *after)),
            weight: step.weight,
            said: None,
        };
        Self { steps: card.script.iter().map(step).collect() }
    }

    /// Takes in a final that `speech` has just taken in.
    pub fn add(&mut self, made: &Final, speech: &Speech) {
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            let settled = step.said.is_some_and(|(state, _)| state != StepState::Early);
            if settled || !step.channels.get(usize::from(made.channel)).is_some_and(|&meant| meant) {
                continue;
            }
            let Some(said) = step.phrases.find(speech) else { continue };
            let follows = step.after.is_none_or(|after| {
                let before = self.steps[after].said;
                before.is_some_and(|(_, before)| before.evidence.at <= said.evidence.at)
            });
            let state = match step.due {
                _ if !follows => StepState::Early,
                Some(due) if said.end > due => StepState::Late,
                _ => StepState::Done,
            };
            self.steps[index].said = Some((state, said));
        }
    }

    /// Where each step stands once the call has been heard up to `position`, or is over.
    pub fn scores(&self, position: MediaTime, over: bool) -> Vec<StepScore> {
        let score = |step: &Progress| {
            let missed = over || step.due.is_some_and(|due| position > due);
            let unsaid = if missed { StepState::Overdue } else { StepState::Open };
            StepScore {
                id: step.id.clone(),
                state: step.said.map_or(unsaid, |(state, _)| state),
                nearness: step.said.map(|(_, said)| said.nearness),
                evidence: step.said.map(|(_, said)| said.evidence),
                due: step.due,
            }
        };
        self.steps.iter().map(score).collect()
    }

    /// Share of the weight of what can be judged that was said in time and in order.
    pub fn adherence(&self, scores: &[StepScore]) -> Option<f64> {
        let judged = || self.steps.iter().zip(scores).filter(|(_, score)| score.state != StepState::Open);
        let all: f64 = judged().map(|(step, _)| step.weight).sum();
        let done: f64 = judged().filter(|(_, score)| score.state == StepState::Done).map(|(step, _)| step.weight).sum();
        (all > 0.0).then(|| rounded(done / all, 100.0))
    }
}
