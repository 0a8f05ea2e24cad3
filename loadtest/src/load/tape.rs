//! Two-sided calls laid out on loops of coded audio, shared by all calls: a frame of a call is a slice of a tape.
//!
//! Mono recordings are made into people who take turns: one speaks on one channel, after a pause the other answers on
//! the other, so that each channel holds speech somewhat less than half of the time, as real calls do. A call may begin
//! at any turn, so that calls do not all say the same at the same time, and its words are known from there on.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Bytes;

use super::{
    Failure,
    audio::{Clip, Coding},
};
use crate::bench::normalise;

/// How recordings become calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sides {
    /// `given` when all recordings have two channels, else `turns`.
    Auto,
    /// Mono recordings take turns on two channels.
    Turns,
    /// Recordings with two channels, as they are.
    Given,
    /// One channel, one mono recording after the other.
    Mono,
}

/// How audio is laid out and coded.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub rate: u32,
    pub coding: Coding,
    pub frame_ms: u32,
    pub sides: Sides,
    /// How many different tapes are made of mono recordings, and how long each is, in seconds.
    pub tapes: usize,
    pub seconds: u32,
    pub seed: u64,
    /// Whether the payloads of Twilio's messages are needed too.
    pub twilio: bool,
}

impl Layout {
    /// Samples of one channel in a frame.
    pub const fn frame(&self) -> usize {
        (self.rate as usize * self.frame_ms as usize) / 1000
    }
}

/// One recording within a tape.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// `None`: both channels, in the order in which they are spoken.
    pub channel: Option<u8>,
    /// Frames of the tape.
    pub frames: Range<usize>,
    /// What is said, comparable; `None` when that is not known.
    pub words: Option<Vec<String>>,
}

/// A loop of coded audio.
pub struct Tape {
    pub channels: usize,
    /// All frames, samples of all channels interleaved.
    audio: Bytes,
    /// Bytes of one sample of all channels.
    step: usize,
    /// Samples of a frame.
    frame: usize,
    pub frames: usize,
    /// In the order in which they begin.
    pub turns: Vec<Turn>,
    /// Twilio's payloads: for each channel all frames in base64, each of the same length.
    payloads: Vec<Bytes>,
}

/// Frames to the next turn: 0.3 to 0.8 s.
const PAUSE_MS: Range<u32> = 300..800;

/// Makes all tapes. Also says how many recordings were left out, because they have another number of channels.
///
/// # Errors
/// When no recording fits.
pub fn lay_out(clips: &[Clip], layout: &Layout) -> Result<(Vec<Tape>, usize), Failure> {
    let two_sided = clips.iter().filter(|clip| clip.channels.len() == 2).count();
    let sides = match layout.sides {
        Sides::Auto if two_sided == clips.len() => Sides::Given,
        Sides::Auto => Sides::Turns,
        sides => sides,
    };
    let wanted = if sides == Sides::Given { 2 } else { 1 };
    let fitting: Vec<&Clip> = clips.iter().filter(|clip| clip.channels.len() == wanted).collect();
    if fitting.is_empty() {
        let (have, other) = if wanted == 2 { ("one channel", "turns") } else { ("two channels", "given") };
        return Err(format!("no recording fits: they do not have {wanted} channel(s); those with {have} are played by --two-sided {other}").into());
    }
    let left_out = clips.len() - fitting.len();
    let tapes = match sides {
        Sides::Given => fitting.iter().map(|clip| given(clip, layout)).collect(),
        _ => (0..layout.tapes.max(1)).map(|index| turns(&fitting, sides == Sides::Turns, index, layout)).collect(),
    };
    Ok((tapes, left_out))
}

fn comparable(clip: &Clip) -> Option<Vec<String>> {
    clip.transcript.as_deref().map(normalise::words)
}

fn given(clip: &Clip, layout: &Layout) -> Tape {
    let frames = clip.channels[0].len().div_ceil(layout.frame());
    let turn = Turn { channel: None, frames: 0..frames, words: comparable(clip) };
    Tape::new(clip.channels.clone(), vec![turn], layout)
}

fn turns(clips: &[&Clip], two_sided: bool, index: usize, layout: &Layout) -> Tape {
    let mut rng = Pcg64Mcg::seed_from_u64(layout.seed ^ ((index as u64 + 1) << 32));
    let frame = layout.frame();
    let mut channels = vec![Vec::new(); if two_sided { 2 } else { 1 }];
    let mut turns: Vec<Turn> = Vec::new();
    let mut at = 0;
    while turns.is_empty() || at * frame < (layout.seconds * layout.rate) as usize {
        let clip = clips[rng.random_range(0..clips.len())];
        let speaker = turns.len() % channels.len();
        let length = clip.channels[0].len().div_ceil(frame);
        let begin = at * frame;
        channels[speaker].resize(begin, 0);
        channels[speaker].extend_from_slice(&clip.channels[0]);
        turns.push(Turn { channel: Some(speaker as u8), frames: at..at + length, words: comparable(clip) });
        let pause = rng.random_range(PAUSE_MS).div_ceil(layout.frame_ms);
        at += length + pause as usize;
    }
    let length = at * frame;
    for channel in &mut channels {
        channel.resize(length, 0);
    }
    Tape::new(channels, turns, layout)
}

impl Tape {
    fn new(mut channels: Vec<Vec<i16>>, turns: Vec<Turn>, layout: &Layout) -> Self {
        let frame = layout.frame();
        let frames = channels[0].len().div_ceil(frame);
        for channel in &mut channels {
            channel.resize(frames * frame, 0);
        }
        let mut audio = Vec::with_capacity(frames * frame * channels.len() * layout.coding.width());
        for index in 0..frames * frame {
            for channel in &channels {
                layout.coding.put(channel[index], &mut audio);
            }
        }
        let payload = |channel: &Vec<i16>| {
            let mut text = String::new();
            for samples in channel.chunks_exact(frame) {
                let mut bytes = Vec::with_capacity(frame);
                samples.iter().for_each(|&sample| Coding::Mulaw.put(sample, &mut bytes));
                STANDARD.encode_string(bytes, &mut text);
            }
            Bytes::from(text)
        };
        let payloads = if layout.twilio { channels.iter().map(payload).collect() } else { Vec::new() };
        let step = channels.len() * layout.coding.width();
        Self { channels: channels.len(), audio: audio.into(), step, frame, frames, turns, payloads }
    }

    /// Coded audio from a sample on, counted from the start of the tape and round it, at most `samples` of a channel:
    /// less where the tape comes round.
    pub fn audio(&self, from: u64, samples: u64) -> Bytes {
        let length = (self.frames * self.frame) as u64;
        let from = from % length;
        let to = (from + samples).min(length);
        self.audio.slice(from as usize * self.step..to as usize * self.step)
    }

    /// Bytes of one sample of all channels.
    pub const fn step(&self) -> usize {
        self.step
    }

    /// The payload of a message of Twilio: one frame of one channel.
    pub fn payload(&self, channel: usize, frame: usize) -> Bytes {
        let Some(text) = self.payloads.get(channel) else { return Bytes::new() };
        let length = text.len() / self.frames;
        let at = (frame % self.frames) * length;
        text.slice(at..at + length)
    }

    /// What is said on each channel in `frames` frames from `from` on, in whole turns, and where each channel's first
    /// turn that is cut off begins (in frames from `from`): what is heard from there on has no reference.
    pub fn said(&self, from: usize, frames: usize) -> Vec<Said> {
        let mut all = Vec::new();
        for lap in 0..=(from + frames) / self.frames {
            for turn in &self.turns {
                let begin = turn.frames.start + lap * self.frames;
                if begin >= from && begin < from + frames {
                    all.push((turn, begin - from));
                }
            }
        }
        let listens: Vec<Option<u8>> = match self.turns.first().and_then(|turn| turn.channel) {
            None => vec![None],
            Some(_) => (0..self.channels as u8).map(Some).collect(),
        };
        listens.into_iter().map(|channel| Said::of(channel, &all, frames)).collect()
    }
}

/// What a call says on a channel, or on both.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub channel: Option<u8>,
    /// `None` when something is said whose words are not known.
    pub words: Option<Vec<String>>,
    /// Frames of the call that have a reference.
    pub frames: usize,
}

impl Said {
    fn of(channel: Option<u8>, turns: &[(&Turn, usize)], frames: usize) -> Self {
        let mut said = Self { channel, words: Some(Vec::new()), frames };
        for (turn, begin) in turns.iter().filter(|(turn, _)| turn.channel == channel) {
            if begin + turn.frames.len() > frames {
                said.frames = *begin;
                break;
            }
            match (&mut said.words, &turn.words) {
                (Some(all), Some(words)) => all.extend(words.iter().cloned()),
                (all, _) => *all = None,
            }
        }
        said
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn layout(sides: Sides) -> Layout {
        Layout { rate: 8_000, coding: Coding::Mulaw, frame_ms: 20, sides, tapes: 2, seconds: 10, seed: 1, twilio: true }
    }

    pub fn clip(channels: usize, seconds: usize, text: &str) -> Clip {
        let channels = vec![vec![5_000; seconds * 8_000]; channels];
        Clip { name: text.to_owned(), channels, transcript: Some(text.to_owned()) }
    }

    #[test]
    fn people_take_turns_and_frames_come_round() {
        let (tapes, left_out) = lay_out(&[clip(1, 2, "one"), clip(2, 2, "x")], &layout(Sides::Turns)).unwrap();
        assert_eq!((tapes.len(), left_out), (2, 1));
        let tape = &tapes[0];
        for (a, b) in tape.turns.iter().zip(&tape.turns[1..]) {
            assert!(a.channel != b.channel && a.frames.end < b.frames.start);
        }
        assert_eq!(tape.audio(0, 160).len(), 320);
        let length = (tape.frames * 160) as u64;
        assert_eq!(tape.audio(length * 3 + 160, 160), tape.audio(160, 160));
        assert_eq!(tape.audio(length - 100, 160).len(), 200);
        // 160 bytes are 216 letters of base64; the other side is silent
        assert_eq!(tape.payload(0, 0).len(), 216);
        assert_eq!(STANDARD.decode(tape.payload(1, 0)).unwrap(), vec![0xff; 160]);
        assert_eq!(STANDARD.decode(tape.payload(0, tape.frames)).unwrap(), vec![Coding::byte(5_000); 160]);
    }

    impl Coding {
        fn byte(sample: i16) -> u8 {
            super::super::audio::mulaw(sample)
        }
    }

    #[test]
    fn whole_turns_have_words() {
        let (tapes, _) = lay_out(&[clip(1, 2, "one two")], &layout(Sides::Turns)).unwrap();
        let tape = &tapes[0];
        let second = tape.turns[1].frames.clone();
        let said = tape.said(0, second.start + 10);
        assert_eq!(said[0].words.as_deref(), Some(&["1".to_owned(), "2".to_owned()][..]));
        assert_eq!((said[1].words.as_deref(), said[1].frames), (Some(&[][..]), second.start));
        // from the second turn on, and once round
        let said = tape.said(second.start, tape.frames);
        let words: usize = said.iter().map(|said| said.words.as_ref().unwrap().len()).sum();
        assert_eq!(words, tape.turns.len() * 2);
    }

    #[test]
    fn given_calls_are_played_as_they_are() {
        let (tapes, _) = lay_out(&[clip(2, 3, "a b")], &layout(Sides::Auto)).unwrap();
        let said = tapes[0].said(0, 150);
        assert_eq!(said[0].words.as_ref().unwrap().len(), 2);
        assert_eq!(tapes[0].said(0, 149)[0].frames, 0);
        assert!(lay_out(&[clip(1, 1, "a")], &layout(Sides::Given)).is_err());
    }
}
