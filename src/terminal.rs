//! The rolling transcript in a terminal: finals stay, what is being said is revised in place below them.

use std::io::{IsTerminal, Write};

use serde_json::Value;
use sotto_events::ChannelRole;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";

pub struct Terminal {
    roles: Vec<ChannelRole>,
    /// Stable and unstable text being spoken, by channel.
    rolling: Vec<Option<(String, String)>>,
    /// Lines below the finals that the next picture replaces.
    drawn: usize,
    live: bool,
}

impl Terminal {
    pub fn new(roles: Vec<ChannelRole>) -> Self {
        let rolling = vec![None; roles.len()];
        Self { roles, rolling, drawn: 0, live: std::io::stdout().is_terminal() }
    }

    /// Shows a message of the server.
    pub fn show(&mut self, message: &Value) {
        let channel = message["channel"].as_u64().unwrap_or(0) as usize;
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        match message["type"].as_str() {
            Some("partial") if channel < self.rolling.len() => {
                self.rolling[channel] = Some((text("stable"), text("tail")));
                self.draw(None);
            }
            Some("final") if channel < self.rolling.len() => {
                self.rolling[channel] = None;
                let start = message["start"].as_f64().unwrap_or(0.0);
                let line = format!("{} {}{}", stamp(start), self.label(channel), text("text"));
                self.draw(Some(&line));
            }
            Some("gap") => self.draw(Some("   (audio is missing here)")),
            _ => {}
        }
    }

    /// Removes what is not final.
    pub fn end(&mut self) {
        self.rolling.fill(None);
        self.draw(None);
    }

    fn label(&self, channel: usize) -> String {
        let (colour, name) = match self.roles[channel] {
            ChannelRole::Agent => ("\x1b[36m", "agent"),
            ChannelRole::Customer => ("\x1b[33m", "customer"),
            ChannelRole::Other => ("", "speaker"),
        };
        if self.live { format!("{colour}{name:<9}{RESET}") } else { format!("{name:<9}") }
    }

    fn draw(&mut self, line: Option<&str>) {
        let mut picture = String::new();
        if self.live && self.drawn > 0 {
            picture.push_str(&format!("\x1b[{}A\x1b[J", self.drawn));
        }
        if let Some(line) = line {
            picture.push_str(line);
            picture.push('\n');
        }
        self.drawn = 0;
        if self.live {
            let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
            for (channel, rolling) in self.rolling.iter().enumerate() {
                let Some((stable, tail)) = rolling else { continue };
                picture.push_str(&format!(
                    "  ···  {}{}\n",
                    self.label(channel),
                    fit(stable, tail, width.saturating_sub(18))
                ));
                self.drawn += 1;
            }
        }
        let mut out = std::io::stdout().lock();
        if out.write_all(picture.as_bytes()).and_then(|()| out.flush()).is_err() {
            crate::print::leave();
        }
    }
}

fn stamp(seconds: f64) -> String {
    format!("{:>3}:{:02}", seconds as u64 / 60, seconds as u64 % 60)
}

/// The end of the text, at most `width` characters, what may still change dimmed.
fn fit(stable: &str, tail: &str, width: usize) -> String {
    let space = if stable.is_empty() || tail.is_empty() { "" } else { " " };
    let length = stable.chars().count() + space.len() + tail.chars().count();
    let stable: String = stable.chars().chain(space.chars()).skip(length.saturating_sub(width)).collect();
    let tail: String = tail.chars().rev().take(width).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{stable}{DIM}{tail}{RESET}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_hypothesis_shows_its_end() {
        assert_eq!(fit("one two", "three", 9), format!("wo {DIM}three{RESET}").replacen("wo", "two", 1));
        assert_eq!(fit("", "abcdef", 3), format!("{DIM}def{RESET}"));
        assert_eq!(stamp(125.0), "  2:05");
    }
}
