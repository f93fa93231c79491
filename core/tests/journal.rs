//! The journal: what is written is read back, what is torn or tampered with is refused by line and field, and
//! a replay takes the same decisions.

mod any_input;

use any_input::{at, config, journal, other_config, steps};
use proptest::prelude::*;
use tidegate::{
    Action, Amendment, Attempt, Decline, DeviceId, DeviceSpec, Digest, Entry, Input, Instant, Journal,
    OverQuota, PoolId, Ppm, QuotaLimit, Rate, Reason, Recorder, Release, RequestId, RequestSpec, Resources,
    Scheduler, Shrink, StepException, TenantId, TenantPolicy, Tier, Usage, WorkerId, WorkerSpec, YieldMode,
    Yielding,
};

fn text_of(journal: &Journal) -> String {
    let mut text = String::new();
    journal.write(&mut text).expect("a string takes all text");
    text
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(journal in journal()) {
        let text = text_of(&journal);
        prop_assert_eq!(Journal::parse(&text), Ok(journal), "{}", text);
    }

    /// Hostile numbers in every verb: no panic, and every invariant after each.
    #[test]
    fn the_invariants_hold_whatever_is_said(steps in steps()) {
        let mut scheduler = Scheduler::new(config(), at(0));
        for (now, step) in steps {
            match step {
                Some(input) => drop(scheduler.apply(now, &input)),
                None => drop(scheduler.poll(now)),
            }
            prop_assert_eq!(scheduler.check_invariants(), Ok(()));
        }
    }

    #[test]
    fn a_recorder_writes_what_the_journal_writes(start in any::<u64>(), steps in steps()) {
        let mut journal = Journal::new(config(), at(start));
        let mut recorder = Recorder::new(String::new(), &config(), at(start)).expect("a string takes all text");
        for (now, step) in steps {
            match step {
                Some(input) => {
                    recorder.input(now, &input).expect("a string takes all text");
                    journal.input(now, input);
                }
                None => {
                    recorder.poll(now).expect("a string takes all text");
                    journal.poll(now);
                }
            }
        }
        prop_assert_eq!(recorder.finish().expect("a string takes all text"), text_of(&journal));
    }

    #[test]
    fn a_torn_file_is_never_a_journal(journal in journal(), cut in any::<proptest::sample::Index>()) {
        let text = text_of(&journal);
        let cuts: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
        let torn = &text[..cuts[cut.index(cuts.len())]];
        prop_assert!(Journal::parse(torn).is_err(), "{}", torn);
    }

    #[test]
    fn a_changed_step_is_refused_or_another_step(
        journal in journal(),
        place in any::<proptest::sample::Index>(),
        byte in prop_oneof![any::<u8>(), Just(b' '), Just(b'0'), Just(b'+'), Just(b'\\'), Just(b'\r')],
    ) {
        // TOML may be written in several ways.
        let mut journal = journal;
        journal.entries.retain(|(_, entry)| !matches!(entry, Entry::Input(Input::Reconfigure { .. })));
        let text = text_of(&journal);
        let steps = text.len() - steps_of(&text).len();
        let mut changed = text.clone().into_bytes();
        changed[steps + place.index(text.len() - steps)] = byte;
        let Ok(changed) = String::from_utf8(changed) else { return Ok(()) };
        if let Ok(read) = Journal::parse(&changed) {
            prop_assert!(changed == text || read != journal, "{}", changed);
        }
    }
}

/// The part of a journal below its config.
fn steps_of(text: &str) -> &str {
    let mut lines = text.splitn(4, '\n').skip(2);
    let count =
        lines.next().and_then(|line| line.strip_prefix("config ")).expect("the head says how long it is");
    let rest = lines.next().expect("the config follows");
    rest.splitn(count.parse::<usize>().expect("a number") + 1, '\n').last().expect("the steps follow")
}

#[test]
fn the_text_is_as_the_format_says() {
    let mut journal = Journal::new(config(), at(5));
    journal.input(at(5), Input::TenantSet { name: "a b\\\u{7f}\u{e9}\n ".into() });
    let tenant = TenantId::new(1);
    let policy = TenantPolicy::new()
        .parent(TenantId::new(0))
        .weight(3)
        .most_urgent(Tier::P1)
        .requests(Rate::per_second(5).burst(8))
        .leased(true)
        .max_running(6)
        .max_in_use([7, 70])
        .queue_token_limit(900)
        .over_quota(OverQuota::Demote)
        .allow_when_full(true);
    journal.input(at(5), Input::TenantConfigure { tenant, policy: Box::new(policy) });
    journal.input(at(5), Input::TenantConfigure { tenant, policy: Box::default() });
    journal.input(at(5), Input::TenantRemove { tenant });
    let (limit, seq, tokens, valid_for_ns) = (QuotaLimit::Tokens, 3, 400, 5);
    journal.input(at(5), Input::LeaseGranted { tenant, limit, seq, tokens, valid_for_ns });
    journal.input(at(6), Input::WorkerAdd(WorkerSpec::new([64, 8192])));
    let request = RequestSpec::new(TenantId::new(1), Tier::P1).demand([1, 40]).prompt_tokens(512);
    let full = request.pool(PoolId::new(2)).peak([1, 44]).output_tokens(256).yielding(Yielding::Never).tag(9);
    journal.input(at(7), Input::Submit(request));
    journal.input(at(7), Input::Submit(full.queue_timeout(core::time::Duration::from_nanos(30))));
    journal.poll(at(8));
    journal.poll(at(8));
    journal.poll(at(9));
    let (request, attempt) = (RequestId::from_bits(0x1_0000_0007), Attempt::new(2));
    let in_use = Resources::from([1, 41]);
    journal.input(at(9), Input::Started { request, attempt, cached_tokens: 128, in_use });
    journal.input(at(9), Input::Declined { request, attempt, why: Decline::NotReady });
    journal.input(at(9), Input::Progress { request, attempt, output_tokens: 16, in_use });
    journal.input(at(9), Input::Preempted { request, attempt, tokens_kept: 512, release: Release::Later });
    journal.input(at(9), Input::Released { request, attempt });
    journal.poll(at(9));
    let usage = Usage { prompt_tokens: 512, cached_tokens: 128, output_tokens: 250 };
    journal.input(at(10), Input::Complete { request, attempt, usage });
    journal.input(at(10), Input::Failed { request, attempt });
    journal.input(at(3), Input::Cancel { request });
    journal.input(at(3), Input::WorkerDrain { worker: WorkerId::new(0) });
    journal.input(at(3), Input::WorkerLost { worker: WorkerId::new(0) });
    let on_devices = WorkerSpec::new([4]).on(DeviceId::new(0)).on_part(DeviceId::new(1), Ppm::new(500_000));
    journal.input(at(11), Input::DeviceAdd(DeviceSpec { limit: [9].into(), checkpoint_mib: Some(16) }));
    journal.input(at(11), Input::DeviceAdd(DeviceSpec::default()));
    journal.input(at(11), Input::WorkerAdd(on_devices));
    let (device, worker, shrink) = (DeviceId::new(1), WorkerId::new(1), Shrink::Preempt { after_ns: 7 });
    journal.input(at(11), Input::DeviceResize { device, limit: [8].into(), shrink });
    journal.input(at(11), Input::WorkerResize { worker, capacity: [3].into(), shrink: Shrink::Drain });
    journal.input(at(11), Input::WorkerUsage { worker, in_use });
    let exception = StepException { request, attempt, output_tokens: 17, in_use };
    journal.input(at(11), Input::Step { worker, tokens_each: 1, exceptions: [exception].into() });
    let amendment = Amendment { tier: Some(Tier::P0), deadline: Some(at(40)), ..Amendment::default() };
    journal.input(at(11), Input::Amend { request, amendment });
    journal.input(at(11), Input::DeviceLost { device });
    journal.input(at(11), Input::CacheStored { worker, blocks: [7, u64::MAX].into() });
    journal.input(at(11), Input::CacheEvicted { worker, blocks: [7].into() });
    journal.input(at(11), Input::PrefixSet { request, blocks: [].into() });
    journal.input(at(12), Input::Reconfigure { config: Box::new(other_config()) });
    let text = text_of(&journal);
    let toml = config().to_toml();
    let other = other_config().to_toml();
    let head = format!("tidegate-journal 1\nstart 5\nconfig {}\n{toml}", toml.lines().count());
    let steps = format!(
        "5 tenant_set a b\\x5c\\x7f\u{e9}\\x0a \n\
        5 tenant_configure 1 0 3 1 5 1000000000 8 - 1 6 7 70 0 0 - 900 2 1\n\
        5 tenant_configure 1 - 1 0 - - 0 - 0 0 0 0 - - 0 0\n\
        5 tenant_remove 1\n\
        5 lease_granted 1 2 3 400 5\n\
        6 worker_add 0 64 8192 0 0 0 0 - 0\n\
        7 submit 1 1 0 1 40 0 0 0 0 0 0 512 0 - 0 - - 0\n\
        7 submit 1 1 2 1 40 0 0 1 44 0 0 512 0 256 2 - 30 9\n\
        8 poll 2\n\
        9 poll 1\n\
        9 started 4294967303 2 128 1 41 0 0\n\
        9 declined 4294967303 2 2\n\
        9 progress 4294967303 2 16 1 41 0 0\n\
        9 preempted 4294967303 2 512 1\n\
        9 released 4294967303 2\n\
        9 poll 1\n\
        10 complete 4294967303 2 512 128 250\n\
        10 failed 4294967303 2\n\
        3 cancel 4294967303\n\
        3 worker_drain 0\n\
        3 worker_lost 0\n\
        11 device_add 9 0 0 0 16\n\
        11 device_add 0 0 0 0 -\n\
        11 worker_add 0 4 0 0 0 0 0 - 2 0 1000000 1 500000\n\
        11 device_resize 1 8 0 0 0 7\n\
        11 worker_resize 1 3 0 0 0 -\n\
        11 worker_usage 1 1 41 0 0\n\
        11 step 1 1 1 4294967303 2 17 1 41 0 0\n\
        11 amend 4294967303 - - 0 40\n\
        11 device_lost 1\n\
        11 cache_stored 1 2 7 18446744073709551615\n\
        11 cache_evicted 1 1 7\n\
        11 prefix_set 4294967303 0\n\
        12 reconfigure {}\n{other}\
        end 31\n",
        other.lines().count()
    );
    assert_eq!(text, head + &steps);
    assert_eq!(Journal::parse(&text), Ok(journal));
}

/// A journal with these steps, and how many lines stand above them.
fn with_steps(steps: &str) -> (String, usize) {
    let toml = config().to_toml();
    let lines = toml.lines().count();
    (format!("tidegate-journal 1\nstart 0\nconfig {lines}\n{toml}{steps}"), lines + 3)
}

#[test]
fn a_step_that_is_wrong_is_told_by_line_and_field() {
    for (steps, told) in [
        ("0 cancel 1\n0 cancle 1\n", (2, "\"cancle\" is not a verb")),
        ("0\n", (1, "verb is missing")),
        ("\n", (1, "now: \"\" is not a whole number from 0 to 18446744073709551615")),
        ("0 cancel\n", (1, "request is missing")),
        ("0 cancel 1 2\n", (1, "\"2\" stands after the last field")),
        ("0 cancel 1 \n", (1, "\"\" stands after the last field")),
        ("0 cancel  1\n", (1, "request: \"\" is not a whole number from 0 to 18446744073709551615")),
        ("0 cancel 1\r\n", (1, "request: \"1\\r\" is not a whole number from 0 to 18446744073709551615")),
        (
            "18446744073709551616 poll 1\n",
            (1, "now: \"18446744073709551616\" is not a whole number from 0 to 18446744073709551615"),
        ),
        ("+1 poll 1\n", (1, "now: \"+1\" is not a whole number from 0 to 18446744073709551615")),
        ("01 poll 1\n", (1, "now: \"01\" is not a whole number from 0 to 18446744073709551615")),
        ("0 poll 0\n", (1, "calls: \"0\" is not a whole number from 1 to 4294967295")),
        (
            "0 released 1 4294967296\n",
            (1, "attempt: \"4294967296\" is not a whole number from 0 to 4294967295"),
        ),
        ("0 declined 1 1 3\n", (1, "why: \"3\" is not a whole number from 0 to 2")),
        ("0 tenant_configure 1 - 1 0 - 5 0\n", (1, "burst is missing")),
        (
            "0 tenant_configure 1 - 1 0 - - 0 - 0 0 0 0 - - 3 0\n",
            (1, "over_quota: \"3\" is not a whole number from 0 to 2"),
        ),
        ("0 lease_granted 1 0 1 1 1\n", (1, "limit: \"0\" is not a whole number from 1 to 4")),
        ("0 preempted 1 1 0 2\n", (1, "release: \"2\" is not a whole number from 0 to 1")),
        ("0 worker_add 0 1 2 3\n", (1, "capacity is missing")),
        (
            "0 submit 0 256 0 0 0 0 0 0 0 0 0 0 0 - 0 - - 0\n",
            (1, "tier: \"256\" is not a whole number from 0 to 255"),
        ),
        (
            "0 submit 0 0 0 0 0 0 0 0 0 0 0 0 0 -- 0 - - 0\n",
            (1, "output_tokens: \"--\" is not a whole number from 0 to 18446744073709551615"),
        ),
        (
            "0 tenant_set a\\x5C\n",
            (1, "name: \"a\\\\x5C\" has a control character or a backslash that does not stand as \\xHH"),
        ),
        ("0 tenant_set\n", (1, "name is missing")),
        ("0 poll 1\n", (2, "the file is torn: it ends before the line `end` does")),
        ("0 poll 1\nend 0", (2, "the file is torn: it ends before the line `end` does")),
        ("0 cancel 1\nend 2\n", (2, "`end` counts 2 inputs, 1 stand above it")),
        ("0 cancel 1\n0 poll 1\nend 0\n", (3, "`end` counts 0 inputs, 1 stand above it")),
        ("end 0\nend 0\n", (1, "there is text after the line `end`")),
        ("end\n", (1, "end is missing")),
        ("ended 0\n", (1, "a line with `end` stands here, not \"ended 0\"")),
    ] {
        let (text, above) = with_steps(steps);
        let error = Journal::parse(&text).expect_err(steps);
        assert_eq!(error.to_string(), format!("line {}: {}", above + told.0, told.1), "{steps:?}");
    }
}

#[test]
fn a_head_that_is_wrong_is_told_by_line() {
    for (text, told) in [
        ("", "line 1: the file is torn: it ends before the line `end` does"),
        ("tidegate-journal 2\n", "line 1: \"tidegate-journal 2\" is not `tidegate-journal 1`"),
        ("tidegate-journal 1\nconfig 0\n", "line 2: a line with `start` stands here, not \"config 0\""),
        ("tidegate-journal 1\nstart 0\nconfig 2\nmax_bypass = 1\n", "line 5: the file is torn: it ends"),
        (
            "tidegate-journal 1\nstart 0\nconfig 2\n\nmax_bypass = -1\nend 0\n",
            "line 3: the config that begins below: line 2: max_bypass: invalid value",
        ),
        (
            "tidegate-journal 1\nstart 0\nconfig 0\nend 0\n",
            "line 3: the config that begins below: dimensions: 0 given",
        ),
    ] {
        let error = Journal::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(told), "{text:?}: {error}");
    }
}

#[test]
fn what_a_message_quotes_is_short() {
    let (text, _) = with_steps(&format!("0 cancel {}\n", "9".repeat(10_000)));
    assert!(Journal::parse(&text).expect_err("an over-long number").to_string().len() < 160);
}

#[test]
fn a_run_of_polls_that_outgrows_its_number_goes_on_in_a_second_line() {
    let (text, _) = with_steps("7 poll 4294967295\n7 poll 4294967295\n7 poll 1\n8 poll 1\n8 poll 2\nend 0\n");
    let journal = Journal::parse(&text).expect("a journal");
    let polls = |now, calls| (at(now), Entry::Poll { calls });
    assert_eq!(journal.entries, [polls(7, u32::MAX), polls(7, u32::MAX), polls(7, 1), polls(8, 3)]);
    assert_eq!(text_of(&journal), text.replace("8 poll 1\n8 poll 2\n", "8 poll 3\n"));
}

/// Out of room after so many bytes, as a full disk is.
struct Full(usize);

impl core::fmt::Write for Full {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(core::fmt::Error)?;
        Ok(())
    }
}

#[test]
fn what_cannot_be_written_is_never_passed_over() {
    let mut journal = Journal::new(config(), at(0));
    journal.input(at(1), Input::Cancel { request: RequestId::from_bits(1) });
    journal.poll(at(2));
    let length = text_of(&journal).len();
    assert_eq!(journal.write(&mut Full(length)), Ok(()));
    for room in 0..length {
        assert_eq!(journal.write(&mut Full(room)), Err(core::fmt::Error), "{room} of {length} bytes");
    }
}

/// One action of each kind with the digest of the list up to it. The digests were not printed by this
/// code but computed from `docs/JOURNAL.md` in Python:
///
/// ```python
/// M = 2**64 - 1
/// def mix(x):
///     x ^= x >> 30; x = x * 0xBF58476D1CE4E5B9 & M
///     x ^= x >> 27; x = x * 0x94D049BB133111EB & M
///     return x ^ x >> 31
/// h = 0x9E3779B97F4A7C15
/// for now, kind, reason, mode, request, attempt, worker, resume, beneficiary, confirm_by in [
///     (10, 1, 1, 0, 0x1_0000_0007, 1, 3, 0, 0, 0),
///     (20, 2, 4, 1, 0x1_0000_0007, 1, 0, 0, 0x2_0000_0001, 1_000_000_020),
///     (20, 2, 6, 0, 0x1_0000_0008, 2**32 - 1, 0, 0, 0, M),
///     (25, 3, 7, 0, 0x1_0000_0007, 1, 0, 0, 0, 0),
///     (30, 4, 11, 0, 0x1_0000_0009, 2, 0, 0, 0, 0),
///     (40, 5, 8, 0, M, 0, 0, 0, 0, 0),
///     (M, 6, 13, 0, 0x1_0000_0008, 5, 0, 0, 0, 0),
///     (50, 1, 3, 0, 0x1_0000_0007, 2, 65535, 777, 0, 0),
///     (60, 7, 16, 0, 2**32 - 1, 2, 0, 2**40, 9, M - 163),
/// ]:
///     for word in (now, kind + 256 * reason + 65536 * mode, request, attempt, worker, resume, beneficiary, confirm_by):
///         h = mix(h ^ word)
///     print(f"{h:016x}")
/// ```
fn golden() -> [(u64, Action, &'static str); 10] {
    let id = RequestId::from_bits;
    let (first, second) = (id(0x1_0000_0007), id(0x1_0000_0008));
    let one = Attempt::new(1);
    let start = |attempt, worker, resume_tokens, reason| Action::Start {
        request: first,
        attempt: Attempt::new(attempt),
        worker: WorkerId::new(worker),
        resume_tokens,
        reason,
    };
    let reclaim = Action::Preempt {
        victim: first,
        attempt: one,
        mode: YieldMode::Checkpoint,
        beneficiary: Some(id(0x2_0000_0001)),
        confirm_by: at(1_000_000_020),
        reason: Reason::Reclaim,
    };
    let pressure = Action::Preempt {
        victim: second,
        attempt: Attempt::new(u32::MAX),
        mode: YieldMode::Restart,
        beneficiary: None,
        confirm_by: at(u64::MAX),
        reason: Reason::OutOfMemory,
    };
    let wish = Action::LeaseWanted {
        tenant: TenantId::new(u32::MAX),
        limit: QuotaLimit::Tokens,
        seq: 9,
        tokens: 1 << 40,
        returned: -164,
        reason: Reason::LeaseOwed,
    };
    let (worker, by) = (WorkerId::new(65_535), WorkerId::new(3));
    let taken = Action::AlsoLost { worker, by, reason: Reason::WorkerLost };
    let abort =
        Action::Abort { request: id(0x1_0000_0009), attempt: Attempt::new(2), reason: Reason::NeverFits };
    [
        (10, start(1, 3, 0, Reason::Guaranteed), "7b3a38a5e32274d2"),
        (20, reclaim, "5b271d6a7e91a5bd"),
        (20, pressure, "b487a30d76da4d9b"),
        (25, Action::Spare { victim: first, attempt: one, reason: Reason::NotNeeded }, "e367c41d1a711d80"),
        (30, abort, "f8dfaba9c46a42dd"),
        (40, Action::Drop { request: id(u64::MAX), reason: Reason::QueueTimeout }, "0b8e61631c308369"),
        (
            u64::MAX,
            Action::Stuck { victim: second, attempt: Attempt::new(5), reason: Reason::Unconfirmed },
            "af39a32c93729077",
        ),
        (50, start(2, 65535, 777, Reason::Reclaimed), "ab62eb5a94dad62c"),
        (60, wish, "eebe0c1628c82227"),
        (70, taken, "44da71e38487f699"),
    ]
}

#[test]
fn the_digest_is_the_one_that_others_compute() {
    let mut digest = Digest::new();
    assert_eq!(digest.value(), 0x9E37_79B9_7F4A_7C15);
    for (now, action, expected) in golden() {
        digest.action(at(now), &action);
        assert_eq!(digest.to_string(), expected, "after {action:?}");
    }
}

/// A host that does what it is told, and writes down what it does.
struct Host {
    scheduler: Scheduler,
    journal: Journal,
    digest: Digest,
    actions: u64,
    now: Instant,
}

impl Host {
    fn new() -> Self {
        let now = at(1_000);
        Self {
            scheduler: Scheduler::new(config(), now),
            journal: Journal::new(config(), now),
            digest: Digest::new(),
            actions: 0,
            now,
        }
    }

    fn tell(&mut self, input: Input) {
        // The refused are part of the run.
        let _ = self.scheduler.apply(self.now, &input);
        self.journal.input(self.now, input);
    }

    fn poll(&mut self) -> Option<Action> {
        self.journal.poll(self.now);
        let action = self.scheduler.poll(self.now)?;
        self.digest.action(self.now, &action);
        self.actions += 1;
        Some(action)
    }

    /// Starts what is to be started, stops what is to be stopped.
    fn obey(&mut self) {
        while let Some(action) = self.poll() {
            match action {
                Action::Start { request, attempt, .. } => {
                    let in_use = Resources::from([1, 40]);
                    self.tell(Input::Started { request, attempt, cached_tokens: 0, in_use });
                }
                Action::Preempt { victim: request, attempt, .. } => {
                    self.tell(Input::Preempted { request, attempt, tokens_kept: 0, release: Release::Done });
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_replay_takes_the_same_decisions() {
    let mut host = Host::new();
    host.tell(Input::TenantSet { name: "acme".into() });
    host.tell(Input::TenantSet { name: "no\nname".into() });
    host.tell(Input::WorkerAdd(WorkerSpec::new([4, 1_000])));
    let urgent = RequestSpec::new(TenantId::new(0), Tier::P0).demand([1, 40]).prompt_tokens(512);
    let batch = RequestSpec { tier: Tier::P1, ..urgent };
    for round in 0..40 {
        host.now = host.now.plus_nanos(2_000_000_000);
        let spec = if round % 3 == 0 { urgent } else { batch };
        host.tell(Input::Submit(spec.tag(round)));
        host.tell(Input::Submit(RequestSpec { tenant: TenantId::new(9), ..spec }));
        host.obey();
    }
    assert!(host.actions >= 4, "the worker was filled: {} actions", host.actions);
    let read = Journal::parse(&text_of(&host.journal)).expect("a journal");
    let replay = read.replay();
    assert_eq!(replay, host.journal.replay());
    assert_eq!((replay.digest, replay.actions), (host.digest, host.actions));
    let inputs = host.journal.entries.iter().filter(|(_, entry)| matches!(entry, Entry::Input(_))).count();
    assert_eq!(
        replay.to_string(),
        format!("digest {} actions {} inputs {inputs}", host.digest, host.actions)
    );
}

proptest! {
    /// Whatever a host says, it says to a scheduler that keeps its head, and the same twice.
    #[test]
    fn any_journal_can_be_replayed(said in journal()) {
        let mut journal = Journal::new(config(), said.started_at);
        let now = said.started_at;
        journal.input(now, Input::TenantSet { name: "acme".into() });
        journal.input(now, Input::WorkerAdd(WorkerSpec::new([4, 200])));
        journal.entries.extend(said.entries);
        let replay = journal.replay();
        prop_assert_eq!(replay, journal.replay());

        let mut scheduler = Scheduler::new(config(), now);
        for (now, entry) in &journal.entries {
            match entry {
                Entry::Input(input) => _ = scheduler.apply(*now, input),
                Entry::Poll { calls } => (0..*calls).for_each(|_| _ = scheduler.poll(*now)),
            }
            prop_assert_eq!(scheduler.check_invariants(), Ok(()), "after {:?}", entry);
        }
        prop_assert_eq!(Reason::ALL.iter().map(|&reason| scheduler.stats().by_reason[reason]).sum::<u64>(), replay.actions);
    }
}
