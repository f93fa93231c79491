//! The counters of section 13 of the page, kept by a host beside the scheduler from what it sees: one tier of one pool in
//! the order `Fair`.

/// Counters are in cost times this, by weight.
pub(crate) const SCALE: i128 = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Line {
    weight: u32,
    base: i128,
    served: i128,
    waiting: u32,
}

impl Line {
    fn counter(&self) -> i128 {
        self.base + self.served * SCALE / i128::from(self.weight)
    }
}

/// What each tenant has been charged, lifted as the page says.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    lines: Vec<Line>,
    /// What the last newcomer was lifted to.
    floor: i128,
    /// Whose requests waited last.
    last: Option<usize>,
}

impl Counters {
    /// One for each of these weights.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let line = |&weight: &u32| Line { weight, base: 0, served: 0, waiting: 0 };
        Self { lines: weights.iter().map(line).collect(), floor: 0, last: None }
    }

    /// A request of a tenant begins to wait: the first lifts its counter.
    pub(crate) fn submitted(&mut self, tenant: usize) {
        if self.lines[tenant].waiting == 0 {
            let reached = self.least().or(self.last.map(|last| self.lines[last].counter()));
            self.floor = self.floor.max(reached.unwrap_or(0));
            let line = &mut self.lines[tenant];
            line.base += (self.floor - line.counter()).max(0);
        }
        self.lines[tenant].waiting += 1;
    }

    /// A request of a tenant starts: whether nobody else who waits had less.
    pub(crate) fn started(&mut self, tenant: usize) -> bool {
        let was_least = self.least() == Some(self.lines[tenant].counter());
        self.withdrawn(tenant);
        was_least
    }

    /// A request of a tenant waits no more.
    pub(crate) fn withdrawn(&mut self, tenant: usize) {
        self.lines[tenant].waiting -= 1;
        if self.lines[tenant].waiting == 0 {
            self.last = Some(tenant);
        }
    }

    /// A request of a tenant costs `after` in place of `before`.
    pub(crate) fn charged(&mut self, tenant: usize, before: u64, after: u64) {
        self.lines[tenant].served += i128::from(after) - i128::from(before);
    }

    /// How far the counters of those who have something waiting are apart, in cost times [`SCALE`].
    pub(crate) fn gap(&self) -> i128 {
        let most = self.backlogged().map(Line::counter).max();
        most.zip(self.least()).map_or(0, |(most, least)| most - least)
    }

    fn least(&self) -> Option<i128> {
        self.backlogged().map(Line::counter).min()
    }

    fn backlogged(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.waiting > 0)
    }
}
