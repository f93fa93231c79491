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

    /// Takes those that do not pass.
    pub(crate) fn retain(&mut self, mut passes: impl FnMut(usize) -> bool) {
        let is_marked = &mut self.is_marked;
        self.marked.retain(|&number| {
            let stays = passes(number as usize);
            is_marked[number as usize] = stays;
            stays
        });
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
        marks.retain(|number| number != 2);
        assert_eq!((marks.len(), marks.contains(0), marks.contains(2)), (1, true, false));
        marks.mark(2);
        assert!(marks.take().is_some() && marks.take().is_some() && marks.take().is_none());
    }
}
