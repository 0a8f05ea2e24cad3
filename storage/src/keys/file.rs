//! The root key in a file of its own, 0600, made at the first start.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::RootKey;
use crate::{
    Result, StorageError,
    envelope::{Key, Place, open, seal},
};

const PREFIX: &str = "sotto-root-key-1:";

/// A root key read from a file.
pub struct FileRoot {
    key: Key,
}

impl FileRoot {
    /// Reads the key, or makes it when there is none and `may_create` holds (no data exists that needs an older one).
    ///
    /// # Errors
    /// When the file is missing but needed, unreadable, open to other users, or not a key.
    pub fn open(file: &Path, may_create: bool) -> Result<Self> {
        let problem = |why: String| StorageError::KeyFile(format!("{}: {why}", file.display()));
        match fs::metadata(file) {
            Ok(metadata) if metadata.mode() & 0o077 != 0 => {
                let mode = metadata.permissions().mode() & 0o777;
                Err(problem(format!("is open to other users (mode {mode:o}); run chmod 600 on it")))
            }
            Ok(_) => Self::read(file).map_err(problem),
            Err(error) if error.kind() == ErrorKind::NotFound && may_create => Self::create(file).map_err(problem),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(problem("is missing, but data sealed under it exists; put the file back".to_owned()))
            }
            Err(error) => Err(problem(error.to_string())),
        }
    }

    fn read(file: &Path) -> std::result::Result<Self, String> {
        let text = Zeroizing::new(fs::read_to_string(file).map_err(|error| error.to_string())?);
        let encoded = text.trim().strip_prefix(PREFIX).ok_or("is not a Sotto root key; put the right file back")?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| "is damaged; put a copy back")?);
        let key = Key::from_bytes(&bytes).ok_or("is damaged; put a copy back")?;
        Ok(Self { key })
    }

    fn create(file: &Path) -> std::result::Result<Self, String> {
        let key = Key::random().map_err(|error| error.to_string())?;
        let text = Zeroizing::new(format!("{PREFIX}{}\n", STANDARD.encode(key.bytes())));
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .map_err(|error| error.to_string())?;
        out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(|error| error.to_string())?;
        if let Some(folder) = file.parent() {
            fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| error.to_string())?;
        }
        Ok(Self { key })
    }
}

fn place(tenant: &str) -> Place<'_> {
    Place { tenant, call: "", kind: "kek", seq: 0 }
}

impl RootKey for FileRoot {
    fn wrap(&self, tenant: &str, key: &Key) -> Result<Vec<u8>> {
        seal(&self.key, place(tenant), key.bytes())
    }

    fn unwrap(&self, tenant: &str, wrapped: &[u8]) -> Result<Key> {
        Key::from_bytes(&open(&self.key, place(tenant), wrapped)?).ok_or(StorageError::Seal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_private_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("root.key");
        let key = Key::random().unwrap();
        let wrapped = FileRoot::open(&file, true).unwrap().wrap("acme", &key).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let again = FileRoot::open(&file, false).unwrap();
        assert_eq!(again.unwrap("acme", &wrapped).unwrap(), key);
        assert!(again.unwrap("other", &wrapped).is_err());
    }

    #[test]
    fn refuses_missing_open_and_damaged_files_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("root.key");
        let why = |file: &Path| FileRoot::open(file, false).err().unwrap().to_string();
        assert!(why(&file).contains("put the file back"));
        FileRoot::open(&file, true).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(why(&file).contains("chmod 600"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "sotto-root-key-1:AAAA").unwrap();
        assert!(why(&file).contains("damaged"));
    }
}
