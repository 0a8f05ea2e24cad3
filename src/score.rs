//! `sotto score` and `sotto calls score`: how a conversation went, and how it does by a scorecard.

use std::{path::Path, sync::Arc};

use prometheus::Registry;
use serde_json::json;
use sotto_events::{
    CallEvent, ChannelRole, EventBody, Evidence, Measures, MediaTime, Moment, Scorecard, Scores, Stretch,
};
use sotto_ingest::file;
use sotto_pipeline::{CallOutput, PipelineMetrics, Resume, score::Scoring};

use crate::{
    cli::Score,
    config::Config,
    failure::{Failure, failure},
    print::out,
    scorecards,
    server::start_engine,
    transcribe::{roles, transcribe},
};

/// What came of a call.
#[derive(Default)]
struct Card {
    measures: Option<Measures>,
    scores: Option<Scores>,
    moments: Vec<Moment>,
}

impl Card {
    fn take(&mut self, event: CallEvent) {
        match event.body {
            EventBody::Moment(moment) => self.moments.push(moment),
            EventBody::Measured(measures) => self.measures = Some(measures),
            EventBody::Scored(scores) => self.scores = Some(scores),
            _ => {}
        }
    }

    fn show(self, roles: &[ChannelRole], card: Option<&Scorecard>, as_json: bool) -> Result<(), Failure> {
        let (Some(measures), Some(scores)) = (self.measures, self.scores) else {
            return Err(failure("the call did not come to its end"));
        };
        if as_json {
            out(&json!({ "measures": measures, "scores": scores, "moments": self.moments }).to_string());
            return Ok(());
        }
        table(&measures, roles);
        feelings(&scores, roles);
        if let Some(card) = card {
            judged(card, &scores, &self.moments);
        }
        Ok(())
    }
}

/// A recording.
pub async fn run(config: &Config, options: &Score) -> Result<(), Failure> {
    let card = options.scorecard.as_deref().map(scorecards::read).transpose()?.map(Arc::new);
    let recording = file::read(&options.file)?;
    let roles = roles(recording.channels.len());
    let engine = start_engine(config, PipelineMetrics::new(&Registry::new())?)?;
    let resume = Resume { scorecard: card.clone(), ..Resume::default() };
    let mut outputs = transcribe(engine, config.pipeline.clone(), recording, resume)?;
    let mut result = Card::default();
    while let Some(output) = outputs.recv().await {
        let CallOutput::Record { events, .. } = output else { continue };
        events.into_iter().for_each(|event| result.take(event));
    }
    result.show(&roles, card.as_deref(), options.json)
}

/// A kept call, by its events: the same fold as when it ran.
pub fn kept(roles: &[ChannelRole], events: &[CallEvent], card: &Path, as_json: bool) -> Result<(), Failure> {
    let card = Arc::new(scorecards::read(card)?);
    let mut scoring = Scoring::new(roles, Some(Arc::clone(&card)));
    let mut result = Card::default();
    let mut end = MediaTime::ZERO;
    let mut over = false;
    for event in events {
        match &event.body {
            EventBody::Final(made) => {
                result.moments.extend(scoring.add(made));
                end = end.max(made.end);
            }
            EventBody::Ended { duration, .. } => (end, over) = (*duration, true),
            _ => {}
        }
    }
    result.measures = Some(scoring.measures());
    result.scores = Some(scoring.scores(end, over));
    result.show(roles, Some(&card), as_json)
}

fn table(measures: &Measures, roles: &[ChannelRole]) {
    out("channel  role      talk      share  words  a minute  monologue  interruptions");
    for (index, (channel, role)) in measures.channels.iter().zip(roles).enumerate() {
        out(&format!(
            "{index:>7}  {:<8} {:>5.1} s  {:>6.1} %  {:>5}  {:>8.1}  {:>7.1} s  {:>13}",
            role.to_string(),
            channel.talk.seconds(),
            100.0 * channel.talk_share,
            channel.words,
            channel.words_per_minute,
            length(channel.longest_monologue),
            channel.interruptions
        ));
    }
    out(&format!(
        "overlap {:.1} s, dead air {:.1} s, longest silence {:.1} s ({})",
        measures.overlap.seconds(),
        measures.dead_air.seconds(),
        length(measures.longest_silence),
        measures.version
    ));
}

fn feelings(scores: &Scores, roles: &[ChannelRole]) {
    let felt = scores.sentiment.iter().zip(roles).filter_map(|(sentiment, role)| {
        let sentiment = sentiment.as_ref()?;
        let low = sentiment.lowest.map_or(String::new(), |lowest| format!(", lowest {}", place(lowest)));
        Some(format!("{role} {:+.2} (lately {:+.2}{low})", sentiment.score, sentiment.recent))
    });
    let felt: Vec<String> = felt.collect();
    if !felt.is_empty() {
        out(&format!("sentiment {} ({})", felt.join(", "), scores.version));
    }
}

fn judged(card: &Scorecard, scores: &Scores, moments: &[Moment]) {
    let total = scores.total.map_or_else(|| "no score".to_owned(), |total| format!("{total:.1} of 100"));
    out(&format!("\n{} {}: {total}", card.name, card.version));
    for (criterion, score) in card.criteria.iter().zip(&scores.criteria) {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let places: Vec<String> = score.evidence.iter().copied().map(place).collect();
        out(&format!(
            "  {:<28} {:>5} x {:<4} measured {:>7}  {}",
            criterion.title,
            number(score.score),
            score.weight,
            number(score.value),
            places.join(" ")
        ));
    }
    for (step, score) in card.script.iter().zip(&scores.script) {
        let state = format!("{:?}", score.state).to_lowercase();
        let near = score.nearness.map_or(String::new(), |nearness| format!("{:.0} % near", 100.0 * nearness));
        out(&format!("  {state:<8} {:<28} {near:<10} {}", step.title, score.evidence.map_or(String::new(), place)));
    }
    for moment in moments {
        let kind = if moment.forbidden { "forbidden" } else { "moment" };
        out(&format!(
            "  {kind:<9} {:<27} {:.0} % near  {}",
            moment.title,
            100.0 * moment.nearness,
            place(moment.evidence)
        ));
    }
}

fn place(evidence: Evidence) -> String {
    format!("[{}:{} at {:.1} s]", evidence.channel, evidence.utterance, evidence.at.seconds())
}

/// Seconds.
fn length(stretch: Option<Stretch>) -> f64 {
    stretch.map_or(0.0, |stretch| stretch.micros() as f64 / 1e6)
}
