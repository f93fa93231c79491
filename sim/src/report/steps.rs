//! Curves over time as steps, a chart below the other.

use std::fmt::Write;

use super::Escaped;
use super::sheet::{WIDTH, sheet};

/// A line: what it is, and its points, from left to right.
pub type Line = (String, Vec<(f64, f64)>);
/// A chart: its title, and its lines.
pub type Chart = (String, Vec<Line>);

const COLOURS: [&str; 4] = ["#2f7fc1", "#d98032", "#8c8c8c", "#4f9d69"];
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 40.0;

/// Charts with these words at their axes. O(points).
#[must_use]
pub fn steps(charts: &[Chart], across: &str, up: &str) -> String {
    let each = TOP + HEIGHT + BOTTOM;
    let all = each * charts.len() as f64;
    let body: String =
        charts.iter().enumerate().map(|(place, chart)| one(chart, place as f64 * each, across, up)).collect();
    sheet(all, &body)
}

fn one((title, lines): &Chart, top: f64, across: &str, up: &str) -> String {
    let taken = "a string takes all that is written to it";
    let points = || lines.iter().flat_map(|(_, points)| points);
    let most_x = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
    let most_y = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
    let floor = top + TOP + HEIGHT;
    let y = |value: f64| floor - value / most_y * HEIGHT;
    let mut text = format!("<text class=\"title\" x=\"12\" y=\"{}\">{}</text>\n", top + 20.0, Escaped(title));
    writeln!(
        text,
        "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {} V{floor} H{}\"/>",
        y(most_y),
        WIDTH - RIGHT
    )
    .expect(taken);
    for (value, at) in [(0.0, floor), (most_y, y(most_y))] {
        writeln!(text, "<text x=\"{}\" y=\"{at:.1}\" text-anchor=\"end\">{value:.0}</text>", LEFT - 6.0)
            .expect(taken);
    }
    let (end, below) = (WIDTH - RIGHT, floor + 16.0);
    writeln!(
        text,
        "<text x=\"{end}\" y=\"{below}\" text-anchor=\"end\">{most_x:.0} {}</text>",
        Escaped(across)
    )
    .expect(taken);
    writeln!(text, "<text x=\"12\" y=\"{}\">{}</text>", top + TOP - 8.0, Escaped(up)).expect(taken);
    for (place, ((name, points), colour)) in lines.iter().zip(COLOURS.into_iter().cycle()).enumerate() {
        let mut path = String::new();
        for (step, &(at, value)) in points.iter().enumerate() {
            let (x, y) = (x(at), y(value));
            // A number holds until the next is known.
            if step == 0 { write!(path, "M{x:.1} {y:.1}") } else { write!(path, "H{x:.1}V{y:.1}") }
                .expect(taken);
        }
        writeln!(text, "<path fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" d=\"{path}\"/>")
            .expect(taken);
        let (at, line) = (LEFT + place as f64 * 150.0, top + 36.0);
        writeln!(
            text,
            "<rect x=\"{at}\" y=\"{}\" width=\"12\" height=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"{line}\">{}</text>",
            line - 6.0,
            at + 18.0,
            Escaped(name)
        )
        .expect(taken);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_steps_from_edge_to_edge() {
        let lines = vec![("a<b".to_owned(), vec![(0.0, 1.0), (5.0, 2.0), (10.0, 0.0)])];
        let svg = steps(&[("chart".to_owned(), lines)], "minutes", "workers");
        assert!(svg.contains("d=\"M60.0 180.0H500.0V60.0H940.0V300.0\""), "{svg}");
        assert!(svg.contains("a&lt;b") && svg.contains("10 minutes"), "{svg}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(
            steps(&[("empty".to_owned(), vec![("none".to_owned(), Vec::new())])], "x", "y")
                .contains("d=\"\"")
        );
    }
}
