//! What is worked on next: a pure queue on a clock that its caller reads, so that tests can turn it.
//!
//! **Order.** What a final waits for goes before what is only shown meanwhile, and both before the work of calls that are
//! fed faster than they were spoken, which gets the time that is left. Within each, tenants take turns by the seconds of
//! sound they have had worked on (start-time fair queueing): one that floods the machine waits behind itself.
//! **Pace.** Work is held back for as long as it has time, its slack, so that many calls share a batch. Of what is shown,
//! what comes when nothing was let go for as long goes at once. What a final waits for may be withdrawn meanwhile, so it goes
//! no sooner than when its time is over, together with what is due soon.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

/// When anything goes, what a final waits for goes along if it is due within this time.
const SOON: Duration = Duration::from_millis(100);
/// Tenants remembered before those that have nothing waiting are forgotten.
const REMEMBERED: usize = 1024;

/// How urgent a piece of work is, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A final waits for it.
    Exact,
    /// It is shown while someone speaks.
    Shown,
    /// Nobody speaks at this moment: its sound came faster than it was spoken.
    Spare,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Exact, Self::Shown, Self::Spare];

    /// Its label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Shown => "partial",
            Self::Spare => "spare",
        }
    }
}

struct Item<T> {
    /// Virtual time at which its tenant's turn has come.
    turn: f64,
    /// Order of arrival among equals.
    number: u64,
    since: Duration,
    /// Until when it may be held back.
    due: Duration,
    seconds: f64,
    work: T,
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<T> Eq for Item<T> {}
impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Item<T> {
    /// The heap gives the greatest first: the earliest turn.
    fn cmp(&self, other: &Self) -> Ordering {
        other.turn.total_cmp(&self.turn).then(other.number.cmp(&self.number))
    }
}

/// One class of work.
struct Line<T> {
    heap: BinaryHeap<Item<T>>,
    /// Virtual time: the turn of what was taken last.
    now: f64,
    /// When the next turn of each tenant comes.
    tenants: HashMap<u64, f64>,
    /// When work was last let go.
    released: Option<Duration>,
    /// Goes when its time is over and no sooner.
    late: bool,
}

impl<T> Line<T> {
    fn new(late: bool) -> Self {
        Self { heap: BinaryHeap::new(), now: 0.0, tenants: HashMap::new(), released: None, late }
    }

    fn push(&mut self, tenant: u64, number: u64, (since, due): (Duration, Duration), seconds: f64, work: T) {
        if self.tenants.len() >= REMEMBERED {
            let now = self.now;
            self.tenants.retain(|_, next| *next > now);
        }
        let next = self.tenants.entry(tenant).or_insert(self.now);
        let turn = next.max(self.now);
        *next = turn + seconds;
        self.heap.push(Item { turn, number, since, due, seconds, work });
    }

    fn first_due(&self) -> Option<Duration> {
        self.heap.iter().map(|item| item.due).min()
    }

    /// When something of it may go.
    fn next(&self) -> Option<Duration> {
        if self.late {
            return self.first_due();
        }
        let next =
            |item: &Item<T>| self.released.map_or(Duration::ZERO, |last| item.due.min(last + (item.due - item.since)));
        self.heap.iter().map(next).min()
    }

    /// Whether something may go now: its time has come, or there is enough for a whole batch and it need not be late.
    fn may_go(&self, now: Duration, budget: f64) -> bool {
        let whole = || !self.late && self.heap.iter().map(|item| item.seconds).sum::<f64>() >= budget;
        self.next().is_some_and(|next| next <= now) || whole()
    }

    /// Takes what fits into `left` seconds, each with the time until which it might have been held back.
    fn fill(&mut self, now: Duration, left: &mut f64, wanted: impl Fn(&T) -> bool, taken: &mut Vec<(Duration, T)>) {
        let mut early = Vec::new();
        while *left > 0.0
            && let Some(item) = self.heap.pop()
        {
            if !wanted(&item.work) {
                continue;
            }
            if self.late && item.due > now + SOON {
                early.push(item);
                continue;
            }
            self.now = self.now.max(item.turn);
            *left -= item.seconds;
            taken.push((item.due, item.work));
            self.released = Some(now);
        }
        self.heap.extend(early);
    }
}

/// The queue.
pub struct Schedule<T> {
    exact: Line<T>,
    shown: Line<T>,
    spare: Line<T>,
    /// Most pieces of work to be shown that may wait.
    most_shown: usize,
    numbers: u64,
}

impl<T> Schedule<T> {
    pub fn new(most_shown: usize) -> Self {
        let [exact, shown, spare] = [true, false, false].map(Line::new);
        Self { exact, shown, spare, most_shown, numbers: 0 }
    }

    fn line(&self, class: Class) -> &Line<T> {
        match class {
            Class::Exact => &self.exact,
            Class::Shown => &self.shown,
            Class::Spare => &self.spare,
        }
    }

    fn line_mut(&mut self, class: Class) -> &mut Line<T> {
        match class {
            Class::Exact => &mut self.exact,
            Class::Shown => &mut self.shown,
            Class::Spare => &mut self.spare,
        }
    }

    /// How many wait.
    pub fn waiting(&self, class: Class) -> usize {
        self.line(class).heap.len()
    }

    /// Queues work on `seconds` of sound of a tenant; it may be held back for `slack`. Gives it back when too much of its
    /// class waits.
    pub fn push(
        &mut self,
        class: Class,
        tenant: u64,
        (now, slack): (Duration, Duration),
        seconds: f64,
        work: T,
    ) -> Result<(), T> {
        if class == Class::Shown && self.waiting(class) >= self.most_shown {
            return Err(work);
        }
        self.numbers += 1;
        let number = self.numbers;
        self.line_mut(class).push(tenant, number, (now, now + slack), seconds, work);
        Ok(())
    }

    /// Takes work of live calls of about `budget` seconds of sound, at least one piece when one may go, each with the time
    /// until which it might have been held back; `wanted` says whether someone still waits for it.
    pub fn take(&mut self, now: Duration, budget: f64, wanted: impl Fn(&T) -> bool) -> Vec<(Duration, T)> {
        let mut taken = Vec::new();
        let mut left = budget;
        let may_show = self.shown.may_go(now, budget);
        // what a final waits for, and is due soon, goes along with anything
        if may_show || self.exact.may_go(now, budget) {
            self.exact.fill(now, &mut left, &wanted, &mut taken);
        }
        if may_show {
            self.shown.fill(now, &mut left, &wanted, &mut taken);
        }
        taken
    }

    /// The same of one class alone: finals for which there is room and for nothing else, or other calls when no live one has
    /// work.
    pub fn take_of(
        &mut self,
        class: Class,
        now: Duration,
        budget: f64,
        wanted: impl Fn(&T) -> bool,
    ) -> Vec<(Duration, T)> {
        let mut taken = Vec::new();
        let mut left = budget;
        let line = self.line_mut(class);
        if line.may_go(now, budget) {
            line.fill(now, &mut left, wanted, &mut taken);
        }
        taken
    }

    /// When something of a live call that waits now may go, if anything waits.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        [self.exact.next(), self.shown.next()].into_iter().flatten().min().map(|next| next.max(now))
    }

    /// The same of one class alone.
    pub fn next_of(&self, class: Class, now: Duration) -> Option<Duration> {
        self.line(class).next().map(|next| next.max(now))
    }

    /// How long work of a class has waited at most, beyond its slack.
    pub fn overdue(&self, class: Class, now: Duration) -> Duration {
        self.line(class).first_due().map_or(Duration::ZERO, |due| now.saturating_sub(due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: f64 = 8.0;
    const HELD: Duration = Duration::from_millis(150);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn names(taken: Vec<(Duration, &'static str)>) -> Vec<&'static str> {
        taken.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn what_a_final_waits_for_goes_first() {
        let mut schedule = Schedule::new(100);
        schedule.push(Class::Shown, 1, (at(0), HELD), 2.0, "partial").unwrap();
        schedule.push(Class::Exact, 1, (at(5), Duration::ZERO), 2.0, "final").unwrap();
        assert_eq!(names(schedule.take(at(10), BUDGET, |_| true)), ["final", "partial"]);
        // and by itself, when nothing else has room
        schedule.push(Class::Shown, 1, (at(200), HELD), 2.0, "partial").unwrap();
        assert_eq!(
            (schedule.next_of(Class::Exact, at(200)), names(schedule.take_of(Class::Exact, at(200), BUDGET, |_| true))),
            (None, vec![])
        );
        schedule.push(Class::Exact, 1, (at(205), Duration::ZERO), 2.0, "final").unwrap();
        assert_eq!(schedule.next_of(Class::Exact, at(205)), Some(at(205)));
        assert_eq!(names(schedule.take_of(Class::Exact, at(205), BUDGET, |_| true)), ["final"]);
        assert_eq!(schedule.waiting(Class::Shown), 1);
    }

    #[test]
    fn a_burst_is_worked_off_in_batches_without_losing_any() {
        let mut schedule = Schedule::new(1000);
        for i in 0..100_u64 {
            schedule.push(Class::Exact, i % 3, (at(i), Duration::ZERO), 3.0, i).unwrap();
        }
        let mut seen = Vec::new();
        while schedule.waiting(Class::Exact) > 0 {
            let taken = schedule.take(at(200), BUDGET, |_| true);
            assert!((1..=3).contains(&taken.len()), "{}", taken.len());
            seen.extend(taken.into_iter().map(|(_, i)| i));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_tenant_that_floods_waits_behind_itself() {
        let mut schedule = Schedule::new(1000);
        for _ in 0..200 {
            schedule.push(Class::Exact, 1, (at(0), Duration::ZERO), 4.0, "flood").unwrap();
        }
        for _ in 0..5 {
            schedule.push(Class::Exact, 2, (at(1), Duration::ZERO), 4.0, "other").unwrap();
        }
        // of the first twenty pieces every second one is the other tenant's, until it has no more
        let first: Vec<_> = (0..10).flat_map(|_| names(schedule.take(at(2), BUDGET, |_| true))).collect();
        assert_eq!(first.iter().filter(|name| **name == "other").count(), 5, "{first:?}");
        assert!(first[..11].contains(&"other"));
    }

    #[test]
    fn a_tenant_gains_nothing_by_having_been_quiet() {
        let mut schedule = Schedule::new(1000);
        for _ in 0..50 {
            schedule.push(Class::Exact, 1, (at(0), Duration::ZERO), 4.0, "busy").unwrap();
            schedule.take(at(0), BUDGET, |_| true);
        }
        for _ in 0..20 {
            schedule.push(Class::Exact, 1, (at(1), Duration::ZERO), 4.0, "busy").unwrap();
            schedule.push(Class::Exact, 2, (at(1), Duration::ZERO), 4.0, "new").unwrap();
        }
        let first: Vec<_> = (0..10).flat_map(|_| names(schedule.take(at(2), BUDGET, |_| true))).collect();
        let new = first.iter().filter(|name| **name == "new").count();
        assert!((9..=11).contains(&new), "{new} of {}", first.len());
    }

    #[test]
    fn partials_are_released_together_but_the_first_goes_at_once() {
        let mut schedule = Schedule::new(100);
        schedule.push(Class::Shown, 1, (at(0), HELD), 1.0, "a").unwrap();
        assert_eq!(names(schedule.take(at(0), BUDGET, |_| true)), ["a"]);
        schedule.push(Class::Shown, 1, (at(10), HELD), 1.0, "b").unwrap();
        schedule.push(Class::Shown, 2, (at(20), HELD), 1.0, "c").unwrap();
        assert_eq!(schedule.next(at(20)), Some(at(150)));
        assert!(schedule.take(at(30), BUDGET, |_| true).is_empty());
        assert_eq!(names(schedule.take(at(150), BUDGET, |_| true)).len(), 2);
        // a whole batch does not wait
        for name in ["d", "e"] {
            schedule.push(Class::Shown, 1, (at(155), HELD), 4.0, name).unwrap();
        }
        assert_eq!(names(schedule.take(at(155), BUDGET, |_| true)).len(), 2);
    }

    #[test]
    fn a_final_that_has_time_goes_when_it_is_over_with_what_is_due_soon() {
        let mut schedule = Schedule::new(100);
        let wanted = |name: &&str| *name != "withdrawn";
        for (tenant, since, name) in [(1, 0, "a"), (2, 20, "withdrawn"), (2, 90, "b"), (1, 150, "c")] {
            schedule.push(Class::Exact, tenant, (at(since), at(200)), 1.0, name).unwrap();
        }
        // what is shown takes nothing along that has time
        schedule.push(Class::Shown, 1, (at(90), Duration::ZERO), 1.0, "partial").unwrap();
        assert_eq!(names(schedule.take(at(90), BUDGET, wanted)), ["partial"]);
        assert_eq!((schedule.next(at(90)), schedule.next_of(Class::Exact, at(90))), (Some(at(200)), Some(at(200))));
        assert!(schedule.take(at(199), BUDGET, wanted).is_empty());
        assert_eq!(names(schedule.take(at(200), BUDGET, wanted)), ["a", "b"]);
        assert_eq!(schedule.next(at(200)), Some(at(350)));
        schedule.push(Class::Exact, 1, (at(260), Duration::ZERO), 1.0, "urgent").unwrap();
        assert_eq!(names(schedule.take(at(260), BUDGET, wanted)), ["c", "urgent"]);
        assert_eq!(schedule.next(at(260)), None);
        // nor does a whole batch go sooner
        for name in ["d", "e", "f"] {
            schedule.push(Class::Exact, 1, (at(300), at(200)), 4.0, name).unwrap();
        }
        assert!(schedule.take(at(450), BUDGET, wanted).is_empty());
        assert_eq!(names(schedule.take(at(500), BUDGET, wanted)), ["d", "e"]);
    }

    #[test]
    fn what_is_not_live_goes_by_itself_when_it_is_asked_for() {
        let mut schedule = Schedule::new(2);
        schedule.push(Class::Spare, 1, (at(0), Duration::ZERO), 2.0, "recorded").unwrap();
        schedule.push(Class::Shown, 1, (at(5), Duration::ZERO), 2.0, "partial").unwrap();
        assert_eq!((schedule.next(at(6)), schedule.next_of(Class::Spare, at(6))), (Some(at(6)), Some(at(6))));
        assert_eq!(names(schedule.take(at(6), BUDGET, |_| true)), ["partial"]);
        assert!(schedule.take(at(7), BUDGET, |_| true).is_empty());
        assert_eq!(schedule.next(at(7)), None);
        assert_eq!(names(schedule.take_of(Class::Spare, at(7), BUDGET, |_| true)), ["recorded"]);
        // a tenant that floods waits behind itself here too
        for _ in 0..100 {
            schedule.push(Class::Spare, 1, (at(8), Duration::ZERO), 4.0, "flood").unwrap();
        }
        schedule.push(Class::Spare, 2, (at(9), Duration::ZERO), 4.0, "other").unwrap();
        assert!(names(schedule.take_of(Class::Spare, at(9), BUDGET, |_| true)).contains(&"other"));
    }

    #[test]
    fn too_many_partials_are_refused_and_finals_never() {
        let mut schedule = Schedule::new(2);
        assert!(schedule.push(Class::Shown, 1, (at(0), HELD), 1.0, 1).is_ok());
        assert!(schedule.push(Class::Shown, 1, (at(0), HELD), 1.0, 2).is_ok());
        assert_eq!(schedule.push(Class::Shown, 1, (at(0), HELD), 1.0, 3), Err(3));
        assert!(schedule.push(Class::Exact, 1, (at(0), Duration::ZERO), 1.0, 4).is_ok());
        assert_eq!(schedule.waiting(Class::Shown), 2);
    }

    #[test]
    fn what_nobody_waits_for_is_left_out() {
        let mut schedule = Schedule::new(10);
        schedule.push(Class::Exact, 1, (at(0), Duration::ZERO), 1.0, "gone").unwrap();
        schedule.push(Class::Exact, 1, (at(3), Duration::ZERO), 1.0, "wanted").unwrap();
        assert_eq!(schedule.overdue(Class::Exact, at(10)), at(10));
        assert_eq!(names(schedule.take(at(10), BUDGET, |name| *name != "gone")), ["wanted"]);
        assert_eq!((schedule.overdue(Class::Exact, at(10)), schedule.next(at(10))), (Duration::ZERO, None));
    }
}
