//! A search finds what a scan finds, and looks at few.

use super::*;
use crate::event::DevicePart;
use crate::id::DeviceId;
use crate::placement::load_ppm;
use crate::share::Ppm;
use proptest::prelude::*;

/// Places of which each shares nothing that could tell how full it is.
struct Told<R>(R);

impl<R: Fn(usize) -> Room> Places for Told<R> {
    fn free(&self, place: usize) -> Resources {
        (self.0)(place).free
    }

    fn in_use(&self, _: usize) -> Option<Resources> {
        None
    }

    fn load(&self, place: usize) -> Load {
        (self.0)(place).load
    }

    fn own(&self, _: usize) -> Option<Own> {
        None
    }

    fn device(&self, _: DeviceId) -> (Resources, u32) {
        (Resources::BOUNDLESS, 0)
    }
}

/// Places of which two and two share so much of the first thing, beyond which they can go.
struct Pairs<'a> {
    capacities: &'a [Resources],
    used: &'a [Resources],
    limits: Option<Resources>,
}

impl Pairs<'_> {
    fn load_with(&self, place: usize, asked: Resources) -> Load {
        let own = Load::alone(load_ppm(self.used[place] + asked, self.capacities[place]));
        own.sharing(self.limits.map_or(0, |limits| load_ppm(self.of_both(place) + asked, limits)))
    }

    fn of_both(&self, place: usize) -> Resources {
        self.used[place & !1] + self.used.get(place | 1).copied().unwrap_or_default()
    }

    fn room(&self, place: usize) -> Room {
        let load = self.load_with(place, Resources::ZERO);
        Room { free: self.free(place), load, capacity: self.capacities[place] }
    }
}

impl Places for Pairs<'_> {
    fn free(&self, place: usize) -> Resources {
        self.capacities[place].saturating_sub(self.used[place])
    }

    fn in_use(&self, place: usize) -> Option<Resources> {
        self.limits.is_none().then_some(self.used[place])
    }

    fn load(&self, place: usize) -> Load {
        self.load_with(place, Resources::ZERO)
    }

    fn own(&self, place: usize) -> Option<Own> {
        let part = DevicePart { device: DeviceId::new(place as u32 / 2), part: Ppm::ONE };
        let ppm = load_ppm(self.used[place], self.capacities[place]);
        self.limits.map(|_| Own { free: self.free(place), ppm, part })
    }

    fn device(&self, id: DeviceId) -> (Resources, u32) {
        let limits = self.limits.expect("somebody stands on one");
        (Resources::BOUNDLESS, load_ppm(self.of_both(2 * id.index()), limits))
    }
}

proptest! {
    #[test]
    fn finds_the_place_that_a_scan_finds(
        capacities in prop::collection::vec(prop::array::uniform3(0_u64..6), 1..70),
        steps in prop::collection::vec((0_usize..70, prop::array::uniform3(0_u64..7)), 0..120),
        shared in prop::option::of(1_u64..9),
        asked in prop::array::uniform3(0_u64..4),
        scale in prop::sample::select(alloc::vec![1_u64, 7, 1 << 38]),
        pack in any::<bool>(),
        late in 0_usize..4,
    ) {
        let resources = |units: [u64; 3]| Resources::from(units.map(|units| units * scale));
        let capacities: Vec<Resources> = capacities.into_iter().map(resources).collect();
        let mut used = alloc::vec![Resources::ZERO; capacities.len()];
        let limits = shared.map(|units| resources([units, 0, 0]));
        let mut rooms = Rooms::new(capacities.iter().copied(), limits.into_iter());
        rooms.refresh(&Pairs { capacities: &capacities, used: &used, limits });
        let mut unseen = 0;
        for (place, units) in steps {
            let place = place % capacities.len();
            used[place] = resources(units);
            rooms.note(place);
            let both = [place & !1, place | 1].into_iter().filter(|&one| one < capacities.len());
            both.for_each(|one| rooms.note_shared(one));
            unseen += 1;
            if unseen > late {
                let pairs = Pairs { capacities: &capacities, used: &used, limits };
                rooms.refresh(&pairs);
                unseen = 0;
                let free = (0..capacities.len()).map(|place| pairs.free(place));
                let most = free.fold(Resources::ZERO, Resources::max);
                prop_assert_eq!(rooms.most_free(), Brief::rounded_up(*most.as_array()));
            }
        }
        let policy = if pack { Placement::Pack } else { Placement::Spread };
        let asked = resources(asked);
        let pairs = Pairs { capacities: &capacities, used: &used, limits };
        let will_do = |place: usize| asked.fits(&pairs.free(place));
        let load_with = |place: usize| pairs.load_with(place, asked);
        let score_of = |place: usize| (score(policy, load_with(place)), place);
        let scan = (0..capacities.len()).filter(|&place| will_do(place)).map(score_of).min();
        let best = rooms.best(&asked, policy, None, will_do, load_with);
        prop_assert_eq!(best.map(|(place, _)| place), scan.map(|(_, place)| place));
        prop_assert!(best.is_none_or(|(_, asked)| asked.is_none_or(|score| Some(score) == scan.map(|(best, _)| best))));
        prop_assert!((0..capacities.len()).all(|place| rooms.knows(place, &pairs.room(place))));
    }
}

#[test]
fn looks_at_few_of_many_places() {
    let (places, capacity) = (4_096, Resources::from([16, 640]));
    let mut rooms = Rooms::new(core::iter::repeat_n(capacity, places), core::iter::empty());
    let taken = |place: usize| (place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
    let room = |place: usize| {
        let used = Resources::from([taken(place), 40 * taken(place)]);
        Room { free: capacity - used, load: Load::alone(load_ppm(used, capacity)), capacity }
    };
    rooms.refresh(&Told(room));
    for policy in [Placement::Pack, Placement::Spread] {
        let looks = core::cell::Cell::new(0);
        let load_with = |place: usize| {
            looks.set(looks.get() + 1);
            Load::alone(load_ppm(capacity - room(place).free + [1, 40].into(), capacity))
        };
        let will_do = |place: usize| Resources::from([1, 40]).fits(&room(place).free);
        let best = rooms.best(&[1, 40].into(), policy, None, will_do, load_with).expect("there is room").0;
        assert_eq!(taken(best), if policy == Placement::Pack { 15 } else { 0 });
        assert!(looks.get() <= FAN, "{} of {places} places", looks.get());
    }
}

#[test]
fn looks_at_one_where_four_share_what_is_as_much_as_they_have() {
    let (places, capacity, asked) = (4_096, Resources::from([16, 640]), Resources::from([1, 40]));
    let whole = Resources::from([64, 2_560]);
    let capacities = core::iter::repeat_n(capacity, places);
    let mut rooms = Rooms::new(capacities, core::iter::repeat_n(whole, places / 4));
    let units = |slots: u64| Resources::from([slots, 40 * slots]);
    // All have from 5 to 8, so that many devices tie.
    let taken = |place: usize| 5 + ((place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62);
    let load = |place: usize, more: Resources| {
        let first = place & !3;
        let all: u64 = (first..first + 4).map(taken).sum();
        let own = Load::alone(load_ppm(units(taken(place)) + more, capacity));
        own.sharing(load_ppm(units(all) + more, whole))
    };
    rooms.refresh(&Told(|place| {
        let free = capacity - units(taken(place));
        Room { free, load: load(place, Resources::ZERO), capacity }
    }));
    let looks = core::cell::Cell::new(0);
    let load_with = |place: usize| {
        looks.set(looks.get() + 1);
        load(place, asked)
    };
    let best = rooms.best(&asked, Placement::Spread, None, |_| true, load_with);
    let scan = (0..places).min_by_key(|&place| load(place, asked));
    assert_eq!((best.map(|(place, _)| place), looks.get()), (scan, 1));
}
