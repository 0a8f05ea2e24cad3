//! Moments: phrases to notice when they are said, once in their cool-down.

use sotto_events::{Evidence, Final, MediaTime, Moment, MomentCount, MomentRule, Scorecard, Speaker};

use super::phrase::{Phrases, Speech};

#[derive(Debug, Clone)]
struct Watch {
    rule: MomentRule,
    phrases: Phrases,
    channels: Vec<bool>,
    count: u64,
    last: Option<(MediaTime, Evidence)>,
}

/// The moments of a scorecard.
#[derive(Debug, Clone, Default)]
pub struct Spotter {
    watches: Vec<Watch>,
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
        Self { watches: card.moments.iter().map(watch).collect() }
    }

    /// The moments that come with a final that `speech` has just taken in.
    pub fn add(&mut self, made: &Final, speech: &Speech) -> Vec<Moment> {
        let meant = |watch: &&mut Watch| watch.channels.get(usize::from(made.channel)).is_some_and(|&meant| meant);
        self.watches.iter_mut().filter(meant).filter_map(|watch| watch.spot(speech)).collect()
    }

    /// How often each came, those that did.
    pub fn counts(&self) -> Vec<MomentCount> {
        let count = |watch: &Watch| {
            let (_, last) = watch.last?;
            Some(MomentCount { id: watch.rule.id.clone(), count: watch.count, last })
        };
        self.watches.iter().filter_map(count).collect()
    }

    /// Times something forbidden was said, with the last places of it.
    pub fn forbidden(&self) -> (u64, Vec<Evidence>) {
        let forbidden = || self.watches.iter().filter(|watch| watch.rule.forbidden);
        (
            forbidden().map(|watch| watch.count).sum(),
            forbidden().filter_map(|watch| watch.last).map(|(_, evidence)| evidence).collect(),
        )
    }
}

impl Watch {
    fn spot(&mut self, speech: &Speech) -> Option<Moment> {
        let said = self.phrases.find(speech)?;
        let cooldown = (self.rule.cooldown * 1e6) as u64;
        if self.last.is_some_and(|(last, _)| said.end.micros() < last.micros() + cooldown) {
            return None;
        }
        self.last = Some((said.end, said.evidence));
        self.count += 1;
        Some(Moment {
            id: self.rule.id.clone(),
            title: self.rule.title.clone(),
            forbidden: self.rule.forbidden,
            level: self.rule.level,
            evidence: said.evidence,
            nearness: said.nearness,
            prompt: self.rule.prompt.clone(),
        })
    }
}
