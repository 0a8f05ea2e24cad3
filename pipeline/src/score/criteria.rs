//! The weighted score: each criterion looks at one measure.

use sotto_events::{
    ChannelMeasures, ChannelRole, Criterion, CriterionScore, Evidence, Measure, Measures, Sentiment, StepScore,
    StepState,
};

use super::{Conversation, conversation::SLOWEST, rounded};

/// Places named for one criterion.
const NAMED: usize = 5;

/// What there is to judge.
pub struct Heard<'a> {
    pub roles: &'a [ChannelRole],
    pub measures: &'a Measures,
    pub sentiment: &'a [Option<Sentiment>],
    pub adherence: Option<f64>,
    pub script: &'a [StepScore],
    pub forbidden: &'a (u64, Vec<Evidence>),
    pub conversation: &'a Conversation,
}

impl Heard<'_> {
    pub fn judge(&self, criterion: &Criterion) -> CriterionScore {
        let value = self.value(criterion);
        CriterionScore {
            id: criterion.id.clone(),
            weight: criterion.weight,
            score: value.map(|value| rounded(criterion.score(value), 100.0)),
            value: value.map(|value| rounded(value, 100.0)),
            evidence: self.evidence(criterion).into_iter().take(NAMED).collect(),
        }
    }

    /// Channels whose measure it is, that have said something.
    fn channels(&self, criterion: &Criterion) -> impl Iterator<Item = (u8, &ChannelMeasures)> {
        let speaker = criterion.speaker();
        let meant = move |role: ChannelRole| speaker.is(role);
        let all = (0_u8..).zip(self.roles.iter().zip(&self.measures.channels));
        all.filter(move |(_, (role, measures))| meant(**role) && measures.words > 0)
            .map(|(channel, (_, measures))| (channel, measures))
    }

    fn value(&self, criterion: &Criterion) -> Option<f64> {
        let channels = || self.channels(criterion).map(|(_, measures)| measures);
        match criterion.measure {
            Measure::Script => self.adherence.filter(|_| self.spoken()),
            Measure::Forbidden => self.spoken().then_some(self.forbidden.0 as f64),
            Measure::DeadAir => self.spoken().then(|| self.measures.dead_air.seconds()),
            // of one channel alone it is no share
            Measure::TalkShare if self.roles.len() < 2 => None,
            Measure::TalkShare => channels().map(|channel| channel.talk_share).reduce(|a, b| a + b),
            Measure::WordsPerMinute => {
                let enough = channels().filter(|channel| channel.talk.micros() >= SLOWEST);
                enough.map(|channel| channel.words_per_minute).reduce(f64::max)
            }
            Measure::Monologue => {
                let longest = channels().filter_map(|channel| channel.longest_monologue);
                longest.map(|stretch| stretch.micros() as f64 / 1e6).reduce(f64::max)
            }
            Measure::Interruptions => channels().map(|channel| channel.interruptions as f64).reduce(|a, b| a + b),
            Measure::Sentiment => {
                let felt = self.channels(criterion).filter_map(|(channel, _)| self.felt(channel));
                felt.map(|sentiment| sentiment.score).reduce(f64::min)
            }
        }
    }

    fn spoken(&self) -> bool {
        self.measures.channels.iter().any(|channel| channel.words > 0)
    }

    fn felt(&self, channel: u8) -> Option<&Sentiment> {
        self.sentiment.get(usize::from(channel))?.as_ref()
    }

    fn evidence(&self, criterion: &Criterion) -> Vec<Evidence> {
        type Place<'b> = &'b dyn Fn(u8, &ChannelMeasures) -> Option<Evidence>;
        let own = |place: Place<'_>| -> Vec<Evidence> {
            self.channels(criterion).filter_map(|(channel, measures)| place(channel, measures)).collect()
        };
        match criterion.measure {
            Measure::Script => {
                let amiss = |step: &&StepScore| matches!(step.state, StepState::Early | StepState::Late);
                let places = |steps: &mut dyn Iterator<Item = &StepScore>| -> Vec<Evidence> {
                    steps.filter_map(|step| step.evidence).collect()
                };
                match places(&mut self.script.iter().filter(amiss)) {
                    none if none.is_empty() => places(&mut self.script.iter()),
                    amiss => amiss,
                }
            }
            Measure::Forbidden => self.forbidden.1.clone(),
            Measure::Interruptions => {
                self.channels(criterion).flat_map(|(_, channel)| channel.interrupted_at.iter().copied()).collect()
            }
            Measure::Sentiment => {
                let felt = self.channels(criterion).filter_map(|(channel, _)| self.felt(channel));
                felt.filter_map(|sentiment| sentiment.lowest.or(sentiment.highest)).collect()
            }
            Measure::TalkShare => own(&|channel, _| self.conversation.longest(channel)),
            Measure::WordsPerMinute => own(&|channel, _| self.conversation.fastest(channel)),
            Measure::Monologue => {
                own(&|channel, measures| self.conversation.beginning(channel, measures.longest_monologue?))
            }
            Measure::DeadAir => {
                let silence = self.measures.longest_silence;
                silence.and_then(|silence| self.conversation.after(silence)).into_iter().collect()
            }
        }
    }
}

/// 0 to 100, of what could be judged.
pub fn total(criteria: &[CriterionScore]) -> Option<f64> {
    let judged = || criteria.iter().filter_map(|criterion| Some((criterion.weight, criterion.score?)));
    let weight: f64 = judged().map(|(weight, _)| weight).sum();
    let sum: f64 = judged().map(|(weight, score)| weight * score).sum();
    (weight > 0.0).then(|| rounded(100.0 * sum / weight, 10.0))
}
