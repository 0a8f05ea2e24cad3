//! The `sotto` binary: puts the rooms together behind one command line.

mod backup;
mod calls;
mod cli;
mod client;
mod config;
mod demo;
mod engines;
mod failure;
mod presence;
mod print;
mod remote;
mod replica;
mod score;
mod scorecards;
mod server;
mod terminal;
mod transcribe;
mod users;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use sotto_events::Clock;
use sotto_storage::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{Cli, Command, ConfigCommand, Keys},
    config::Config,
    failure::{Failure, failure},
    print::out,
};

const INTERRUPTED: u8 = 130;

/// For the speech runtime too. Large passing tensors and what calls keep for seconds lie between each other in the C
/// library's heap, so that little of it can be given back. Its settings are in `.cargo/config.toml`.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // both ends of TLS use ring; a provider that is installed already is the same one
    drop(rustls::crypto::ring::default_provider().install_default());
    let filter = EnvFilter::try_from_env("SOTTO_LOG");
    let level = if matches!(cli.command, Command::Serve { .. }) { "info" } else { "warn" };
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(level)))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&failure(error.to_string())),
    };
    let interruptible = !matches!(cli.command, Command::Serve { .. } | Command::Demo { .. });
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(cli) => outcome.map(|()| ExitCode::SUCCESS),
            Ok(()) = tokio::signal::ctrl_c(), if interruptible => Ok(ExitCode::from(INTERRUPTED)),
        }
    });
    outcome.unwrap_or_else(|failure| report(&failure))
}

fn report(failure: &Failure) -> ExitCode {
    print::error(&failure.message);
    failure.exit()
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let config = || Config::load(cli.config.as_deref());
    match cli.command {
        Command::Serve { roles } => serve(&config()?.with_roles(&roles)?).await,
        Command::Transcribe(options) => transcribe::run(&config()?, &options).await,
        Command::Score(options) => score::run(&config()?, &options).await,
        Command::Send(options) => client::send(&options).await,
        Command::Calls(command) => remote::run(command).await,
        Command::Keys(command) => keys(&config()?, command),
        Command::Users(command) => users::run(&config()?, command),
        Command::Backup(options) => backup::backup(&config()?, &options),
        Command::Restore(options) => backup::restore(&config()?, &options),
        Command::Config(ConfigCommand::Check) => {
            let config = config()?;
            scorecards::Scorecards::load(config.scorecard_folders(), &prometheus::Registry::new())?;
            out("the configuration is right");
            Ok(())
        }
        Command::Config(ConfigCommand::Show) => {
            out(config()?.show()?.trim_end());
            Ok(())
        }
        Command::Demo { file, scorecards } => demo::run(config()?, &file, scorecards).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sotto", &mut std::io::stdout());
            Ok(())
        }
    }
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let server = server::Server::start(config).await?;
    let api = server.api_address;
    match server.calls_address {
        Some(calls) => {
            tracing::info!(%calls, %api, "ready");
            out(&format!("sotto is ready: calls on {calls}, API on {api}"));
        }
        None => {
            tracing::info!(%api, "ready");
            out(&format!("sotto is ready: API on {api}"));
        }
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    server.drain().await?;
    tracing::info!("stopped");
    Ok(())
}

fn keys(config: &Config, command: Keys) -> Result<(), Failure> {
    let keys = server::open_keys(config)?;
    let now = SystemClock.now();
    match command {
        Keys::Create { tenant, name, purposes } => {
            let (info, secret) = keys.create(&tenant, &name, &purposes, now)?;
            print::note(&format!("key {} for {tenant} ({purposes}); the secret is shown only now:", info.id));
            out(secret.reveal());
        }
        Keys::List => {
            for key in keys.list()? {
                let state = if key.revoked_at.is_some() { "revoked" } else { "active" };
                out(&format!("{}  {}  {}  {state}  {}", key.id, key.tenant, key.purposes, key.name));
            }
        }
        Keys::Revoke { id } => {
            keys.revoke(&id, now)?;
            out(&format!("key {id} is revoked"));
        }
    }
    Ok(())
}
