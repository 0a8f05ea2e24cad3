//! What a call is judged by: a script to follow, moments to notice, criteria to weigh. Written by people, so every rule
//! says what is wrong with it.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{ChannelRole, Level, Prompt};

const MOST_STEPS: usize = 64;
const MOST_MOMENTS: usize = 128;
const MOST_CRITERIA: usize = 32;
const MOST_PHRASES: usize = 32;
const MOST_PHRASES_IN_ALL: usize = 1_000;
/// Words in the longest phrase.
pub const LONGEST_PHRASE: usize = 12;
const LONGEST_TEXT: usize = 200;
const LONGEST_NAME: usize = 80;

/// Whose words count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    Agent,
    Customer,
    #[default]
    Anyone,
}

impl Speaker {
    /// Whether a channel with this role is meant.
    pub fn is(self, role: ChannelRole) -> bool {
        match self {
            Self::Agent => role == ChannelRole::Agent,
            Self::Customer => role == ChannelRole::Customer,
            Self::Anyone => true,
        }
    }
}

/// Something that has to be said, by the agent unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: String,
    pub title: String,
    /// Any of them counts.
    pub phrases: Vec<String>,
    /// Seconds from the start of the call; none for the whole call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    /// The step that must come before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    #[serde(default = "agent")]
    pub speaker: Speaker,
    /// How near to a phrase counts, 0.5 to 1; unset: 0.8, of one word or two 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearness: Option<f64>,
    #[serde(default = "one")]
    pub weight: f64,
}

/// Something to notice when it is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MomentRule {
    pub id: String,
    pub title: String,
    pub phrases: Vec<String>,
    #[serde(default)]
    pub speaker: Speaker,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearness: Option<f64>,
    /// Seconds in which it is noticed once.
    #[serde(default = "half_a_minute")]
    pub cooldown: f64,
    /// Raises an alert; none only counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Must not be said.
    #[serde(default)]
    pub forbidden: bool,
    /// What the agent is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
}

/// What a criterion looks at, and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of the script said in time, 0 to 1.
    Script,
    /// Moments of what must not be said.
    Forbidden,
    /// 0 to 1.
    TalkShare,
    WordsPerMinute,
    /// Seconds of the longest one.
    Monologue,
    Interruptions,
    /// Seconds of the call.
    DeadAir,
    /// -1 to 1.
    Sentiment,
}

impl Measure {
    /// Where the score is full, and where it is none.
    const fn usual(self) -> ([f64; 2], [f64; 2]) {
        match self {
            Self::Script => ([1.0, 1.0], [0.0, 1.0]),
            Self::Forbidden => ([0.0, 0.0], [0.0, 1.0]),
            Self::TalkShare => ([0.35, 0.65], [0.1, 0.9]),
            Self::WordsPerMinute => ([110.0, 180.0], [60.0, 240.0]),
            Self::Monologue => ([0.0, 60.0], [0.0, 180.0]),
            Self::Interruptions => ([0.0, 1.0], [0.0, 6.0]),
            Self::DeadAir => ([0.0, 10.0], [0.0, 60.0]),
            Self::Sentiment => ([0.2, 1.0], [-0.6, 1.0]),
        }
    }
}

/// A part of the weighted score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    pub id: String,
    pub title: String,
    pub weight: f64,
    pub measure: Measure,
    /// Whose; for `sentiment` the customer's unless said, else the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<Speaker>,
    /// From and to: here the score is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<[f64; 2]>,
    /// From and to: beyond these it is none, and in between it falls evenly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<[f64; 2]>,
}

impl Criterion {
    /// Whose measure it is.
    pub fn speaker(&self) -> Speaker {
        let usual = if self.measure == Measure::Sentiment { Speaker::Customer } else { Speaker::Agent };
        self.speaker.unwrap_or(usual)
    }

    /// 0 to 1 for a measured value.
    pub fn score(&self, value: f64) -> f64 {
        let (best, worst) = self.ranges();
        let score = if value < best[0] {
            (value - worst[0]) / (best[0] - worst[0])
        } else if value > best[1] {
            (worst[1] - value) / (worst[1] - best[1])
        } else {
            1.0
        };
        score.clamp(0.0, 1.0)
    }

    fn ranges(&self) -> ([f64; 2], [f64; 2]) {
        let (best, worst) = self.measure.usual();
        (self.best.unwrap_or(best), self.worst.unwrap_or(worst))
    }
}

/// Beyond these the agent gets a gentle word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PaceLimits {
    pub words_per_minute: f64,
    /// Seconds.
    pub monologue: f64,
    /// In a minute.
    pub interruptions: f64,
}

impl Default for PaceLimits {
    fn default() -> Self {
        Self { words_per_minute: 190.0, monologue: 60.0, interruptions: 2.0 }
    }
}

/// The whole of it. A call keeps the one it began with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scorecard {
    pub name: String,
    /// Whoever changes it gives it another one: scores of different versions are not compared.
    pub version: String,
    /// Calls with one of these as `queue` in their metadata; none: calls that no other scorecard is for.
    #[serde(default)]
    pub queues: Vec<String>,
    #[serde(default)]
    pub pace: PaceLimits,
    #[serde(default)]
    pub script: Vec<Step>,
    #[serde(default)]
    pub moments: Vec<MomentRule>,
    #[serde(default)]
    pub criteria: Vec<Criterion>,
}

const fn agent() -> Speaker {
    Speaker::Agent
}

const fn one() -> f64 {
    1.0
}

const fn half_a_minute() -> f64 {
    30.0
}

/// What is wrong with a scorecard, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ScorecardError {
    place: String,
    why: String,
}

impl fmt::Display for ScorecardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.place, self.why) }
    }
}

type Checked = Result<(), ScorecardError>;

fn wrong<T>(place: &str, why: impl Into<String>) -> Result<T, ScorecardError> {
    Err(ScorecardError { place: place.to_owned(), why: why.into() })
}

impl Scorecard {
    /// Checks every rule.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn validate(&self) -> Checked {
        text("", "name", &self.name, LONGEST_NAME)?;
        text("", "version", &self.version, LONGEST_NAME)?;
        self.queues.iter().try_for_each(|queue| text("", "queues", queue, LONGEST_NAME))?;
        if let Some(again) = (1..self.queues.len()).find(|&at| self.queues[..at].contains(&self.queues[at])) {
            return wrong("", format!("queues has {:?} twice", self.queues[again]));
        }
        let all = self.script.iter().map(|step| step.phrases.len()).sum::<usize>()
            + self.moments.iter().map(|moment| moment.phrases.len()).sum::<usize>();
        at_most("phrases in all", all, MOST_PHRASES_IN_ALL)?;
        at_most("script", self.script.len(), MOST_STEPS)?;
        at_most("moments", self.moments.len(), MOST_MOMENTS)?;
        at_most("criteria", self.criteria.len(), MOST_CRITERIA)?;
        unique("script", self.script.iter().map(|step| step.id.as_str()))?;
        unique("moments", self.moments.iter().map(|moment| moment.id.as_str()))?;
        unique("criteria", self.criteria.iter().map(|criterion| criterion.id.as_str()))?;
        between("pace", "words_per_minute", self.pace.words_per_minute, 50.0, 400.0)?;
        between("pace", "monologue", self.pace.monologue, 5.0, 600.0)?;
        between("pace", "interruptions", self.pace.interruptions, 1.0, 60.0)?;
        self.script.iter().enumerate().try_for_each(|(index, step)| self.check_step(index, step))?;
        self.moments.iter().try_for_each(check_moment)?;
        self.criteria.iter().try_for_each(|criterion| self.check_criterion(criterion))
    }

    fn check_step(&self, index: usize, step: &Step) -> Checked {
        let place = format!("script.{}", step.id);
        text(&place, "title", &step.title, LONGEST_NAME)?;
        phrases(&place, &step.phrases, step.nearness)?;
        between(&place, "weight", step.weight, 0.0, 1000.0)?;
        if let Some(within) = step.within {
            between(&place, "within", within, 1.0, 86_400.0)?;
        }
        match &step.after {
            Some(after) if !self.script[..index].iter().any(|earlier| earlier.id == *after) => {
                wrong(&place, format!("after names {after:?}, which is no step above this one"))
            }
            _ => Ok(()),
        }
    }

    fn check_criterion(&self, criterion: &Criterion) -> Checked {
        let place = format!("criteria.{}", criterion.id);
        text(&place, "title", &criterion.title, LONGEST_NAME)?;
        between(&place, "weight", criterion.weight, 0.0, 1000.0)?;
        let (best, worst) = criterion.ranges();
        if !best.iter().chain(&worst).all(|bound| bound.is_finite()) {
            return wrong(&place, "best and worst must be numbers");
        }
        if !(worst[0] <= best[0] && best[0] <= best[1] && best[1] <= worst[1]) {
            return wrong(
                &place,
                format!(
                    "worst {worst:?} must lie around best {best:?} (these, or the usual ones of the measure): \
                     worst[0] <= best[0] <= best[1] <= worst[1]"
                ),
            );
        }
        match criterion.measure {
            Measure::Script if self.script.is_empty() => {
                wrong(&place, "measures the script, but there is none; add [[script]]")
            }
            Measure::Forbidden if !self.moments.iter().any(|moment| moment.forbidden) => {
                wrong(&place, "measures what is forbidden, but no moment has forbidden = true")
            }
            _ => Ok(()),
        }
    }
}

fn check_moment(moment: &MomentRule) -> Checked {
    let place = format!("moments.{}", moment.id);
    text(&place, "title", &moment.title, LONGEST_NAME)?;
    phrases(&place, &moment.phrases, moment.nearness)?;
    between(&place, "cooldown", moment.cooldown, 1.0, 86_400.0)?;
    let Some(prompt) = &moment.prompt else { return Ok(()) };
    text(&place, "prompt.say", &prompt.say, LONGEST_TEXT)?;
    if let Some(why) = &prompt.why {
        text(&place, "prompt.why", why, LONGEST_TEXT)?;
    }
    match &prompt.link {
        Some(link) if !link.starts_with("https://") || link.len() > 500 => {
            wrong(&place, "prompt.link must be an https:// address of at most 500 bytes")
        }
        _ => Ok(()),
    }
}

fn text(place: &str, name: &str, value: &str, longest: usize) -> Checked {
    let length = value.chars().count();
    if value.trim().is_empty() || length > longest || value.chars().any(char::is_control) {
        return wrong(place, format!("{name} must be a line of 1 to {longest} characters"));
    }
    Ok(())
}

fn at_most(name: &str, count: usize, most: usize) -> Checked {
    if count > most { wrong("", format!("{count} {name}; at most {most} are allowed")) } else { Ok(()) }
}

fn between(place: &str, name: &str, value: f64, low: f64, high: f64) -> Checked {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        wrong(place, format!("{name} is {value}, must be between {low} and {high}"))
    }
}

fn unique<'a>(list: &str, ids: impl Iterator<Item = &'a str>) -> Checked {
    let mut seen = BTreeSet::new();
    for id in ids {
        let sound = !id.is_empty()
            && id.len() <= 40
            && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
        if !sound {
            return wrong(list, format!("id {id:?} must be 1 to 40 of a-z, 0-9, - and _"));
        }
        if !seen.insert(id) {
            return wrong(list, format!("id {id:?} is there twice"));
        }
    }
    Ok(())
}

fn phrases(place: &str, phrases: &[String], nearness: Option<f64>) -> Checked {
    if phrases.is_empty() || phrases.len() > MOST_PHRASES {
        return wrong(place, format!("phrases must be 1 to {MOST_PHRASES}, is {}", phrases.len()));
    }
    for phrase in phrases {
        let words = phrase
            .split(|c: char| c.is_whitespace() || matches!(c, '-' | '/'))
            .filter(|word| word.contains(char::is_alphanumeric))
            .count();
        if words == 0 || words > LONGEST_PHRASE || phrase.len() > LONGEST_TEXT {
            let most = format!("1 to {LONGEST_PHRASE} words and at most {LONGEST_TEXT} bytes");
            return wrong(place, format!("phrase {phrase:?} must have {most}"));
        }
    }
    match nearness {
        Some(nearness) => between(place, "nearness", nearness, 0.5, 1.0),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Scorecard {
        let step = |id: &str, after: Option<&str>| Step {
            id: id.to_owned(),
            title: "Greeting".to_owned(),
            phrases: vec!["thank you for calling".to_owned()],
            within: Some(20.0),
            after: after.map(str::to_owned),
            speaker: Speaker::Agent,
            nearness: None,
            weight: 1.0,
        };
        let criterion = Criterion {
            id: "pace".to_owned(),
            title: "Pace".to_owned(),
            weight: 1.0,
            measure: Measure::WordsPerMinute,
            speaker: None,
            best: None,
            worst: None,
        };
        Scorecard {
            name: "Cards".to_owned(),
            version: "1".to_owned(),
            queues: Vec::new(),
            pace: PaceLimits::default(),
            script: vec![step("greet", None), step("verify", Some("greet"))],
            moments: Vec::new(),
            criteria: vec![criterion],
        }
    }

    #[test]
    fn says_where_it_is_wrong_and_what_would_be_right() {
        assert_eq!(card().validate(), Ok(()));
        type Spoil = fn(&mut Scorecard);
        let cases: [(Spoil, &str); 8] = [
            (|card| card.version.clear(), "version must be a line"),
            (|card| card.script[1].after = Some("thank".to_owned()), "script.verify: after names \"thank\""),
            (|card| card.script[0].phrases.clear(), "script.greet: phrases must be 1 to 32"),
            (|card| card.script[0].phrases[0] = "...".to_owned(), "must have 1 to 12 words"),
            (|card| card.script[1].id = "greet".to_owned(), "\"greet\" is there twice"),
            (|card| card.script[0].nearness = Some(0.2), "between 0.5 and 1"),
            (|card| card.criteria[0].worst = Some([120.0, 200.0]), "must lie around best"),
            (|card| card.criteria[0].measure = Measure::Forbidden, "no moment has forbidden = true"),
        ];
        for (spoil, wanted) in cases {
            let mut card = card();
            spoil(&mut card);
            let error = card.validate().unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_score_is_full_in_the_best_range_and_falls_evenly_to_the_worst() {
        let criterion = &card().criteria[0];
        let scores = [60.0, 85.0, 110.0, 180.0, 210.0, 300.0].map(|pace| criterion.score(pace));
        assert_eq!(scores, [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]);
    }

    #[test]
    fn without_room_between_best_and_worst_a_score_is_all_or_nothing() {
        let forbidden = Criterion { measure: Measure::Forbidden, ..card().criteria[0].clone() };
        assert_eq!([0.0, 1.0, 3.0].map(|count| forbidden.score(count)), [1.0, 0.0, 0.0]);
    }
}
