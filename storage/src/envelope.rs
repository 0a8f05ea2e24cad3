//! Sealing one field: AES-256-GCM, self-describing, bound to its place.
//!
//! Layout: version (1 byte) · nonce (12 bytes) · ciphertext · tag (16 bytes). The nonce is random: one key seals one
//! call's fields, far fewer than 2^32, so nonces do not repeat, across crashes too. The place (tenant, call, kind, seq,
//! schema) is authenticated but not stored: a field that was moved does not open.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Result, StorageError};

const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;
/// Version of what is inside a seal.
const SCHEMA: u32 = 1;

/// A 256-bit key, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| StorageError::Random(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// A key from exactly 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// The bytes, for wrapping.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Where a sealed field belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    pub tenant: &'a str,
    pub call: &'a str,
    /// What the field is: the kind of event, `metadata`, `partial`, `dek`, `kek`.
    pub kind: &'a str,
    pub seq: u64,
}

impl Place<'_> {
    /// Every part with its length before it, so that no two places give the same bytes.
    fn authenticated(&self) -> Vec<u8> {
        let mut out = b"sotto".to_vec();
        for part in [self.tenant, self.call, self.kind] {
            out.extend((part.len() as u32).to_be_bytes());
            out.extend(part.as_bytes());
        }
        out.extend(self.seq.to_be_bytes());
        out.extend(SCHEMA.to_be_bytes());
        out
    }
}

/// Seals `plain` for `place`.
///
/// # Errors
/// When the system gives no random numbers.
pub fn seal(key: &Key, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|error| StorageError::Random(error.to_string()))?;
    let payload = Payload { msg: plain, aad: &place.authenticated() };
    let sealed = cipher(key)?.encrypt(&Nonce::from(nonce), payload).map_err(|_| StorageError::Seal)?;
    let mut out = Vec::with_capacity(1 + NONCE + sealed.len());
    out.push(VERSION);
    out.extend(nonce);
    out.extend(sealed);
    Ok(out)
}

/// Opens what was sealed for `place`. The plaintext is wiped when dropped.
///
/// # Errors
/// [`StorageError::Seal`] when key, place or content differ, or the envelope is of another version.
pub fn open(key: &Key, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    if sealed.len() < 1 + NONCE + TAG || sealed[0] != VERSION {
        return Err(StorageError::Seal);
    }
    let nonce: [u8; NONCE] = sealed[1..=NONCE].try_into().map_err(|_| StorageError::Seal)?;
    let payload = Payload { msg: &sealed[1 + NONCE..], aad: &place.authenticated() };
    let plain = cipher(key)?.decrypt(&Nonce::from(nonce), payload).map_err(|_| StorageError::Seal)?;
    Ok(Zeroizing::new(plain))
}

fn cipher(key: &Key) -> Result<Aes256Gcm> {
    Aes256Gcm::new_from_slice(key.bytes()).map_err(|_| StorageError::Seal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { tenant: "acme", call: "c1", kind: "final", seq: 3 };

    #[test]
    fn mh1_a_field_opens_only_with_its_key_and_in_its_place() {
        let key = Key::random().unwrap();
        let sealed = seal(&key, PLACE, b"my card number is").unwrap();
        assert_eq!(open(&key, PLACE, &sealed).unwrap().as_slice(), b"my card number is");
        assert!(open(&Key::random().unwrap(), PLACE, &sealed).is_err());
        for place in [
            Place { tenant: "other", ..PLACE },
            Place { call: "c2", ..PLACE },
            Place { kind: "gap", ..PLACE },
            Place { seq: 4, ..PLACE },
            Place { tenant: "acmec", call: "1", ..PLACE },
        ] {
            assert!(open(&key, place, &sealed).is_err(), "opened at {place:?}");
        }
    }

    #[test]
    fn mh1_any_changed_byte_is_noticed() {
        let key = Key::random().unwrap();
        let sealed = seal(&key, PLACE, b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(open(&key, PLACE, &changed).is_err(), "byte {index}");
        }
        for length in 0..sealed.len() {
            assert!(open(&key, PLACE, &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn the_same_text_never_seals_the_same_way() {
        let key = Key::random().unwrap();
        assert_ne!(seal(&key, PLACE, b"x").unwrap(), seal(&key, PLACE, b"x").unwrap());
    }
}
