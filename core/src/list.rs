//! Doubly linked lists through slab slots: O(1) insert and remove anywhere, no memory of their own.

/// No neighbour.
const NIL: u32 = u32::MAX;

/// The neighbours of an element: two words of 32 bits, since every request has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Links {
    prev: u32,
    next: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self { prev: NIL, next: NIL }
    }
}

/// Where the links of the elements are kept.
pub(crate) trait LinkTable {
    fn links(&self, slot: u32) -> Links;
    fn links_mut(&mut self, slot: u32) -> &mut Links;
}

/// The ends of a list.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct List {
    head: Option<u32>,
    tail: Option<u32>,
}

impl List {
    pub(crate) const fn head(&self) -> Option<u32> {
        self.head
    }

    pub(crate) const fn tail(&self) -> Option<u32> {
        self.tail
    }

    /// Puts `slot` behind `before`, or at the head.
    pub(crate) fn insert_after(&mut self, table: &mut impl LinkTable, before: Option<u32>, slot: u32) {
        let next = match before {
            Some(before) => core::mem::replace(&mut table.links_mut(before).next, slot),
            None => self.head.replace(slot).unwrap_or(NIL),
        };
        if next == NIL {
            self.tail = Some(slot);
        } else {
            table.links_mut(next).prev = slot;
        }
        *table.links_mut(slot) = Links { prev: before.unwrap_or(NIL), next };
    }

    pub(crate) fn remove(&mut self, table: &mut impl LinkTable, slot: u32) {
        let links = core::mem::take(table.links_mut(slot));
        match links.prev() {
            Some(prev) => table.links_mut(prev).next = links.next,
            None => self.head = links.next(),
        }
        match links.next() {
            Some(next) => table.links_mut(next).prev = links.prev,
            None => self.tail = links.prev(),
        }
    }
}

impl Links {
    #[inline(always)]
    pub(crate) fn fetch(self) -> u64 {
        u64::from(self.next)
    }

    pub(crate) const fn next(self) -> Option<u32> {
        if self.next == NIL { None } else { Some(self.next) }
    }

    pub(crate) const fn prev(self) -> Option<u32> {
        if self.prev == NIL { None } else { Some(self.prev) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    struct Table([Links; 4]);

    impl LinkTable for Table {
        fn links(&self, slot: u32) -> Links {
            self.0[slot as usize]
        }

        fn links_mut(&mut self, slot: u32) -> &mut Links {
            &mut self.0[slot as usize]
        }
    }

    fn forwards(list: &List, table: &Table) -> Vec<u32> {
        core::iter::successors(list.head(), |&slot| table.0[slot as usize].next()).collect()
    }

    #[test]
    fn inserts_and_removes_anywhere() {
        let (mut list, mut table) = (List::default(), Table([Links::default(); 4]));
        list.insert_after(&mut table, None, 0);
        list.insert_after(&mut table, Some(0), 2);
        list.insert_after(&mut table, Some(0), 1);
        list.insert_after(&mut table, None, 3);
        assert_eq!(forwards(&list, &table), [3, 0, 1, 2]);
        list.remove(&mut table, 0);
        list.remove(&mut table, 3);
        list.remove(&mut table, 2);
        assert_eq!(forwards(&list, &table), [1]);
        assert_eq!(list.tail(), Some(1));
        list.remove(&mut table, 1);
        assert_eq!((list.head(), list.tail()), (None, None));
    }
}
