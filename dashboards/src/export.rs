//! A transcript in the formats people take away: JSON, text, SubRip and WebVTT.

use std::{fmt::Write, str::FromStr};

use sotto_events::{CallEvent, ChannelRole, EventBody, MediaTime};

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    Json,
    Text,
    Srt,
    Vtt,
}

impl FromStr for Export {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "text" | "txt" => Ok(Self::Text),
            "srt" => Ok(Self::Srt),
            "vtt" => Ok(Self::Vtt),
            _ => Err("unknown format; use json, text, srt or vtt".to_owned()),
        }
    }
}

impl Export {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
        }
    }
}

/// One utterance of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    pub role: ChannelRole,
    pub start: MediaTime,
    pub end: MediaTime,
    pub text: &'a str,
}

/// The finals among `events`, in the order of their starts.
pub fn lines<'a>(events: &'a [CallEvent], roles: &[ChannelRole]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Final(made) => Some(Line {
                role: roles.get(usize::from(made.channel)).copied().unwrap_or(ChannelRole::Other),
                start: made.start,
                end: made.end,
                text: &made.text,
            }),
            _ => None,
        })
        .collect();
    lines.sort_by_key(|line| line.start);
    lines
}

/// Writes subtitles or text; JSON is the events themselves.
pub fn render(export: Export, lines: &[Line<'_>]) -> String {
    let mut out = String::new();
    if export == Export::Vtt {
        out.push_str("WEBVTT\n\n");
    }
    for (index, line) in lines.iter().enumerate() {
        let Line { role, start, end, text } = line;
        // writing to a string cannot fail
        let written = match export {
            Export::Text | Export::Json => writeln!(out, "[{}] {role}: {text}", clock(*start, '.')),
            Export::Srt => {
                writeln!(out, "{}\n{} --> {}\n{role}: {text}\n", index + 1, clock(*start, ','), clock(*end, ','))
            }
            Export::Vtt => {
                writeln!(out, "{} --> {}\n<v {role}>{}\n", clock(*start, '.'), clock(*end, '.'), escaped(text))
            }
        };
        debug_assert!(written.is_ok());
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn clock(time: MediaTime, mark: char) -> String {
    let millis = time.micros() / 1000;
    let (seconds, minutes, hours) = (millis / 1000 % 60, millis / 60_000 % 60, millis / 3_600_000);
    format!("{hours:02}:{minutes:02}:{seconds:02}{mark}{:03}", millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtitles_have_their_formats_marks() {
        let line = Line {
            role: ChannelRole::Agent,
            start: MediaTime::from_micros(3_661_500_000),
            end: MediaTime::from_micros(3_662_000_000),
            text: "a < b",
        };
        let lines = [line];
        assert_eq!(render(Export::Srt, &lines), "1\n01:01:01,500 --> 01:01:02,000\nagent: a < b\n\n");
        assert_eq!(render(Export::Vtt, &lines), "WEBVTT\n\n01:01:01.500 --> 01:01:02.000\n<v agent>a &lt; b\n\n");
        assert_eq!(render(Export::Text, &lines), "[01:01:01.500] agent: a < b\n");
    }
}
