//! How a page of metrics is written: families with their heads, samples with labels, numbers as decimals.
//!
//! Knows the two text formats, not what stands on the page. O(what is written), no memory.

use core::fmt::{self, Display, Write};

use super::MetricsFormat;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page under the hand.
pub(super) struct Page<'a, W> {
    pub(super) out: &'a mut W,
    pub(super) format: MetricsFormat,
}

/// The samples of one family.
pub(super) struct Family<'p, W> {
    out: &'p mut W,
    name: &'static str,
    suffix: &'static str,
}

pub(super) type Label<'a> = (&'static str, &'a str);

impl<W: Write> Page<'_, W> {
    /// Begins a family. What comes before it in the page is over. In OpenMetrics the name of a counter is without the
    /// `_total` of its samples.
    pub(super) fn family(
        &mut self,
        kind: Kind,
        name: &'static str,
        help: &str,
    ) -> Result<Family<'_, W>, fmt::Error> {
        let suffix = if kind == Kind::Counter { "_total" } else { "" };
        let is_open = self.format == MetricsFormat::OpenMetrics;
        let head = if is_open { "" } else { suffix };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(self.out, "# TYPE {name}{head} {kind}")?;
        if is_open && name.ends_with("_seconds") {
            writeln!(self.out, "# UNIT {name} seconds")?;
        }
        writeln!(self.out, "# HELP {name}{head} {help}")?;
        Ok(Family { out: self.out, name, suffix })
    }

    /// Ends the page.
    pub(super) fn end(self) -> fmt::Result {
        if self.format == MetricsFormat::OpenMetrics { self.out.write_str("# EOF\n") } else { Ok(()) }
    }
}

impl<W: Write> Family<'_, W> {
    /// One number under its labels.
    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) -> fmt::Result {
        let Self { name, suffix, .. } = *self;
        write!(self.out, "{name}{suffix}")?;
        self.labels(labels.iter().map(|&(label, value)| (label, Text::Name(value))))?;
        writeln!(self.out, " {value}")
    }

    /// A histogram: how many were at most as long as each bound, and all; and their sum.
    pub(super) fn histogram(
        &mut self,
        labels: &[Label<'_>],
        cumulative: impl Iterator<Item = (Option<u64>, u64)>,
        sum_ns: u128,
    ) -> fmt::Result {
        let name = self.name;
        let own = || labels.iter().map(|&(label, value)| (label, Text::Name(value)));
        let mut all = 0;
        for (bound, count) in cumulative {
            all = count;
            write!(self.out, "{name}_bucket")?;
            self.labels(own().chain([("le", bound.map_or(Text::Name("+Inf"), Text::Bound))]))?;
            writeln!(self.out, " {count}")?;
        }
        for (part, value) in [("count", Decimal::whole(all)), ("sum", Decimal::seconds(sum_ns))] {
            write!(self.out, "{name}_{part}")?;
            self.labels(own())?;
            writeln!(self.out, " {value}")?;
        }
        Ok(())
    }

    fn labels<'l>(&mut self, labels: impl Iterator<Item = (&'static str, Text<'l>)>) -> fmt::Result {
        let mut sign = '{';
        for (label, value) in labels {
            write!(self.out, "{sign}{label}=\"{value}\"")?;
            sign = ',';
        }
        if sign == ',' { self.out.write_char('}') } else { Ok(()) }
    }
}

/// The value of a label.
enum Text<'a> {
    Name(&'a str),
    /// Nanoseconds, written as seconds.
    Bound(u64),
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(ns) => Decimal::seconds(u128::from(*ns)).fmt(f),
            Self::Name(name) => name.chars().try_for_each(|sign| match sign {
                '\\' => f.write_str("\\\\"),
                '"' => f.write_str("\\\""),
                '\n' => f.write_str("\\n"),
                sign => f.write_char(sign),
            }),
        }
    }
}

/// A number with so many digits behind the point, exact; zeros at the end are left out, as `0.5` has none.
#[derive(Clone, Copy)]
pub(super) struct Decimal {
    units: u128,
    digits: usize,
}

impl Decimal {
    pub(super) const fn whole(number: u64) -> Self {
        Self { units: number as u128, digits: 0 }
    }

    /// Seconds of nanoseconds.
    pub(super) const fn seconds(nanos: u128) -> Self {
        Self { units: nanos, digits: 9 }
    }

    /// A ratio of parts per million.
    pub(super) const fn ratio(ppm: u64) -> Self {
        Self { units: ppm as u128, digits: 6 }
    }
}

impl Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut digits, mut units) = (self.digits, self.units);
        while digits > 0 && units % 10 == 0 {
            (digits, units) = (digits - 1, units / 10);
        }
        if digits == 0 {
            return write!(f, "{units}");
        }
        let one = 10_u128.pow(digits as u32);
        write!(f, "{}.{:0digits$}", units / one, units % one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    #[test]
    fn decimals_are_exact_and_short() {
        let seconds = |nanos| Decimal::seconds(nanos).to_string();
        assert_eq!(
            [0, 1, 125_000, 1_500_000_000, 3_000_000_000].map(seconds),
            ["0", "0.000000001", "0.000125", "1.5", "3"]
        );
        assert_eq!(seconds(u128::MAX), "340282366920938463463374607431.768211455");
        assert_eq!(Decimal::ratio(750_000).to_string(), "0.75");
    }

    #[test]
    fn what_a_name_has_cannot_end_its_label() {
        let mut text = String::new();
        let mut page = Page { out: &mut text, format: MetricsFormat::Prometheus };
        let mut family = page.family(Kind::Gauge, "a", "b").expect("a string takes everything");
        family.sample(&[("c", "\"\\\n}")], 1).expect("a string takes everything");
        assert!(text.ends_with("a{c=\"\\\"\\\\\\n}\"} 1\n"), "{text}");
    }
}
