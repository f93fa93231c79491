//! Charts as SVG text: scales, axes, curves and stacked areas. Knows numbers and places, not what they mean.

use std::fmt::{self, Write};

/// A rectangle in which values are drawn, inside a picture of the same width.
pub(super) struct Plot<'a> {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The values at the left and right edge, and what is written below some of them.
    pub(super) x: [f64; 2],
    pub(super) x_ticks: &'a [(f64, String)],
    /// The value at the upper edge; 0 is at the lower one.
    pub(super) top: f64,
    pub(super) y_ticks: &'a [(f64, String)],
}

/// Room for the texts of the axes.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const ABOVE: f64 = 8.0;
const BELOW: f64 = 22.0;

impl Plot<'_> {
    fn at_x(&self, value: f64) -> f64 {
        let [from, to] = self.x;
        LEFT + (value - from) / (to - from).max(f64::MIN_POSITIVE) * (self.width - LEFT - RIGHT)
    }

    fn at_y(&self, value: f64) -> f64 {
        let share = (value / self.top.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        ABOVE + (1.0 - share) * (self.height - ABOVE - BELOW)
    }

    /// The picture: axes, and what `inside` draws.
    pub(super) fn draw<W: Write>(
        &self,
        out: &mut W,
        label: &str,
        inside: impl FnOnce(&mut W) -> fmt::Result,
    ) -> fmt::Result {
        let (width, height) = (self.width, self.height);
        write!(
            out,
            "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{label}\">"
        )?;
        let (left, right) = (LEFT, width - RIGHT);
        for (value, text) in self.y_ticks {
            let y = self.at_y(*value);
            write!(out, "<path class=\"axis\" d=\"M{left} {y:.1}H{right}\"/>")?;
            write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                left - 6.0,
                y + 4.0
            )?;
        }
        let floor = self.at_y(0.0);
        for (value, text) in self.x_ticks {
            let x = self.at_x(*value);
            write!(out, "<path class=\"axis\" d=\"M{x:.1} {ABOVE}V{floor:.1}\"/>")?;
            let anchor = if x > right - 20.0 { "end" } else { "middle" };
            let x = if x > right - 20.0 { right } else { x };
            write!(
                out,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
                floor + 16.0
            )?;
        }
        inside(out)?;
        out.write_str("</svg>")
    }

    /// A line through points.
    pub(super) fn curve(
        &self,
        out: &mut impl Write,
        style: &str,
        title: &str,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> fmt::Result {
        write!(out, "<path class=\"curve\" style=\"{style}\" d=\"")?;
        for (index, (x, y)) in points.enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            write!(out, "{command}{:.1} {:.1}", self.at_x(x), self.at_y(y))?;
        }
        write!(out, "\"><title>{title}</title></path>")
    }

    /// The area between two rows of values, each of which holds from its step to the next.
    pub(super) fn area(
        &self,
        out: &mut impl Write,
        style: &str,
        title: &str,
        edges: &[f64],
        lower: &[f64],
        upper: &[f64],
    ) -> fmt::Result {
        let x = |index: usize| format!("{:.1}", self.at_x(edges[index]));
        let y = |value: f64| format!("{:.1}", self.at_y(value));
        write!(out, "<path style=\"{style}\" d=\"M{} {}", x(0), y(0.0))?;
        steps(out, upper.iter().enumerate().map(|(step, &value)| (y(value), x(step + 1))))?;
        steps(out, lower.iter().enumerate().rev().map(|(step, &value)| (y(value), x(step))))?;
        write!(out, "Z\"><title>{title}</title></path>")
    }

    /// A level line over the whole width.
    pub(super) fn level(&self, out: &mut impl Write, value: f64, title: &str) -> fmt::Result {
        let (left, right, y) = (LEFT, self.width - RIGHT, self.at_y(value));
        write!(out, "<path class=\"reserve\" d=\"M{left} {y:.1}H{right}\"><title>{title}</title></path>")
    }
}

/// Steps of an outline: each goes up or down to its first place, then along to its second. Those at one height are one.
fn steps(out: &mut impl Write, steps: impl Iterator<Item = (String, String)>) -> fmt::Result {
    let mut steps = steps.peekable();
    let mut height = String::new();
    while let Some((y, x)) = steps.next() {
        if y != height {
            write!(out, "V{y}")?;
        }
        if steps.peek().is_none_or(|(next, _)| *next != y) {
            write!(out, "H{x}")?;
        }
        height = y;
    }
    Ok(())
}

/// Three to six round values from 0 to at least `most`, and the last of them.
pub(super) fn round_ticks(most: f64) -> (f64, Vec<f64>) {
    let rough = (most / 4.0).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let unit =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|unit| unit * power >= rough).unwrap_or(10.0) * power;
    let count = (most / unit).ceil().max(1.0);
    (count * unit, (0..=count as u32).map(|index| f64::from(index) * unit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_all() {
        assert_eq!(round_ticks(1.0), (1.0, vec![0.0, 0.25, 0.5, 0.75, 1.0]));
        assert_eq!(round_ticks(37.0).0, 40.0);
        assert_eq!(round_ticks(0.0).1.len(), 2);
    }

    #[test]
    fn an_area_is_one_outline_without_points_between_steps_of_one_height() {
        let plot = Plot { width: 166.0, height: 130.0, x: [0.0, 4.0], x_ticks: &[], top: 1.0, y_ticks: &[] };
        let mut drawn = String::new();
        let edges = [0.0, 1.0, 2.0, 3.0, 4.0];
        plot.area(&mut drawn, "s", "t", &edges, &[0.0; 4], &[0.5, 0.5, 1.0, 0.0])
            .expect("a string takes all");
        let outline = "M52.0 108.0V58.0H102.0V8.0H127.0V108.0H152.0V108.0H52.0Z";
        assert_eq!(drawn, format!("<path style=\"s\" d=\"{outline}\"><title>t</title></path>"));
    }
}
