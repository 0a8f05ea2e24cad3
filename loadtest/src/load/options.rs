//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use sotto_pipeline::EndpointSettings;

use super::{
    audio::Coding,
    objective::Objective,
    schedule::{Burst, Length},
    tape::Sides,
};

/// Puts Sotto under load: live calls, open loop, checked and measured.
#[derive(Debug, Parser)]
#[command(name = "sotto-load", version)]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes calls by a plan, and says how they fared.
    Run(Box<Run>),
    /// Finds the largest number of calls that keeps the objective, and which limit comes first.
    Capacity(Box<FindCapacity>),
    /// Two reports: what differs, and whether it is more than noise.
    Compare(Compare),
    /// Writes the page of a report again.
    Report {
        /// A report of sotto-load.
        file: PathBuf,
        /// Where the page goes; beside the file when it is not said.
        #[arg(long)]
        html: Option<PathBuf>,
    },
    /// A server that takes calls of the native protocol and writes nothing down: shows what this machine and sotto-load
    /// itself can drive.
    Sink {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:7399")]
        listen: std::net::SocketAddr,
    },
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub common: Common,
    /// How calls come, when their number a minute is given.
    #[arg(long, value_enum, default_value_t = Arrive::Poisson, help_heading = "Plan")]
    pub arrivals: Arrive,
    /// Calls a minute.
    #[arg(long, value_name = "CALLS", help_heading = "Plan", conflicts_with_all = ["calls", "arrivals_file"])]
    pub per_minute: Option<f64>,
    /// Calls that are on air at all times: one that ends is followed by the next.
    #[arg(long, help_heading = "Plan", conflicts_with = "arrivals_file")]
    pub calls: Option<usize>,
    /// Arrivals from a file: a line a call, seconds from the start and length in seconds.
    #[arg(long, value_name = "FILE", help_heading = "Plan")]
    pub arrivals_file: Option<PathBuf>,
    /// So many calls at once over and above, CALLS@SECONDS; may be given again.
    #[arg(long, value_name = "CALLS@SECONDS", help_heading = "Plan")]
    pub burst: Vec<Burst>,
    /// How long calls last: constant:60, uniform:30,300, exponential:180, lognormal:180,0.8 (median, spread).
    #[arg(long, default_value = "lognormal:120,0.7", help_heading = "Plan")]
    pub length: Length,
    /// Over which the load rises from nothing.
    #[arg(long, value_parser = duration, default_value = "10s", help_heading = "Plan")]
    pub ramp: Duration,
    /// How long calls come, the ramp included: 90s, 10m, 8h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "60s", help_heading = "Plan")]
    pub span: Duration,
    /// What was due before is not timed.
    #[arg(long, value_parser = duration, default_value = "0s", help_heading = "Plan")]
    pub warm_up: Duration,
    /// How often a minute the socket of a call is broken, to be resumed.
    #[arg(long, value_name = "TIMES", default_value_t = 0.0, help_heading = "Churn")]
    pub breaks_per_minute: f64,
    /// How long a broken call stays away.
    #[arg(long, value_parser = duration, default_value = "2s", help_heading = "Churn")]
    pub away: Duration,
    /// Share of calls that stop reading for a while, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Churn")]
    pub slow_readers: f64,
    /// For how long.
    #[arg(long, value_parser = duration, default_value = "5s", help_heading = "Churn")]
    pub slow_for: Duration,
}

#[derive(Debug, Args)]
pub struct FindCapacity {
    #[command(flatten)]
    pub common: Common,
    /// The first number of calls tried.
    #[arg(long, default_value_t = 8, help_heading = "Search")]
    pub from: usize,
    /// No more calls are tried.
    #[arg(long, default_value_t = 4096, help_heading = "Search")]
    pub most: usize,
    /// Calls begin within that time; it is not timed.
    #[arg(long, value_parser = duration, default_value = "10s", help_heading = "Search")]
    pub ramp: Duration,
    /// How long each number of calls is held and timed.
    #[arg(long, value_parser = duration, default_value = "60s", help_heading = "Search")]
    pub hold: Duration,
    /// Numbers closer than so many percent are not told apart.
    #[arg(long, value_name = "PERCENT", default_value_t = 4.0, help_heading = "Search")]
    pub resolution: f64,
    /// Further runs of the number that is told.
    #[arg(long, value_name = "RUNS", default_value_t = 2, help_heading = "Search")]
    pub confirm: usize,
}

#[derive(Debug, Args)]
pub struct Compare {
    /// The report before.
    pub a: PathBuf,
    /// The report after.
    pub b: PathBuf,
    /// B may be so many percent worse than A.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub tolerance: f64,
}

/// What every load has.
#[derive(Debug, Args)]
pub struct Common {
    #[command(flatten)]
    pub server: Server,
    #[command(flatten)]
    pub sound: Sound,
    #[command(flatten)]
    pub objective: Objective,
    /// The same seed makes the same calls at the same times.
    #[arg(long, default_value_t = 1, help_heading = "Plan")]
    pub seed: u64,
    /// How long after its last audio a call may take to end.
    #[arg(long, value_parser = duration, default_value = "30s", help_heading = "Plan")]
    pub grace: Duration,
    /// Threads of sotto-load; 0: one a core, at most 4.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// What the report is called.
    #[arg(long)]
    pub name: Option<String>,
    /// Folder for the report, as JSON and as a page.
    #[arg(long, default_value = "load-results")]
    pub out: PathBuf,
    /// Says only what came out.
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct Server {
    /// Where calls of the native protocol go.
    #[arg(long, env = "SOTTO_URL", default_value = "ws://127.0.0.1:7300/v1/stream")]
    pub url: String,
    /// A key with the purpose ingest; with read too, calls of Twilio are followed and events that a break hid are read.
    #[arg(long, env = "SOTTO_KEY", hide_env_values = true, default_value = "")]
    pub key: String,
    /// The HTTP API; "none" when it cannot be reached.
    #[arg(long, env = "SOTTO_API", default_value = "http://127.0.0.1:7301")]
    pub api: String,
    /// The server's metrics; those of the API when it is not said, "none" for none.
    #[arg(long, value_name = "URL")]
    pub metrics: Option<String>,
    /// The server's process; found by its port when it is on this machine.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<i32>,
    /// Share of calls that come as from Twilio, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub twilio: f64,
    /// The URL that is configured for Twilio and signed.
    #[arg(long, value_name = "URL")]
    pub twilio_url: Option<String>,
    /// The auth token that is configured.
    #[arg(long, value_name = "TOKEN", env = "SOTTO_TWILIO_TOKEN", hide_env_values = true)]
    pub twilio_token: Option<String>,
    /// Where to connect for it; the host of --url with the path of --twilio-url when it is not said.
    #[arg(long, value_name = "URL")]
    pub twilio_connect: Option<String>,
    /// The server's pipeline.endpoint.silence, in seconds.
    #[arg(long, default_value_t = EndpointSettings::default().silence)]
    pub silence: f64,
    /// The server's pipeline.endpoint.post_roll, in seconds.
    #[arg(long, default_value_t = EndpointSettings::default().post_roll)]
    pub post_roll: f64,
    /// The server's pipeline.endpoint.max_length, in seconds.
    #[arg(long, default_value_t = EndpointSettings::default().max_length)]
    pub max_length: f64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Audio")]
pub struct Sound {
    /// A recording to play, with its words in a .txt beside it if there is one; may be given again.
    #[arg(long, value_name = "FILE")]
    pub audio: Vec<PathBuf>,
    /// A folder of recordings with manifest.tsv (path, seconds, transcript), or a .txt beside each; may be given again.
    #[arg(long, value_name = "FOLDER")]
    pub corpus: Vec<PathBuf>,
    /// Samples a second on the wire.
    #[arg(long, default_value_t = 8_000, value_parser = rate)]
    pub rate: u32,
    /// How samples are coded on the wire.
    #[arg(long, value_enum, default_value_t = Coding::Mulaw)]
    pub coding: Coding,
    /// Milliseconds of audio a message.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(10..=200))]
    pub frame_ms: u32,
    /// How recordings become calls.
    #[arg(long, value_enum, default_value_t = Sides::Auto)]
    pub two_sided: Sides,
    /// How many different conversations are made of mono recordings.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub tapes: u16,
    /// How long each is before it begins again.
    #[arg(long, value_parser = duration, default_value = "2m")]
    pub tape_length: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arrive {
    /// Evenly.
    Constant,
    /// Independent of each other.
    Poisson,
}

/// `90`, `500ms`, `90s`, `10m`, `8h`.
fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let unit = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let (number, unit) = unit.unwrap_or((text, 1.0));
    let seconds = number.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * unit).ok());
    seconds.ok_or_else(|| format!("{text:?} is no time; use for example 90s, 10m or 8h"))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is no share; use a number from 0 to 1"))
}

fn rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| sotto_events::SAMPLE_RATES.contains(rate));
    rate.ok_or_else(|| format!("{text:?} is no rate; use one of {:?}", sotto_events::SAMPLE_RATES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        use clap::CommandFactory;
        Options::command().debug_assert();
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("soon").unwrap_err().contains("8h"));
        assert!(share("1.5").is_err() && rate("8001").is_err());
    }
}
