//! What the pipeline counts. Labels come from fixed sets.

use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};
use sotto_events::Level;

/// Handles to every metric of this room.
#[derive(Clone)]
pub struct PipelineMetrics {
    pub queue_depth: IntGaugeVec,
    pub queue_wait: HistogramVec,
    pub batch_size: HistogramVec,
    pub vad_seconds: Counter,
    pub vad_frames: IntCounter,
    pub recogniser_seconds: CounterVec,
    pub multiply_adds: IntCounterVec,
    pub busy_seconds: Counter,
    pub calls_that_fit: IntGauge,
    pub window_seconds: CounterVec,
    pub tokens: IntCounter,
    pub cut_short: IntCounter,
    pub failures: IntCounter,
    pub partials_refused: IntCounter,
    pub audio_seconds: Counter,
    pub speech_seconds: Counter,
    pub utterances: IntCounter,
    pub events: IntCounterVec,
    /// By kind of what was hidden.
    pub redactions: IntCounterVec,
    /// By level, `none` for moments that raise no alert.
    pub moments: IntCounterVec,
    pub partial_latency: Histogram,
    pub final_latency: Histogram,
    pub real_time_factor: Histogram,
}

/// From a millisecond to half a minute.
const LATENCY: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 10.0, 30.0];
const BATCH: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
const FACTOR: [f64; 9] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0];

impl PipelineMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When a name is taken in `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram =
            |name: &str, help: &str, buckets: &[f64]| HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let metrics = Self {
            queue_depth: IntGaugeVec::new(
                Opts::new("sotto_speech_queue_depth", "Work waiting for the speech engine."),
                &["queue"],
            )?,
            queue_wait: HistogramVec::new(
                histogram(
                    "sotto_speech_queue_wait_seconds",
                    "Time work waited for the speech engine, beyond what it was held back for to share a batch.",
                    &LATENCY,
                ),
                &["work"],
            )?,
            batch_size: HistogramVec::new(
                histogram("sotto_speech_batch_size", "Rows in one batch.", &BATCH),
                &["work"],
            )?,
            vad_seconds: Counter::new("sotto_vad_seconds_total", "Time spent on voice activity.")?,
            vad_frames: IntCounter::new("sotto_vad_frames_total", "Frames of 32 ms that the voice model has judged.")?,
            recogniser_seconds: CounterVec::new(
                Opts::new("sotto_recogniser_seconds_total", "Time spent recognising speech."),
                &["model", "work"],
            )?,
            multiply_adds: IntCounterVec::new(
                Opts::new(
                    "sotto_recogniser_multiply_adds_total",
                    "Multiply-adds of the matrix products that recognising speech took.",
                ),
                &["model", "work"],
            )?,
            busy_seconds: Counter::new(
                "sotto_speech_busy_seconds_total",
                "Time the threads of the speech engine were busy, all together.",
            )?,
            calls_that_fit: IntGauge::new(
                "sotto_speech_calls_that_fit",
                "Live calls the threads of the speech engine have time for, going by what calls took lately.",
            )?,
            window_seconds: CounterVec::new(
                Opts::new(
                    "sotto_recogniser_window_seconds_total",
                    "Seconds of sound encoded, some of it several times.",
                ),
                &["work"],
            )?,
            tokens: IntCounter::new("sotto_recogniser_tokens_total", "Tokens written.")?,
            cut_short: IntCounter::new(
                "sotto_recogniser_cut_short_total",
                "Hypotheses ended by the guard against repetition or the length limit.",
            )?,
            failures: IntCounter::new("sotto_recogniser_failures_total", "Batches the runtime failed on.")?,
            partials_refused: IntCounter::new(
                "sotto_partials_refused_total",
                "Partials not made because too many were waiting.",
            )?,
            audio_seconds: Counter::new("sotto_audio_seconds_total", "Audio taken in, all channels.")?,
            speech_seconds: Counter::new("sotto_speech_seconds_total", "Audio that went into utterances.")?,
            utterances: IntCounter::new("sotto_utterances_total", "Utterances ended.")?,
            events: IntCounterVec::new(Opts::new("sotto_call_events_total", "Events made."), &["kind"])?,
            moments: IntCounterVec::new(
                Opts::new("sotto_moments_total", "Phrases of scorecards that were said."),
                &["level"],
            )?,
            redactions: IntCounterVec::new(
                Opts::new("sotto_redactions_total", "Pieces of personal data hidden in finals."),
                &["kind"],
            )?,
            partial_latency: Histogram::with_opts(histogram(
                "sotto_partial_latency_seconds",
                "From the audio being there to its partial.",
                &LATENCY,
            ))?,
            final_latency: Histogram::with_opts(histogram(
                "sotto_final_latency_seconds",
                "From the end of an utterance being noticed to its final.",
                &LATENCY,
            ))?,
            real_time_factor: Histogram::with_opts(histogram(
                "sotto_final_real_time_factor",
                "Time to make a final over the length of its utterance.",
                &FACTOR,
            ))?,
        };
        // from nothing on, so that the first of each is a rise
        for level in [Level::Notice, Level::Warning, Level::Urgent].map(Level::name).into_iter().chain(["none"]) {
            metrics.moments.with_label_values(&[level]);
        }
        metrics.register(registry)?;
        Ok(metrics)
    }

    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.queue_depth.clone()))?;
        registry.register(Box::new(self.queue_wait.clone()))?;
        registry.register(Box::new(self.batch_size.clone()))?;
        registry.register(Box::new(self.vad_seconds.clone()))?;
        registry.register(Box::new(self.vad_frames.clone()))?;
        registry.register(Box::new(self.recogniser_seconds.clone()))?;
        registry.register(Box::new(self.multiply_adds.clone()))?;
        registry.register(Box::new(self.busy_seconds.clone()))?;
        registry.register(Box::new(self.calls_that_fit.clone()))?;
        registry.register(Box::new(self.window_seconds.clone()))?;
        registry.register(Box::new(self.tokens.clone()))?;
        registry.register(Box::new(self.cut_short.clone()))?;
        registry.register(Box::new(self.failures.clone()))?;
        registry.register(Box::new(self.partials_refused.clone()))?;
        registry.register(Box::new(self.audio_seconds.clone()))?;
        registry.register(Box::new(self.speech_seconds.clone()))?;
        registry.register(Box::new(self.utterances.clone()))?;
        registry.register(Box::new(self.events.clone()))?;
        registry.register(Box::new(self.redactions.clone()))?;
        registry.register(Box::new(self.moments.clone()))?;
        registry.register(Box::new(self.partial_latency.clone()))?;
        registry.register(Box::new(self.final_latency.clone()))?;
        registry.register(Box::new(self.real_time_factor.clone()))
    }
}
