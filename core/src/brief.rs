//! Numbers of 64 bits in 31, in the same order: exact below 2^26, and to one part in 2^25 beyond.
//!
//! What a search compares by the thousand: half the memory, and a processor compares four at once. Who searches rounds so
//! that nothing is passed by, and looks at the exact numbers of what it finds.

/// Numbers of so many bits are exact: what is left of 31 when 38 lengths beyond have their place.
const EXACT_BITS: u32 = 26;

/// A few numbers, each rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Brief<const N: usize>(
    #[cfg_attr(feature = "snapshot", serde(with = "serde_big_array::BigArray"))] [i32; N],
);

impl<const N: usize> Brief<N> {
    /// Reads ahead.
    #[inline(always)]
    pub(crate) fn fetch(&self) -> u64 {
        self.0[0] as u64
    }
}

impl<const N: usize> Default for Brief<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Brief<N> {
    pub(crate) fn rounded_down(numbers: [u64; N]) -> Self {
        Self(numbers.map(code))
    }

    pub(crate) fn rounded_up(numbers: [u64; N]) -> Self {
        Self(numbers.map(|number| {
            let code = code(number);
            if number >> EXACT_BITS > 0 && value(code) < number { code + 1 } else { code }
        }))
    }

    /// Numbers that are rounded to these: at least what was rounded up to them, at most what was rounded down. What is more
    /// than a word is the largest word.
    pub(crate) fn values(&self) -> [u64; N] {
        self.0.map(value)
    }

    /// Whether each is at most the other's.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        // All are compared, without a branch for each.
        let mut beyond = 0;
        for index in 0..N {
            beyond |= i32::from(self.0[index] > other.0[index]);
        }
        beyond == 0
    }

    pub(crate) fn min(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|index| self.0[index].min(other.0[index])))
    }

    pub(crate) fn max(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|index| self.0[index].max(other.0[index])))
    }

    /// The first few of them.
    pub(crate) fn first<const M: usize>(&self) -> Brief<M> {
        const { assert!(M <= N, "it has so many") };
        Brief(core::array::from_fn(|index| self.0[index]))
    }
}

/// Rounded down: the number itself, or its leading bits and how many others there are.
fn code(number: u64) -> i32 {
    if number >> EXACT_BITS == 0 {
        return number as i32;
    }
    let more_bits = (u64::BITS - number.leading_zeros()).saturating_sub(EXACT_BITS);
    ((more_bits << (EXACT_BITS - 1)) as i32) + (number >> more_bits) as i32
}

/// The least number with this code.
fn value(code: i32) -> u64 {
    let more_bits = (code as u32 >> (EXACT_BITS - 1)).saturating_sub(1);
    let leading = code as u32 - (more_bits << (EXACT_BITS - 1));
    u64::try_from(u128::from(leading) << more_bits).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = u64> {
        (0_u32..64, any::<u64>()).prop_map(|(bits, number)| number >> bits)
    }

    proptest! {
        #[test]
        fn keeps_the_order_and_rounds_as_it_says(one in numbers(), other in numbers()) {
            let [down, up] = [Brief::rounded_down([one]), Brief::rounded_up([one])];
            prop_assert!(down.values() <= [one] && [one] <= up.values());
            let near = |value: u64| one.abs_diff(value) <= one >> (EXACT_BITS - 1);
            prop_assert!(near(down.values()[0]) && near(up.values()[0]));
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(Brief::rounded_down([less]).is_within(&Brief::rounded_down([more])));
            prop_assert!(Brief::rounded_up([less]).is_within(&Brief::rounded_up([more])));
        }
    }

    #[test]
    fn small_numbers_are_exact_and_the_largest_fits() {
        for number in (0..1000).chain((1 << EXACT_BITS) - 3..=1 << EXACT_BITS) {
            assert_eq!(Brief::rounded_down([number]).values(), [number]);
            assert_eq!(Brief::rounded_up([number]), Brief::rounded_down([number]));
        }
        assert_eq!(Brief::rounded_up([u64::MAX]).values(), [u64::MAX]);
        assert!(Brief::rounded_down([u64::MAX]).values()[0] < u64::MAX);
    }
}
