//! The requests of scenario C, as Python's `random.Random(seed)` draws them: the scenario was published in these
//! terms. The generator is MT19937 (Matsumoto and Nishimura, 1998), seeded and cut to ranges as Python does it.

use super::engine::Job;

/// Words of the generator's state, and the distance of those that are mixed.
const WORDS: usize = 624;
const APART: usize = 397;

/// Python's generator.
#[derive(Clone, Debug)]
struct PythonRandom {
    state: [u32; WORDS],
    next: usize,
}

impl PythonRandom {
    fn new(seed: u32) -> Self {
        let mut state = [0_u32; WORDS];
        state[0] = 19_650_218;
        for i in 1..WORDS {
            state[i] = (state[i - 1] ^ state[i - 1] >> 30).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        // The seed as an array of one word; each pass steps through the state once, from its second word on.
        let mut i = 1;
        for _ in 0..WORDS {
            let mixed = (state[i - 1] ^ state[i - 1] >> 30).wrapping_mul(1_664_525);
            state[i] = (state[i] ^ mixed).wrapping_add(seed);
            i = advance(&mut state, i);
        }
        for _ in 1..WORDS {
            let mixed = (state[i - 1] ^ state[i - 1] >> 30).wrapping_mul(1_566_083_941);
            state[i] = (state[i] ^ mixed).wrapping_sub(i as u32);
            i = advance(&mut state, i);
        }
        state[0] = 1 << 31;
        Self { state, next: WORDS }
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    fn twist(&mut self) {
        for i in 0..WORDS {
            let joined = self.state[i] & 1 << 31 | self.state[(i + 1) % WORDS] & !(1 << 31);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + APART) % WORDS] ^ joined >> 1 ^ odd;
        }
        self.next = 0;
    }

    /// A number below this one: the first of its length in bits that is.
    fn below(&mut self, end: u32) -> u32 {
        let unused = end.leading_zeros();
        loop {
            let drawn = self.word() >> unused;
            if drawn < end {
                return drawn;
            }
        }
    }

    /// `randint`: both ends are in.
    fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }
}

/// The next word to seed; the last one is carried to the front.
fn advance(state: &mut [u32; WORDS], i: usize) -> usize {
    if i + 1 < WORDS {
        return i + 1;
    }
    state[0] = state[WORDS - 1];
    1
}

/// The 64 requests of a seed.
#[must_use]
pub fn drawn(seed: u32) -> Vec<Job> {
    let mut random = PythonRandom::new(seed);
    let mut draw = || {
        let tier = [0, 1, 1, 2, 2, 2][random.below(6) as usize];
        let prompt = random.between(64, 1_024);
        Job::new(tier, prompt, random.between(32, 512))
    };
    (0..64).map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draws_are_those_of_python() {
        let rows =
            |seed| -> Vec<_> { drawn(seed).iter().map(|job| (job.tier, job.prompt, job.output)).collect() };
        assert_eq!(rows(0)[..3], [(2, 840, 487), (2, 105, 164), (2, 561, 239)]);
        assert_eq!(rows(4)[61..], [(0, 124, 63), (0, 818, 118), (2, 757, 108)]);
    }
}
