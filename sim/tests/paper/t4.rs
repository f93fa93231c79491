//! T4 (Preble, DLPM, Mooncake's conversations): every request is served once, and no cache finds more than there is to find.

use std::collections::HashSet;

use tidegate_sim::paper::t4::engine::{Answer, CACHE_BLOCKS, Job, Policy, serve};
use tidegate_sim::paper::t4::hosted::{Hosted, Terms};
use tidegate_sim::paper::t4::metric::metrics;
use tidegate_sim::paper::t4::policies::Dlpm;
use tidegate_sim::paper::t4::table;
use tidegate_sim::trace::prompt_blocks;

/// Of the trace; with two workers they wait for each other.
const REQUESTS: usize = 300;
const WORKERS: usize = 2;
const CLIENTS: usize = 4;

/// What no policy may touch: the requests of the trace, and clients in turn.
fn jobs() -> Option<Vec<Job>> {
    let path = super::traces()?.join("mooncake-fast25/conversation_trace.part1.jsonl.gz");
    let requests = prompt_blocks(&path).expect("the trace can be read");
    let jobs = requests.into_iter().take(REQUESTS).enumerate();
    Some(jobs.map(|(index, request)| Job { client: index % CLIENTS, request }).collect())
}

/// Blocks that an endless cache shared by all would find, in percent.
fn ceiling(jobs: &[Job]) -> f64 {
    let (mut seen, mut hits, mut all) = (HashSet::new(), 0_usize, 0_usize);
    for job in jobs {
        hits += job.request.blocks.iter().take_while(|block| seen.contains(*block)).count();
        all += job.request.blocks.len();
        seen.extend(job.request.blocks.iter().copied());
    }
    100.0 * hits as f64 / all as f64
}

/// What the table tells tidegate unless told otherwise.
const TERMS: Terms = Terms { load_tokens: 32_768, wait_ms: 30_000, quantum: 10_000 };

fn hosted() -> Hosted {
    Hosted::new(CLIENTS, WORKERS, CACHE_BLOCKS, TERMS)
}

/// Each request is answered, after it came, and had to compute what its worker did not have.
fn assert_served(jobs: &[Job], answers: &[Answer]) {
    assert_eq!(answers.len(), jobs.len());
    for (job, answer) in jobs.iter().zip(answers) {
        let instants = [job.request.arrival_ns, answer.admitted_ns, answer.first_ns, answer.last_ns];
        assert!(instants.is_sorted() && answer.first_ns > answer.admitted_ns, "{job:?}: {answer:?}");
        let spared = job.spared(answer.cached_blocks);
        assert_eq!(answer.computed + spared, u64::from(job.request.prompt), "{job:?}: {answer:?}");
    }
}

#[test]
fn every_request_is_served_once_and_finds_no_more_than_there_is() {
    let Some(jobs) = jobs() else { return };
    let most = ceiling(&jobs);
    let policies: [(&str, Box<dyn Policy>); 2] =
        [("dlpm", Box::new(Dlpm::default())), ("tidegate", Box::new(hosted()))];
    for (name, mut policy) in policies {
        let answers = serve(&jobs, WORKERS, CACHE_BLOCKS, &mut *policy);
        assert_served(&jobs, &answers);
        let found = metrics(&jobs, &answers);
        println!("{name}: {found:?}, at most {most:.1} %");
        assert!(found.hit_percent > 0.0 && found.hit_percent <= most, "{name}: {found:?}, {most}");
    }
}

#[test]
fn a_run_comes_out_the_same_twice() {
    let Some(jobs) = jobs() else { return };
    let run = || metrics(&jobs, &serve(&jobs, WORKERS, CACHE_BLOCKS, &mut hosted()));
    assert_eq!(run(), run());
}

/// The part that is run here has the clients of the table, and two workers fall as far behind as four do on all of it.
#[test]
fn nobody_has_both_more_throughput_and_a_smaller_gap_and_keeping_workers_finds_more() {
    let Some(traces) = super::traces() else { return };
    let mut jobs = table::jobs(&traces).expect("the trace can be read");
    jobs.truncate(1_000);
    let run = |policy: &mut dyn Policy| metrics(&jobs, &serve(&jobs, WORKERS, CACHE_BLOCKS, policy));
    let hosted = |terms| Hosted::new(table::CLIENTS as usize, WORKERS, CACHE_BLOCKS, terms);
    let ours = run(&mut hosted(TERMS));
    println!("tidegate: {ours:?}");
    for (name, mut policy) in table::published(WORKERS) {
        let other = run(&mut *policy);
        println!("{name}: {other:?}");
        let is_beaten = other.throughput_tok_s > ours.throughput_tok_s && other.gap_tokens < ours.gap_tokens;
        assert!(!is_beaten, "{name}: {other:?}; tidegate: {ours:?}");
    }
    let without = run(&mut hosted(Terms { wait_ms: 0, ..TERMS }));
    println!("without waiting: {without:?}");
    assert!(ours.hit_percent > without.hit_percent, "{ours:?}, without {without:?}");
}
