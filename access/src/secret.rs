//! Secrets that are shown once and kept as hashes. Each is 256 random bits, so a plain SHA-256 is a sound way to store
//! it: there is nothing to guess.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::AccessError;

/// The secret of something new, shown once.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text to hand over.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `prefix_id_secret`, with its id.
    pub(crate) fn new(prefix: &str) -> Result<(String, Self), AccessError> {
        let mut random = Zeroizing::new([0_u8; 41]);
        getrandom::fill(random.as_mut_slice()).map_err(|error| AccessError::Random(error.to_string()))?;
        let id: String = random[..9].iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = Zeroizing::new(format!("{prefix}_{id}_{}", URL_SAFE_NO_PAD.encode(&random[9..])));
        Ok((id, Self(secret)))
    }

    pub(crate) fn hash(&self) -> Vec<u8> {
        hash(&self.0)
    }
}

/// The id within a secret.
pub fn id(secret: &str) -> Option<&str> {
    secret.split('_').nth(1)
}

pub fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// Whether a secret is the one whose hash is kept.
pub fn matches(secret: &str, kept: &[u8]) -> bool {
    hash(secret).as_slice().ct_eq(kept).into()
}
