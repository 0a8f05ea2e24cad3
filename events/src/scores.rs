//! How a call does by its scorecard. No verbatim text: each score points to the utterance it comes from.

use serde::{Deserialize, Serialize};

use crate::{Evidence, Measures, MediaTime};

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Notice,
    Warning,
    Urgent,
}

impl Level {
    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
        }
    }
}

/// What the agent is shown when a moment comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub say: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// An https:// address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// A phrase of the scorecard was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Of its rule in the scorecard.
    pub id: String,
    pub title: String,
    pub scorecard: ScorecardName,
    pub forbidden: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    #[serde(flatten)]
    pub evidence: Evidence,
    /// How near to the phrase, 0 to 1; two decimals.
    pub nearness: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
}

/// Which scorecard judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScorecardName {
    pub name: String,
    pub version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    Rising,
    Falling,
    Steady,
}

/// The feeling in what one channel said, -1 to 1; two decimals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sentiment {
    /// Mean over the call, by words.
    pub score: f64,
    /// The same with what was said a minute ago counting half.
    pub recent: f64,
    /// `recent` against `score`.
    pub trend: Trend,
    /// Where it was lowest, when that was below nothing.
    pub lowest: Option<Evidence>,
    pub highest: Option<Evidence>,
}

/// Where a step of the script stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    Open,
    Done,
    /// Said, but before the step it must follow.
    Early,
    /// Said, but after its time.
    Late,
    /// Not said, and its time is over.
    Overdue,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepScore {
    pub id: String,
    pub state: StepState,
    /// How near to the phrase, 0 to 1, once said; two decimals.
    pub nearness: Option<f64>,
    pub evidence: Option<Evidence>,
    /// By when it must be said.
    pub due: Option<MediaTime>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MomentCount {
    pub id: String,
    pub count: u64,
    pub last: Evidence,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriterionScore {
    pub id: String,
    pub weight: f64,
    /// 0 to 1, two decimals; none while there is nothing to judge.
    pub score: Option<f64>,
    /// In the unit of what is measured.
    pub value: Option<f64>,
    /// At most five.
    pub evidence: Vec<Evidence>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Names the definitions behind the numbers.
    pub version: String,
    pub scorecard: Option<ScorecardName>,
    /// One for each channel; none for one that said nothing.
    pub sentiment: Vec<Option<Sentiment>>,
    pub script: Vec<StepScore>,
    /// Share of the script's weight that was said in time, of what could be judged, 0 to 1; two decimals.
    pub adherence: Option<f64>,
    /// Those that came.
    pub moments: Vec<MomentCount>,
    pub criteria: Vec<CriterionScore>,
    /// Weighted, 0 to 100; one decimal.
    pub total: Option<f64>,
}

/// How a channel does at the moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Over the last half minute of its own speech; none for less than five seconds of it.
    pub words_per_minute: Option<f64>,
    /// How long it has been speaking while nobody else did.
    pub monologue: MediaTime,
    /// In the last minute.
    pub interruptions: u64,
}

/// How a call goes so far; told while it runs and kept nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveScores {
    /// How far the call has been heard.
    pub position: MediaTime,
    pub measures: Measures,
    pub scores: Scores,
    /// One for each channel.
    pub pace: Vec<Pace>,
}
