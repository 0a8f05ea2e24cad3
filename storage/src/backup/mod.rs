//! Backups of the embedded engines, and restoring them.
//!
//! An archive holds everything but the keys of calls. Those are in a second file, of which only the newest is kept: it
//! has the keys of the calls that are there *now*. So what is erased or expires can no longer be opened from an older
//! archive, once a newer backup was made. For the time between there is a list of [`Erasures`], which a restore keeps to.

mod archive;
mod erasures;

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{Cursor, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};
use sotto_events::Timestamp;
use zeroize::Zeroizing;

use self::{
    archive::{Piece, Reader, Writer},
    erasures::Erased,
};
use crate::{Result, StorageError, keys::RootKey, vault::embedded::HOLDS};

pub use self::erasures::Erasures;

/// The file with the keys of calls.
pub const CALL_KEYS: &str = "call-keys.sotto";
/// The list of erasures beside the archives.
pub const ERASED: &str = "erased";
/// The first file of an archive: when it was made.
const MADE: &str = "made.json";
const VAULT: &str = "vault.db";
const BUS: &str = "bus.db";
/// No name in an archive may leave the folder.
const NAMES: [&str; 5] = [VAULT, BUS, "users.db", "api_keys.db", "spool.db"];

fn failed(file: &Path, error: impl std::fmt::Display) -> StorageError {
    StorageError::Backup(format!("{}: {error}", file.display()))
}

#[derive(Serialize, Deserialize)]
struct Made {
    at: Timestamp,
}

/// The key of one call, as it is kept.
#[derive(Serialize, Deserialize)]
struct CallKey {
    tenant: String,
    call: String,
    created_at: i64,
    wrapped: Vec<u8>,
    /// Since when the call is held. Holds, too, are as they are now, not as the archive has them.
    #[serde(default)]
    held_at: Option<i64>,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub archive: PathBuf,
    pub bytes: u64,
    pub calls: usize,
}

/// What a restore brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    pub calls: usize,
    /// Calls in the archive that were erased or had expired since: without a key, metadata and events.
    pub withheld: usize,
}

/// Backs a data folder up into another folder, while a server may use it.
///
/// # Errors
/// When a file cannot be read or written.
pub fn create(data: &Path, to: &Path, root: &dyn RootKey, now: Timestamp) -> Result<Created> {
    fs::create_dir_all(to).map_err(|error| failed(to, error))?;
    let work = Work::new(data)?;
    // the log before the rows: what it has not yet given to them comes again, and changes nothing
    let mut names: Vec<&str> = NAMES.into_iter().filter(|name| data.join(name).exists()).collect();
    names.sort_by_key(|name| (*name == VAULT, *name != BUS));
    for name in &names {
        snapshot(&data.join(name), &work.0.join(name))?;
    }
    let vault = work.0.join(VAULT);
    let keys = if vault.exists() { take_keys(&vault)? } else { Vec::new() };
    let made = serde_json::to_vec(&Made { at: now })?;
    let mut out = Writer::create(&to.join(CALL_KEYS), root)?;
    out.add(MADE, Cursor::new(&made))?;
    out.add("keys.json", Cursor::new(Zeroizing::new(serde_json::to_vec(&keys)?).as_slice()))?;
    out.finish()?;
    let archive = to.join(format!("sotto-{}.backup", now.0));
    let mut out = Writer::create(&archive, root)?;
    out.add(MADE, Cursor::new(&made))?;
    for name in names {
        let file = work.0.join(name);
        out.add(name, File::open(&file).map_err(|error| failed(&file, error))?)?;
    }
    let bytes = out.finish()?;
    Ok(Created { archive, bytes, calls: keys.len() })
}

/// A folder that goes with its owner.
struct Work(PathBuf);

impl Work {
    fn new(data: &Path) -> Result<Self> {
        let folder = data.join(format!(".backup-{}", std::process::id()));
        // what a killed one left
        drop(fs::remove_dir_all(&folder));
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| failed(&folder, error))?;
        Ok(Self(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the work folder of a backup could not be removed");
        }
    }
}

/// The database as of one moment.
fn snapshot(from: &Path, to: &Path) -> Result<()> {
    let db = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    Ok(())
}

/// Takes the keys of calls out of a copy of the vault.
fn take_keys(vault: &Path) -> Result<Vec<CallKey>> {
    let db = Connection::open(vault)?;
    db.pragma_update(None, "secure_delete", "on")?;
    db.execute(HOLDS, [])?;
    let mut statement = db.prepare(
        "SELECT tenant, call, created_at, wrapped_key, held_at FROM calls LEFT JOIN holds USING (tenant, call)
         WHERE wrapped_key IS NOT NULL",
    )?;
    let keys = statement
        .query_map([], |row| {
            Ok(CallKey {
                tenant: row.get(0)?,
                call: row.get(1)?,
                created_at: row.get(2)?,
                wrapped: row.get(3)?,
                held_at: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    drop(statement);
    db.execute("UPDATE calls SET wrapped_key = NULL", [])?;
    // not even in a free page
    db.execute("VACUUM", [])?;
    Ok(keys)
}

/// Makes a data folder from an archive, the file with the keys of calls, and the list of erasures.
///
/// # Errors
/// When the folder holds data already, a file is damaged or of another root key, or the keys are older than the archive.
pub fn restore(archive: &Path, keys: &Path, erased: &Path, data: &Path, root: &dyn RootKey) -> Result<Restored> {
    if let Some(name) = NAMES.iter().find(|name| data.join(name).exists()) {
        return Err(StorageError::Backup(format!(
            "{} holds {name} already; move what is there away, or set another data folder",
            data.display()
        )));
    }
    let (known_at, keys) = read_keys(keys, root)?;
    let erased = Erased::read(erased)?;
    if known_at < made_at(archive, root)? {
        return Err(StorageError::Backup(format!(
            "{} is newer than the keys of calls; give the {CALL_KEYS} that was made with it or later",
            archive.display()
        )));
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| failed(data, error))?;
    // complete before anything is in its place
    let work = Work::new(data)?;
    let files = unpack(archive, &work.0, root)?;
    let vault = work.0.join(VAULT);
    let restored = if vault.exists() { give_keys(&vault, keys, &erased)? } else { Restored { calls: 0, withheld: 0 } };
    for name in files {
        fs::rename(work.0.join(name), data.join(name)).map_err(|error| failed(&data.join(name), error))?;
    }
    File::open(data).and_then(|data| data.sync_all()).map_err(|error| failed(data, error))?;
    Ok(restored)
}

fn read_keys(file: &Path, root: &dyn RootKey) -> Result<(Timestamp, Vec<CallKey>)> {
    let mut from = Reader::open(file, root)?;
    let mut files: HashMap<String, Zeroizing<Vec<u8>>> = HashMap::new();
    let mut name = String::new();
    loop {
        match from.next()? {
            Piece::File(next) => name = next,
            Piece::Data(data) => files.entry(name.clone()).or_default().extend_from_slice(&data),
            Piece::End => break,
        }
    }
    let part = |name: &str| files.get(name).map_or(&[][..], |bytes| bytes.as_slice());
    let made: Made = serde_json::from_slice(part(MADE))?;
    Ok((made.at, serde_json::from_slice(part("keys.json"))?))
}

/// When an archive was made.
fn made_at(archive: &Path, root: &dyn RootKey) -> Result<Timestamp> {
    let mut from = Reader::open(archive, root)?;
    match (from.next()?, from.next()?) {
        (Piece::File(name), Piece::Data(made)) if name == MADE => Ok(serde_json::from_slice::<Made>(&made)?.at),
        _ => Err(failed(archive, "does not say when it was made")),
    }
}

/// Writes the files of an archive into the folder; says which.
fn unpack(archive: &Path, folder: &Path, root: &dyn RootKey) -> Result<Vec<&'static str>> {
    let mut from = Reader::open(archive, root)?;
    let mut files = Vec::new();
    let mut out: Option<(PathBuf, File)> = None;
    loop {
        match from.next()? {
            Piece::File(name) if name == MADE => out = None,
            Piece::File(name) => {
                let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
                    return Err(failed(archive, "holds a file that this version does not know; use a newer one"));
                };
                files.push(name);
                let file = folder.join(name);
                let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
                out = Some((file.clone(), opened.map_err(|error| failed(&file, error))?));
            }
            Piece::Data(bytes) => match &mut out {
                None => {}
                Some((file, out)) => {
                    out.write_all(&bytes).and_then(|()| out.sync_data()).map_err(|error| failed(file, error))?;
                }
            },
            Piece::End => return Ok(files),
        }
    }
}

/// Gives the calls of a restored vault their keys back. One without a key was erased or has expired.
fn give_keys(vault: &Path, keys: Vec<CallKey>, erased: &Erased) -> Result<Restored> {
    let mut db = Connection::open(vault)?;
    db.pragma_update(None, "secure_delete", "on")?;
    let transaction = db.transaction()?;
    transaction.execute(HOLDS, [])?;
    transaction.execute("DELETE FROM holds", [])?;
    for CallKey { tenant, call, created_at, wrapped, held_at } in keys {
        if !erased.holds(&tenant, &call, Timestamp(created_at)) {
            let given = transaction
                .prepare_cached(
                    "UPDATE calls SET wrapped_key = ?4 WHERE tenant = ?1 AND call = ?2 AND created_at = ?3 AND state != 2",
                )?
                .execute(params![tenant, call, created_at, wrapped])?;
            if given > 0
                && let Some(held_at) = held_at
            {
                transaction.execute("INSERT INTO holds VALUES (?1, ?2, ?3)", params![tenant, call, held_at])?;
            }
        }
    }
    transaction.execute(
        "DELETE FROM events WHERE EXISTS (SELECT 1 FROM calls WHERE calls.tenant = events.tenant
         AND calls.call = events.call AND wrapped_key IS NULL)",
        [],
    )?;
    let withheld = transaction
        .execute("UPDATE calls SET state = 2, metadata = NULL WHERE wrapped_key IS NULL AND state != 2", [])?;
    let calls = transaction
        .query_row("SELECT count(*) FROM calls WHERE wrapped_key IS NOT NULL", [], |row| row.get::<_, i64>(0))?
        as usize;
    transaction.commit()?;
    Ok(Restored { calls, withheld })
}
