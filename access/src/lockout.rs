//! Who guesses passwords is locked out for a while. Kept in memory only, by a hash of the login; logins that nobody has
//! count like others, or locking would tell which there are.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sotto_events::Timestamp;

use crate::secret;

/// Wrong passwords after which a login is locked.
pub const FAILURES: u32 = 5;
/// For how long, in seconds.
pub const LOCK_SECONDS: u64 = 15 * 60;
/// Logins whose wrong passwords are remembered.
const LOGINS: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Attempts {
    failures: u32,
    last: Timestamp,
}

impl Attempts {
    fn forgotten(self) -> Timestamp {
        self.last.plus_seconds(LOCK_SECONDS)
    }

    fn locked(self, now: Timestamp) -> bool {
        self.failures >= FAILURES && self.forgotten() > now
    }
}

/// Wrong passwords of late.
#[derive(Default)]
pub struct Lockout {
    attempts: Mutex<HashMap<Vec<u8>, Attempts>>,
}

impl Lockout {
    fn attempts(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Attempts>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds until a login may be tried again, while it may not.
    pub fn locked(&self, login: &str, now: Timestamp) -> Option<u64> {
        let attempts = self.attempts().get(&secret::hash(login)).copied().filter(|attempts| attempts.locked(now))?;
        Some(((attempts.forgotten().0 - now.0) as u64).div_ceil(1000))
    }

    /// A wrong password.
    pub fn failed(&self, login: &str, now: Timestamp) {
        let mut attempts = self.attempts();
        make_room(&mut attempts, now);
        let counted = attempts.entry(secret::hash(login)).or_insert(Attempts { failures: 0, last: now });
        let failures = if counted.forgotten() <= now { 1 } else { counted.failures + 1 };
        *counted = Attempts { failures, last: now };
    }

    /// The right one, or another one was set.
    pub fn forget(&self, login: &str) {
        self.attempts().remove(&secret::hash(login));
    }
}

/// What is over goes first, then who is not locked, then the oldest.
fn make_room(attempts: &mut HashMap<Vec<u8>, Attempts>, now: Timestamp) {
    if attempts.len() >= LOGINS {
        attempts.retain(|_, attempts| attempts.forgotten() > now);
    }
    if attempts.len() >= LOGINS {
        attempts.retain(|_, attempts| attempts.locked(now));
    }
    while attempts.len() >= LOGINS {
        let oldest = attempts.iter().min_by_key(|(_, attempts)| attempts.last).map(|(login, _)| login.clone());
        let Some(login) = oldest else { return };
        attempts.remove(&login);
    }
}
