//! `replay --plot`: capacity by tier over time as one SVG, readable on light and dark paper: reserves, what is borrowed beyond
//! them, and what is reclaimed; as long as there is a backlog, and a little longer. The charts are those of the page.

use std::fmt::{self, Write};

use super::Results;
use super::html::capacity::Capacity;
use super::html::{Escaped, TIER_COLOURS, shown_tiers};
use super::sheet::{WIDTH, sheet};
use crate::replay::{Outcome, Timeline};
use crate::setup::SetupKind;

/// Where the two charts are, and how high.
const MEMORY: [f64; 2] = [62.0, 260.0];
const RECLAIMED: [f64; 2] = [354.0, 110.0];
const HEIGHT: f64 = RECLAIMED[0] + RECLAIMED[1] + 4.0;
/// What a tier has of the line below the title.
const LEGEND: f64 = 180.0;

/// Writes the picture of tidegate, or of the first set-up where tidegate is not among them; of a replay that watched. O(steps).
///
/// # Panics
/// If `out` fails.
pub fn picture(results: &Results, out: &mut impl Write) {
    let watched = || results.main.outcomes.iter().filter(|(_, outcome)| outcome.timeline.is_some());
    let tidegate = watched().find(|(kind, _)| *kind == SetupKind::Tidegate);
    if let Some((kind, outcome)) = tidegate.or_else(|| watched().next())
        && let Some(timeline) = &outcome.timeline
    {
        let mut elements = String::new();
        draw(results, *kind, outcome, timeline, &mut elements)
            .expect("a string takes all that is written to it");
        out.write_str(&sheet(HEIGHT, &elements)).expect("the file keeps its errors");
    }
}

fn draw(
    results: &Results,
    kind: SetupKind,
    outcome: &Outcome,
    timeline: &Timeline,
    out: &mut impl Write,
) -> fmt::Result {
    let capacity = Capacity::new(results, timeline, end(results, outcome, timeline), WIDTH);
    let partial = if results.is_partial() { ", until it was stopped" } else { "" };
    title(out, 24.0, &format!("{}: {}{partial}", Capacity::MEMORY, kind.name()))?;
    legend(results, &capacity, out)?;
    at(out, MEMORY[0], |out| capacity.memory(MEMORY[1], out))?;
    title(out, RECLAIMED[0] - 10.0, &capacity.reclaimed_title())?;
    at(out, RECLAIMED[0], |out| capacity.reclaimed(RECLAIMED[1], out))
}

/// When the last of the least urgent tier that waits has begun, and a fifth of that later: what comes then has room for all.
fn end(results: &Results, outcome: &Outcome, timeline: &Timeline) -> f64 {
    let least = shown_tiers(results).last().map(|(tier, _)| &timeline.tiers[tier]);
    let waits = least.and_then(|tier| tier.waiting.iter().rposition(|&waiting| waiting > 0.0));
    let all = outcome.simulated_ns as f64;
    waits.map_or(all, |step| all.min((step + 1) as f64 * timeline.step_ns as f64 * 1.2))
}

fn title(out: &mut impl Write, y: f64, text: &str) -> fmt::Result {
    writeln!(out, "<text class=\"title\" x=\"12\" y=\"{y}\">{}</text>", Escaped(text))
}

/// A chart so far below the upper edge.
fn at<W: Write>(out: &mut W, y: f64, chart: impl FnOnce(&mut W) -> fmt::Result) -> fmt::Result {
    write!(out, "<g transform=\"translate(0 {y})\">")?;
    chart(out)?;
    out.write_str("</g>\n")
}

/// For each tier its two colours; then what they mean, and the line of the reserve.
fn legend(results: &Results, capacity: &Capacity<'_>, out: &mut impl Write) -> fmt::Result {
    const Y: f64 = 50.0;
    let mut x = 12.0;
    for (tier, name) in shown_tiers(results) {
        let colour = tier % TIER_COLOURS;
        for (place, opacity) in [(x, 0.9), (x + 16.0, 0.38)] {
            write!(
                out,
                "<rect x=\"{place}\" y=\"{}\" width=\"16\" height=\"10\" style=\"fill:var(--t{colour});fill-opacity:{opacity}\"/>",
                Y - 9.0
            )?;
        }
        writeln!(out, "<text x=\"{}\" y=\"{Y}\">P{tier} {}</text>", x + 38.0, Escaped(name))?;
        x += LEGEND;
    }
    let Some(reserve) = capacity.first_reserve() else { return Ok(()) };
    writeln!(
        out,
        "<text x=\"{}\" y=\"{Y}\" text-anchor=\"end\">full colour: within its reserve; pale: borrowed; dashed: P0&#39;s reserve, {:.0} %</text>",
        WIDTH - 14.0,
        reserve * 100.0
    )
}
