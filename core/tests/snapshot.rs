//! A scheduler that was written out and read back goes on as if nothing had happened, and bytes that are no whole
//! snapshot are refused by what is wrong with them.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use common::{World, three_tiers};
use proptest::prelude::*;
use tidegate::{
    Action, Config, ConfigError, Digest, Entry, Instant, Journal, Reason, ReportError, Scheduler,
    SnapshotError, Tier, Usage,
};

/// The magic word, the format, the checksum of the rest, and its length.
const HEAD: usize = 24;

/// A run in which every verb occurs.
static JOURNAL: LazyLock<Journal> = LazyLock::new(|| {
    let text = fs::read_to_string(here("fixtures/every_verb.journal")).expect("it is committed");
    Journal::parse(&text).expect("it is whole")
});

/// Its entries one by one: each input, and each single poll.
static STEPS: LazyLock<Vec<(Instant, Entry)>> = LazyLock::new(|| {
    let entries = JOURNAL.entries.iter();
    let singly = entries.flat_map(|(now, entry)| match entry {
        Entry::Poll { calls } => vec![(*now, Entry::Poll { calls: 1 }); *calls as usize],
        input => vec![(*now, input.clone())],
    });
    singly.collect()
});

fn here(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", path].iter().collect()
}

/// A scheduler, and the digest of what it returned.
struct Run {
    sched: Scheduler,
    digest: Digest,
}

impl Run {
    fn new() -> Self {
        Self { sched: Scheduler::new(JOURNAL.config.clone(), JOURNAL.started_at), digest: Digest::new() }
    }

    fn step(&mut self, (now, entry): &(Instant, Entry)) {
        match entry {
            Entry::Input(input) => drop(self.sched.apply(*now, input)),
            Entry::Poll { calls } => {
                for action in (0..*calls).filter_map(|_| self.sched.poll(*now)) {
                    self.digest.action(*now, &action);
                }
            }
        }
    }

    fn steps(mut self, steps: &[(Instant, Entry)]) -> Self {
        steps.iter().for_each(|step| self.step(step));
        self
    }

    fn restored(&self) -> Self {
        Self { sched: again(&self.sched), digest: self.digest }
    }
}

fn again(sched: &Scheduler) -> Scheduler {
    let restored = Scheduler::restore(sched.config().clone(), &sched.snapshot());
    let restored = restored.unwrap_or_else(|error| panic!("{error}"));
    restored.check_invariants().unwrap_or_else(|violation| panic!("{violation}"));
    restored
}

#[test]
fn a_run_that_restarts_after_every_input_and_every_poll_is_the_same_run() {
    let (mut run, mut other) = (Run::new(), Run::new());
    for (index, step) in STEPS.iter().enumerate() {
        run.step(step);
        other.step(step);
        other = other.restored();
        assert_eq!(other.digest, run.digest, "step {index}: {step:?}");
        assert!(other.sched.snapshot() == run.sched.snapshot(), "step {index} left other bytes: {step:?}");
    }
    assert_eq!(run.digest, JOURNAL.replay().digest, "single steps are the run");
}

#[test]
fn the_rest_of_a_run_is_the_same_wherever_it_was_cut() {
    let whole = Run::new().steps(&STEPS);
    let mut run = Run::new();
    for (index, step) in STEPS.iter().enumerate() {
        // A prime, so that cuts fall everywhere in rounds.
        if index % 61 == 0 {
            let rest = run.restored().steps(&STEPS[index..]);
            assert_eq!(rest.digest, whole.digest, "cut at {index}");
            assert!(rest.sched.snapshot() == whole.sched.snapshot(), "cut at {index}: it ends otherwise");
        }
        run.step(step);
    }
}

/// What is committed is read for as long as the format has its number. `TIDEGATE_BLESS=1` writes it anew.
#[test]
fn the_snapshot_of_format_5_is_read_and_leads_where_it_led() {
    let path = here("fixtures/format5.snapshot");
    let (before, after) = STEPS.split_at(STEPS.len() / 2);
    let run = Run::new().steps(before);
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(&path, run.sched.snapshot()).expect("the folder is writable");
    }
    let bytes = fs::read(&path).expect("it is committed");
    let sched = Scheduler::restore(run.sched.config().clone(), &bytes)
        .unwrap_or_else(|error| panic!("{error}: raise FORMAT, and write a fixture of that number"));
    assert_eq!(sched.check_invariants(), Ok(()));
    assert!(
        run.sched.snapshot() == bytes,
        "if states are written otherwise, raise FORMAT and write a fixture of that number; if the run is another, bless"
    );
    let end = Run { sched, ..run }.steps(after);
    assert_eq!(end.digest, JOURNAL.replay().digest);
}

/// Requests that run, wait, and are to stop for one another; actions that were not polled yet.
fn busy() -> World {
    let mut world = World::with_workers(three_tiers(), 2, [4, 64]);
    for _ in 0..9 {
        world.submit(Tier::P2, [1, 8]);
    }
    world.round();
    for _ in 0..3 {
        world.submit(Tier::P0, [1, 8]);
    }
    let first = world.sched.poll(world.now);
    assert!(matches!(first, Some(Action::Preempt { .. })), "{first:?}");
    world
}

#[test]
fn a_flipped_bit_is_noticed_wherever_it_is() {
    let world = busy();
    let (config, bytes) = (world.sched.config().clone(), world.sched.snapshot());
    for bit in 0..8 * bytes.len() {
        let mut torn = bytes.clone();
        torn[bit / 8] ^= 1 << (bit % 8);
        let error = Scheduler::restore(config.clone(), &torn).expect_err("it is not what was written");
        let as_told = match bit / 8 {
            0..8 => error == SnapshotError::NotASnapshot,
            8..12 => matches!(error, SnapshotError::Format { expected: 5, .. }),
            16..24 => matches!(error, SnapshotError::Length { .. }),
            _ => error == SnapshotError::Damaged,
        };
        assert!(as_told, "bit {bit}: {error}");
    }
}

#[test]
fn a_missing_end_is_noticed_and_so_is_more() {
    let world = busy();
    let (config, bytes) = (world.sched.config().clone(), world.sched.snapshot());
    let error = |bytes: &[u8]| Scheduler::restore(config.clone(), bytes).expect_err("it is not whole");
    for length in 0..bytes.len() {
        let found = length as u64;
        let expected = match length {
            0..8 => SnapshotError::NotASnapshot,
            8..HEAD => SnapshotError::Length { found, expected: HEAD as u64 },
            _ => SnapshotError::Length { found, expected: bytes.len() as u64 },
        };
        assert_eq!(error(&bytes[..length]), expected);
    }
    let longer = [&bytes[..], &[0]].concat();
    let (found, expected) = (longer.len() as u64, bytes.len() as u64);
    assert_eq!(error(&longer), SnapshotError::Length { found, expected });
}

/// CRC-32 as ISO 3309 has it, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xEDB8_8320 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// A snapshot whose head is in order, whatever it has.
fn with_head(body: &[u8]) -> Vec<u8> {
    let numbers = [5, checksum(body)].map(u32::to_le_bytes);
    [b"TGSNAP\r\n", numbers.as_flattened(), &(body.len() as u64).to_le_bytes(), body].concat()
}

#[test]
fn the_head_is_as_the_page_says() {
    let sched = busy().sched;
    let bytes = sched.snapshot();
    assert_eq!(with_head(&bytes[HEAD..]), bytes);
    let longer = with_head(&[&bytes[HEAD..], &[0]].concat());
    let restored = Scheduler::restore(sched.config().clone(), &longer);
    assert_eq!(restored.err(), Some(SnapshotError::Damaged), "more than a state");
}

proptest! {
    /// The state begins behind the config's text, of which two bytes tell the length.
    #[test]
    fn forged_states_are_refused_or_read_and_nothing_worse(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        static BUSY: LazyLock<(Config, Vec<u8>)> = LazyLock::new(|| {
            let sched = busy().sched;
            (sched.config().clone(), sched.snapshot())
        });
        let (config, bytes) = &*BUSY;
        let mut body = bytes[HEAD..].to_vec();
        let text = 2 + config.to_json().len();
        for (index, byte) in changes {
            let place = text + index.index(body.len() - text);
            body[place] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        let restored = Scheduler::restore(config.clone(), &with_head(&body));
        prop_assert!(matches!(restored, Ok(_) | Err(SnapshotError::Damaged)), "{:?}", restored.err());
    }

    #[test]
    fn no_bytes_are_a_scheduler_by_chance(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let config = three_tiers().build().expect("a valid config");
        prop_assert!(Scheduler::restore(config.clone(), &with_head(&body)).is_err());
        prop_assert_eq!(Scheduler::restore(config, &body).err(), Some(SnapshotError::NotASnapshot));
    }
}

#[test]
fn another_build_and_another_thing_are_told_apart_from_damage() {
    let sched = busy().sched;
    let error =
        |bytes: &[u8]| Scheduler::restore(sched.config().clone(), bytes).expect_err("refused").to_string();
    let mut bytes = sched.snapshot();
    bytes[8] = 1;
    let other_build = "a snapshot of format 1, from another build of tidegate; this one reads format 5";
    assert_eq!(error(&bytes), other_build);
    for other_thing in [&b""[..], b"tidegate-journal 1\n", &bytes[1..]] {
        assert_eq!(error(other_thing), "this is no snapshot of a scheduler");
    }
    let half = &bytes[..bytes.len() / 2];
    assert_eq!(error(half), other_build);
    let half = &sched.snapshot()[..half.len()];
    assert_eq!(error(half), format!("a damaged snapshot: {} bytes of {}", half.len(), bytes.len()));
}

#[test]
fn another_config_counts_as_a_reconfigure() {
    let world = busy();
    let other = three_tiers().max_bypass(3).confirm_after(Duration::from_secs(9)).build().unwrap();
    let mut restored =
        Scheduler::restore(other.clone(), &world.sched.snapshot()).expect("names are the same");
    let mut expected = again(&world.sched);
    expected.reconfigure(world.now, other.clone()).expect("names are the same");
    assert_eq!(restored.config(), &other);
    assert!(restored.snapshot() == expected.snapshot());
    assert_eq!(restored.poll(world.now), expected.poll(world.now));
}

#[test]
fn a_config_of_another_shape_is_refused_by_what_differs() {
    let world = busy();
    let other = three_tiers().pools(["default", "more"]).build().unwrap();
    let Err(SnapshotError::OtherShape(ConfigError { faults })) =
        Scheduler::restore(other, &world.sched.snapshot())
    else {
        panic!("it has a pool more")
    };
    let told: Vec<_> = faults.iter().map(|fault| (fault.path.as_str(), fault.message.as_str())).collect();
    assert_eq!(told, [("pools", "1 while running, not 2")]);
}

#[test]
fn what_came_after_the_snapshot_is_not_known_and_its_ids_are_given_again() {
    let mut world = busy();
    let mut restored = again(&world.sched);
    let spec = world.spec(Tier::P0, [1, 1]);
    let lost = world.sched.submit(world.now, spec).unwrap();
    let told = restored.complete(world.now, lost, tidegate::Attempt::new(1), Usage::default());
    assert_eq!(told, Err(ReportError::UnknownRequest(lost)));
    assert_eq!(restored.submit(world.now, spec), Ok(lost));
}

#[test]
fn undelivered_actions_and_the_clock_are_kept() {
    let mut world = busy();
    world.pass(Duration::from_micros(1));
    world.submit(Tier::P1, [1, 1]);
    let mut restored = again(&world.sched);
    assert_eq!((restored.now(), restored.poll_timeout()), (world.now, world.sched.poll_timeout()));
    let rest =
        |sched: &mut Scheduler| -> Vec<Action> { std::iter::from_fn(|| sched.poll(world.now)).collect() };
    let actions = rest(&mut restored);
    assert_eq!(actions, rest(&mut world.sched));
    assert!(actions.iter().any(|action| action.reason() == Reason::Reclaim), "{actions:?}");
    assert_eq!(restored.stats(), world.sched.stats());
}
