//! What is kept: a bus that makes events durable in order, a vault of rows that expire, and the keys that seal both.
//!
//! Every content field is sealed before it leaves [`recorder`] and opened only by [`reader`]; bus and vault see
//! ciphertext. Both are ports with an embedded engine on SQLite, and one for
//! many machines: Kafka and ScyllaDB.

pub mod backup;
pub mod bus;
pub mod clock;
pub mod envelope;
pub mod keys;
pub mod metrics;
pub mod reader;
pub mod recorder;
pub mod retention;
mod sqlite;
pub mod sweeper;
pub mod vault;
pub mod writer;

pub use metrics::StorageMetrics;
pub use reader::{CallSummary, Reader};
pub use recorder::{CallRecorder, KnownCall, LiveUpdate, NewCall, OpenedCall, Recorder};
pub use retention::{Retention, RetentionPolicies};

/// Why storage could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("database could not be written: {0}")]
    Commit(String),
    #[error("database {file} cannot be opened: {why}; move it away or restore it from a backup")]
    Open { file: String, why: String },
    #[error("a seal does not open: the data was changed, moved or belongs to another key")]
    Seal,
    #[error("the call is erased")]
    Erased,
    #[error("no such call")]
    NoSuchCall,
    #[error("the call is on air; end it before erasing it")]
    OnAir,
    #[error("the call is held; release it before erasing it")]
    Held,
    #[error("{max} calls are held already; release some before holding another", max = vault::MAX_HOLDS)]
    TooManyHolds,
    #[error("the call has already ended")]
    Ended,
    #[error("key file: {0}")]
    KeyFile(String),
    #[error("a record cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    #[error("bus: {0}")]
    Bus(String),
    #[error("the bus is away, and the spool that stands in for it is full")]
    SpoolFull,
    #[error("{0} bytes of events at once are too many; {max} are allowed", max = bus::MAX_RECORD)]
    TooLarge(usize),
    #[error("{0}")]
    Backup(String),
    #[error("vault: {0}")]
    Vault(String),
    #[error("storage is busy and did not answer in time")]
    Busy,
    #[error("storage has stopped")]
    Stopped,
}

/// The result of asking storage for something.
pub type Result<T> = std::result::Result<T, StorageError>;
