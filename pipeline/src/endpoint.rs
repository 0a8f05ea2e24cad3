//! Where an utterance begins and ends, from one voice probability a frame. A pure state machine over 16 kHz samples
//! counted from the last safe point.

use crate::{SPEECH_RATE, settings::EndpointSettings, vad::FRAME};

/// What a frame decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Speech lies in `start..end`, its last voiced frame ends at `voiced_end`; the channel starts afresh at `restart`.
    Utterance { start: usize, voiced_end: usize, end: usize, restart: usize },
    /// Nobody has spoken for long; the channel starts afresh at `restart`.
    Quiet { restart: usize },
}

#[derive(Debug, Clone, Copy)]
struct Speech {
    start: usize,
    /// End of the last voiced frame.
    voiced_end: usize,
    voiced: usize,
}

/// The state machine. Positions are 16 kHz samples since the last restart.
#[derive(Debug)]
pub struct Endpointer {
    silence: usize,
    max_length: usize,
    pre_roll: usize,
    post_roll: usize,
    min_speech: usize,
    threshold: f32,
    release: f32,
    quiet_point: usize,
    /// Voice probability of each frame since the restart.
    probabilities: Vec<f32>,
    speech: Option<Speech>,
}

fn samples(seconds: f64) -> usize {
    (seconds * f64::from(SPEECH_RATE)).round() as usize
}

impl Endpointer {
    pub fn new(settings: &EndpointSettings) -> Self {
        Self {
            silence: samples(settings.silence),
            max_length: samples(settings.max_length),
            pre_roll: samples(settings.pre_roll),
            post_roll: samples(settings.post_roll),
            min_speech: samples(settings.min_speech),
            threshold: settings.threshold,
            release: settings.release,
            quiet_point: samples(settings.quiet_point),
            probabilities: Vec::new(),
            speech: None,
        }
    }

    /// Forgets everything; the next frame is the first.
    pub fn restart(&mut self) {
        self.probabilities.clear();
        self.speech = None;
    }

    /// Start of the utterance that is being spoken and confirmed, if one is.
    pub fn speaking_since(&self) -> Option<usize> {
        self.speech.filter(|speech| speech.voiced >= self.min_speech).map(|speech| speech.start)
    }

    /// End of the last voiced frame of the utterance that is being spoken.
    pub fn voiced_end(&self) -> Option<usize> {
        self.speech.map(|speech| speech.voiced_end)
    }

    /// Samples judged so far.
    pub fn position(&self) -> usize {
        self.probabilities.len() * FRAME
    }

    /// Takes in the probability of the next frame. `audio` is everything since the restart, for finding the quietest
    /// place of an utterance that is too long.
    pub fn step(&mut self, probability: f32, audio: &[f32]) -> Option<Decision> {
        let frame_start = self.position();
        self.probabilities.push(probability);
        let now = self.position();
        let level = if self.speech.is_some() { self.release } else { self.threshold };
        if probability >= level {
            let pre_roll = self.pre_roll;
            let speech = self.speech.get_or_insert_with(|| Speech {
                start: frame_start.saturating_sub(pre_roll),
                voiced_end: now,
                voiced: 0,
            });
            speech.voiced_end = now;
            speech.voiced += FRAME;
        }
        match self.speech {
            None => self.quiet(now),
            Some(speech) if now - speech.voiced_end >= self.silence => self.close(speech, now),
            Some(speech) if now - speech.start >= self.max_length => Some(self.cut(speech, now, audio)),
            Some(_) => None,
        }
    }

    /// What is left when the audio ends: an utterance still being spoken, up to `length` samples.
    pub fn finish(&mut self, length: usize) -> Option<Decision> {
        let speech = self.speech.take().filter(|speech| speech.voiced >= self.min_speech)?;
        let end = (speech.voiced_end + self.post_roll).min(length);
        Some(Decision::Utterance { start: speech.start, voiced_end: speech.voiced_end, end, restart: length })
    }

    fn quiet(&self, now: usize) -> Option<Decision> {
        (now >= self.quiet_point + self.pre_roll).then(|| Decision::Quiet { restart: now - self.pre_roll })
    }

    fn close(&mut self, speech: Speech, now: usize) -> Option<Decision> {
        if speech.voiced < self.min_speech {
            // a click, not speech: forget it and listen on
            self.speech = None;
            return self.quiet(now);
        }
        let end = speech.voiced_end + self.post_roll;
        let restart = end.max(now.saturating_sub(self.pre_roll)).min(now);
        Some(Decision::Utterance { start: speech.start, voiced_end: speech.voiced_end, end: end.min(now), restart })
    }

    /// Cuts at the quietest frame of the last quarter: low voice probability first, low energy second.
    fn cut(&self, speech: Speech, now: usize, audio: &[f32]) -> Decision {
        let first = (speech.start + (now - speech.start) * 3 / 4) / FRAME;
        let last = now / FRAME - 2;
        let loudness = |frame: usize| -> f32 {
            let range = frame * FRAME..((frame + 1) * FRAME).min(audio.len());
            let energy: f32 = audio.get(range).unwrap_or_default().iter().map(|s| s * s).sum();
            self.probabilities[frame] + (energy / FRAME as f32).sqrt()
        };
        let quietest = (first..last).min_by(|&a, &b| loudness(a).total_cmp(&loudness(b))).unwrap_or(last);
        let at = quietest * FRAME + FRAME / 2;
        Decision::Utterance { start: speech.start, voiced_end: speech.voiced_end, end: at, restart: at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> EndpointSettings {
        EndpointSettings { silence: 0.5, post_roll: 0.3, ..EndpointSettings::default() }
    }

    fn run(endpointer: &mut Endpointer, pattern: &[(f32, usize)]) -> Vec<(usize, Decision)> {
        let mut decisions = Vec::new();
        let mut at = 0;
        for &(probability, frames) in pattern {
            for _ in 0..frames {
                at += 1;
                if let Some(decision) = endpointer.step(probability, &[]) {
                    decisions.push((at, decision));
                    endpointer.restart();
                }
            }
        }
        decisions
    }

    #[test]
    fn speech_between_silences_is_one_utterance_with_its_rolls() {
        let mut endpointer = Endpointer::new(&settings());
        let decisions = run(&mut endpointer, &[(0.1, 20), (0.9, 30), (0.1, 16)]);
        let (start, end) = (20 * FRAME - 4800, 50 * FRAME + 4800);
        assert_eq!(
            decisions,
            vec![(66, Decision::Utterance { start, voiced_end: 50 * FRAME, end, restart: end.max(66 * FRAME - 4800) })]
        );
    }

    #[test]
    fn a_pause_shorter_than_the_silence_does_not_end_it() {
        let mut endpointer = Endpointer::new(&settings());
        assert_eq!(run(&mut endpointer, &[(0.9, 30), (0.1, 15), (0.9, 30), (0.1, 15)]), vec![]);
        assert_eq!(endpointer.speaking_since(), Some(0));
    }

    #[test]
    fn a_click_is_not_speech() {
        let mut endpointer = Endpointer::new(&settings());
        assert_eq!(run(&mut endpointer, &[(0.1, 5), (0.9, 2), (0.1, 40)]), vec![]);
        assert_eq!(endpointer.speaking_since(), None);
    }

    #[test]
    fn long_quiet_gives_safe_points_that_keep_the_pre_roll() {
        let mut endpointer = Endpointer::new(&settings());
        let decisions = run(&mut endpointer, &[(0.0, 400)]);
        assert!(decisions.len() >= 2);
        for (frame, decision) in decisions.iter().take(1) {
            assert_eq!(*decision, Decision::Quiet { restart: frame * FRAME - 4800 });
        }
    }

    #[test]
    fn too_long_is_cut_at_the_quietest_place() {
        let mut endpointer = Endpointer::new(&settings());
        let decisions = run(&mut endpointer, &[(0.9, 250), (0.4, 1), (0.9, 70)]);
        let at = 250 * FRAME + FRAME / 2;
        assert_eq!(decisions[0].1, Decision::Utterance { start: 0, voiced_end: 313 * FRAME, end: at, restart: at });
    }

    #[test]
    fn what_is_being_spoken_when_the_audio_ends_is_kept() {
        let mut endpointer = Endpointer::new(&settings());
        assert_eq!(run(&mut endpointer, &[(0.9, 30)]), vec![]);
        let length = 30 * FRAME + 100;
        assert_eq!(
            endpointer.finish(length),
            Some(Decision::Utterance { start: 0, voiced_end: 30 * FRAME, end: length, restart: length })
        );
    }
}
