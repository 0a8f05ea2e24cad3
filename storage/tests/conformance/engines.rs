//! The engines under test, each with a place of its own.

use std::sync::Arc;

use prometheus::Registry;
use sotto_storage::{
    StorageMetrics,
    bus::{Bus, embedded::EmbeddedBus},
    vault::{Vault, embedded::EmbeddedVault},
};
use tempfile::TempDir;

pub struct Engines {
    folder: TempDir,
}

impl Engines {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn metrics() -> StorageMetrics {
        StorageMetrics::new(&Registry::new()).unwrap()
    }

    /// Opens the bus; opened again, it holds what it held.
    pub async fn bus(&self) -> Arc<dyn Bus> {
        Arc::new(EmbeddedBus::open(&self.folder.path().join("bus.db"), &Self::metrics()).await.unwrap())
    }

    /// Opens the vault; opened again, it holds what it held.
    pub fn vault(&self) -> Arc<dyn Vault> {
        Arc::new(EmbeddedVault::open(&self.folder.path().join("vault.db"), &Self::metrics()).unwrap())
    }
}
