//! Who talks how much, over whom, how fast, and where nobody does.
//!
//! Speech is what lies between the first and the last word of a final. Times of words are estimates (see
//! `docs/transcripts.md`), so measures are as exact as the borders of utterances, within a tenth of a second as a rule.

use sotto_events::{ChannelMeasures, Evidence, Final, Measures, MediaTime, Pace, Stretch};

use super::rounded;

/// Names these definitions.
pub const VERSION: &str = "conversation-2";

/// A silence of this length is dead air.
const DEAD_AIR: u64 = 5_000_000;
/// A pause of this length ends a monologue.
const PAUSE: u64 = 2_000_000;
/// Who begins this long before another ends breaks in; a shorter overlap is a turn taken quickly.
const BREAKS_IN: u64 = 300_000;
/// Who spoke until this long before goes on: a long utterance is cut and nobody breaks in.
const GOES_ON: u64 = 500_000;
/// An interruption has more words than this: "yes" and "okay" are signs of listening.
const BACKCHANNEL: u64 = 1;
/// How much of its own last speech a channel's pace is taken from.
const PACE: u64 = 30_000_000;
/// Less speech than this has no pace.
pub const SLOWEST: u64 = 5_000_000;
/// How far back an interruption is one of the moment.
const MINUTE: u64 = 60_000_000;
/// Interruptions named one by one.
const NAMED: usize = 20;

#[derive(Debug, Clone, Copy)]
struct Turn {
    channel: u8,
    utterance: u64,
    start: u64,
    end: u64,
    words: u64,
}

impl Turn {
    fn evidence(&self) -> Evidence {
        Evidence { channel: self.channel, utterance: self.utterance, at: MediaTime::from_micros(self.start) }
    }
}

/// The turns of a call so far. Bounded by the length of a call: one entry an utterance.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// By start.
    turns: Vec<Turn>,
}

impl Conversation {
    /// Takes in a final. A long utterance may come after a shorter one that began later.
    pub fn add(&mut self, made: &Final) {
        let (Some(first), Some(last)) = (made.words.first(), made.words.last()) else { return };
        let turn = Turn {
            channel: made.channel,
            utterance: made.utterance,
            start: first.start.micros(),
            end: last.end.micros().max(first.start.micros()),
            words: made.words.len() as u64,
        };
        let at = self.turns.partition_point(|other| (other.start, other.channel) <= (turn.start, turn.channel));
        self.turns.insert(at, turn);
    }

    /// The measures of a call with this many channels.
    pub fn measures(&self, channels: usize) -> Measures {
        let talk: Vec<u64> =
            (0..channels as u8).map(|channel| self.of(channel).map(|turn| turn.end - turn.start).sum()).collect();
        let all: u64 = talk.iter().sum();
        let silences = self.silences();
        let dead: u64 = silences.iter().map(|silence| silence.micros()).filter(|&length| length >= DEAD_AIR).sum();
        let channel = |(channel, &talk): (u8, &u64)| {
            let words: u64 = self.of(channel).map(|turn| turn.words).sum();
            let interruptions = self.interruptions(channel);
            ChannelMeasures {
                talk: MediaTime::from_micros(talk),
                talk_share: rounded(talk as f64 / all.max(1) as f64, 1e3),
                words,
                words_per_minute: rounded(words as f64 * 60e6 / talk.max(1) as f64, 10.0),
                longest_monologue: self.longest_monologue(channel),
                interruptions: interruptions.len() as u64,
                interrupted_at: interruptions.into_iter().take(NAMED).collect(),
            }
        };
        Measures {
            version: VERSION.to_owned(),
            channels: (0..channels as u8).zip(&talk).map(channel).collect(),
            overlap: MediaTime::from_micros(self.overlap()),
            dead_air: MediaTime::from_micros(dead),
            longest_silence: silences.into_iter().max_by_key(|silence| silence.micros()),
        }
    }

    /// How a channel does at the moment.
    pub fn pace(&self, channel: u8, position: MediaTime) -> Pace {
        let (mut talk, mut words) = (0, 0);
        for turn in self.turns.iter().rev().filter(|turn| turn.channel == channel) {
            if talk >= PACE {
                break;
            }
            talk += turn.end - turn.start;
            words += turn.words;
        }
        let recent = position.micros().saturating_sub(MINUTE);
        let interruptions = self.interruptions(channel).iter().filter(|at| at.at.micros() >= recent).count();
        Pace {
            words_per_minute: (talk >= SLOWEST).then(|| rounded(words as f64 * 60e6 / talk as f64, 10.0)),
            monologue: MediaTime::from_micros(self.monologue(channel, position)),
            interruptions: interruptions as u64,
        }
    }

    /// The utterance of a channel that begins a stretch.
    pub fn beginning(&self, channel: u8, stretch: Stretch) -> Option<Evidence> {
        self.of(channel).find(|turn| turn.start == stretch.start.micros()).map(Turn::evidence)
    }

    /// The first utterance of anybody after a silence.
    pub fn after(&self, silence: Stretch) -> Option<Evidence> {
        self.turns.iter().find(|turn| turn.start >= silence.end.micros()).map(Turn::evidence)
    }

    /// The utterance in which a channel spoke longest.
    pub fn longest(&self, channel: u8) -> Option<Evidence> {
        self.of(channel).max_by_key(|turn| turn.end - turn.start).map(Turn::evidence)
    }

    /// The utterance of a second and more in which a channel spoke fastest.
    pub fn fastest(&self, channel: u8) -> Option<Evidence> {
        let pace = |turn: &&Turn| turn.words * 1_000_000_000 / (turn.end - turn.start).max(1);
        self.of(channel).filter(|turn| turn.end - turn.start >= 1_000_000).max_by_key(pace).map(Turn::evidence)
    }

    /// How long a channel has been speaking now, when it has the floor.
    fn monologue(&self, channel: u8, position: MediaTime) -> u64 {
        let last = self.monologues(channel).pop();
        last.filter(|last| {
            position.micros().saturating_sub(last.end.micros()) < PAUSE
                && !self
                    .turns
                    .iter()
                    .any(|turn| turn.channel != channel && turn.words > BACKCHANNEL && turn.start >= last.end.micros())
        })
        .map_or(0, Stretch::micros)
    }

    fn of(&self, channel: u8) -> impl Iterator<Item = &Turn> {
        self.turns.iter().filter(move |turn| turn.channel == channel)
    }

    /// Time with two speakers and more: every instant counts once.
    fn overlap(&self) -> u64 {
        let mut edges: Vec<(u64, i32)> = self.turns.iter().flat_map(|turn| [(turn.start, 1), (turn.end, -1)]).collect();
        edges.sort_unstable();
        let (mut speaking, mut since, mut total) = (0, 0, 0);
        for (at, change) in edges {
            if speaking > 1 {
                total += at - since;
            }
            speaking += change;
            since = at;
        }
        total
    }

    /// Where nobody speaks, between the first word and the last.
    fn silences(&self) -> Vec<Stretch> {
        let mut silences = Vec::new();
        let mut end = self.turns.first().map_or(0, |turn| turn.start);
        for turn in &self.turns {
            if turn.start > end {
                silences.push(stretch(end, turn.start));
            }
            end = end.max(turn.end);
        }
        silences
    }

    fn longest_monologue(&self, channel: u8) -> Option<Stretch> {
        // the first of several as long
        self.monologues(channel).into_iter().rev().max_by_key(|stretch| stretch.micros())
    }

    /// Every stretch that no pause and nobody else broke into, oldest first.
    fn monologues(&self, channel: u8) -> Vec<Stretch> {
        let mut found: Vec<Stretch> = Vec::new();
        let mut goes_on = false;
        for turn in &self.turns {
            if turn.channel != channel {
                // a sign of listening does not end it
                goes_on &= turn.words <= BACKCHANNEL;
                continue;
            }
            match found.last_mut() {
                Some(last) if goes_on && turn.start.saturating_sub(last.end.micros()) < PAUSE => {
                    *last = stretch(last.start.micros(), turn.end);
                }
                _ => found.push(stretch(turn.start, turn.end)),
            }
            goes_on = true;
        }
        found
    }

    fn interruptions(&self, channel: u8) -> Vec<Evidence> {
        let mut earlier = self.turns.iter().peekable();
        // when the last of the others who began earlier ends
        let mut others_end = 0;
        let mut own_end: Option<u64> = None;
        let mut breaks_in = |turn: &&Turn| {
            while let Some(other) = earlier.next_if(|other| other.start < turn.start) {
                if other.channel != channel {
                    others_end = others_end.max(other.end);
                }
            }
            let goes_on = own_end.is_some_and(|end| turn.start < end + GOES_ON);
            own_end = own_end.max(Some(turn.end));
            turn.words > BACKCHANNEL && others_end >= turn.start + BREAKS_IN && !goes_on
        };
        self.of(channel).filter(|turn| breaks_in(turn)).map(Turn::evidence).collect()
    }
}

fn stretch(start: u64, end: u64) -> Stretch {
    Stretch { start: MediaTime::from_micros(start), end: MediaTime::from_micros(end) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sotto_events::Word;

    use super::*;

    /// An utterance of evenly spoken words.
    fn said(channel: u8, utterance: u64, start: f64, end: f64, words: usize) -> Final {
        let time = |seconds: f64| MediaTime::from_micros((seconds * 1e6).round() as u64);
        let step = (end - start) / words as f64;
        let word = |index: usize| Word {
            text: "x".to_owned(),
            start: time(start + step * index as f64),
            end: time(start + step * (index + 1) as f64),
        };
        Final {
            channel,
            utterance,
            start: time(start - 0.3),
            end: time(end + 0.3),
            text: vec!["x"; words].join(" "),
            words: (0..words).map(word).collect(),
            confidence: 1.0,
            model: String::new(),
        }
    }

    fn measured(turns: &[(u8, f64, f64, usize)]) -> Measures {
        let mut conversation = Conversation::default();
        for (index, &(channel, start, end, words)) in turns.iter().enumerate() {
            conversation.add(&said(channel, index as u64 + 1, start, end, words));
        }
        conversation.measures(2)
    }

    #[test]
    fn mh13_shares_paces_and_silences_are_counted() {
        let measures = measured(&[(0, 1.0, 4.0, 9), (1, 5.0, 6.0, 2), (0, 12.0, 15.0, 6)]);
        let [agent, customer] = &measures.channels[..] else { panic!("two channels") };
        assert_eq!((agent.talk.micros(), agent.words, agent.words_per_minute), (6_000_000, 15, 150.0));
        assert_eq!((agent.talk_share, customer.talk_share), (0.857, 0.143));
        assert_eq!(measures.dead_air.micros(), 6_000_000);
        assert_eq!(measures.longest_silence, Some(stretch(6_000_000, 12_000_000)));
        assert_eq!(measures.overlap.micros(), 0);
    }

    #[test]
    fn mh13_breaking_in_is_no_sign_of_listening() {
        let measures = measured(&[(0, 0.0, 10.0, 30), (1, 3.0, 3.4, 1), (1, 6.0, 9.0, 8), (0, 9.9, 12.0, 5)]);
        assert_eq!(measures.channels[1].interruptions, 1);
        assert_eq!(
            measures.channels[1].interrupted_at[0],
            Evidence { channel: 1, utterance: 3, at: MediaTime::from_micros(6_000_000) }
        );
        // the last turn of the agent follows its own, not the customer's
        assert_eq!(measures.channels[0].interruptions, 0);
        assert_eq!(measures.overlap.micros(), 3_500_000);
    }

    #[test]
    fn who_goes_on_after_a_cut_interrupts_nobody() {
        let measures = measured(&[(0, 0.0, 10.0, 30), (1, 6.0, 13.0, 20), (0, 10.02, 14.0, 9)]);
        let [agent, customer] = &measures.channels[..] else { panic!("two channels") };
        assert_eq!((agent.interruptions, customer.interruptions), (0, 1));
    }

    #[test]
    fn a_monologue_outlives_a_yes_but_not_a_pause() {
        let measures =
            measured(&[(0, 0.0, 4.0, 9), (1, 3.0, 3.3, 1), (0, 5.0, 9.0, 9), (0, 12.0, 13.0, 2), (1, 13.5, 15.0, 4)]);
        assert_eq!(measures.channels[0].longest_monologue, Some(stretch(0, 9_000_000)));
        assert_eq!(measures.channels[1].longest_monologue, Some(stretch(13_500_000, 15_000_000)));
    }

    #[test]
    fn a_call_without_a_word_has_measures_too() {
        let measures = measured(&[]);
        assert_eq!((measures.channels[0].talk_share, measures.channels[0].longest_monologue), (0.0, None));
    }

    proptest! {
        #[test]
        fn the_order_in_which_finals_come_changes_nothing(
            turns in prop::collection::vec((0_u8..2, 0_u32..600, 1_u32..80, 1_usize..9), 0..30),
            seed in 0_usize..1000,
        ) {
            let finals: Vec<Final> = turns
                .iter()
                .enumerate()
                .map(|(index, &(channel, start, length, words))| {
                    // no two turns of a channel begin together
                    let start = f64::from(start) / 10.0 + index as f64 / 1000.0;
                    said(channel, index as u64, start, start + f64::from(length) / 10.0, words)
                })
                .collect();
            let fold = |finals: &[Final]| {
                let mut conversation = Conversation::default();
                finals.iter().for_each(|made| conversation.add(made));
                conversation.measures(2)
            };
            let mut turned = finals.clone();
            turned.rotate_left(seed % finals.len().max(1));
            prop_assert_eq!(fold(&finals), fold(&turned));
        }
    }
}
