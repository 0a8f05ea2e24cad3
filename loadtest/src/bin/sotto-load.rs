//! `sotto-load`: live calls over real sockets, open loop, checked and measured.

#![allow(clippy::print_stdout, reason = "a command-line tool")]

use std::process::ExitCode;

use clap::Parser;
use sotto_loadtest::load::{command, options::Options};

fn main() -> ExitCode {
    match command::run_options(Options::parse()) {
        Ok(outcome) => {
            print!("{}", outcome.text);
            outcome.code.into()
        }
        Err(error) => {
            eprintln!("sotto-load: {error}");
            ExitCode::FAILURE
        }
    }
}
