//! Processor time and latency of calls that come in real time.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use prometheus::core::Collector;
use serde::Serialize;
use sotto_events::{Final, Partial};
use sotto_ingest::file::Recording;
use sotto_pipeline::{Engine, PipelineSettings};

use super::{
    Failure,
    feed::{Heard, Utterance, play_together},
    machine::{cpu_seconds, peak_memory},
    normalise,
};

/// Latencies in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// What a number of calls at once cost.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    pub calls: usize,
    pub partials: bool,
    /// Audio of all channels of all calls.
    pub audio_seconds: f64,
    /// Audio inside utterances.
    pub speech_seconds: f64,
    pub cpu_seconds: f64,
    pub cpu_ms_per_audio_second: f64,
    pub cpu_ms_per_speech_second: f64,
    /// Of these, in the engine's threads by what they did; the rest is everything around them.
    pub stages_ms_per_speech_second: BTreeMap<String, f64>,
    /// Of one core, by the share of real time.
    pub cores_used: f64,
    /// From the audio a partial covers being there to the partial.
    pub partial_latency_ms: Option<Percentiles>,
    /// From the end of an utterance being noticed to its final.
    pub final_latency_ms: Option<Percentiles>,
    /// From the last voiced sound of an utterance to its final: the silence that ends it is in it.
    pub final_after_speech_ms: Option<Percentiles>,
    /// Partials that came late, and said so, in percent.
    pub degraded_percent: f64,
    /// Words shown in a partial that a later one changed or withdrew, in percent of the words of the finals.
    pub unstable_words_percent: f64,
    /// The same for words that the final changed or left out.
    pub changed_by_finals_percent: f64,
    pub peak_memory_bytes: u64,
}

/// Seconds that the engine's threads have spent on each stage.
pub fn stages(engine: &Engine) -> BTreeMap<String, f64> {
    let metrics = engine.metrics();
    let mut stages = counters(&metrics.recogniser_seconds);
    stages.insert("vad".to_owned(), metrics.vad_seconds.get());
    stages
}

/// Multiply-adds of the recognisers' products, in thousand millions, by recogniser and work.
pub fn multiply_adds(engine: &Engine) -> BTreeMap<String, f64> {
    let billions = |(name, count): (String, f64)| (name, count / 1e9);
    counters(&engine.metrics().multiply_adds).into_iter().map(billions).collect()
}

/// Values of counters, named by their labels.
fn counters(counters: &impl Collector) -> BTreeMap<String, f64> {
    let families = counters.collect();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    metrics
        .map(|metric| {
            let labels: Vec<&str> = metric.get_label().iter().map(|label| label.value()).collect();
            (labels.join(" "), metric.get_counter().get_value())
        })
        .collect()
}

/// Mean number of rows of a batch, by what was done with it.
pub fn batches(engine: &Engine) -> BTreeMap<String, f64> {
    ["vad", "encode", "decode"]
        .into_iter()
        .map(|work| {
            let sizes = engine.metrics().batch_size.with_label_values(&[work]);
            (work.to_owned(), sizes.get_sample_sum() / sizes.get_sample_count().max(1) as f64)
        })
        .collect()
}

/// Plays `recordings`, one a call, in real time, and measures the process meanwhile.
///
/// # Errors
/// When a call fails.
pub async fn measure(
    engine: &Engine,
    settings: &PipelineSettings,
    recordings: Vec<Recording>,
) -> Result<Cost, Failure> {
    let calls = recordings.len();
    let seconds = |recording: &Recording| recording.seconds() * recording.channels.len() as f64;
    let audio_seconds: f64 = recordings.iter().map(seconds).sum();
    let longest = recordings.iter().map(Recording::seconds).fold(0.0, f64::max);
    let speech_before = engine.metrics().speech_seconds.get();
    let (cpu_before, stages_before) = (cpu_seconds()?, stages(engine));
    let heard = play_together(engine, settings, recordings).await?;
    let cpu = cpu_seconds()? - cpu_before;
    let speech_seconds = engine.metrics().speech_seconds.get() - speech_before;
    let latencies = Latencies::of(&heard, settings)?;
    let (partials, degraded) = latencies.partials;
    let (unstable, changed_by_finals) = unstable(&heard);
    Ok(Cost {
        calls,
        partials: settings.partials.enabled,
        audio_seconds,
        speech_seconds,
        cpu_seconds: cpu,
        cpu_ms_per_audio_second: 1e3 * cpu / audio_seconds,
        cpu_ms_per_speech_second: 1e3 * cpu / speech_seconds,
        stages_ms_per_speech_second: stages(engine)
            .into_iter()
            .map(|(name, after)| {
                let before = stages_before.get(&name).copied().unwrap_or_default();
                (name, 1e3 * (after - before) / speech_seconds)
            })
            .collect(),
        cores_used: cpu / longest,
        partial_latency_ms: percentiles(&latencies.partial),
        final_latency_ms: percentiles(&latencies.finals),
        final_after_speech_ms: percentiles(&latencies.after_speech),
        degraded_percent: 100.0 * degraded as f64 / partials.max(1) as f64,
        unstable_words_percent: unstable,
        changed_by_finals_percent: changed_by_finals,
        peak_memory_bytes: peak_memory()?,
    })
}

struct Latencies {
    partial: Histogram<u64>,
    finals: Histogram<u64>,
    after_speech: Histogram<u64>,
    /// All, and those that were degraded.
    partials: (usize, usize),
}

impl Latencies {
    fn of(heard: &[Vec<Heard>], settings: &PipelineSettings) -> Result<Self, Failure> {
        let histogram = || Histogram::new_with_bounds(1, 600_000_000, 3);
        let mut latencies =
            Self { partial: histogram()?, finals: histogram()?, after_speech: histogram()?, partials: (0, 0) };
        let endpoint = &settings.endpoint;
        for Heard { at, what } in heard.iter().flatten() {
            let since = |media: f64| (at.as_secs_f64() - media).max(0.0) * 1e6;
            match what {
                Utterance::Partial(partial) => {
                    latencies.partials.0 += 1;
                    latencies.partials.1 += usize::from(partial.degraded);
                    latencies.partial.record(since(partial.end.seconds()) as u64 + 1)?;
                }
                // an utterance that was cut does not end with the silence that tells when it was noticed
                Utterance::Final(made) if ends_in_silence(made, endpoint.max_length) => {
                    let voiced_end = made.end.seconds() - endpoint.post_roll;
                    let noticed = voiced_end + endpoint.silence;
                    // nor does one that the end of the recording ended
                    if at.as_secs_f64() > noticed {
                        latencies.after_speech.record(since(voiced_end) as u64 + 1)?;
                        latencies.finals.record(since(noticed) as u64 + 1)?;
                    }
                }
                Utterance::Final(_) => {}
            }
        }
        Ok(latencies)
    }
}

/// From the end of an utterance being noticed to its final.
///
/// # Errors
/// When a latency is beyond all measure.
pub fn final_latency(heard: &[Vec<Heard>], settings: &PipelineSettings) -> Result<Option<Percentiles>, Failure> {
    Ok(percentiles(&Latencies::of(heard, settings)?.finals))
}

fn ends_in_silence(made: &Final, max_length: f64) -> bool {
    made.end.seconds() - made.start.seconds() < 0.7 * max_length
}

fn percentiles(histogram: &Histogram<u64>) -> Option<Percentiles> {
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
    (!histogram.is_empty()).then(|| Percentiles { count: histogram.len(), p50: at(0.5), p95: at(0.95), p99: at(0.99) })
}

/// Shown words that were changed or withdrawn, in percent of the words of the finals: by a later partial, and by the
/// final. Case and punctuation do not count.
pub fn unstable(heard: &[Vec<Heard>]) -> (f64, f64) {
    let (mut by_partials, mut by_finals, mut words) = (0, 0, 0);
    for call in heard {
        let mut shown: BTreeMap<(u8, u64), Vec<String>> = BTreeMap::new();
        for Heard { what, .. } in call {
            match what {
                Utterance::Partial(Partial { channel, utterance, stable, tail, .. }) => {
                    let now = normalise::words(&format!("{stable} {tail}"));
                    let before = shown.insert((*channel, *utterance), now.clone()).unwrap_or_default();
                    by_partials += lost(&before, &now);
                }
                Utterance::Final(Final { channel, utterance, text, .. }) => {
                    let now = normalise::words(text);
                    by_finals += shown.remove(&(*channel, *utterance)).map_or(0, |before| lost(&before, &now));
                    words += now.len();
                }
            }
        }
    }
    let percent = |count: usize| 100.0 * count as f64 / words.max(1) as f64;
    (percent(by_partials), percent(by_finals))
}

/// Words of `before` that are not, in the same order, in `now`.
fn lost(before: &[String], now: &[String]) -> usize {
    before.len() - normalise::common(before, now).map(|(.., count)| count).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_move_on_are_not_lost() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lost = |before: &str, now: &str| lost(&words(before), &words(now));
        assert_eq!(lost("a b c", "a x b c d"), 0);
        assert_eq!(lost("a b c", "a x c"), 1);
        assert_eq!(lost("a b c", "c a b"), 1);
        assert_eq!(lost("a b", ""), 2);
        assert_eq!(lost("", "a"), 0);
    }
}
