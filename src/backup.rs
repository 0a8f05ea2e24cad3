//! `sotto backup` and `sotto restore`.

use sotto_events::Clock;
use sotto_storage::{
    backup::{self, CALL_KEYS, ERASED},
    clock::SystemClock,
    keys::FileRoot,
};

use crate::{
    cli::{Backup, Restore},
    config::Config,
    failure::{Failure, failure},
    print::{note, out},
};

/// Makes a backup, also while a server runs on the folder.
pub fn backup(config: &Config, options: &Backup) -> Result<(), Failure> {
    if !config.data.is_dir() {
        return Err(failure(format!("there is no data folder {}; set `data`", config.data.display())));
    }
    let root = FileRoot::open(&config.root_key(), false)?;
    let made = backup::create(&config.data, &options.folder, &root, SystemClock.now())?;
    out(&made.archive.display().to_string());
    note(&format!("{} calls, {} bytes, sealed; their keys are in {CALL_KEYS} beside it", made.calls, made.bytes));
    if config.scylla.is_some() {
        note("rows of calls are in ScyllaDB, whose own snapshots hold them; here are API keys and people");
    }
    if config.erased().parent() != Some(options.folder.as_path()) {
        note(&format!(
            "set erased = \"{}\", so that calls erased before the next backup stay erased after a restore",
            options.folder.join(ERASED).display()
        ));
    }
    Ok(())
}

/// Makes a data folder from a backup.
pub fn restore(config: &Config, options: &Restore) -> Result<(), Failure> {
    let beside = |name: &str| options.archive.with_file_name(name);
    let root = FileRoot::open(&config.root_key(), false)?;
    let keys = options.keys.clone().unwrap_or_else(|| beside(CALL_KEYS));
    let erased = options.erased.clone().unwrap_or_else(|| beside(ERASED));
    if !erased.exists() {
        note(&format!("there is no list of erased calls at {}; none is withheld for it", erased.display()));
    }
    let restored = backup::restore(&options.archive, &keys, &erased, &config.data, &root)?;
    out(&format!(
        "restored {} calls into {}; {} that were erased or had expired stay closed",
        restored.calls,
        config.data.display(),
        restored.withheld
    ));
    Ok(())
}
