//! The file that each store of this room keeps its rows in. Server and command line may have it open at the same time.

use std::{
    path::Path,
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, Row};

use crate::AccessError;

/// One file with a connection to read and one to write, so that whoever writes holds up nobody who comes in.
pub struct Database {
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
}

impl Database {
    /// Opens or makes a file.
    pub fn open(file: &Path, schema: &str) -> Result<Self, AccessError> {
        let open = || -> Result<Self, rusqlite::Error> {
            let writer = connect(file)?;
            writer.execute_batch(schema)?;
            Ok(Self { reader: Mutex::new(connect(file)?), writer: Mutex::new(writer) })
        };
        open().map_err(|error| {
            AccessError::Open(format!("{} cannot be opened ({error}); restore it from a backup", file.display()))
        })
    }

    pub fn read(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> MutexGuard<'_, Connection> {
        // each change is one statement or one transaction, so a panic elsewhere leaves nothing half done
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To write, unless somebody does.
    pub fn try_write(&self) -> Option<MutexGuard<'_, Connection>> {
        self.writer.try_lock().ok()
    }
}

fn connect(file: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "secure_delete", "on")?;
    Ok(connection)
}

/// A column that holds the text form of a value.
pub fn parsed<T: FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    row.get::<_, String>(index)?.parse().map_err(|_| {
        rusqlite::Error::InvalidColumnType(index, "not what was stored".to_owned(), rusqlite::types::Type::Text)
    })
}
