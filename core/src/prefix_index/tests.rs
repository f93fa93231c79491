//! The index against sets of chains, and the memory it takes.

use super::*;
use alloc::collections::{BTreeMap, BTreeSet};
use proptest::prelude::*;

/// A chain of hashes of which each covers those before it.
fn chain(letters: &[u8]) -> Vec<u64> {
    let next = |hash: &mut u64, &letter: &u8| {
        *hash = (*hash ^ u64::from(letter + 1)).wrapping_mul(0x0100_0000_01b3);
        Some(*hash)
    };
    letters.iter().scan(7, next).collect()
}

/// So many are enough.
fn up_to(most: usize) -> impl FnMut(u32) -> bool {
    let mut count = 0;
    move |_| {
        count += 1;
        count == most
    }
}

/// Whether an index tells of a pin who has more than others, and how many these have.
fn tells_who_has_more_than_others(index: &PrefixIndex, pin: u32) -> Result<(), TestCaseError> {
    for most in [1, 2, 4] {
        let (warm, others) = index.warmer_than_others(pin, up_to(most));
        prop_assert!(index.warm(pin, up_to(most)).starts_with(&warm));
        let is_other = |worker: &u32| index.is_open(*worker) && warm.iter().all(|(known, _)| known != worker);
        for worker in (0..4).filter(is_other) {
            let depth = index.depth_on(pin, worker);
            prop_assert!(depth == others || depth < others && warm.len() == most);
        }
    }
    Ok(())
}

/// The same, as sets of chains and lists of them by use.
#[derive(Default)]
struct Naive {
    max_blocks: usize,
    max_each: usize,
    /// What each worker has: its chains, the last used first, a prompt before those that go on from it.
    caches: BTreeMap<u32, Vec<Vec<u8>>>,
    /// Those of them that wait to go.
    evicted: BTreeSet<(u32, Vec<u8>)>,
    pins: Vec<Vec<u8>>,
}

impl Naive {
    fn known(&self) -> BTreeSet<Vec<u8>> {
        let pinned = self.pins.iter().flat_map(|pin| (1..=pin.len()).map(|len| pin[..len].to_vec()));
        pinned.chain(self.caches.values().flatten().cloned()).collect()
    }

    fn share(&self) -> usize {
        (self.max_blocks * 3 / 4 / self.caches.len().max(1)).min(self.max_each)
    }

    /// As much of it as can be known.
    fn known_part<'a>(&self, letters: &'a [u8]) -> &'a [u8] {
        let mut known = self.known();
        for len in 1..=letters.len() {
            if !known.contains(&letters[..len]) && known.len() == self.max_blocks {
                return &letters[..len - 1];
            }
            known.insert(letters[..len].to_vec());
        }
        letters
    }

    fn store(&mut self, worker: u32, letters: &[u8]) {
        let (letters, share) = (self.known_part(letters).to_vec(), self.share());
        let Some(cache) = self.caches.get_mut(&worker) else { return };
        let wanted: Vec<_> = (1..=letters.len().min(share)).map(|len| letters[..len].to_vec()).collect();
        let whole: BTreeSet<_> = (1..=letters.len()).map(|len| letters[..len].to_vec()).collect();
        let own: Vec<_> = cache.iter().filter(|has| whole.contains(*has)).cloned().collect();
        self.evicted.retain(|(other, has)| *other != worker || !whole.contains(has));
        cache.retain(|has| !whole.contains(has));
        let all: BTreeSet<_> = wanted.into_iter().chain(own).collect();
        let mut next: Vec<_> = all.into_iter().collect();
        next.append(cache);
        *cache = next;
        self.trim(worker, share);
    }

    fn trim(&mut self, worker: u32, share: usize) {
        while self.caches[&worker].len() > share {
            self.caches.get_mut(&worker).expect("it is open").pop();
            self.drop_evicted(worker);
        }
    }

    fn drop_evicted(&mut self, worker: u32) {
        let cache = self.caches.get_mut(&worker).expect("it is open");
        let evicted = &mut self.evicted;
        evicted.retain(|(other, has)| *other != worker || cache.contains(has));
        loop {
            let goes = |has: &Vec<u8>| {
                evicted.contains(&(worker, has.clone()))
                    && !cache.iter().any(|other| other.len() > has.len() && other.starts_with(has))
            };
            let Some(place) = cache.iter().position(goes) else { return };
            evicted.remove(&(worker, cache.remove(place)));
        }
    }

    /// Whether the index says of all that is pinned who has how much of it.
    fn agrees(&self, index: &PrefixIndex, pins: &[u32]) -> Result<(), TestCaseError> {
        for (pin, letters) in pins.iter().zip(&self.pins) {
            let depth = |worker: u32| {
                let cache = self.caches.get(&worker);
                (1..=letters.len())
                    .rev()
                    .find(|&len| cache.is_some_and(|c| c.contains(&letters[..len].to_vec())))
            };
            let warm =
                |most| index.warm(*pin, up_to(most)).into_iter().map(|(w, d)| (core::cmp::Reverse(d), w));
            let mut told: Vec<_> = warm(4).collect();
            prop_assert!(told.is_sorted_by_key(|&(depth, _)| depth));
            prop_assert!(warm(2).eq(told.iter().take(2).copied()));
            tells_who_has_more_than_others(index, *pin)?;
            told.sort_unstable_by_key(|&(_, worker)| worker);
            let warm = (0..4).filter_map(|w| Some((core::cmp::Reverse(depth(w)? as u32), w)));
            prop_assert_eq!(told, warm.collect::<Vec<_>>());
            for worker in 0..4 {
                prop_assert_eq!(index.depth_on(*pin, worker) as usize, depth(worker).unwrap_or(0));
            }
        }
        Ok(())
    }
}

fn letters() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0_u8..2, 0..6)
}

proptest! {
    #[test]
    fn agrees_with_sets_of_chains(
        max_blocks in 1_u32..40,
        max_each in 1_u32..12,
        steps in prop::collection::vec((0_u8..14, 0_u32..4, letters()), 0..160),
    ) {
        let mut index = PrefixIndex::new(max_blocks, max_each);
        let mut naive =
            Naive { max_blocks: max_blocks as usize, max_each: max_each as usize, ..Naive::default() };
        let mut pins: Vec<u32> = Vec::new();
        for (verb, worker, letters) in steps {
            let is_open = naive.caches.contains_key(&worker);
            match verb {
                0 if !is_open => {
                    index.open(worker);
                    naive.caches.insert(worker, Vec::new());
                    let (share, open) = (naive.share(), naive.caches.keys().copied().collect::<Vec<_>>());
                    open.into_iter().for_each(|worker| naive.trim(worker, share));
                }
                1 if is_open && letters.len() < 2 => {
                    index.close(worker);
                    naive.caches.remove(&worker);
                    naive.evicted.retain(|(other, _)| *other != worker);
                }
                2 => {
                    let part = naive.known_part(&letters).to_vec();
                    let pin = index.pin(&chain(&letters));
                    prop_assert_eq!(pin.is_some(), !part.is_empty());
                    if let Some(pin) = pin {
                        pins.push(pin);
                        naive.pins.push(part);
                    }
                }
                3 if !pins.is_empty() => {
                    let place = worker as usize % pins.len();
                    index.unpin(pins.swap_remove(place));
                    naive.pins.swap_remove(place);
                }
                4..=6 if is_open && !letters.is_empty() => {
                    index.evict(worker, *chain(&letters).last().expect("it has some"));
                    if naive.caches[&worker].contains(&letters) {
                        naive.evicted.insert((worker, letters));
                        naive.drop_evicted(worker);
                    }
                }
                _ => {
                    if let Some(last) = index.pin(&chain(&letters)) {
                        match verb {
                            12.. => _ = index.learn(worker, last),
                            _ => index.store(worker, last),
                        }
                        index.unpin(last);
                    }
                    // What is over goes before anything else is told: then it is as if it had gone at once.
                    index.trim();
                    naive.store(worker, &letters);
                }
            }
            prop_assert_eq!(index.known() as usize, naive.known().len());
            naive.agrees(&index, &pins)?;
        }
    }
}

/// The same told to an index that stores what it learns at once, and to one that puts it by.
struct Twins([PrefixIndex; 2]);

impl Twins {
    fn new(max_blocks: u32, max_each: u32) -> Self {
        let mut twins =
            Self([PrefixIndex::new(max_blocks, max_each), PrefixIndex::new(max_blocks, max_each)]);
        (0..4).for_each(|worker| twins.both(|index| index.open(worker)));
        twins
    }

    fn both<T: PartialEq + core::fmt::Debug>(&mut self, tell: impl Fn(&mut PrefixIndex) -> T) -> T {
        let [one, other] = self.0.each_mut().map(tell);
        assert_eq!(one, other);
        one
    }

    /// What is pinned is looked for, which stores nothing.
    fn found(&self, pins: &[u32]) -> Result<(), TestCaseError> {
        let [at_once, late] = &self.0;
        for &pin in pins {
            prop_assert_eq!(at_once.warm(pin, up_to(4)), late.warm(pin, up_to(4)));
            prop_assert_eq!(at_once.warm(pin, up_to(1)), late.warm(pin, up_to(1)));
            for worker in 0..4 {
                prop_assert_eq!(at_once.depth_on(pin, worker), late.depth_on(pin, worker));
            }
            tells_who_has_more_than_others(at_once, pin)?;
            tells_who_has_more_than_others(late, pin)?;
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn what_is_learnt_is_found_before_it_is_stored_and_then_it_is_as_if_stored_at_once(
        max_blocks in 8_u32..200,
        max_each in 1_u32..12,
        steps in prop::collection::vec((0_u8..12, 0_u32..4, letters()), 0..80),
    ) {
        let mut twins = Twins::new(max_blocks, max_each);
        let (mut pins, mut learnt): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        for (verb, worker, letters) in steps {
            let hashes = chain(&letters);
            match verb {
                0..=2 => pins.extend(twins.both(|index| index.pin(&hashes))),
                3 if !pins.is_empty() => {
                    let pin = pins.swap_remove(worker as usize % pins.len());
                    twins.both(|index| index.unpin(pin));
                }
                4 if !learnt.is_empty() => {
                    let pin = learnt.swap_remove(worker as usize % learnt.len());
                    twins.both(|index| index.unpin(pin));
                }
                5 if !hashes.is_empty() => twins.both(|index| index.evict(worker, hashes[hashes.len() - 1])),
                6 => twins.both(PrefixIndex::trim),
                7.. if !pins.is_empty() => {
                    // Who started looks for no place any more.
                    let pin = pins.swap_remove(letters.len() % pins.len());
                    learnt.push(pin);
                    let had = twins.0[0].depth_on(pin, worker);
                    prop_assert_eq!(twins.both(|index| index.learn(worker, pin)), had);
                    twins.0[0].over();
                }
                _ => {}
            }
            twins.found(&pins)?;
        }
        twins.both(|index| index.over().to_vec());
        // Numbers too, and what a snapshot would have.
        let [at_once, late] = twins.0.map(|index| (alloc::format!("{:?} {:?}", index.blocks, index.copies), index.path));
        prop_assert_eq!(at_once, late);
    }
}

#[test]
fn a_million_blocks_take_what_was_promised_and_no_more_later() {
    let mut index = PrefixIndex::new(1_000_000, u32::MAX);
    let bytes = index.bytes();
    assert!(bytes <= 64_000_000, "{bytes}");
    (0..4).for_each(|worker| index.open(worker));
    for prompt in 0..40_000_u64 {
        let hashes: Vec<u64> = (0..50).map(|block| prompt * 50 + block).collect();
        let last = index.pin(&hashes).expect("there is room");
        index.store(prompt as u32 % 4, last);
        index.unpin(last);
    }
    assert_eq!(index.known(), 750_000, "the oldest went");
    assert_eq!(index.bytes(), bytes);
}

#[test]
fn a_thousand_workers_with_the_same_prompts_are_found_as_fast_as_one() {
    let (workers, prompts) = (1_000_u32, 15);
    let mut index = PrefixIndex::new(1_000_000, u32::MAX);
    (0..workers).for_each(|worker| index.open(worker));
    for prompt in 0..prompts {
        let hashes: Vec<u64> = (0..50).map(|block| prompt << 32 | block).collect();
        let last = index.pin(&hashes).expect("there is room");
        (0..workers).for_each(|worker| index.store(worker, last));
        index.unpin(last);
    }
    let copies = index.max_copies() as usize;
    assert_eq!(index.copies_of(index.blocks[0]).count(), workers as usize);
    assert_eq!(index.copies.listed.iter().filter(|copy| copy.worker != NIL).count(), copies, "it is full");
    assert_eq!(index.taken as usize, copies);
    let strays = index.copy_table.strays(|copy| {
        let Listed { block, worker, .. } = index.copies.listed[copy as usize];
        copy_key(block, worker)
    });
    assert!(strays <= 2 * copies, "two thirds full: one place on average if the keys are random, {strays}");
}

#[test]
fn a_hash_that_stands_in_another_prompt_ends_the_chain() {
    let mut index = PrefixIndex::new(8, 8);
    index.open(0);
    let first = index.pin(&[1, 2, 3]).expect("there is room");
    index.store(0, first);
    let other = index.pin(&[9, 2, 3]).expect("there is room");
    assert_eq!((index.depth_on(other, 0), index.known()), (0, 4));
    assert!(index.pin(&[]).is_none());
}

#[test]
fn what_goes_for_a_start_goes_later_as_far_as_there_is_room() {
    let mut index = PrefixIndex::new(256, u32::MAX);
    (0..2).for_each(|worker| index.open(worker));
    let prompt = |index: &mut PrefixIndex, number: u64, blocks: u64| {
        let hashes: Vec<u64> = (0..blocks).map(|block| number << 32 | block).collect();
        // Two that wait have it: what one learns the other finds.
        [(), ()].map(|()| index.pin(&hashes).expect("there is room"))[0]
    };
    let first = prompt(&mut index, 0, 96);
    (0..2).for_each(|worker| index.store(worker, first));
    let (bytes, [second, third]) = (index.bytes(), [1, 2].map(|number| prompt(&mut index, number, 3)));
    index.learn(0, second);
    assert_eq!([first, second].map(|last| index.depth_on(last, 0)), [96, 3], "192 may be there, and 4 more");
    index.learn(1, third);
    assert_eq!(
        [first, second].map(|last| index.depth_on(last, 0)),
        [93, 3],
        "now there is no room for 3 more"
    );
    assert_eq!([first, third].map(|last| index.depth_on(last, 1)), [93, 3]);
    assert_eq!(index.bytes(), bytes);
}
