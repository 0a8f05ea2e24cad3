//! Which calls are on air where, when several nodes share a bus. Every node says every other second which calls it
//! feeds; a call that two nodes feed is that of who took it up last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sotto_dashboards::OnAir;
use sotto_events::{CallId, TenantId};
use sotto_storage::bus::{Bus, ON_AIR};
use tokio::sync::broadcast::error::RecvError;

/// Between two times a node says that it feeds a call.
pub const BEAT: Duration = Duration::from_secs(2);
/// Not heard of for so long, a call is fed nowhere.
const SILENT: Duration = Duration::from_secs(7);
/// Calls of other nodes that are known at once; more are not known to be on air.
const MOST: usize = 500_000;

type Id = (TenantId, CallId);

/// The calls that other nodes feed.
#[derive(Default)]
pub struct Elsewhere {
    heard: HashMap<Id, Instant>,
}

impl Elsewhere {
    /// Another node feeds the call at this moment.
    pub fn hear(&mut self, id: Id, now: Instant) {
        if self.heard.len() < MOST || self.heard.contains_key(&id) {
            self.heard.insert(id, now);
        }
    }

    /// Whether another node feeds the call.
    pub fn feeds(&self, id: &Id, now: Instant) -> bool {
        self.heard.get(id).is_some_and(|&heard| now.duration_since(heard) < SILENT)
    }

    /// Forgets those that nobody feeds any more.
    pub fn forget_silent(&mut self, now: Instant) {
        self.heard.retain(|_, &mut heard| now.duration_since(heard) < SILENT);
    }
}

/// For a node that feeds no calls itself: says which are on air elsewhere.
pub fn watch(bus: &Arc<dyn Bus>) -> OnAir {
    let elsewhere: Arc<Mutex<Elsewhere>> = Arc::default();
    let (heard, mut live) = (Arc::clone(&elsewhere), bus.watch());
    tokio::spawn(async move {
        let mut swept = Instant::now();
        loop {
            match live.recv().await {
                Ok(live) if live.kind == ON_AIR => {
                    let now = Instant::now();
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.hear((live.tenant.clone(), live.call.clone()), now);
                    if now.duration_since(swept) > SILENT {
                        heard.forget_silent(now);
                        swept = now;
                    }
                }
                // the next beat tells again
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
    Arc::new(move |tenant, call| {
        let elsewhere = elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        elsewhere.feeds(&(tenant.clone(), call.clone()), Instant::now())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_elsewhere_as_long_as_it_is_heard_of() {
        let id: Id = ("acme".parse().unwrap(), "one".parse().unwrap());
        let start = Instant::now();
        let mut elsewhere = Elsewhere::default();
        assert!(!elsewhere.feeds(&id, start));
        elsewhere.hear(id.clone(), start);
        assert!(elsewhere.feeds(&id, start + BEAT));
        elsewhere.hear(id.clone(), start + BEAT);
        assert!(elsewhere.feeds(&id, start + SILENT));
        assert!(!elsewhere.feeds(&id, start + BEAT + SILENT));
        elsewhere.forget_silent(start + BEAT + SILENT);
        assert!(elsewhere.heard.is_empty());
    }
}
