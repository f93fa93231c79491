//! What the allocator gave out: by the request, by the tenant, and by the cycle.
//!
//! Vectors double, so that what is given out is at times twice what is used. What something costs is the least average
//! over a whole doubling, in which every vector is full once; the most that it costs stands beside it.

use tidegate_benches::{Caches, GrowingQueue, GrowingTenants, SteadyState};

use crate::ALLOCATOR;
use crate::card::{Card, Failure};

/// Averages are taken from this number to twice as many.
const FROM: usize = 100_000;
const TURNS: usize = 20_000;

pub(crate) fn of_requests(card: &mut Card) -> Result<(), Failure> {
    let mut queue = GrowingQueue::new();
    let (least, most) = bytes_of_each(card.scale.of(FROM), || queue.add());
    card.put_exact("bytes_per_request", least);
    card.put_exact("bytes_per_request_most", most);
    Ok(())
}

pub(crate) fn of_tenants(card: &mut Card) -> Result<(), Failure> {
    let from = card.scale.of(FROM);
    let mut unserved = GrowingTenants::new();
    let (least_unserved, _) = bytes_of_each(from, || unserved.add());
    let mut served = GrowingTenants::new();
    let (least, most) = bytes_of_each(from, || served.add_and_serve());
    card.put_exact("bytes_per_tenant", least);
    card.put_exact("bytes_per_tenant_most", most);
    card.put_exact("bytes_per_tenant_unserved", least_unserved);
    Ok(())
}

/// How many blocks the index may know.
const INDEX: usize = 1_000_000;

/// Beside an index of one block, so that what is there anyway does not count; after twice as much was stored as it may know.
pub(crate) fn of_the_index(card: &mut Card) -> Result<(), Failure> {
    let blocks = card.scale.of(INDEX);
    let bytes_with = |blocks: usize| {
        let before = bytes_in_use();
        let mut caches = Caches::new(u32::try_from(blocks).expect("a million"));
        caches.store(2 * blocks);
        bytes_in_use() - before
    };
    let (own, others) = (bytes_with(blocks), bytes_with(1));
    card.put_exact("index_bytes_per_block", (own - others) / blocks as f64);
    Ok(())
}

/// How often the whole queue has passed before allocations are counted.
const WARM_UPS: usize = 6;

/// After a warm-up in which all that waited at first has started, and every tenant in every tier has waited as long as it does
/// from then on, so that everything has its size: a delay of a new length takes memory for its meter.
pub(crate) fn allocations(card: &mut Card) -> Result<(), Failure> {
    let mut state = SteadyState::new(card.scale.of(FROM));
    let turns = card.scale.of(TURNS);
    (0..WARM_UPS * card.scale.of(FROM) + turns).for_each(|_| state.turn());
    let before = ALLOCATOR.stats();
    (0..turns).for_each(|_| state.turn());
    let change = ALLOCATOR.stats() - before;
    card.put_exact(
        "allocations_per_cycle",
        (change.allocations + change.reallocations) as f64 / turns as f64,
    );
    Ok(())
}

/// The least and the most bytes that one takes on average, from the given number of them to twice as many.
fn bytes_of_each(from: usize, mut add: impl FnMut()) -> (f64, f64) {
    let before = bytes_in_use();
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    for number in 1..=2 * from {
        add();
        if number >= from {
            let average = (bytes_in_use() - before) / number as f64;
            (least, most) = (least.min(average), most.max(average));
        }
    }
    (least, most)
}

fn bytes_in_use() -> f64 {
    let stats = ALLOCATOR.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as f64
}
