//! What ends a command: one clear line and an exit code.

use std::process::ExitCode;

/// Exit codes, documented in `sotto --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Failed = 1,
    Configuration = 3,
    Refused = 4,
}

/// A failure with what a person needs to know.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub code: Code,
}

/// A failure of the common kind.
pub fn failure(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), code: Code::Failed }
}

impl Failure {
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.code as u8)
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self { message: error.to_string(), code: Code::Configuration }
    }
}

macro_rules! from {
    ($($error:ty),*) => { $(impl From<$error> for Failure {
        fn from(error: $error) -> Self {
            failure(error.to_string())
        }
    })* };
}

from!(
    sotto_access::AccessError,
    sotto_access::tls::TlsError,
    sotto_storage::StorageError,
    sotto_pipeline::ModelError,
    sotto_pipeline::engine::EngineError,
    sotto_ingest::file::FileError,
    prometheus::Error,
    serde_json::Error,
    std::io::Error
);
