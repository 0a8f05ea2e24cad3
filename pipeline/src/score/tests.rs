//! Whole scorecards on made-up finals.

use std::sync::Arc;

use proptest::prelude::*;
use sotto_events::{ChannelRole, Final, Level, MediaTime, Moment, Scorecard, Scores, StepState, Word};

use super::Scoring;

/// An utterance whose words take half a second each.
pub fn said(channel: u8, utterance: u64, start: f64, text: &str) -> Final {
    let time = |seconds: f64| MediaTime::from_micros((seconds * 1e6).round() as u64);
    let at = |index: usize| start + 0.5 * index as f64;
    let word =
        |(index, text): (usize, &str)| Word { text: text.to_owned(), start: time(at(index)), end: time(at(index + 1)) };
    let words: Vec<Word> = text.split_whitespace().enumerate().map(word).collect();
    let end = time(at(words.len()));
    let (text, model) = (text.to_owned(), String::new());
    Final { channel, utterance, start: time(start), end, text, words, confidence: 1.0, model }
}

const CARD: &str = r#"{
    "name": "Cards", "version": "7",
    "script": [
        { "id": "greet", "title": "Greeting", "phrases": ["thank you for calling"], "within": 10 },
        { "id": "verify", "title": "Verify", "phrases": ["your full name"], "after": "greet", "within": 60 },
        { "id": "close", "title": "Anything else", "phrases": ["anything else I can do"], "weight": 2 }
    ],
    "moments": [
        { "id": "cancel", "title": "Wants to cancel", "phrases": ["cancel my contract"], "speaker": "customer", "level": "urgent", "cooldown": 30 },
        { "id": "promise", "title": "Promises", "phrases": ["I guarantee"], "speaker": "agent", "forbidden": true }
    ],
    "criteria": [
        { "id": "script", "title": "Script", "weight": 3, "measure": "script" },
        { "id": "said", "title": "Nothing forbidden", "weight": 1, "measure": "forbidden" }
    ]
}"#;

fn card() -> Arc<Scorecard> {
    let card: Scorecard = serde_json::from_str(CARD).unwrap();
    card.validate().unwrap();
    Arc::new(card)
}

fn fold(finals: &[Final]) -> (Scoring, Vec<Moment>) {
    let mut scoring = Scoring::new(&[ChannelRole::Agent, ChannelRole::Customer], Some(card()));
    let moments = finals.iter().flat_map(|made| scoring.add(made)).collect();
    (scoring, moments)
}

fn states(scores: &Scores) -> Vec<StepState> {
    scores.script.iter().map(|step| step.state).collect()
}

#[test]
fn mh13_a_script_is_followed_in_time_and_in_order() {
    use StepState::{Done, Late, Open, Overdue};
    let (scoring, _) = fold(&[
        said(0, 1, 1.0, "Thank you for calling Harbor Bank"),
        said(0, 2, 70.0, "may I have your full name please"),
    ]);
    let now = scoring.scores(MediaTime::from_micros(80_000_000), false);
    assert_eq!(states(&now), [Done, Late, Open]);
    // what cannot be judged yet does not count
    assert_eq!(now.adherence, Some(0.5));
    let over = scoring.scores(MediaTime::from_micros(90_000_000), true);
    assert_eq!(states(&over), [Done, Late, Overdue]);
    assert_eq!(over.adherence, Some(0.25));
    assert_eq!(over.script[0].evidence.unwrap().utterance, 1);
    assert_eq!(over.script[0].nearness, Some(1.0));
}

#[test]
fn mh13_what_comes_too_early_can_be_said_again() {
    let too_early = [said(0, 1, 1.0, "your full name please")];
    let then = [too_early[0].clone(), said(0, 2, 4.0, "thank you for calling"), said(0, 3, 8.0, "your full name")];
    assert_eq!(states(&fold(&too_early).0.scores(MediaTime::ZERO, false))[1], StepState::Early);
    assert_eq!(states(&fold(&then).0.scores(MediaTime::ZERO, false))[1], StepState::Done);
    // the customer cannot say it for the agent
    let customer = fold(&[said(1, 1, 1.0, "thank you for calling")]).0.scores(MediaTime::ZERO, false);
    assert_eq!(states(&customer)[0], StepState::Open);
}

#[test]
fn mh13_a_moment_comes_once_in_its_cooldown() {
    let again = |utterance, at| said(1, utterance, at, "I want to cancel my contract");
    let (scoring, moments) =
        fold(&[again(1, 5.0), again(2, 15.0), again(3, 60.0), said(0, 1, 70.0, "cancel my contract")]);
    let places: Vec<u64> = moments.iter().map(|moment| moment.evidence.utterance).collect();
    assert_eq!(places, [1, 3]);
    assert_eq!(moments[0].level, Some(Level::Urgent));
    let counts = scoring.scores(MediaTime::ZERO, false).moments;
    assert_eq!((counts.len(), counts[0].count, counts[0].last.utterance), (1, 2, 3));
}

#[test]
fn mh13_mr9_a_scorecard_weighs_and_names_its_version() {
    let (scoring, _) = fold(&[said(0, 1, 1.0, "Thank you for calling"), said(0, 2, 5.0, "I guarantee it")]);
    let scores = scoring.scores(MediaTime::from_micros(90_000_000), true);
    let name = scores.scorecard.unwrap();
    assert_eq!((name.name.as_str(), name.version.as_str()), ("Cards", "7"));
    // a quarter of the script with weight 3, something forbidden with weight 1
    assert_eq!(scores.total, Some(18.8));
    assert_eq!(scores.criteria[1].evidence[0].utterance, 2);
    assert!(scores.version.contains("vader"));
}

#[test]
fn a_step_counts_by_when_it_was_said_not_by_when_its_final_came() {
    // the customer's long utterance ends after the agent's answer to it
    let late = [said(0, 1, 12.0, "your full name please"), said(0, 2, 5.0, "thank you for calling")];
    assert_eq!(states(&fold(&late).0.scores(MediaTime::ZERO, false))[1], StepState::Done);
    // said in time and once more too late
    let twice = [said(0, 1, 5.0, "thank you for calling"), said(0, 2, 40.0, "thank you for calling")];
    assert_eq!(states(&fold(&twice).0.scores(MediaTime::ZERO, false))[0], StepState::Done);
}

#[test]
fn every_criterion_points_to_where_it_comes_from() {
    let mut card = card().as_ref().clone();
    let measures = ["script", "forbidden", "talk_share", "words_per_minute", "monologue", "interruptions", "sentiment"];
    card.criteria = measures
        .iter()
        .map(|measure| {
            let text = format!(r#"{{ "id": "{measure}", "title": "x", "weight": 1, "measure": "{measure}" }}"#);
            serde_json::from_str(&text).unwrap()
        })
        .collect();
    let mut scoring = Scoring::new(&[ChannelRole::Agent, ChannelRole::Customer], Some(Arc::new(card)));
    let lines = [
        said(0, 1, 0.0, "thank you for calling how can I help you with your card today"),
        said(1, 1, 10.0, "this is terrible I have waited for a very long time and nobody told me why"),
        said(0, 2, 12.0, "I guarantee that it will be better from now on"),
    ];
    lines.iter().for_each(|made| drop(scoring.add(made)));
    for criterion in scoring.scores(MediaTime::from_micros(30_000_000), true).criteria {
        assert!(!criterion.evidence.is_empty(), "{}", criterion.id);
    }
}

#[test]
fn where_nobody_spoke_there_is_nothing_to_judge() {
    for over in [false, true] {
        assert_eq!(fold(&[]).0.scores(MediaTime::from_micros(500_000_000), over).total, None);
    }
}

proptest! {
    #[test]
    fn whoever_folds_kept_finals_comes_to_the_same_scores(
        lines in prop::collection::vec((0_u8..2, 0_u64..90_000_000, 0_usize..5), 1..20),
    ) {
        let texts = [
            "thank you for calling", "your full name please", "I want to cancel my contract",
            "that is really awful", "is there anything else I can do",
        ];
        let made = |(index, &(channel, start, text)): (usize, &(u8, u64, usize))| {
            let made = said(channel, index as u64, start as f64 / 1e6, texts[text]);
            let word = |word: Word| Word { start: word.start.kept(), end: word.end.kept(), ..word };
            let words = made.words.into_iter().map(word).collect();
            Final { start: made.start.kept(), end: made.end.kept(), words, ..made }
        };
        let finals: Vec<Final> = lines.iter().enumerate().map(made).collect();
        let kept: Vec<Final> =
            finals.iter().map(|made| serde_json::from_str(&serde_json::to_string(made).unwrap()).unwrap()).collect();
        let at = MediaTime::from_micros(95_000_000);
        let ((live, moments), (again, again_moments)) = (fold(&finals), fold(&kept));
        prop_assert_eq!(moments, again_moments);
        prop_assert_eq!(live.live(at), again.live(at));
    }
}

#[test]
fn without_a_scorecard_there_are_measures_and_feelings() {
    let mut scoring = Scoring::new(&[ChannelRole::Agent, ChannelRole::Customer], None);
    assert!(scoring.add(&said(1, 1, 0.0, "this is awful")).is_empty());
    let live = scoring.live(MediaTime::from_micros(2_000_000));
    assert_eq!((live.scores.total, live.scores.adherence, live.scores.scorecard), (None, None, None));
    assert!(live.scores.sentiment[0].is_none() && live.scores.sentiment[1].as_ref().unwrap().score < 0.0);
    assert_eq!(live.measures.channels[1].words, 3);
}

#[test]
fn the_pace_is_that_of_the_moment() {
    let quick = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
    let (scoring, _) = fold(&[said(1, 1, 0.0, "hello there"), said(0, 1, 10.0, quick)]);
    let live = scoring.live(MediaTime::from_micros(18_000_000));
    assert_eq!(live.pace[0].words_per_minute, Some(120.0));
    assert_eq!(live.pace[0].monologue.micros(), 8_000_000);
    assert_eq!((live.pace[1].words_per_minute, live.pace[1].monologue.micros()), (None, 0));
}
