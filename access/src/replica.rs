//! What several nodes share of a store: each tells its changes and takes in those of the others. The last to be told
//! holds.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::{AccessError, database::Database};

/// A table that is shared.
pub struct Table {
    pub name: &'static str,
    /// The column that names a row.
    pub key: &'static str,
    pub columns: &'static [&'static str],
    /// Those of the columns that hold bytes.
    pub blobs: &'static [&'static str],
}

/// A row as it is now, or that it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub table: String,
    pub id: String,
    /// As a JSON object, bytes in hexadecimal.
    pub row: Option<String>,
}

/// A store that is shared. Server and command line may both change it; what either does is told.
pub struct Replica<'a> {
    pub(crate) database: &'a Database,
    pub(crate) tables: &'static [Table],
}

const SCHEMA: &str =
    "CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, origin TEXT NOT NULL, id TEXT NOT NULL);";

impl Table {
    fn triggers(&self) -> String {
        let Self { name, key, .. } = self;
        [("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")]
            .map(|(event, row)| {
                format!(
                    "CREATE TRIGGER {name}_{event} AFTER {event} ON {name} BEGIN
                         INSERT INTO changes (origin, id) VALUES ('{name}', {row}.{key});
                     END;"
                )
            })
            .concat()
    }

    /// What is there already counts as changed.
    fn everything(&self) -> String {
        let Self { name, key, .. } = self;
        format!("INSERT INTO changes (origin, id) SELECT '{name}', {key} FROM {name};")
    }

    fn select(&self) -> String {
        let Self { name, key, columns, blobs } = self;
        let pair = |column: &&str| {
            if blobs.contains(column) { format!("'{column}', hex({column})") } else { format!("'{column}', {column}") }
        };
        let pairs: Vec<String> = columns.iter().map(pair).collect();
        format!("SELECT json_object({}) FROM {name} WHERE {key} = ?1", pairs.join(", "))
    }

    fn upsert(&self) -> String {
        let Self { name, key, columns, blobs } = self;
        let value = |column: &&str| {
            let value = format!("json_extract(?1, '$.{column}')");
            if blobs.contains(column) { format!("unhex({value})") } else { value }
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let set: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        // an update in place: a replaced person would take their sessions along
        format!(
            "INSERT INTO {name} ({}) SELECT {} WHERE true ON CONFLICT ({key}) DO UPDATE SET {}",
            columns.join(", "),
            values.join(", "),
            set.join(", ")
        )
    }
}

impl Replica<'_> {
    /// Begins to note changes; the first time, everything that is there counts as changed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn share(&self) -> Result<(), AccessError> {
        let mut connection = self.database.write();
        let change = connection.transaction()?;
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'changes')";
        let shared: bool = change.query_row(sql, [], |row| row.get(0))?;
        if !shared {
            change.execute_batch(SCHEMA)?;
            for table in self.tables {
                change.execute_batch(&table.triggers())?;
                change.execute_batch(&table.everything())?;
            }
        }
        change.commit()?;
        Ok(())
    }

    /// Changes that were not told yet, oldest first, with a number up to which they then count as told.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn untold(&self, limit: usize) -> Result<Option<(i64, Vec<Change>)>, AccessError> {
        let connection = self.database.read();
        let mut statement = connection.prepare_cached("SELECT seq, origin, id FROM changes ORDER BY seq LIMIT ?1")?;
        let rows: Vec<(i64, String, String)> = statement
            .query_map([limit as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let Some((last, ..)) = rows.last().cloned() else { return Ok(None) };
        let mut changes: Vec<Change> = Vec::new();
        for (_, name, id) in rows {
            let Some(table) = self.tables.iter().find(|table| table.name == name) else { continue };
            // told as it is now, so once is enough
            if changes.iter().any(|change| change.table == name && change.id == id) {
                continue;
            }
            let row = connection.prepare_cached(&table.select())?.query_row([&id], |row| row.get(0)).optional()?;
            changes.push(Change { table: name, id, row });
        }
        Ok(Some((last, changes)))
    }

    /// Changes up to this number were told.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn told(&self, last: i64) -> Result<(), AccessError> {
        self.database.write().execute("DELETE FROM changes WHERE seq <= ?1", [last])?;
        Ok(())
    }

    /// Whether a change is of this store.
    pub fn knows(&self, change: &Change) -> bool {
        self.tables.iter().any(|table| table.name == change.table)
    }

    /// Takes in what another node told.
    ///
    /// # Errors
    /// When the store cannot be written, or the row does not fit: a session of somebody who is gone.
    pub fn apply(&self, change: &Change) -> Result<(), AccessError> {
        let Some(table) = self.tables.iter().find(|table| table.name == change.table) else { return Ok(()) };
        let mut connection = self.database.write();
        let transaction = connection.transaction()?;
        let own: i64 = transaction.query_row("SELECT coalesce(max(seq), 0) FROM changes", [], |row| row.get(0))?;
        match &change.row {
            Some(row) => transaction.prepare_cached(&table.upsert())?.execute([row])?,
            None => transaction
                .prepare_cached(&format!("DELETE FROM {} WHERE {} = ?1", table.name, table.key))?
                .execute([&change.id])?,
        };
        // what was taken in is not told again
        transaction.execute("DELETE FROM changes WHERE seq > ?1", params![own])?;
        transaction.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sotto_events::Timestamp;

    use crate::{ApiKeys, Purpose, Purposes, Role, User, Users};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn ada() -> User {
        User {
            tenant: "acme".parse().unwrap(),
            login: "ada".to_owned(),
            name: "Ada".to_owned(),
            role: Role::Admin,
            teams: vec!["a".to_owned(), "b".to_owned()],
        }
    }

    /// Tells everything of one store to another.
    macro_rules! tell {
        ($from:expr, $to:expr) => {{
            let mut count = 0;
            while let Some((last, changes)) = $from.replica().untold(10).unwrap() {
                for change in &changes {
                    $to.replica().apply(change).unwrap();
                }
                count += changes.len();
                $from.replica().told(last).unwrap();
            }
            count
        }};
    }

    #[test]
    fn a_key_holds_at_every_node_and_so_does_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| ApiKeys::open(&folder.path().join(name)).unwrap();
        let (here, there) = (open("here"), open("there"));
        let tenant = "acme".parse().unwrap();
        // made before anything was shared
        let (info, secret) = here.create(&tenant, "test", &Purposes::new(vec![Purpose::Ingest]), NOW).unwrap();
        for store in [&here, &there] {
            store.replica().share().unwrap();
            store.replica().share().unwrap();
        }
        assert_eq!(tell!(here, there), 1);
        let holds = |store: &ApiKeys| store.authenticate(secret.reveal(), Purpose::Ingest, NOW).is_ok();
        assert!(holds(&here) && holds(&there));
        assert!(there.replica().untold(10).unwrap().is_none(), "what was taken in is not told again");
        there.revoke(&info.id, NOW).unwrap();
        assert_eq!(tell!(there, here), 1);
        assert!(!holds(&here) && !holds(&there));
    }

    #[test]
    fn people_and_their_sessions_are_shared_and_a_change_of_a_person_ends_none() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Users::open(&folder.path().join(name)).unwrap();
        let (here, there) = (open("here"), open("there"));
        for store in [&here, &there] {
            store.replica().share().unwrap();
        }
        here.put(&ada(), NOW).unwrap();
        here.set_password("ada", "correct horse battery").unwrap();
        let session = here.log_in("ada", "correct horse battery", NOW).unwrap();
        assert_eq!(tell!(here, there), 2);
        assert_eq!(there.list().unwrap(), [ada()]);
        assert!(there.session(session.reveal(), NOW).unwrap().is_some());
        assert!(there.log_in("ada", "correct horse battery", NOW).is_ok());
        here.put(&User { role: Role::Viewer, ..ada() }, NOW).unwrap();
        tell!(here, there);
        let seen = there.session(session.reveal(), NOW).unwrap().expect("the session is gone");
        assert_eq!(seen.user.role, Role::Viewer);
        there.remove("ada").unwrap();
        tell!(there, here);
        assert!(here.session(session.reveal(), NOW).unwrap().is_none());
        assert!(here.list().unwrap().is_empty());
    }
}
