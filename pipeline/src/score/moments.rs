//! Moments: phrases to notice when they are said, once in their cool-down.

use sotto_events::{Evidence, Final, MediaTime, Moment, MomentCount, MomentRule, Scorecard, ScorecardName, Speaker};

use super::phrase::{Phrases, Said, Speech};

/// Places kept of what is forbidden, the first ones.
const PLACES: usize = 5;

struct Watch {
    rule: MomentRule,
    phrases: Phrases,
    channels: Vec<bool>,
    count: u64,
    last: Option<(MediaTime, Evidence)>,
}

/// The moments of a scorecard.
pub struct Spotter {
    scorecard: ScorecardName,
    watches: Vec<Watch>,
    /// Times something forbidden came, and where.
    forbidden: (u64, Vec<Evidence>),
}

impl Spotter {
    pub fn new(card: &Scorecard, channels: impl Fn(Speaker) -> Vec<bool>) -> Self {
        let watch = |rule: &MomentRule| Watch {
            rule: rule.clone(),
            phrases: Phrases::new(&rule.phrases, rule.nearness),
            channels: channels(rule.speaker),
            count: 0,
            last: None,
        };
        Self {
            scorecard: ScorecardName { name: card.name.clone(), version: card.version.clone() },
            watches: card.moments.iter().map(watch).collect(),
            forbidden: (0, Vec::new()),
        }
    }

    /// The moments that come with a final that `speech` has just taken in.
    pub fn add(&mut self, made: &Final, speech: &Speech) -> Vec<Moment> {
        let mut moments = Vec::new();
        for watch in &mut self.watches {
            if !watch.channels.get(usize::from(made.channel)).is_some_and(|&meant| meant) {
                continue;
            }
            for said in watch.phrases.places(speech) {
                moments.extend(watch.spot(said, &self.scorecard));
            }
        }
        for moment in moments.iter().filter(|moment| moment.forbidden) {
            self.forbidden.0 += 1;
            if self.forbidden.1.len() < PLACES {
                self.forbidden.1.push(moment.evidence);
            }
        }
        moments
    }

    /// How often each came, those that did.
    pub fn counts(&self) -> Vec<MomentCount> {
        let count = |watch: &Watch| {
            let (_, last) = watch.last?;
            Some(MomentCount { id: watch.rule.id.clone(), count: watch.count, last })
        };
        self.watches.iter().filter_map(count).collect()
    }

    /// Moments of what is forbidden, and where the first of them came.
    pub fn forbidden(&self) -> &(u64, Vec<Evidence>) {
        &self.forbidden
    }
}

impl Watch {
    fn spot(&mut self, said: Said, scorecard: &ScorecardName) -> Option<Moment> {
        let cooldown = (self.rule.cooldown * 1e6) as u64;
        if self.last.is_some_and(|(last, _)| said.end.micros() < last.micros() + cooldown) {
            return None;
        }
        self.last = Some((said.end, said.evidence));
        self.count += 1;
        Some(Moment {
            id: self.rule.id.clone(),
            title: self.rule.title.clone(),
            scorecard: scorecard.clone(),
            forbidden: self.rule.forbidden,
            level: self.rule.level,
            evidence: said.evidence,
            nearness: said.nearness,
            prompt: self.rule.prompt.clone(),
        })
    }
}
