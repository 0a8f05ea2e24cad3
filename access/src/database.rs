//! The file that each store of this room keeps its rows in.

use std::{path::Path, str::FromStr, time::Duration};

use rusqlite::{Connection, Row};

use crate::AccessError;

/// Opens or makes a file. Server and command line may have it open at the same time.
pub fn open(file: &Path, schema: &str) -> Result<Connection, AccessError> {
    let connect = || -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "secure_delete", "on")?;
        connection.execute_batch(schema)?;
        Ok(connection)
    };
    connect().map_err(|error| {
        AccessError::Open(format!("{} cannot be opened ({error}); restore it from a backup", file.display()))
    })
}

/// A column that holds the text form of a value.
pub fn parsed<T: FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    row.get::<_, String>(index)?.parse().map_err(|_| {
        rusqlite::Error::InvalidColumnType(index, "not what was stored".to_owned(), rusqlite::types::Type::Text)
    })
}
