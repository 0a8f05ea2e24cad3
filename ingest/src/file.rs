//! Recorded calls: WAV, FLAC, MP3, OGG (Vorbis, Opus) and M4A by symphonia, and raw telephony audio.

use std::{fs::File, path::Path};

use sotto_events::{Audio, Encoding, MAX_OPUS_CHANNELS, SAMPLE_RATES};
use symphonia::core::{
    codecs::audio::{AudioDecoderOptions, well_known::CODEC_ID_OPUS},
    errors::Error,
    formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
};

use crate::{codec, opus::OpusDecoder};

/// Opus files are decoded at the rate that the recogniser hears.
const OPUS_FILE_RATE: u32 = 16_000;

/// Why a file cannot be read, with what would be right.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{0}: {1}")]
    Open(String, std::io::Error),
    #[error(
        "{0} is not audio that can be read ({1}); use WAV, FLAC, MP3, OGG (Vorbis or Opus), M4A, or .ulaw, .alaw, .raw for raw audio"
    )]
    Format(String, String),
    #[error("{0} has {1} samples a second; use one of 8000, 16000, 22050, 24000, 44100, 48000")]
    Rate(String, u32),
    #[error("{0} holds no audio")]
    Empty(String),
}

/// A recorded call, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub rate: u32,
    /// One vector of samples a channel, all of one length.
    pub channels: Vec<Vec<i16>>,
}

impl Recording {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.length() as f64 / f64::from(self.rate)
    }

    /// Its sound in pieces of `samples` samples, the last one shorter, each with all channels.
    pub fn pieces(&self, samples: usize) -> impl Iterator<Item = Vec<Audio>> {
        (0..self.length()).step_by(samples).map(move |from| {
            let piece = from..self.length().min(from + samples);
            let of = |(all, channel): (&Vec<i16>, u8)| {
                let samples = all[piece.clone()].to_vec();
                Audio { channel, position: from as u64, samples }
            };
            self.channels.iter().zip(0..).map(of).collect()
        })
    }

    fn length(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }
}

/// Reads a whole file. Raw files are mono, 8 kHz, by their ending: `.ulaw`, `.alaw`, `.raw` (s16le).
///
/// # Errors
/// Says what is wrong with the file and what would be right.
pub fn read(path: &Path) -> Result<Recording, FileError> {
    let name = path.display().to_string();
    let recording = match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        "ulaw" | "mulaw" | "ul" => raw(path, Encoding::Mulaw)?,
        "alaw" | "al" => raw(path, Encoding::Alaw)?,
        "raw" | "pcm" | "sln" => raw(path, Encoding::S16le)?,
        ending => container(path, ending)?,
    };
    if recording.channels.first().is_none_or(Vec::is_empty) {
        return Err(FileError::Empty(name));
    }
    if !SAMPLE_RATES.contains(&recording.rate) {
        return Err(FileError::Rate(name, recording.rate));
    }
    Ok(recording)
}

fn raw(path: &Path, encoding: Encoding) -> Result<Recording, FileError> {
    let bytes = std::fs::read(path).map_err(|error| FileError::Open(path.display().to_string(), error))?;
    Ok(Recording { rate: 8_000, channels: codec::decode(encoding, 1, &bytes) })
}

fn container(path: &Path, ending: &str) -> Result<Recording, FileError> {
    let name = path.display().to_string();
    let bad = |why: &dyn std::fmt::Display| FileError::Format(name.clone(), why.to_string());
    let file = File::open(path).map_err(|error| FileError::Open(name.clone(), error))?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(ending);
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| bad(&error))?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| bad(&"no audio track"))?;
    let id = track.id;
    let parameters =
        track.codec_params.as_ref().and_then(|parameters| parameters.audio()).ok_or_else(|| bad(&"unknown codec"))?;
    if parameters.codec == CODEC_ID_OPUS {
        let head = parameters.extra_data.clone().unwrap_or_default();
        return ogg_opus(format.as_mut(), id, &head).map_err(|error| bad(&error));
    }
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|error| bad(&error))?;
    let mut recording = Recording { rate: 0, channels: Vec::new() };
    let mut interleaved: Vec<i16> = Vec::new();
    while let Some(packet) = format.next_packet().map_err(|error| bad(&error))? {
        if packet.track_id != id {
            continue;
        }
        let buffer = match decoder.decode(&packet) {
            Ok(buffer) => buffer,
            // one damaged packet is skipped, as every player does
            Err(Error::DecodeError(_)) => continue,
            Err(error) => return Err(bad(&error)),
        };
        let count = buffer.spec().channels().count();
        recording.rate = buffer.spec().rate();
        recording.channels.resize_with(count, Vec::new);
        buffer.copy_to_vec_interleaved(&mut interleaved);
        for frame in interleaved.chunks_exact(count) {
            for (channel, &sample) in recording.channels.iter_mut().zip(frame) {
                channel.push(sample);
            }
        }
    }
    Ok(recording)
}

/// Ogg Opus (RFC 7845); `head` is the file's OpusHead.
fn ogg_opus(format: &mut dyn FormatReader, id: u32, head: &[u8]) -> Result<Recording, String> {
    let field = |at: usize| head.get(at..at + 2).map_or([0, 0], |bytes| [bytes[0], bytes[1]]);
    let count = head.get(9).map_or(1, |&count| usize::from(count));
    if !(1..=MAX_OPUS_CHANNELS).contains(&count) {
        return Err(format!("{count} channels of Opus"));
    }
    // what the encoder put in front, counted at 48 kHz
    let skip = usize::from(u16::from_le_bytes(field(10))) / 3;
    let mut decoder = OpusDecoder::new(OPUS_FILE_RATE, count).map_err(|error| error.to_string())?;
    decoder.gain(i16::from_le_bytes(field(16))).map_err(|error| error.to_string())?;
    let mut recording = Recording { rate: OPUS_FILE_RATE, channels: vec![Vec::new(); count] };
    let mut padding = 0;
    while let Some(packet) = format.next_packet().map_err(|error| error.to_string())? {
        if packet.track_id != id {
            continue;
        }
        padding = packet.trim_end.get() as usize / 3;
        // one damaged packet is skipped, as every player does
        let Ok(samples) = decoder.decode(&packet.data) else { continue };
        for frame in samples.chunks_exact(count) {
            for (channel, &sample) in recording.channels.iter_mut().zip(frame) {
                channel.push(sample);
            }
        }
    }
    for channel in &mut recording.channels {
        channel.truncate(channel.len().saturating_sub(padding));
        channel.drain(..skip.min(channel.len()));
    }
    Ok(recording)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_bad_file_should_be() {
        let error = read(Path::new(file!().trim_start_matches("ingest/"))).unwrap_err().to_string();
        assert!(error.contains("use WAV, FLAC"), "{error}");
        assert!(read(Path::new("no such file.wav")).is_err());
    }

    #[test]
    fn reads_both_sides_of_the_sample_call() {
        let recording = read(Path::new("../tests/audio/sample_call.flac")).unwrap();
        assert_eq!((recording.rate, recording.channels.len()), (16_000, 2));
        assert!((30.0..60.0).contains(&recording.seconds()));
    }

    /// The same 3.4 seconds in every format; see `tests/audio/README.md`.
    #[test]
    fn every_format_gives_the_same_sound() {
        let read = |name: &str| read(&Path::new("../tests/audio/formats").join(name)).unwrap();
        let loudness = |recording: &Recording| {
            let step = recording.rate as usize / 20;
            let chunk = |chunk: &[i16]| (chunk.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / step as f64).sqrt();
            recording.channels[0].chunks_exact(step).take(66).map(chunk).collect::<Vec<_>>()
        };
        let reference = loudness(&read("sample.wav"));
        let loudest = reference.iter().copied().fold(0.0, f64::max);
        for (name, rate) in [
            ("sample-float.wav", 48_000),
            ("sample.flac", 16_000),
            ("sample.mp3", 44_100),
            ("sample.ogg", 44_100),
            ("sample.opus", 16_000),
            ("sample.m4a", 48_000),
            ("sample.ulaw", 8_000),
            ("sample.alaw", 8_000),
            ("sample.raw", 8_000),
        ] {
            let recording = read(name);
            assert_eq!(recording.rate, rate, "{name}");
            assert!((recording.seconds() - 3.4).abs() < 0.05, "{name}: {} s", recording.seconds());
            // an M4A keeps its encoder's 21 ms in front
            let allowed = if name == "sample.m4a" { 0.5 } else { 0.15 };
            for (index, (got, wanted)) in loudness(&recording).iter().zip(&reference).enumerate() {
                assert!((got - wanted).abs() < allowed * loudest, "{name}, {index}: {got} for {wanted}");
            }
        }
    }
}
