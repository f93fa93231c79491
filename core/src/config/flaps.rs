//! For how long a worker is kept out that is lost again and again.

/// How losses in a row are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaps {
    /// 0: nobody is kept out.
    pub(crate) backoff_ns: u64,
    pub(crate) backoff_max_ns: u64,
    pub(crate) forget_after_ns: u64,
}

impl Default for Flaps {
    /// Kubernetes' for containers that crash: 10 s, doubled up to 5 minutes, forgotten after 10.
    fn default() -> Self {
        Self { backoff_ns: 10_000_000_000, backoff_max_ns: 300_000_000_000, forget_after_ns: 600_000_000_000 }
    }
}

impl Flaps {
    /// For how long who replaces a worker is kept out after so many losses in a row: not after the first, which may happen to
    /// anybody.
    pub(crate) fn backoff_after(&self, losses: u32) -> u64 {
        let Some(doublings) = losses.checked_sub(2) else { return 0 };
        let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        self.backoff_ns.saturating_mul(factor).min(self.backoff_max_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_from_the_second_loss_up_to_its_bound() {
        let seconds = |losses| Flaps::default().backoff_after(losses) / 1_000_000_000;
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8].map(seconds), [0, 0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!([66, 67, u32::MAX].map(seconds), [300; 3], "it never overflows");
        let off = Flaps { backoff_ns: 0, ..Flaps::default() };
        assert_eq!([1, 2, 99].map(|losses| off.backoff_after(losses)), [0; 3]);
    }
}
