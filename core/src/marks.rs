//! Numbers below a bound that are marked until they are taken: each once, in no order. O(1).

use alloc::vec::Vec;

#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Marks {
    marked: Vec<u32>,
    is_marked: Vec<bool>,
}

impl Marks {
    /// All of the numbers below `bound`.
    pub(crate) fn all(bound: usize) -> Self {
        Self { marked: (0..bound as u32).collect(), is_marked: alloc::vec![true; bound] }
    }

    /// Marks a number, if it is not marked yet.
    pub(crate) fn mark(&mut self, number: usize) {
        if !core::mem::replace(&mut self.is_marked[number], true) {
            self.marked.push(number as u32);
        }
    }

    /// Takes a number that is marked, if one is.
    pub(crate) fn take(&mut self) -> Option<usize> {
        let number = self.marked.pop()? as usize;
        self.is_marked[number] = false;
        Some(number)
    }

    /// How many are marked.
    pub(crate) fn len(&self) -> usize {
        self.marked.len()
    }

    /// The one of that index, in the order in which they were marked.
    pub(crate) fn get(&self, index: usize) -> Option<usize> {
        self.marked.get(index).map(|&number| number as usize)
    }

    /// Takes it. O(those marked after it).
    pub(crate) fn take_at(&mut self, index: usize) {
        // Mostly it is the last, and nothing need be moved.
        let is_last = index + 1 == self.marked.len();
        let number = if is_last { self.marked.pop() } else { Some(self.marked.remove(index)) };
        if let Some(number) = number {
            self.is_marked[number as usize] = false;
        }
    }

    /// The one that is marked, where no other is.
    pub(crate) fn only(&self) -> Option<usize> {
        if let [number] = self.marked[..] { Some(number as usize) } else { None }
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        self.is_marked[number]
    }

    /// Those that are marked.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + use<'_> {
        self.marked.iter().map(|&number| number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once_however_often_it_was_marked() {
        let mut marks = Marks::all(3);
        marks.mark(1);
        let mut taken: Vec<usize> = core::iter::from_fn(|| marks.take()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2]);
        for number in [2, 0, 2] {
            marks.mark(number);
        }
        assert_eq!([0, 1, 2].map(|number| marks.contains(number)), [true, false, true]);
        assert_eq!(marks.iter().count(), 2);
        assert_eq!((marks.get(0), marks.get(1), marks.get(2), marks.only()), (Some(2), Some(0), None, None));
        marks.take_at(0);
        assert_eq!((marks.len(), marks.contains(0), marks.contains(2)), (1, true, false));
        assert_eq!(marks.only(), Some(0));
        marks.mark(2);
        assert!(marks.take().is_some() && marks.take().is_some() && marks.take().is_none());
    }
}
