//! Engines in lockstep: one engine, one step after the other, and who decides what is in a step.
//!
//! Where the replay asks how long requests take, this asks in how many steps: vLLM's own scheduler and tidegate
//! drive the same [`Engine`] through the same [`scenarios`], and steps, victims and recomputed tokens are counted.
//! Rooms, lower ones first: [`engine`], [`draws`] (the requests of one scenario), [`stock`] (a model of vLLM's policy) and [`hosted`] (tidegate, through its
//! public verbs), [`scenarios`], [`comparison`].

pub mod comparison;
pub mod draws;
pub mod engine;
pub mod hosted;
pub mod scenarios;
pub mod stock;

use engine::{Chunk, Engine, Job, Size};

/// Who decides what is in a step.
pub trait Policy {
    /// A request waits from now on.
    fn arrive(&mut self, engine: &Engine, run: usize);

    /// Decides a step: throws requests out, admits others, and says which tokens are computed. The blocks for
    /// them are taken already.
    fn plan(&mut self, engine: &mut Engine) -> Vec<Chunk>;

    /// The step is done: these tokens were computed, and those requests are gone with it.
    fn hear(&mut self, engine: &Engine, chunks: &[Chunk], done: &[usize]);
}

/// An engine and who drives it.
#[derive(Debug)]
pub struct Stage<P> {
    engine: Engine,
    policy: P,
}

impl<P: Policy> Stage<P> {
    /// An empty engine.
    #[must_use]
    pub fn new(size: Size, policy: P) -> Self {
        Self { engine: Engine::new(size), policy }
    }

    /// A request arrives.
    pub fn submit(&mut self, job: Job) -> usize {
        let run = self.engine.announce(job);
        self.policy.arrive(&self.engine, run);
        run
    }

    /// Does one step.
    pub fn step(&mut self) {
        let chunks = self.policy.plan(&mut self.engine);
        let done = self.engine.compute(&chunks);
        self.policy.hear(&self.engine, &chunks, &done);
    }

    /// Steps until something is so. Returns how many, or `None` if it is not so after `most`.
    pub fn step_until(&mut self, most: u32, so: impl Fn(&Engine) -> bool) -> Option<u32> {
        for steps in 0..=most {
            if so(&self.engine) {
                return Some(steps);
            }
            self.step();
        }
        None
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}
