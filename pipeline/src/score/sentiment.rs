//! The feeling in what a channel says, by the VADER lexicon and rules (Hutto and Gilbert 2014), word for word.

use std::sync::LazyLock;

use sotto_events::{Evidence, Final, Sentiment, Trend};
use vader_sentimental::SentimentIntensityAnalyzer;

use super::rounded;

/// What was said this long ago counts half in `recent`, in microseconds.
const HALF_LIFE: f64 = 60e6;
/// `recent` this far from the whole is a trend.
const TREND: f64 = 0.1;

/// The lexicon is parsed once, on first use.
static ANALYZER: LazyLock<SentimentIntensityAnalyzer<'static>> = LazyLock::new(SentimentIntensityAnalyzer::new);

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.weight += weight;
    }

    fn value(self) -> f64 {
        self.sum / self.weight
    }
}

/// One channel.
#[derive(Debug, Clone, Default)]
pub struct Feeling {
    whole: Mean,
    recent: Mean,
    last: u64,
    lowest: Option<(f64, Evidence)>,
    highest: Option<(f64, Evidence)>,
}

impl Feeling {
    /// Takes in a final of the channel.
    pub fn add(&mut self, made: &Final) {
        let words = made.words.len() as f64;
        if made.words.is_empty() {
            return;
        }
        // the analyzer adds in no fixed order, so its last digits are not the same everywhere
        let value = rounded(ANALYZER.polarity_scores(&made.text).compound, 1e4);
        let age = made.end.micros().saturating_sub(self.last) as f64;
        let fade = (-age / HALF_LIFE).exp2();
        self.recent = Mean { sum: self.recent.sum * fade, weight: self.recent.weight * fade };
        self.last = self.last.max(made.end.micros());
        self.whole.add(value, words);
        self.recent.add(value, words);
        let evidence = Evidence { channel: made.channel, utterance: made.utterance, at: made.start };
        if value < self.lowest.map_or(0.0, |lowest| lowest.0) {
            self.lowest = Some((value, evidence));
        }
        if value > self.highest.map_or(0.0, |highest| highest.0) {
            self.highest = Some((value, evidence));
        }
    }

    /// None for a channel that has said nothing.
    pub fn sentiment(&self) -> Option<Sentiment> {
        if self.whole.weight == 0.0 {
            return None;
        }
        let (score, recent) = (self.whole.value(), self.recent.value());
        let trend = match recent - score {
            change if change > TREND => Trend::Rising,
            change if change < -TREND => Trend::Falling,
            _ => Trend::Steady,
        };
        Some(Sentiment {
            score: rounded(score, 100.0),
            recent: rounded(recent, 100.0),
            trend,
            lowest: self.lowest.map(|(_, evidence)| evidence),
            highest: self.highest.map(|(_, evidence)| evidence),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tests::said;

    fn felt(said: &[Final]) -> Sentiment {
        let mut feeling = Feeling::default();
        said.iter().for_each(|made| feeling.add(made));
        feeling.sentiment().unwrap()
    }

    #[test]
    fn mh13_anger_is_below_thanks_and_points_to_where_it_was() {
        let call = [
            said(1, 1, 0.0, "hello, I have a question about my account"),
            said(1, 2, 60.0, "this is terrible, I am really angry and unhappy"),
            said(1, 3, 200.0, "thank you, that is wonderful, you are great"),
        ];
        let sentiment = felt(&call);
        assert_eq!(sentiment.lowest.unwrap().utterance, 2);
        assert_eq!(sentiment.highest.unwrap().utterance, 3);
        assert_eq!(sentiment.trend, Trend::Rising);
        assert!(felt(&call[..2]).score < -0.2 && felt(&call[..2]).trend != Trend::Rising);
    }

    #[test]
    fn a_negation_turns_a_feeling_round() {
        let [good, bad] = ["that is good", "that is not good"].map(|text| felt(&[said(0, 1, 0.0, text)]).score);
        assert!(good > 0.2 && bad < -0.2, "{good} {bad}");
    }

    #[test]
    fn a_silent_channel_has_no_feeling() {
        assert_eq!(Feeling::default().sentiment(), None);
    }
}
