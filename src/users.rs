//! `sotto users`: people, from the command line of the machine.

use std::io::Read;

use sotto_access::{User, Users};
use sotto_events::Clock;
use sotto_storage::clock::SystemClock;

use crate::{
    cli,
    config::Config,
    failure::{Failure, failure},
    print::{note, out},
    server::{open_keys, open_users},
};

/// Longest input read as a password, in bytes.
const LONGEST: u64 = 200;

pub fn run(config: &Config, command: cli::Users) -> Result<(), Failure> {
    let users = open_users(config)?;
    let keys = open_keys(config)?;
    match command {
        cli::Users::Put { tenant, login, name, role, teams } => {
            let login = login.to_lowercase();
            let teams = teams.into_iter().filter(|team| !team.trim().is_empty()).collect();
            users.put(&User { login: login.clone(), tenant: tenant.clone(), name, role, teams }, SystemClock.now())?;
            // what tokens allow follows from the role
            keys.revoke_tokens_of(&tenant, &login)?;
            note(&format!("{login} is {role}; set a password with `sotto users password {login}`"));
        }
        cli::Users::Password { login } => {
            let password = read_password()?;
            users.set_password(&login.to_lowercase(), &password)?;
            note("the password is set; sessions that were open have ended");
        }
        cli::Users::Link { login, url } => out(&link(&users, &login.to_lowercase(), &url)?),
        cli::Users::List => {
            for user in users.list()? {
                out(&format!(
                    "{}  {}  {}  {}  {}",
                    user.login,
                    user.tenant,
                    user.role,
                    user.teams.join(","),
                    user.name
                ));
            }
        }
        cli::Users::Remove { login } => {
            let login = login.to_lowercase();
            let tenant = users.remove(&login)?;
            keys.revoke_tokens_of(&tenant, &login)?;
            out(&format!("{login} is removed"));
        }
    }
    Ok(())
}

/// The secret stands behind the `#`, which browsers never send.
pub fn link(users: &Users, login: &str, url: &str) -> Result<String, Failure> {
    let secret = users.one_time_link(login, SystemClock.now())?;
    Ok(format!("{}/open#{}", url.trim_end_matches('/'), secret.reveal()))
}

fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| failure(format!("the password cannot be read from standard input: {error}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
