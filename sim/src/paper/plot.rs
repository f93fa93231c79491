//! One figure of a table as bars, side by side: what is published, what comes out, and tidegate; no library,
//! since bars are rectangles and words.

use std::fmt::Write;

use super::draws::Figures;
use crate::report::Escaped;
use crate::report::sheet::{WIDTH, sheet};

/// What is side by side, with its colours.
const SERIES: [(&str, &str); 3] =
    [("published", "#8c8c8c"), ("reproduced", "#d98032"), ("tidegate", "#2f7fc1")];
/// Where bars begin: words are before them.
const LEFT: f64 = 300.0;
/// What is left for the figure behind a bar.
const RIGHT: f64 = 80.0;
const BAR: f64 = 11.0;
const BETWEEN: f64 = 9.0;
const TOP: f64 = 58.0;

/// One row: its name, and its figures as in [`SERIES`].
pub type Bars<'a> = (String, [&'a Figures; 3]);

/// One figure of all rows that have it. O(rows).
#[must_use]
pub fn bars(title: &str, figure: &str, rows: &[Bars<'_>]) -> String {
    let values = |row: &Bars<'_>| row.1.map(|figures| figures.get(figure).copied());
    let shown: Vec<_> = rows.iter().filter(|row| values(row).iter().any(Option::is_some)).collect();
    let most = shown.iter().flat_map(|row| values(row)).flatten().fold(f64::MIN_POSITIVE, f64::max);
    let (mut y, mut body) = (TOP, String::new());
    for row in shown {
        let text = "a string takes all that is written to it";
        let name = Escaped(&row.0);
        writeln!(body, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>", LEFT - 8.0, y + BAR)
            .expect(text);
        for (value, (_, colour)) in values(row).into_iter().zip(SERIES) {
            let Some(value) = value else { continue };
            let wide = (value.max(0.0) / most) * (WIDTH - LEFT - RIGHT);
            writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" style=\"font-size:9px\">{value:.2}</text>",
                BAR - 1.0,
                LEFT + wide + 4.0,
                y + BAR - 2.0
            )
            .expect(text);
            y += BAR;
        }
        y += BETWEEN;
    }
    let legend = SERIES.iter().zip(0..).map(|((name, colour), place)| {
        let x = LEFT + f64::from(place) * 130.0;
        format!("<rect x=\"{x}\" y=\"34\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"44\">{name}</text>", x + 18.0)
    });
    let legend: String = legend.collect();
    let title = Escaped(title);
    sheet(y, &format!("<text class=\"title\" x=\"12\" y=\"20\">{title}: {figure}</text>\n{legend}\n{body}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_of_the_largest_figure_and_rows_without_it_are_left_out() {
        let (none, four) = (Figures::new(), Figures::from([("x", 4.0)]));
        let (two, other) = (Figures::from([("x", 2.0)]), Figures::from([("y", 9.0)]));
        let rows = [("a<b".to_owned(), [&none, &two, &four]), ("c".to_owned(), [&other, &none, &none])];
        let svg = bars("T", "x", &rows);
        let widths: Vec<&str> =
            svg.lines().filter(|line| line.starts_with("<rect x=\"300\" y=\"5")).collect();
        assert!(svg.contains("a&lt;b") && !svg.contains(">c<"), "{svg}");
        assert!(svg.contains("width=\"580.0\"") && svg.contains("width=\"290.0\""), "{widths:?}");
    }
}
