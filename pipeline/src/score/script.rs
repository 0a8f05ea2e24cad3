//! The script: what was said of it, in time and in order.

use sotto_events::{Final, MediaTime, Scorecard, Speaker, StepScore, StepState};

use super::{
    phrase::{Phrases, Said, Speech},
    rounded,
};

/// Places kept of one step, the first ones.
const PLACES: usize = 8;

struct Progress {
    id: String,
    phrases: Phrases,
    channels: Vec<bool>,
    due: Option<MediaTime>,
    /// Index of the step it must follow.
    after: Option<usize>,
    weight: f64,
    /// By time. Finals of two channels may come the other way round.
    said: Vec<Said>,
}

/// The steps of a scorecard, in its order.
#[derive(Default)]
pub struct Script {
    steps: Vec<Progress>,
}

impl Script {
    pub fn new(card: &Scorecard, channels: impl Fn(Speaker) -> Vec<bool>) -> Self {
        let step = |step: &sotto_events::Step| Progress {
            id: step.id.clone(),
            phrases: Phrases::new(&step.phrases, step.nearness),
            channels: channels(step.speaker),
            due: step.within.map(|seconds| MediaTime::from_micros((seconds * 1e6) as u64)),
            after: step.after.as_ref().and_then(|after| card.script.iter().position(|step| step.id == *after)),
            weight: step.weight,
            said: Vec::new(),
        };
        Self { steps: card.script.iter().map(step).collect() }
    }

    /// Takes in a final that `speech` has just taken in.
    pub fn add(&mut self, made: &Final, speech: &Speech) {
        for step in &mut self.steps {
            let meant = step.channels.get(usize::from(made.channel)).is_some_and(|&meant| meant);
            if !meant || step.said.len() >= PLACES {
                continue;
            }
            for said in step.phrases.places(speech) {
                let at = step.said.partition_point(|other| other.evidence.at <= said.evidence.at);
                step.said.insert(at, said);
            }
            step.said.truncate(PLACES);
        }
    }

    /// Where each step stands once the call has been heard up to `position`, or is over.
    pub fn scores(&self, position: MediaTime, over: bool) -> Vec<StepScore> {
        let score = |step: &Progress| {
            let missed = over || step.due.is_some_and(|due| position > due);
            let unsaid = if missed { StepState::Overdue } else { StepState::Open };
            let said = self.judged(step);
            StepScore {
                id: step.id.clone(),
                state: said.map_or(unsaid, |(state, _)| state),
                nearness: said.map(|(_, said)| said.nearness),
                evidence: said.map(|(_, said)| said.evidence),
                due: step.due,
            }
        };
        self.steps.iter().map(score).collect()
    }

    /// The place that counts: the first in time and in order, else the first in order, else the first.
    fn judged(&self, step: &Progress) -> Option<(StepState, Said)> {
        let before = step.after.map(|after| self.steps[after].said.first().map(|said| said.evidence.at));
        let state = |said: &Said| match (before, step.due) {
            (Some(None), _) => StepState::Early,
            (Some(Some(before)), _) if said.evidence.at < before => StepState::Early,
            (_, Some(due)) if said.end > due => StepState::Late,
            _ => StepState::Done,
        };
        let states = || step.said.iter().map(|said| (state(said), *said));
        let first = |wanted: StepState| states().find(|(state, _)| *state == wanted);
        first(StepState::Done).or_else(|| first(StepState::Late)).or_else(|| first(StepState::Early))
    }

    /// Share of the weight of what can be judged that was said in time and in order.
    pub fn adherence(&self, scores: &[StepScore]) -> Option<f64> {
        let judged = || self.steps.iter().zip(scores).filter(|(_, score)| score.state != StepState::Open);
        let all: f64 = judged().map(|(step, _)| step.weight).sum();
        let done: f64 = judged().filter(|(_, score)| score.state == StepState::Done).map(|(step, _)| step.weight).sum();
        (all > 0.0).then(|| rounded(done / all, 100.0))
    }
}
