//! Handing over from two threads to a third through a lock around a heap. Leaves out all but the order; the
//! consumer gives its time slice away when it finds nothing.

use std::collections::BinaryHeap;
use std::thread;

use parking_lot::Mutex;

use super::{Key, key};

const PRODUCERS: u64 = 2;

/// Two threads put so many requests each into a heap behind a lock while this one takes them all out.
///
/// # Panics
/// If a thread does.
pub fn pass_through_mutex(each: u64) {
    let heap: Mutex<BinaryHeap<(Key, u64)>> = Mutex::new(BinaryHeap::new());
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let heap = &heap;
            scope.spawn(move || {
                for number in 0..each {
                    let id = number * PRODUCERS + producer;
                    heap.lock().push((key(id), id));
                }
            });
        }
        let mut taken = 0;
        while taken < PRODUCERS * each {
            let one = heap.lock().pop();
            match one {
                Some(_) => taken += 1,
                None => thread::yield_now(),
            }
        }
    });
    assert!(heap.into_inner().is_empty(), "as many came out as went in");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_goes_in_comes_out() {
        pass_through_mutex(10_000);
    }
}
