//! Where ScyllaDB is, and how its keyspace is to be.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};
use sotto_events::TenantId;

/// `[scylla]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScyllaSettings {
    /// `host:port` of some nodes.
    pub nodes: Vec<String>,
    pub keyspace: String,
    /// The nodes to read from and write to, and where copies are kept.
    pub datacenter: String,
    /// Copies of each row in that datacenter, of a keyspace that is made.
    pub replicas: u32,
    /// Makes the keyspace and its tables, and brings older ones up to date; otherwise they must be there.
    pub create_tables: bool,
    pub username: Option<String>,
    pub password: Option<String>,
    pub tls: Tls,
    /// Tenants whose rows are in a keyspace of their own.
    #[serde(skip)]
    pub own_keyspaces: BTreeSet<TenantId>,
}

/// Encryption on the way to the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub enabled: bool,
    /// PEM file of the authority that signed the nodes' certificates.
    pub authority: Option<PathBuf>,
}

impl Default for ScyllaSettings {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            keyspace: "sotto".to_owned(),
            datacenter: "datacenter1".to_owned(),
            replicas: 3,
            create_tables: true,
            username: None,
            password: None,
            tls: Tls::default(),
            own_keyspaces: BTreeSet::new(),
        }
    }
}

impl ScyllaSettings {
    /// Says what is out of range.
    ///
    /// # Errors
    /// A sentence for the person who wrote the setting.
    pub fn validate(&self) -> Result<(), String> {
        if self.nodes.is_empty() {
            return Err("nodes is empty; give host:port of at least one node".to_owned());
        }
        // names become part of statements
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts = self.keyspace.starts_with(|c: char| c.is_ascii_lowercase());
        // a tenant's own adds 17 characters, and 48 are allowed
        if !starts || self.keyspace.len() > 30 || !self.keyspace.chars().all(letter) {
            return Err("keyspace must be 1 to 30 lower-case letters, digits or '_', a letter first".to_owned());
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.datacenter.is_empty() || self.datacenter.len() > 100 || !self.datacenter.chars().all(legal) {
            return Err("datacenter must be letters, digits, '_', '-' or '.'".to_owned());
        }
        if !(1..=10).contains(&self.replicas) {
            return Err(format!("replicas is {}, must be between 1 and 10", self.replicas));
        }
        if self.username.is_some() != self.password.is_some() {
            return Err("give username and password together".to_owned());
        }
        if self.tls.enabled && self.tls.authority.is_none() {
            return Err("tls.authority is missing; give the PEM file of the nodes' authority".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_would_be_right() {
        let good = ScyllaSettings { nodes: vec!["a:9042".to_owned()], ..ScyllaSettings::default() };
        assert_eq!(good.validate(), Ok(()));
        for (bad, wanted) in [
            (ScyllaSettings { nodes: Vec::new(), ..good.clone() }, "at least one node"),
            (ScyllaSettings { keyspace: "a; DROP".to_owned(), ..good.clone() }, "keyspace"),
            (ScyllaSettings { datacenter: "a'b".to_owned(), ..good.clone() }, "datacenter"),
            (ScyllaSettings { replicas: 0, ..good.clone() }, "between 1 and 10"),
            (ScyllaSettings { username: Some("sotto".to_owned()), ..good }, "together"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
