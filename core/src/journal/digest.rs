//! The canonical words of an action, and the chain over them: the digest that every replayer must reach.

use core::fmt;

use crate::event::{Action, YieldMode};
use crate::id::RequestId;
use crate::time::Instant;

/// A chain over actions; two runs that took the same decisions have the same. It shows divergence, not
/// tampering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl Digest {
    /// The digest of no action.
    #[must_use]
    pub const fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// Appends an action and the instant of the poll that returned it.
    pub fn action(&mut self, now: Instant, action: &Action) {
        for word in words(now, action) {
            self.0 = mix(self.0 ^ word);
        }
    }

    /// The digest as a number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014), with the constants of Stafford's variant 13.
const fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

fn words(now: Instant, action: &Action) -> [u64; 8] {
    let mut mode = 0;
    let (mut worker, mut tokens, mut other, mut last) = (0, 0, 0, 0);
    let (kind, whose, which) = match *action {
        Action::Start { request, attempt, worker: on, resume_tokens, .. } => {
            worker = u64::from(on.get());
            tokens = resume_tokens;
            (1, request.to_bits(), attempt.get())
        }
        Action::Preempt { victim, attempt, mode: how, beneficiary: whom, confirm_by: until, .. } => {
            mode = match how {
                YieldMode::Restart => 0,
                YieldMode::Checkpoint => 1,
            };
            other = whom.map_or(0, RequestId::to_bits);
            last = until.as_nanos();
            (2, victim.to_bits(), attempt.get())
        }
        Action::Spare { victim, attempt, .. } => (3, victim.to_bits(), attempt.get()),
        Action::Abort { request, attempt, .. } => (4, request.to_bits(), attempt.get()),
        Action::Drop { request, .. } => (5, request.to_bits(), 0),
        Action::Stuck { victim, attempt, .. } => (6, victim.to_bits(), attempt.get()),
        Action::LeaseWanted { tenant, limit, seq, tokens: wanted, returned, .. } => {
            (tokens, other, last) = (wanted, seq, returned.cast_unsigned());
            (7, u64::from(tenant.get()), limit as u32)
        }
        Action::AlsoLost { worker: lost, by, .. } => {
            (worker, other) = (u64::from(lost.get()), u64::from(by.get()));
            (8, 0, 0)
        }
    };
    [
        now.as_nanos(),
        kind + (action.reason() as u64) * 256 + mode * 65_536,
        whose,
        u64::from(which),
        worker,
        tokens,
        other,
        last,
    ]
}
