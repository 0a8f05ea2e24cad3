//! The key tree: root key -> tenant key -> call key -> field seal.

mod file;
mod ring;

pub use file::FileRoot;
pub use ring::KeyRing;

use crate::{Result, envelope::Key};

/// What holds the root key. It wraps tenant keys and never gives itself away.
pub trait RootKey: Send + Sync {
    /// Wraps a tenant's key.
    ///
    /// # Errors
    /// When the holder of the root key cannot be asked.
    fn wrap(&self, tenant: &str, key: &Key) -> Result<Vec<u8>>;

    /// Unwraps it again.
    ///
    /// # Errors
    /// When it was wrapped by another root key or for another tenant.
    fn unwrap(&self, tenant: &str, wrapped: &[u8]) -> Result<Key>;
}
