//! Tenant keys, unwrapped once and kept in memory, and the call keys under them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sotto_events::{CallId, TenantId};

use super::RootKey;
use crate::{
    Result, StorageError,
    envelope::{Key, Place, open, seal},
    vault::Vault,
};

/// Opens and makes keys. Tenants are few; calls' keys are not kept here.
pub struct KeyRing {
    root: Box<dyn RootKey>,
    vault: Arc<dyn Vault>,
    tenants: Mutex<HashMap<TenantId, Key>>,
}

impl KeyRing {
    pub fn new(root: Box<dyn RootKey>, vault: Arc<dyn Vault>) -> Self {
        Self { root, vault, tenants: Mutex::default() }
    }

    /// A new call key, with how it is kept.
    ///
    /// # Errors
    /// When the tenant's key cannot be had.
    pub async fn new_call_key(&self, tenant: &TenantId, call: &CallId) -> Result<(Key, Vec<u8>)> {
        let key = Key::random()?;
        let wrapped = seal(&self.tenant_key(tenant).await?, place(tenant, call), key.bytes())?;
        Ok((key, wrapped))
    }

    /// The key of a call from how it is kept.
    ///
    /// # Errors
    /// When it was kept for another call or tenant.
    pub async fn call_key(&self, tenant: &TenantId, call: &CallId, wrapped: &[u8]) -> Result<Key> {
        let key = self.tenant_key(tenant).await?;
        Key::from_bytes(&open(&key, place(tenant, call), wrapped)?).ok_or(StorageError::Seal)
    }

    /// A key that all nodes with this vault have, for what is no tenant's.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn nodes_key(&self) -> Result<Key> {
        // no tenant has this name by accident, and one that has it on purpose gains nothing
        let nodes = "sotto:nodes".parse().map_err(|_| StorageError::Seal)?;
        self.tenant_key(&nodes).await
    }

    async fn tenant_key(&self, tenant: &TenantId) -> Result<Key> {
        if let Some(key) = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Ok(key.clone());
        }
        let wrapped = match self.vault.tenant_key(tenant.clone()).await? {
            Some(wrapped) => wrapped,
            // another node may make one at the same time: what the vault kept first is the tenant's key
            None => {
                let wrapped = self.root.wrap(tenant.as_str(), &Key::random()?)?;
                self.vault.keep_tenant_key(tenant.clone(), wrapped).await?
            }
        };
        let key = self.root.unwrap(tenant.as_str(), &wrapped)?;
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), key.clone());
        Ok(key)
    }
}

fn place<'a>(tenant: &'a TenantId, call: &'a CallId) -> Place<'a> {
    Place { tenant: tenant.as_str(), call: call.as_str(), kind: "dek", seq: 0 }
}
