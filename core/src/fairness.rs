//! Virtual token counters: what each tenant has been served of a tier of a pool, by its weight (VTC, OSDI'24).
//!
//! A *line* is a tenant in one queue, and its counter says how much it has had: who has had least is next. A line whose
//! requests begin to wait is lifted to the least counter of those that wait already, or to that of the last that left:
//! idleness earns nothing, and what was had beyond the others is not forgotten. Knows costs, queues and tenants by number,
//! not requests. O(log idle lines). Invariants: a lift never lowers a counter; what was charged for a request is charged
//! once; a line without live requests is kept while its counter is ahead of its queue, and no longer.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::slab::Slab;

/// Counters are in cost times this, by weight: so little is lost by whole numbers.
pub(crate) const COST_SCALE: i128 = 1 << 20;

#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Line {
    queue: u32,
    tenant: u32,
    weight: u32,
    /// Where lifts, and other weights, have put it.
    base: i128,
    /// The cost of all that was charged to it.
    served: i128,
    /// Where it is: `base`, and `served` by weight.
    counter: i128,
    /// Its live requests.
    live: u32,
}

impl Line {
    fn serve(&mut self, cost: i128) {
        self.served += cost;
        self.counter = self.base + scaled(self.served, self.weight);
    }

    fn move_to(&mut self, counter: i128) {
        self.base += counter - self.counter;
        self.counter = counter;
    }
}

/// Weight 0 is a millionth of weight 1: served when hardly anybody else wants to be, and never starved.
fn scaled(cost: i128, weight: u32) -> i128 {
    match weight {
        0 => cost * COST_SCALE * COST_SCALE,
        1 => cost * COST_SCALE,
        // A division of words is a tenth of one of double words, which hardly any cost needs.
        _ => match i64::try_from(cost * COST_SCALE) {
            Ok(cost) => (cost / i64::from(weight)).into(),
            Err(_) => cost * COST_SCALE / i128::from(weight),
        },
    }
}

/// What is known of a queue beside those that wait in it.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Queue {
    /// What the last newcomer was lifted to: it never falls, so that who is not above it may be forgotten.
    floor: i128,
    /// The tenant whose line left it last.
    last: Option<u32>,
    /// Lines without live requests, by counter.
    idle: BTreeSet<(i128, u32)>,
}

/// The lines of all queues.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Fairness {
    lines: Slab<Line>,
    queues: Vec<Queue>,
}

impl Fairness {
    pub(crate) fn new(queues: usize) -> Self {
        Self { lines: Slab::new(), queues: (0..queues).map(|_| Queue::default()).collect() }
    }

    /// A line for a tenant that has none in this queue.
    pub(crate) fn open(&mut self, queue: u32, tenant: u32, weight: u32) -> u32 {
        self.lines.insert(Line { queue, tenant, weight, base: 0, served: 0, counter: 0, live: 0 }).0
    }

    pub(crate) fn counter(&self, line: u32) -> i128 {
        self.lines[line].counter
    }

    /// All lines, and how many live requests each has.
    pub(crate) fn lives(&self) -> impl Iterator<Item = (u32, u32)> {
        self.lines.iter().map(|(number, line)| (number, line.live))
    }

    /// A live request belongs to a line from now on. The first finds it as if it had been forgotten, if it might be.
    pub(crate) fn join(&mut self, line: u32) {
        let counter = self.counter(line);
        let target = &mut self.lines[line];
        target.live += 1;
        if target.live == 1 {
            let queue = &mut self.queues[target.queue as usize];
            queue.idle.remove(&(counter, line));
            let counter = counter.max(queue.floor);
            (target.base, target.served, target.counter) = (counter, 0, counter);
        }
    }

    /// A live request of a line ended, or belongs to another.
    pub(crate) fn leave(&mut self, line: u32) {
        let counter = self.counter(line);
        let target = &mut self.lines[line];
        target.live -= 1;
        if target.live == 0 {
            self.queues[target.queue as usize].idle.insert((counter, line));
        }
    }

    /// A request of a live line costs `after`, in place of what was charged for it before.
    pub(crate) fn recharge(&mut self, line: u32, before: u64, after: u64) {
        self.lines[line].serve(i128::from(after) - i128::from(before));
    }

    /// Its counter stays; what is charged from now on weighs otherwise.
    pub(crate) fn set_weight(&mut self, line: u32, weight: u32) {
        let target = &mut self.lines[line];
        target.base = target.counter - scaled(target.served, weight);
        target.weight = weight;
    }

    /// The requests of a line begin to wait: others have `reached` that counter, the least of those that wait already, or
    /// the [last](Self::last) that did.
    pub(crate) fn lift(&mut self, line: u32, reached: i128) {
        let target = &mut self.lines[line];
        let floor = &mut self.queues[target.queue as usize].floor;
        *floor = reached.max(*floor);
        target.move_to(target.counter.max(*floor));
    }

    /// Whether a newcomer to its queue would not be behind a line, where others have `reached` that counter.
    pub(crate) fn is_even(&self, line: u32, reached: i128) -> bool {
        let queue = &self.queues[self.lines[line].queue as usize];
        self.counter(line) <= reached.max(queue.floor)
    }

    /// No newcomer to the queue of a line will begin with less than it has.
    pub(crate) fn raise_floor(&mut self, line: u32) {
        let counter = self.counter(line);
        let floor = &mut self.queues[self.lines[line].queue as usize].floor;
        *floor = counter.max(*floor);
    }

    /// No request of a line waits any more.
    pub(crate) fn note_last(&mut self, line: u32) {
        let Line { queue, tenant, .. } = self.lines[line];
        self.queues[queue as usize].last = Some(tenant);
    }

    /// The tenant whose requests were the last that waited in a queue.
    pub(crate) fn last(&self, queue: u32) -> Option<u32> {
        self.queues[queue as usize].last
    }

    /// Forgets a line of a queue that has no live requests and that a newcomer would not be behind, if there is one:
    /// tells it, and whose it was.
    pub(crate) fn forget_one(&mut self, queue: u32) -> Option<(u32, u32)> {
        let Queue { floor, idle, .. } = &self.queues[queue as usize];
        let &(counter, line) = idle.first()?;
        (counter <= *floor).then(|| (line, self.forget(line)))
    }

    /// Forgets a line without live requests, whatever it has had: tells whose it was.
    pub(crate) fn forget(&mut self, line: u32) -> u32 {
        let counter = self.counter(line);
        let Line { queue, tenant, .. } = *self.lines.forget(line);
        self.queues[queue as usize].idle.remove(&(counter, line));
        tenant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_lifted_to_where_others_are_and_never_down() {
        let mut fairness = Fairness::new(1);
        let [old, new, later] = [0, 1, 2].map(|tenant| fairness.open(0, tenant, 1));
        fairness.join(old);
        fairness.recharge(old, 0, 500);
        fairness.join(new);
        fairness.lift(new, fairness.counter(old));
        assert_eq!(fairness.counter(new), 500 * COST_SCALE);
        fairness.lift(new, 0);
        assert_eq!(fairness.counter(new), 500 * COST_SCALE, "never down");
        fairness.note_last(old);
        fairness.leave(old);
        assert_eq!(fairness.forget_one(0), Some((old, 0)), "it is ahead of nobody");
        assert_eq!(fairness.last(0), Some(0));
        fairness.join(later);
        assert_eq!(fairness.counter(later), 500 * COST_SCALE, "as one that was forgotten");
    }

    #[test]
    fn who_is_remembered_is_rounded_as_who_was_forgotten() {
        let mut fairness = Fairness::new(1);
        let line = fairness.open(0, 0, 3);
        for _ in 0..2 {
            fairness.join(line);
            fairness.recharge(line, 0, 2);
            fairness.leave(line);
        }
        assert_eq!(fairness.counter(line), 2 * (2 * COST_SCALE / 3), "not 4 thirds");
    }

    #[test]
    fn what_was_had_beyond_the_others_survives_idleness() {
        let mut fairness = Fairness::new(1);
        let [greedy, other, new] = [0, 1, 2].map(|tenant| fairness.open(0, tenant, 1));
        for line in [greedy, other, new] {
            fairness.join(line);
        }
        fairness.recharge(greedy, 0, 900);
        fairness.leave(greedy);
        fairness.recharge(other, 0, 899);
        fairness.lift(new, fairness.counter(other));
        assert_eq!(fairness.forget_one(0), None, "it is ahead by one");
        fairness.recharge(other, 0, 1);
        fairness.lift(new, fairness.counter(other));
        assert_eq!(fairness.forget_one(0), Some((greedy, 0)));
    }

    #[test]
    fn weights_divide_and_refunds_take_back_exactly() {
        let mut fairness = Fairness::new(1);
        let line = fairness.open(0, 0, 3);
        fairness.join(line);
        fairness.recharge(line, 0, 100);
        assert_eq!(fairness.counter(line), 100 * COST_SCALE / 3);
        fairness.recharge(line, 100, 10);
        fairness.recharge(line, 10, 0);
        assert_eq!(fairness.counter(line), 0);
        fairness.recharge(line, 0, 100);
        let before = fairness.counter(line);
        fairness.set_weight(line, 1);
        assert_eq!(fairness.counter(line), before, "another weight counts from now on");
        fairness.recharge(line, 0, 7);
        assert_eq!(fairness.counter(line), before + 7 * COST_SCALE);
        fairness.set_weight(line, 0);
        fairness.recharge(line, 0, 1);
        assert_eq!(fairness.counter(line), before + 7 * COST_SCALE + COST_SCALE * COST_SCALE);
    }
}
