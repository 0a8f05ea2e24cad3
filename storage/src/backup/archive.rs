//! A sealed archive: files cut into pieces, each sealed for its place in the order, so that none can be read, changed,
//! left out or moved unnoticed.
//!
//! Layout: `sotto-archive-1\n` · length of the wrapped key (u16) · the archive's key under the root key · pieces, each
//! with its length (u32) before it. In a sealed piece a byte says what it is: the begin of a file with its name, data,
//! or the end.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::failed;
use crate::{
    Result, StorageError,
    envelope::{Key, Place, open, seal},
    keys::RootKey,
};

const MAGIC: &[u8] = b"sotto-archive-1\n";
/// Under which name the root key wraps an archive's. Not a tenant's: an id cannot hold a space.
const OWNER: &str = "an archive";
const PIECE: usize = 1 << 20;
const BEGIN: u8 = 0;
const DATA: u8 = 1;
const END: u8 = 2;

fn place(seq: u64) -> Place<'static> {
    Place { tenant: OWNER, call: "", kind: "piece", seq }
}

/// Writes an archive beside its name, and gives it that name when it is complete.
pub(super) struct Writer {
    out: BufWriter<File>,
    part: PathBuf,
    file: PathBuf,
    key: Key,
    seq: u64,
}

impl Writer {
    pub fn create(file: &Path, root: &dyn RootKey) -> Result<Self> {
        let part = file.with_extension("part");
        let key = Key::random()?;
        let wrapped = root.wrap(OWNER, &key)?;
        let out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
        let mut out = BufWriter::new(out.map_err(|error| failed(&part, error))?);
        let head = [MAGIC, &(wrapped.len() as u16).to_be_bytes(), &wrapped].concat();
        out.write_all(&head).map_err(|error| failed(&part, error))?;
        Ok(Self { out, part, file: file.to_owned(), key, seq: 0 })
    }

    fn piece(&mut self, kind: u8, content: &[u8]) -> Result<()> {
        let sealed = seal(&self.key, place(self.seq), &[&[kind], content].concat())?;
        self.seq += 1;
        let length = (sealed.len() as u32).to_be_bytes();
        self.out
            .write_all(&length)
            .and_then(|()| self.out.write_all(&sealed))
            .map_err(|error| failed(&self.part, error))
    }

    /// Adds a file under a name.
    pub fn add(&mut self, name: &str, mut content: impl Read) -> Result<()> {
        self.piece(BEGIN, name.as_bytes())?;
        let mut piece = vec![0; PIECE];
        loop {
            let mut filled = 0;
            while filled < PIECE {
                match content.read(&mut piece[filled..]) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(failed(Path::new(name), error)),
                }
            }
            if filled == 0 {
                return Ok(());
            }
            self.piece(DATA, &piece[..filled])?;
        }
    }

    /// Gives its size.
    pub fn finish(mut self) -> Result<u64> {
        self.piece(END, &[])?;
        let problem = |error| failed(&self.file, error);
        self.out.flush().map_err(problem)?;
        self.out.get_ref().sync_all().map_err(problem)?;
        let bytes = self.out.get_ref().metadata().map_err(problem)?.len();
        std::fs::rename(&self.part, &self.file).map_err(problem)?;
        if let Some(folder) = self.file.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(problem)?;
        }
        Ok(bytes)
    }
}

/// What comes next in an archive.
pub(super) enum Piece {
    File(String),
    Data(zeroize::Zeroizing<Vec<u8>>),
    End,
}

/// Reads an archive.
pub(super) struct Reader {
    from: BufReader<File>,
    file: PathBuf,
    key: Key,
    seq: u64,
}

impl Reader {
    pub fn open(file: &Path, root: &dyn RootKey) -> Result<Self> {
        let problem = |error| failed(file, error);
        let mut from = BufReader::new(File::open(file).map_err(problem)?);
        let mut magic = [0; MAGIC.len()];
        let known = from.read_exact(&mut magic).is_ok() && magic == *MAGIC;
        if !known {
            return Err(StorageError::Backup(format!("{} is no archive of Sotto", file.display())));
        }
        let mut length = [0; 2];
        from.read_exact(&mut length).map_err(problem)?;
        let mut wrapped = vec![0; usize::from(u16::from_be_bytes(length))];
        from.read_exact(&mut wrapped).map_err(problem)?;
        let key = root.unwrap(OWNER, &wrapped).map_err(|_| {
            StorageError::Backup(format!("{} was sealed under another root key; give that one", file.display()))
        })?;
        Ok(Self { from, file: file.to_owned(), key, seq: 0 })
    }

    pub fn next(&mut self) -> Result<Piece> {
        let damaged = || StorageError::Backup(format!("{} is damaged or cut off", self.file.display()));
        let mut length = [0; 4];
        self.from.read_exact(&mut length).map_err(|_| damaged())?;
        let length = u32::from_be_bytes(length) as usize;
        if length > 2 * PIECE {
            return Err(damaged());
        }
        let mut sealed = vec![0; length];
        self.from.read_exact(&mut sealed).map_err(|_| damaged())?;
        let mut plain = open(&self.key, place(self.seq), &sealed).map_err(|_| damaged())?;
        self.seq += 1;
        match plain.first().copied() {
            Some(BEGIN) => Ok(Piece::File(String::from_utf8_lossy(&plain[1..]).into_owned())),
            Some(DATA) => {
                plain.remove(0);
                Ok(Piece::Data(plain))
            }
            Some(END) => Ok(Piece::End),
            _ => Err(damaged()),
        }
    }
}
