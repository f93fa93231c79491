//! What is drawn as a file of its own: an SVG with a paper below it, readable light and dark, in the colours of the page. Knows
//! nothing of what is drawn.

use super::html::CHART_STYLE;

/// How wide every sheet is.
pub(crate) const WIDTH: f64 = 960.0;

/// A sheet of this height with these elements on it; words of the class `title` stand above a chart.
pub(crate) fn sheet(height: f64, elements: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>\n{CHART_STYLE}svg {{ font-family: system-ui, \"DejaVu Sans\", sans-serif; }}\n\
         .paper {{ fill: var(--back); }} text.title {{ fill: var(--ink); font-size: 15px; }}\n</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n{elements}</svg>\n"
    )
}
