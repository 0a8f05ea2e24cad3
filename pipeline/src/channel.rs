//! One channel of a call: samples in, utterances out. Owns the resampler, the voice activity state and the endpointer,
//! and starts all three afresh where a stretch of speech or quiet ends, from the samples it still holds.

use sotto_events::{MediaTime, SafePoint};

use crate::{
    SPEECH_RATE,
    endpoint::{Decision, Endpointer},
    resample::Resampler,
    settings::EndpointSettings,
    vad::{FRAME, VadLane, VadState},
};

/// Most frames judged in one go: a decision may make the rest worthless.
const FRAMES_AT_ONCE: usize = 4;

/// Seconds of sound for which a channel keeps room when it starts afresh.
const KEPT_ROOM: usize = 2;

/// A stretch of speech, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Utterance {
    /// Number on this channel, from 1; of one that is heard again that of the last one in events.
    pub number: u64,
    pub start: MediaTime,
    pub end: MediaTime,
    /// The sound, 16 kHz, and before it what may be heard along with it.
    pub audio: Vec<f32>,
    /// First sample of `audio`, counted from the last safe point.
    pub begun: usize,
    /// First sample of the utterance itself, counted likewise.
    pub from: usize,
    /// Which parts of it are voiced: one flag a 32 ms frame.
    pub voiced: Vec<bool>,
    /// Where the stretch of speech begins that it belongs to: what may be heard along with it.
    pub stretch: MediaTime,
    /// It is in events already: only what follows it needs it.
    pub again: bool,
}

impl Utterance {
    /// Samples of its own.
    pub fn length(&self) -> usize {
        self.begun + self.audio.len() - self.from
    }
}

/// Something that happened on the channel, in media order.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The utterance, or nothing for a quiet point.
    pub utterance: Option<Utterance>,
    /// Where the channel can be taken up again once this is durable.
    pub safe: SafePoint,
    /// Whether it starts afresh: nothing that follows is heard along with this.
    pub afresh: bool,
}

/// The utterance that is being spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaking {
    /// Number the utterance will have; `None` while it may be one that is in events already.
    pub number: Option<u64>,
    /// Where the stretch of speech begins that it belongs to.
    pub stretch: MediaTime,
    /// First sample since the last safe point, at 16 kHz.
    pub start: usize,
    /// Samples judged so far, counted likewise.
    pub now: usize,
    /// End of the last voiced frame, counted likewise.
    pub voiced_end: usize,
}

/// The state of one channel.
pub struct Channel {
    rate: u32,
    resampler: Resampler,
    endpointer: Endpointer,
    release: f32,
    /// How much further an utterance may end when it is heard again, in samples: less than to the end of the next one.
    tolerance: u64,
    /// Up to this sample of the call what was said is in events already though it is heard again, if anything is.
    known: Option<u64>,
    safe: SafePoint,
    /// Samples since the safe point, at the call's rate.
    input: Vec<i16>,
    /// The same at 16 kHz, as far as resampled.
    audio: Vec<f32>,
    vad: VadState,
    probabilities: Vec<f32>,
    /// Highest media time judged so far; never goes back, though a restart does.
    watermark: MediaTime,
    /// No more audio comes.
    ended: bool,
    finished: bool,
}

impl Channel {
    /// A channel at `rate` samples a second that goes on from `safe`.
    ///
    /// # Errors
    /// When the rate cannot be resampled.
    pub fn new(
        rate: u32,
        settings: &EndpointSettings,
        safe: SafePoint,
    ) -> Result<Self, rubato::ResamplerConstructionError> {
        Ok(Self {
            rate,
            resampler: Resampler::new(rate)?,
            endpointer: Endpointer::new(settings),
            release: settings.release,
            tolerance: (settings.silence / 2.0 * f64::from(rate)) as u64,
            known: (safe.told > safe.position).then_some(safe.told),
            safe,
            input: Vec::new(),
            audio: Vec::new(),
            vad: VadState::default(),
            probabilities: Vec::new(),
            watermark: safe.decided_at.max(MediaTime::of_sample(safe.position, rate)),
            ended: false,
            finished: false,
        })
    }

    /// Where the next sample belongs, counted from the start of the call at its own rate.
    pub fn end(&self) -> u64 {
        self.safe.position + self.input.len() as u64
    }

    /// No later event of this channel can be decided before this.
    pub fn watermark(&self) -> MediaTime {
        if self.finished { MediaTime::from_micros(u64::MAX) } else { self.watermark }
    }

    /// What was said before this is in utterances, unless it is being said. Goes back where the channel starts afresh.
    pub fn judged(&self) -> MediaTime {
        let judged = self.position(self.endpointer.position()).max(self.safe.told);
        if self.finished { MediaTime::from_micros(u64::MAX) } else { MediaTime::of_sample(judged, self.rate) }
    }

    /// Takes in samples that begin at `position`; what lies before the channel's end is known already and dropped.
    /// A hole before `position` must have been filled by the caller.
    pub fn push(&mut self, position: u64, samples: &[i16]) {
        let known = self.end().saturating_sub(position) as usize;
        let fresh = samples.get(known..).unwrap_or_default();
        self.input.extend_from_slice(fresh);
        self.resampler.push(fresh, &mut self.audio);
    }

    /// The audio has ended: the resampler gives up what it holds.
    pub fn end_of_audio(&mut self) {
        self.ended = true;
        self.flush();
    }

    fn flush(&mut self) {
        self.resampler.flush(&mut self.audio);
        let length = (self.input.len() as u128 * u128::from(SPEECH_RATE)).div_ceil(u128::from(self.rate)) as usize;
        self.audio.truncate(length);
    }

    /// Fills `lane` with the frames that wait to be judged. False when there is no whole frame.
    pub fn fill(&mut self, lane: &mut VadLane) -> bool {
        let from = self.probabilities.len() * FRAME;
        let frames = ((self.audio.len() - from) / FRAME).min(FRAMES_AT_ONCE);
        lane.audio.clear();
        lane.probabilities.clear();
        lane.audio.extend_from_slice(&self.audio[from..from + frames * FRAME]);
        std::mem::swap(&mut lane.state, &mut self.vad);
        frames > 0
    }

    /// Takes the judged frames back and says what they decided. What follows a decision that starts the channel afresh
    /// is to be judged again.
    pub fn judge(&mut self, lane: &mut VadLane) -> Vec<Outcome> {
        std::mem::swap(&mut lane.state, &mut self.vad);
        let mut outcomes = Vec::new();
        for &probability in &lane.probabilities {
            self.probabilities.push(probability);
            let decision = self.endpointer.step(probability, &self.audio);
            let now = self.media(self.endpointer.position());
            self.watermark = self.watermark.max(now);
            let Some(decision) = decision else { continue };
            outcomes.push(self.settle(decision));
            if outcomes.last().is_some_and(|outcome| outcome.afresh) {
                break;
            }
        }
        outcomes
    }

    /// Ends the channel: what was being spoken becomes an utterance. Call when no whole frame is left.
    pub fn finish(&mut self) -> Option<Outcome> {
        self.finished = true;
        self.watermark = self.watermark.max(MediaTime::of_sample(self.end(), self.rate));
        let decision = self.endpointer.finish(self.audio.len())?;
        Some(self.settle(decision))
    }

    /// The utterance that is being spoken, if one is.
    pub fn speaking(&self) -> Option<Speaking> {
        let start = self.endpointer.speaking_since()?;
        let voiced_end = self.endpointer.voiced_end()?;
        Some(Speaking {
            number: (!self.is_told(voiced_end)).then_some(self.safe.utterances + 1),
            stretch: self.media(self.endpointer.begun(start)),
            start,
            now: self.endpointer.position(),
            voiced_end,
        })
    }

    /// Sound since the last safe point, 16 kHz.
    pub fn sound(&self, range: std::ops::Range<usize>) -> &[f32] {
        self.audio.get(range).unwrap_or_default()
    }

    /// Media time of a 16 kHz sample since the last safe point.
    pub fn media(&self, sample: usize) -> MediaTime {
        MediaTime::of_sample(self.position(sample), self.rate)
    }

    /// No later utterance of this channel begins before this.
    pub fn earliest(&self) -> MediaTime {
        if self.finished { MediaTime::from_micros(u64::MAX) } else { self.media(self.endpointer.earliest()) }
    }

    /// Whether what is said up to a sample is in events already. Heard again, sound of some codecs differs a little.
    fn is_told(&self, sample: usize) -> bool {
        self.known.is_some_and(|known| self.position(sample) <= known + self.tolerance)
    }

    fn position(&self, sample: usize) -> u64 {
        self.safe.position + sample as u64 * u64::from(self.rate) / u64::from(SPEECH_RATE)
    }

    fn settle(&mut self, decision: Decision) -> Outcome {
        let mut safe = SafePoint { decided_at: self.watermark, ..self.safe };
        let (utterance, restart) = match decision {
            Decision::Quiet { restart } => (None, Some(restart)),
            Decision::Utterance { begun, start, end, restart, .. } => {
                let end = end.min(self.audio.len());
                let again = self.is_told(end);
                if !again {
                    safe.utterances += 1;
                    safe.told = self.position(end);
                }
                let utterance = Utterance {
                    number: safe.utterances,
                    start: self.media(start),
                    end: self.media(end),
                    audio: self.audio[begun..end].to_vec(),
                    begun,
                    from: start,
                    stretch: self.media(begun),
                    voiced: self.voiced(start, end),
                    again,
                };
                (Some(utterance), restart)
            }
        };
        if let Some(restart) = restart {
            safe.position = self.position(restart).min(self.end());
            self.restart(safe);
        } else {
            self.safe = safe;
        }
        Outcome { utterance, safe, afresh: restart.is_some() }
    }

    fn voiced(&self, start: usize, end: usize) -> Vec<bool> {
        (start..end)
            .step_by(FRAME)
            .map(|at| self.probabilities.get(at / FRAME).is_some_and(|&p| p >= self.release))
            .collect()
    }

    fn restart(&mut self, safe: SafePoint) {
        self.input.drain(..(safe.position - self.safe.position) as usize);
        self.safe = safe;
        self.endpointer.restart();
        self.probabilities.clear();
        self.vad = VadState::default();
        self.audio.clear();
        // most utterances are far shorter than the longest
        self.input.shrink_to(KEPT_ROOM * self.rate as usize);
        self.audio.shrink_to(KEPT_ROOM * SPEECH_RATE as usize);
        self.resampler.reset();
        self.resampler.push(&self.input, &mut self.audio);
        if self.ended {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands in for the voice model: a frame is voiced when it is loud. Keeps no state, like a model just started.
    fn judge_by_loudness(lane: &mut VadLane) {
        let voiced = |frame: &[f32]| if frame.iter().any(|s| s.abs() > 0.1) { 0.9 } else { 0.02 };
        lane.probabilities = lane.audio.chunks(FRAME).map(voiced).collect();
    }

    fn drive(channel: &mut Channel, outcomes: &mut Vec<Outcome>) {
        let mut lane = VadLane::default();
        while channel.fill(&mut lane) {
            judge_by_loudness(&mut lane);
            outcomes.extend(channel.judge(&mut lane));
        }
        // give the state back that an empty fill took
        channel.judge(&mut lane);
    }

    /// Bursts of noise with silence between them, 8 kHz.
    fn call() -> Vec<i16> {
        let mut samples = vec![0; 8_000];
        for (burst, pause) in [(1.0, 1.0), (2.5, 0.4), (0.8, 7.0), (12.0, 1.5)] {
            samples.extend((0..(burst * 8000.0) as usize).map(|i| if i % 3 == 0 { 9_000 } else { -5_000 }));
            samples.extend(std::iter::repeat_n(0, (pause * 8000.0) as usize));
        }
        samples
    }

    fn whole(samples: &[i16], from: SafePoint, frame: usize) -> Vec<Outcome> {
        let mut channel = Channel::new(8_000, &EndpointSettings::default(), from).unwrap();
        let mut outcomes = Vec::new();
        let mut position = from.position;
        for chunk in samples[from.position as usize..].chunks(frame) {
            channel.push(position, chunk);
            position += chunk.len() as u64;
            drive(&mut channel, &mut outcomes);
        }
        channel.end_of_audio();
        drive(&mut channel, &mut outcomes);
        outcomes.extend(channel.finish());
        outcomes
    }

    #[test]
    fn frame_sizes_change_nothing() {
        let samples = call();
        let reference = whole(&samples, SafePoint::default(), 160);
        assert!(reference.iter().filter(|o| o.utterance.is_some()).count() >= 4, "{}", reference.len());
        for frame in [1_000, 77, 8_000 * 30] {
            assert_eq!(whole(&samples, SafePoint::default(), frame), reference, "frames of {frame}");
        }
    }

    #[test]
    fn what_is_being_spoken_has_its_number_unless_it_is_told_already() {
        let samples = call();
        let numbers = |from: SafePoint| {
            let mut channel = Channel::new(8_000, &EndpointSettings::default(), from).unwrap();
            let mut numbers = Vec::new();
            for (index, chunk) in samples[from.position as usize..].chunks(160).enumerate() {
                channel.push(from.position + 160 * index as u64, chunk);
                drive(&mut channel, &mut Vec::new());
                numbers.extend(channel.speaking().map(|speaking| speaking.number));
            }
            numbers.dedup();
            numbers
        };
        let all: Vec<u64> = numbers(SafePoint::default()).into_iter().map(|number| number.unwrap()).collect();
        assert!(all.len() >= 5, "{all:?}");
        assert_eq!(all, (1..=all.len() as u64).collect::<Vec<u64>>());
        let outcomes = whole(&samples, SafePoint::default(), 160);
        let within = |outcome: &&Outcome| outcome.safe.told > outcome.safe.position && outcome.safe.utterances > 1;
        let safe = outcomes.iter().find(within).unwrap().safe;
        let later = numbers(safe);
        assert_eq!(later[0], None);
        let rest: Vec<u64> = later[1..].iter().flatten().copied().collect();
        assert_eq!(rest, all[safe.utterances as usize..]);
    }

    #[test]
    fn an_utterance_that_ends_after_the_end_of_the_audio_leaves_all_of_the_rest() {
        let mut samples = call();
        samples.extend((0..4_000).map(|i| if i % 3 == 0 { 9_000 } else { -5_000 }));
        let mut channel = Channel::new(8_000, &EndpointSettings::default(), SafePoint::default()).unwrap();
        channel.push(0, &samples);
        channel.end_of_audio();
        let mut outcomes = Vec::new();
        drive(&mut channel, &mut outcomes);
        outcomes.extend(channel.finish());
        assert_eq!(outcomes, whole(&samples, SafePoint::default(), 160));
    }

    #[test]
    fn taken_up_from_any_safe_point_the_rest_is_the_same() {
        let samples = call();
        let reference = whole(&samples, SafePoint::default(), 160);
        let mut again = 0;
        for (i, outcome) in reference.iter().enumerate() {
            let mut rest = whole(&samples, outcome.safe, 320);
            let known = |outcome: &Outcome| outcome.utterance.as_ref().is_some_and(|utterance| utterance.again);
            again += rest.iter().filter(|outcome| known(outcome)).count();
            rest.retain(|outcome| !known(outcome));
            assert_eq!(rest, reference[i + 1..], "after outcome {i}");
        }
        assert!(again > 0, "nothing was heard again, so the call has no such place");
    }
}
