//! The batching engine against small cases worked out by hand. An iteration of the model here takes 1 ms and
//! another 1 ms for each token.

use super::{BatchingEngine, Engine, NEVER, Report, Run, Stop};
use crate::model::{Batching, Formula, MixedTerms, ServiceModel};

const MS: u64 = 1_000_000;
const FS_PER_MS: i64 = 1_000_000_000_000;

const TERMS: MixedTerms = MixedTerms {
    base: FS_PER_MS,
    token: FS_PER_MS,
    prefill_token: 0,
    decode_token: 0,
    decode_context: 0,
    prefill_context: 0,
};

static MODEL: ServiceModel = ServiceModel {
    id: "test",
    source: "made up",
    formula: Formula::MixedByTokens { knee: 0, below: TERMS, above: TERMS },
    batching: Batching::Chunked { tokens: 10, prompts: 1 },
    kv_blocks: 100,
    slots: 8,
    kv_bytes_per_token: 25_000, // 1 us per token and direction
};

/// One engine, its requests, and what it said when.
struct Bench {
    engine: BatchingEngine,
    runs: Vec<Run>,
    now: u64,
    next: u64,
}

impl Bench {
    fn new(batching: Batching, runs: Vec<Run>) -> Self {
        Self { engine: BatchingEngine::new(&MODEL, batching), runs, now: 0, next: NEVER }
    }

    fn chunked(tokens: u32, prompts: u32, runs: Vec<Run>) -> Self {
        Self::new(Batching::Chunked { tokens, prompts }, runs)
    }

    fn admit(&mut self, request: u32, tokens_kept: u32) -> u32 {
        let again = self.engine.admit(self.now, &mut self.runs, request, tokens_kept);
        self.next = self.engine.resume(self.now, &mut self.runs);
        again
    }

    /// Runs to the end of the iteration, and gives its milliseconds and what was reported.
    fn iterate(&mut self) -> (u64, Vec<Report>) {
        let mut reports = Vec::new();
        self.now = self.next;
        self.engine.advance(self.now, &mut self.runs, &mut reports);
        self.next = self.engine.resume(self.now, &mut self.runs);
        (self.now / MS, reports)
    }
}

/// With the blocks that a start asks for.
fn request(prompt: u32, output: u32, tier: u8) -> Run {
    Run::tokens(prompt, output, prompt.div_ceil(16) + 1, tier)
}

#[test]
fn a_prompt_is_computed_in_chunks_and_yields_the_first_token() {
    let mut bench = Bench::chunked(10, 1, vec![request(25, 3, 0)]);
    assert_eq!(bench.admit(0, 0), 0);
    assert_eq!(bench.iterate(), (11, vec![Report::Started { request: 0 }]));
    assert_eq!(bench.iterate(), (22, vec![]));
    assert_eq!(bench.iterate(), (28, vec![]), "5 tokens are left of the prompt");
    assert_eq!(bench.runs[0].first_token_at, 28 * MS);
    assert_eq!(bench.iterate(), (30, vec![]));
    assert_eq!(bench.iterate(), (32, vec![Report::Finished { request: 0 }]));
    assert_eq!((bench.runs[0].first_iteration_at, bench.next), (0, NEVER));
}

#[test]
fn decodes_come_first_and_prompts_share_what_they_leave() {
    let mut bench = Bench::chunked(10, 1, vec![request(4, 5, 0), request(20, 1, 0), request(3, 1, 0)]);
    bench.admit(0, 0);
    bench.admit(1, 0); // in an iteration that runs already, there is no place
    bench.admit(2, 0);
    assert_eq!(bench.iterate().0, 5);
    // One decode, 9 tokens of the second request.
    assert_eq!(bench.iterate(), (16, vec![Report::Started { request: 1 }]));
    assert_eq!(bench.runs[2].first_iteration_at, NEVER);
    assert_eq!(bench.iterate().0, 27);
    // The last 2 tokens of the second request leave room for all 3 of the third.
    let (at, reports) = bench.iterate();
    assert_eq!(at, 27 + 1 + 1 + 2 + 3);
    assert_eq!(
        reports,
        [Report::Finished { request: 1 }, Report::Started { request: 2 }, Report::Finished { request: 2 }]
    );
    assert_eq!(bench.runs[2].first_iteration_at, 27 * MS);
}

#[test]
fn the_most_urgent_prompt_goes_first_and_equals_share() {
    let runs = vec![request(40, 1, 2), request(40, 1, 0), request(6, 1, 0), request(40, 1, 0)];
    let mut bench = Bench::chunked(20, 2, runs);
    bench.admit(0, 0);
    for request in 1..4 {
        bench.admit(request, 0);
    }
    bench.iterate();
    assert_eq!(bench.engine.computed(0), Some(20), "it ran before the others came");
    bench.iterate();
    // Two of tier 0 share; the second leaves the third of them, not tier 2, what it does not need.
    let computed: Vec<_> = (0..4).map(|request| bench.engine.computed(request)).collect();
    assert_eq!(computed, [Some(20), Some(10), None, Some(4)]);
    assert_eq!(bench.runs[2].generated, 1, "all 6 tokens of its prompt were computed");
}

#[test]
fn blocks_grow_as_tokens_come() {
    // 16 tokens of prompt hold 2 blocks; token 17 of the output needs a third, token 33 a fourth.
    let mut bench = Bench::chunked(64, 1, vec![request(16, 40, 0)]);
    bench.admit(0, 0);
    let mut grown = Vec::new();
    for token in 1..=40 {
        for report in bench.iterate().1 {
            match report {
                Report::Grew { generated, .. } => grown.push((token, generated, bench.runs[0].units)),
                Report::Finished { .. } => assert_eq!(token, 40),
                Report::Started { .. } => assert_eq!(token, 1),
                Report::Stopped { .. } => panic!("nobody asked it to stop"),
            }
        }
    }
    assert_eq!(grown, [(17, 17, 3), (33, 33, 4)]);
}

#[test]
fn a_victim_stops_at_the_end_of_the_iteration_and_computes_again_what_it_lost() {
    let mut bench = Bench::chunked(10, 1, vec![request(8, 9, 0), request(8, 9, 0)]);
    bench.admit(0, 0);
    bench.admit(1, 0);
    bench.iterate();
    bench.iterate(); // the first decodes its second token beside the prompt of the second
    assert_eq!(bench.engine.stop(&mut bench.runs, 0, Stop::Restart), None);
    let (_, reports) = bench.iterate();
    let stopped = Report::Stopped { request: 0, stop: Stop::Restart, tokens_kept: 0 };
    assert_eq!(reports, [stopped]);
    assert_eq!(bench.runs[0].generated, 3);
    // 8 tokens of prompt and 2 of the 3 generated were in the cache.
    assert_eq!(bench.admit(0, 0), 10);
    bench.iterate(); // was running already
    assert_eq!(bench.engine.computed(0), Some(0));
    let before = bench.now / MS;
    let (at, _) = bench.iterate();
    assert_eq!(at - before, 1 + 1 + 9, "one decode and 9 of the 11 tokens that the fourth one needs");
}

#[test]
fn a_checkpoint_costs_the_copies_and_nothing_is_computed_again() {
    let mut bench = Bench::chunked(100, 1, vec![request(50, 9, 0)]);
    bench.admit(0, 0);
    bench.iterate();
    bench.iterate();
    bench.engine.stop(&mut bench.runs, 0, Stop::Checkpoint);
    let (_, reports) = bench.iterate();
    let stopped = Report::Stopped { request: 0, stop: Stop::Checkpoint, tokens_kept: 52 };
    assert_eq!((reports, bench.next), (vec![stopped], NEVER));
    assert_eq!(bench.admit(0, 52), 0);
    // Out and in again at 1 us per token, then an iteration of 1 ms and its one token.
    assert_eq!(bench.next - bench.now, 2 * 52_000 + 2 * MS);
    bench.iterate();
    assert_eq!(bench.runs[0].generated, 4);
}

#[test]
fn who_stops_in_the_middle_of_a_prompt_has_what_was_computed() {
    let mut bench = Bench::chunked(10, 1, vec![request(95, 2, 1), request(5, 1, 0)]);
    bench.admit(0, 0);
    for _ in 0..3 {
        bench.iterate();
    }
    bench.admit(1, 0);
    assert_eq!(bench.engine.computed(0), Some(30));
    assert_eq!(bench.iterate(), (44, vec![]), "the fourth iteration ran already");
    // Then the other, which is more urgent, gets half of one.
    let others = vec![Report::Started { request: 1 }, Report::Finished { request: 1 }];
    assert_eq!(bench.iterate(), (55, others));
    bench.iterate();
    bench.engine.stop(&mut bench.runs, 0, Stop::Checkpoint);
    let stopped = Report::Stopped { request: 0, stop: Stop::Checkpoint, tokens_kept: 65 };
    assert_eq!(bench.iterate(), (77, vec![stopped]));
    assert_eq!(bench.admit(0, 65), 0);
    assert_eq!(bench.engine.computed(0), Some(65));
}

#[test]
fn a_spared_victim_goes_on_and_an_idle_engine_stops_at_once() {
    let mut bench = Bench::chunked(10, 1, vec![request(8, 3, 0)]);
    bench.admit(0, 0);
    bench.engine.stop(&mut bench.runs, 0, Stop::Restart);
    bench.engine.spare(0);
    assert_eq!(bench.iterate().1, [Report::Started { request: 0 }]);
    // Between the end of an iteration and the next, as when memory ran out.
    let mut reports = Vec::new();
    bench.engine.advance(bench.next, &mut bench.runs, &mut reports);
    let stopped = bench.engine.stop(&mut bench.runs, 0, Stop::Abort);
    assert_eq!(stopped, Some(Report::Stopped { request: 0, stop: Stop::Abort, tokens_kept: 0 }));
    assert_eq!(bench.engine.resume(bench.next, &mut bench.runs), NEVER);
}

#[test]
fn whole_prompts_run_alone_and_decodes_wait() {
    let batching = Batching::PrefillFirst { tokens: 12 };
    let mut bench = Bench::new(batching, vec![request(5, 3, 0), request(8, 1, 0), request(4, 1, 0)]);
    bench.admit(0, 0);
    bench.admit(1, 0);
    bench.admit(2, 0);
    assert_eq!(bench.iterate().0, 6);
    // 8 and 4 fit together; the first request does not decode meanwhile.
    assert_eq!(bench.iterate().0, 6 + 13);
    assert_eq!(bench.iterate(), (21, vec![]));
    assert_eq!(bench.iterate(), (23, vec![Report::Finished { request: 0 }]));
}

#[test]
fn counting_by_steps_equals_touching_every_request() {
    // Twelve requests of odd sizes against a count by hand: each decodes once in each iteration after its
    // prompt, so the last token of each comes output - 1 iterations after the first.
    let runs: Vec<Run> = (0..12).map(|n| request(7 * n + 1, 5 * n + 2, (n % 3) as u8)).collect();
    let mut bench = Bench::chunked(32, 2, runs);
    for request in 0..12 {
        bench.admit(request, 0);
    }
    let mut first = [0; 12];
    let mut ended = 0;
    for iteration in 1.. {
        let (_, reports) = bench.iterate();
        for (seen, run) in first.iter_mut().zip(&bench.runs) {
            if *seen == 0 && run.first_token_at == bench.now {
                *seen = iteration;
            }
        }
        for report in reports {
            if let Report::Finished { request } = report {
                ended += 1;
                let run = &bench.runs[request as usize];
                assert_eq!(iteration - first[request as usize], run.output - 1, "request {request}");
                assert!(
                    run.units * 16 >= run.prompt + run.output - 1,
                    "request {request} overran its blocks"
                );
            }
        }
        if bench.next == NEVER {
            break;
        }
    }
    assert_eq!(ended, 12);
}
