//! Where an utterance begins and ends, from one voice probability a frame. A pure state machine over 16 kHz samples
//! counted from the last safe point.

use crate::{SPEECH_RATE, settings::EndpointSettings, vad::FRAME};

/// What a frame decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Speech lies in `start..end`, its last voiced frame ends at `voiced_end`. The channel starts afresh at `restart`, or
    /// goes on, since what follows soon is to be heard along with what was said from `begun` on.
    Utterance { begun: usize, start: usize, voiced_end: usize, end: usize, restart: Option<usize> },
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
    context_pause: usize,
    context_length: usize,
    /// Voice probability of each frame since the restart.
    probabilities: Vec<f32>,
    before: Option<Before>,
    speech: Option<Speech>,
}

/// What was said since the restart, before what is being spoken.
#[derive(Debug, Clone, Copy)]
struct Before {
    start: usize,
    voiced_end: usize,
    end: usize,
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
            context_pause: samples(settings.context_pause),
            context_length: samples(settings.context_length.min(settings.max_length)),
            probabilities: Vec::new(),
            before: None,
            speech: None,
        }
    }

    /// Forgets everything; the next frame is the first.
    pub fn restart(&mut self) {
        self.probabilities.clear();
        (self.before, self.speech) = (None, None);
    }

    /// Start of the utterance that is being spoken and confirmed, if one is.
    pub fn speaking_since(&self) -> Option<usize> {
        self.speech.filter(|speech| speech.voiced >= self.min_speech).map(|speech| speech.start)
    }

    /// No later utterance begins before this.
    pub fn earliest(&self) -> usize {
        self.speech.map_or_else(|| self.with_pre_roll(self.position()), |speech| speech.start)
    }

    /// Where speech begins whose first voiced frame begins there: not within what was said before.
    fn with_pre_roll(&self, voiced: usize) -> usize {
        voiced.saturating_sub(self.pre_roll).max(self.before.map_or(0, |before| before.end))
    }

    /// Where the stretch of speech begins that an utterance from `start` on belongs to.
    pub fn begun(&self, start: usize) -> usize {
        self.before.map_or(start, |before| before.start)
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
            let start = self.with_pre_roll(frame_start);
            let speech = self.speech.get_or_insert(Speech { start, voiced_end: now, voiced: 0 });
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
        Some(self.utterance(speech, end, Some(length)))
    }

    fn quiet(&self, now: usize) -> Option<Decision> {
        let restart = now.saturating_sub(self.pre_roll);
        match self.before {
            Some(before) => {
                let over = now - before.voiced_end >= self.context_pause;
                over.then(|| Decision::Quiet { restart: restart.max(before.end) })
            }
            None => (restart >= self.quiet_point).then_some(Decision::Quiet { restart }),
        }
    }

    fn utterance(&self, Speech { start, voiced_end, .. }: Speech, end: usize, restart: Option<usize>) -> Decision {
        Decision::Utterance { begun: self.begun(start), start, voiced_end, end, restart }
    }

    fn close(&mut self, speech: Speech, now: usize) -> Option<Decision> {
        if speech.voiced < self.min_speech {
            // a click, not speech: forget it and listen on
            self.speech = None;
            return self.quiet(now);
        }
        let end = (speech.voiced_end + self.post_roll).min(now);
        let begun = self.begun(speech.start);
        let more = self.context_pause > self.silence && end - begun < self.context_length;
        let restart = (!more).then_some(end.max(now.saturating_sub(self.pre_roll)));
        let decision = self.utterance(speech, end, restart);
        self.before = Some(Before { start: begun, voiced_end: speech.voiced_end, end });
        self.speech = None;
        Some(decision)
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
        self.utterance(speech, at, Some(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> EndpointSettings {
        EndpointSettings { silence: 0.5, post_roll: 0.3, context_pause: 0.0, ..EndpointSettings::default() }
    }

    fn with_context() -> EndpointSettings {
        EndpointSettings {
            silence: 0.25,
            post_roll: 0.1,
            context_pause: 0.7,
            context_length: 3.0,
            ..EndpointSettings::default()
        }
    }

    fn run(endpointer: &mut Endpointer, pattern: &[(f32, usize)]) -> Vec<(usize, Decision)> {
        let mut decisions = Vec::new();
        let mut at = 0;
        for &(probability, frames) in pattern {
            for _ in 0..frames {
                at += 1;
                if let Some(decision) = endpointer.step(probability, &[]) {
                    if !matches!(decision, Decision::Utterance { restart: None, .. }) {
                        endpointer.restart();
                    }
                    decisions.push((at, decision));
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
            vec![(
                66,
                Decision::Utterance {
                    begun: start,
                    start,
                    voiced_end: 50 * FRAME,
                    end,
                    restart: Some(end.max(66 * FRAME - 4800))
                }
            )]
        );
    }

    #[test]
    fn a_pause_shorter_than_the_silence_does_not_end_it() {
        let mut endpointer = Endpointer::new(&settings());
        assert_eq!(run(&mut endpointer, &[(0.9, 30), (0.1, 15), (0.9, 30), (0.1, 15)]), vec![]);
        assert_eq!(endpointer.speaking_since(), Some(0));
    }

    #[test]
    fn what_follows_soon_is_heard_along_with_what_was_said() {
        let mut endpointer = Endpointer::new(&with_context());
        let decisions = run(&mut endpointer, &[(0.9, 30), (0.1, 12), (0.9, 20), (0.1, 30)]);
        let end = |voiced_end: usize| voiced_end * FRAME + 1600;
        let first = Decision::Utterance { begun: 0, start: 0, voiced_end: 30 * FRAME, end: end(30), restart: None };
        // the second one's own sound does not begin before the end of the first one's
        let start = end(30).max(42 * FRAME - 4800);
        let second = Decision::Utterance { begun: 0, start, voiced_end: 62 * FRAME, end: end(62), restart: None };
        let quiet = Decision::Quiet { restart: end(62).max(84 * FRAME - 4800) };
        assert_eq!(decisions, vec![(38, first), (70, second), (84, quiet)]);
    }

    #[test]
    fn what_was_said_is_left_behind_when_it_has_grown_long() {
        let mut endpointer = Endpointer::new(&with_context());
        let decisions = run(&mut endpointer, &[(0.9, 60), (0.1, 10), (0.9, 60), (0.1, 10), (0.9, 30), (0.1, 10)]);
        let begun_afresh = |decision: &Decision| match decision {
            Decision::Utterance { begun, start, restart, .. } => (begun == start, restart.is_some()),
            Decision::Quiet { .. } => panic!("a quiet point"),
        };
        let found: Vec<_> = decisions.iter().map(|(_, decision)| begun_afresh(decision)).collect();
        assert_eq!(found, [(true, false), (false, true), (true, false)]);
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
        assert_eq!(
            decisions[0].1,
            Decision::Utterance { begun: 0, start: 0, voiced_end: 313 * FRAME, end: at, restart: Some(at) }
        );
    }

    #[test]
    fn what_is_being_spoken_when_the_audio_ends_is_kept() {
        let mut endpointer = Endpointer::new(&settings());
        assert_eq!(run(&mut endpointer, &[(0.9, 30)]), vec![]);
        let length = 30 * FRAME + 100;
        assert_eq!(
            endpointer.finish(length),
            Some(Decision::Utterance {
                begun: 0,
                start: 0,
                voiced_end: 30 * FRAME,
                end: length,
                restart: Some(length)
            })
        );
    }
}
