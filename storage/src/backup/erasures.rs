//! Which calls were erased, noted where a restore finds it. Holds hashes only.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use sotto_events::Timestamp;

use super::failed;
use crate::{Result, bus::CallKey};

/// One call of this id, known by when it began.
fn line(tenant: &str, call: &str, created_at: Timestamp) -> String {
    let hash = Sha256::new()
        .chain_update(tenant)
        .chain_update([0])
        .chain_update(call)
        .chain_update(created_at.0.to_be_bytes())
        .finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The list of erased calls, to add to.
pub struct Erasures {
    file: PathBuf,
    out: Mutex<File>,
}

impl Erasures {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(file: &Path) -> Result<Self> {
        let out = OpenOptions::new().append(true).create(true).mode(0o600).open(file);
        Ok(Self { file: file.to_owned(), out: Mutex::new(out.map_err(|error| failed(file, error))?) })
    }

    /// Notes an erasure; when it returns, that is on disk.
    ///
    /// # Errors
    /// When it cannot be written: then the call must not be said to be erased.
    pub fn note(&self, (tenant, call): CallKey<'_>, created_at: Timestamp) -> Result<()> {
        let line = line(tenant.as_str(), call.as_str(), created_at) + "\n";
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(line.as_bytes()).and_then(|()| out.sync_data()).map_err(|error| failed(&self.file, error))
    }
}

/// The list of erased calls, to look up.
#[derive(Default)]
pub(super) struct Erased(HashSet<String>);

impl Erased {
    pub fn read(file: &Path) -> Result<Self> {
        match File::open(file) {
            Ok(from) => {
                let lines = BufReader::new(from).lines().collect::<std::io::Result<_>>();
                Ok(Self(lines.map_err(|error| failed(file, error))?))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(file, error)),
        }
    }

    pub fn holds(&self, tenant: &str, call: &str, created_at: Timestamp) -> bool {
        self.0.contains(&line(tenant, call, created_at))
    }
}
