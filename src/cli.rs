//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sotto_events::{CallId, TenantId};

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    failed; the message says why
  2    the command line is wrong
  3    the configuration is wrong
  4    refused by the server: key, permission, no such call
  130  interrupted";

/// Live calls in; words and sealed records out.
#[derive(Debug, Parser)]
#[command(name = "sotto", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file (TOML); without it every setting has its default.
    #[arg(long, global = true, env = "SOTTO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take calls until told to stop (SIGTERM or Ctrl-C drains).
    Serve {
        /// Do only these, with commas between; the configuration's `roles` when not said.
        #[arg(long, value_delimiter = ',', value_name = "ROLES")]
        roles: Vec<crate::config::Role>,
    },
    /// Write down recorded calls, through the same pipeline as live ones.
    Transcribe(Transcribe),
    /// Measure the conversation on a recorded call: who talks how much, over whom, how fast.
    Score(Score),
    /// Play a file as a live call, in real time.
    Send(Send),
    /// Look at calls that are kept.
    #[command(subcommand)]
    Calls(Calls),
    /// Manage API keys in the data folder of this machine.
    #[command(subcommand)]
    Keys(Keys),
    /// Manage the people who look at calls, in the data folder of this machine.
    #[command(subcommand)]
    Users(Users),
    /// Back the data folder up, sealed, also while a server runs on it.
    Backup(Backup),
    /// Make a data folder from a backup.
    Restore(Restore),
    /// Check and show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Start a Sotto of its own, play a call to it and show what comes of it.
    Demo {
        /// The call to play.
        file: PathBuf,
        /// Folder of scorecards to judge it by.
        #[arg(long, value_name = "FOLDER")]
        scorecards: Option<PathBuf>,
    },
    /// Print completions for a shell.
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Args)]
pub struct Backup {
    /// Where archives go, with the newest keys of calls beside them.
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// One of the archives.
    pub archive: PathBuf,
    /// The keys of calls; call-keys.sotto beside the archive when it is not said.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// The list of erased calls; `erased` beside the archive when it is not said.
    #[arg(long, value_name = "FILE")]
    pub erased: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Transcribe {
    /// WAV, FLAC, MP3, OGG (Vorbis, Opus), M4A; raw 8 kHz as .ulaw, .alaw or .raw (s16le).
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// Also what was thought on the way.
    #[arg(long)]
    pub partials: bool,
}

#[derive(Debug, Args)]
pub struct Score {
    pub file: PathBuf,
    /// Judge the call by this scorecard too (TOML).
    #[arg(long, value_name = "FILE")]
    pub scorecard: Option<PathBuf>,
    /// As JSON: `measures` and `scores`, as the events `measured` and `scored` have them.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Send {
    pub file: PathBuf,
    /// For example ws://127.0.0.1:7300/v1/stream
    #[arg(long, env = "SOTTO_URL", default_value = "ws://127.0.0.1:7300/v1/stream")]
    pub url: String,
    /// An API key that may send calls.
    #[arg(long, env = "SOTTO_KEY", hide_env_values = true)]
    pub key: String,
    /// Id of the call; made up when missing.
    #[arg(long)]
    pub call: Option<CallId>,
    /// What is known of the call: agent, team, queue, names and numbers. May be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub metadata: Vec<(String, String)>,
    /// Everything the server says, one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as agent=grace")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Args)]
pub struct Remote {
    /// Where the HTTP API is.
    #[arg(long, env = "SOTTO_API", default_value = "http://127.0.0.1:7301")]
    pub api: String,
    /// An API key that may read (or erase).
    #[arg(long, env = "SOTTO_KEY", hide_env_values = true)]
    pub key: String,
}

#[derive(Debug, Subcommand)]
pub enum Calls {
    /// Newest first.
    List {
        #[command(flatten)]
        remote: Remote,
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// What is known of one call.
    Show {
        #[command(flatten)]
        remote: Remote,
        call: CallId,
    },
    /// Its events as they come, until it ends.
    Follow {
        #[command(flatten)]
        remote: Remote,
        call: CallId,
        /// Begin after this event.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// Its transcript.
    Export {
        #[command(flatten)]
        remote: Remote,
        call: CallId,
        #[arg(long, default_value = "text", value_parser = ["json", "text", "srt", "vtt"])]
        format: String,
    },
    /// Try a scorecard on it, as if it had been judged by that one.
    Score {
        #[command(flatten)]
        remote: Remote,
        call: CallId,
        #[arg(long, value_name = "FILE")]
        scorecard: PathBuf,
        #[arg(long)]
        json: bool,
    },
    /// Keep it, whatever its time, until it is released; meanwhile it cannot be erased.
    Hold {
        #[command(flatten)]
        remote: Remote,
        call: CallId,
    },
    /// Let its time go on.
    Release {
        #[command(flatten)]
        remote: Remote,
        call: CallId,
    },
    /// Destroy its key and rows, for ever.
    Erase {
        #[command(flatten)]
        remote: Remote,
        call: CallId,
    },
}

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key; its secret is shown once.
    Create {
        tenant: TenantId,
        /// What it is for, to recognise it by.
        #[arg(long, default_value = "")]
        name: String,
        /// Any of ingest, read, erase, with commas between.
        #[arg(long, default_value = "ingest,read")]
        purposes: sotto_access::Purposes,
    },
    /// Every key, without secrets.
    List,
    /// Make a key useless from now on.
    Revoke { id: String },
}

#[derive(Debug, Subcommand)]
pub enum Users {
    /// Add a person, or change name, role and teams of one.
    Put {
        tenant: TenantId,
        /// What they log in with; calls whose metadata have it as `agent` are an agent's own.
        login: String,
        #[arg(long)]
        name: String,
        /// admin, supervisor, agent or viewer
        #[arg(long)]
        role: sotto_access::Role,
        /// Teams, with commas between; a supervisor sees the calls of these.
        #[arg(long, value_delimiter = ',')]
        teams: Vec<String>,
    },
    /// Set a password, read from standard input.
    Password { login: String },
    /// Print a link that logs in once, without a password, within 15 minutes.
    Link {
        login: String,
        /// Where the pages are reached.
        #[arg(long, default_value = "http://127.0.0.1:7301")]
        url: String,
    },
    /// Everybody.
    List,
    /// Remove a person and end their sessions.
    Remove { login: String },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Say whether it is right.
    Check,
    /// Every setting as it is in force, secrets masked.
    Show,
}
