//! One clock for all calls: every quarter of a frame it wakes the calls that have a frame due then, so that thousands
//! of calls need one timer, and their frames do not all leave at the same moment.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// Slots a frame is divided into.
const SLOTS: u64 = 4;

type Slot = Mutex<HashMap<u64, Arc<Notify>>>;

/// Where calls sit, by the quarter of a frame in which theirs are due.
pub struct Wheel {
    start: Instant,
    tick: Duration,
    slots: [Slot; SLOTS as usize],
    next: AtomicU64,
}

/// A call's place; leaves it when dropped.
pub struct Seat {
    wheel: Arc<Wheel>,
    slot: usize,
    id: u64,
    wake: Arc<Notify>,
}

impl Wheel {
    /// Starts turning at `start`.
    pub fn new(start: Instant, frame: Duration) -> Arc<Self> {
        let slots = std::array::from_fn(|_| Mutex::default());
        Arc::new(Self { start, tick: frame / SLOTS as u32, slots, next: AtomicU64::new(0) })
    }

    /// The first tick at or after a moment: where a call that comes then is counted from.
    pub fn align(&self, at: Duration) -> Instant {
        let ticks = at.as_nanos().div_ceil(self.tick.as_nanos().max(1)) as u32;
        self.start + self.tick * ticks
    }

    /// A seat that is woken once a frame, in step with `origin`, which is one of [`Self::align`].
    pub fn seat(self: &Arc<Self>, origin: Instant) -> Seat {
        let ticks = origin.duration_since(self.start).as_nanos() / self.tick.as_nanos().max(1);
        let slot = (ticks as u64 % SLOTS) as usize;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let wake = Arc::new(Notify::new());
        lock(&self.slots[slot]).insert(id, Arc::clone(&wake));
        Seat { wheel: Arc::clone(self), slot, id, wake }
    }

    /// Turns for ever.
    pub async fn turn(&self) {
        let mut ticks = interval_at(self.start, self.tick);
        // a tick that comes late is made up for at once: no frame is forgotten
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for tick in 0_u64.. {
            ticks.tick().await;
            for wake in lock(&self.slots[(tick % SLOTS) as usize]).values() {
                wake.notify_one();
            }
        }
    }
}

impl Seat {
    /// The next time a frame is due, or at once when one was due meanwhile. Safe to drop while it waits.
    pub async fn due(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.wheel.slots[self.slot]).remove(&self.id);
    }
}

fn lock(slot: &Slot) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Notify>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_woken_once_a_frame_in_their_quarter() {
        let start = Instant::now();
        let wheel = Wheel::new(start, Duration::from_millis(20));
        let turning = Arc::clone(&wheel);
        let turning = tokio::spawn(async move { turning.turn().await });
        let origin = wheel.align(Duration::from_millis(7));
        assert_eq!(origin, start + Duration::from_millis(10));
        let seat = wheel.seat(origin);
        for frame in 0..5 {
            seat.due().await;
            let off = Instant::now() - (origin + Duration::from_millis(20) * frame);
            assert!(off < Duration::from_millis(2), "{off:?}");
        }
        drop(seat);
        assert!(wheel.slots.iter().all(|slot| lock(slot).is_empty()));
        turning.abort();
    }
}
