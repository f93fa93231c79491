//! Which request came of which submission, for those who want to cancel before they were told.
//!
//! A table by the slots of requests, chained by tickets: as large as the scheduler's own, so that whoever takes a slot
//! takes the place of its former request. O(1). Does not know which requests still live: their ids do.

use alloc::vec::Vec;

use super::Ticket;
use crate::id::RequestId;

/// Ends a chain.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    /// None of a slot whose request had no ticket.
    entry: Option<(Ticket, RequestId)>,
    /// The slot behind it in its chain.
    next: u32,
}

#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// By slot.
    links: Vec<Link>,
    /// The first slot of each chain: a power of two of them, at least as many as slots.
    chains: Vec<u32>,
}

impl Tickets {
    pub(super) fn insert(&mut self, ticket: Ticket, request: RequestId) {
        let slot = request.slot() as usize;
        if slot >= self.links.len() {
            self.grow(slot + 1);
        }
        self.unlink(slot);
        self.links[slot].entry = Some((ticket, request));
        self.link(slot);
    }

    pub(super) fn find(&self, ticket: Ticket) -> Option<RequestId> {
        let mut at = *self.chains.get(self.chain_of(ticket))?;
        while at != NONE {
            let link = self.links[at as usize];
            match link.entry {
                Some((other, request)) if other == ticket => return Some(request),
                _ => at = link.next,
            }
        }
        None
    }

    /// Tickets count upwards, so that neighbours fall into different chains.
    fn chain_of(&self, ticket: Ticket) -> usize {
        ticket.get() as usize & self.chains.len().wrapping_sub(1)
    }

    fn link(&mut self, slot: usize) {
        if let Some((ticket, _)) = self.links[slot].entry {
            let chain = self.chain_of(ticket);
            self.links[slot].next = core::mem::replace(&mut self.chains[chain], slot as u32);
        }
    }

    fn unlink(&mut self, slot: usize) {
        let Link { entry, next } = self.links[slot];
        let Some((ticket, _)) = entry else { return };
        let chain = self.chain_of(ticket);
        let mut at = self.chains[chain];
        if at == slot as u32 {
            self.chains[chain] = next;
            return;
        }
        while self.links[at as usize].next != slot as u32 {
            at = self.links[at as usize].next;
        }
        self.links[at as usize].next = next;
    }

    fn grow(&mut self, slots: usize) {
        self.links.resize(slots, Link { entry: None, next: NONE });
        if self.chains.len() < slots {
            self.chains = alloc::vec![NONE; slots.next_power_of_two()];
            for slot in 0..slots {
                self.link(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    #[test]
    fn it_knows_the_last_ticket_of_every_slot_and_no_other() {
        let mut tickets = Tickets::default();
        let mut known = BTreeMap::new();
        let mut random = 7_u64;
        for number in 1..=3_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (slot, skipped) = ((random >> 33) as u32 % (1 + number as u32 / 8), (random >> 20) % 40);
            let (ticket, request) = (Ticket::new(number * 40 + skipped), RequestId::new(slot, number as u32));
            tickets.insert(ticket, request);
            known.insert(slot, (ticket, request));
        }
        let by_ticket: BTreeMap<_, _> = known.into_values().collect();
        for number in 0..=3_001 * 40 {
            let ticket = Ticket::new(number);
            assert_eq!(tickets.find(ticket), by_ticket.get(&ticket).copied(), "{ticket}");
        }
    }

    #[test]
    fn an_empty_table_knows_nothing() {
        assert_eq!(Tickets::default().find(Ticket::new(0)), None);
    }
}
