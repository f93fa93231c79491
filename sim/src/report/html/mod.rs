//! `replay --report`: one page of HTML with all that it needs: no script, nothing to fetch, colours for light and dark.
//!
//! Decides what a reader sees first: the set-ups side by side, then latencies by tier, money, memory over time, tenants.

pub(super) mod capacity;
mod chart;
mod money;

use std::fmt::{self, Write};

use super::Results;
use crate::machine::Machine;
use crate::percentile::Percentiles;
use crate::policy::Discipline;
use crate::replay::{Curves, Outcome, TierOutcome, Timeline};
use crate::setup::SetupKind;
use capacity::Capacity;
use chart::Plot;

/// Colours, light and dark, and how parts of charts are drawn with them.
pub(super) const CHART_STYLE: &str = include_str!("chart.css");
const STYLE: &str = include_str!("style.css");

/// Tenants that are shown, those first who got most.
const TENANTS_SHOWN: usize = 16;

/// Colours of tiers in the style sheet.
pub(super) const TIER_COLOURS: usize = 8;

/// Writes the page.
///
/// # Panics
/// If `out` fails.
pub fn html(results: &Results, out: &mut impl Write) {
    page(results, out).expect("the file keeps its errors");
}

fn page(results: &Results, out: &mut impl Write) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION");
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>tidegate replay</title><style>\n{CHART_STYLE}{STYLE}</style></head><body>\n<h1>tidegate {version} replay</h1>\n"
    )?;
    if results.is_partial() {
        out.write_str("<p class=\"partial\">Partial: stopped before its end. All figures are of the time until then.</p>")?;
    }
    for source in &results.traces {
        writeln!(out, "<p class=\"soft\">{}</p>", Escaped(source))?;
    }
    writeln!(
        out,
        "<p>{} workers of <b>{}</b>, seed {}, arrival rate × {}.</p>",
        results.workers,
        results.machine.id(),
        results.seed,
        results.main.scale
    )?;
    if results.slowdown != 1.0 {
        let factor = results.slowdown;
        writeln!(
            out,
            "<p class=\"soft\">They share devices: while all compute, an iteration takes {factor:.2} times as long as the model says.</p>"
        )?;
    }
    summary(results, out)?;
    latencies(results, out)?;
    money::section(results, out)?;
    for (kind, outcome) in &results.main.outcomes {
        if let Some(timeline) = &outcome.timeline {
            over_time(results, *kind, outcome, timeline, out)?;
        }
    }
    for (kind, outcome) in &results.main.outcomes {
        if let Some(timeline) = &outcome.timeline {
            tenants(results, *kind, timeline, out)?;
        }
    }
    out.write_str("</body></html>\n")
}

/// The set-ups side by side.
fn summary(results: &Results, out: &mut impl Write) -> fmt::Result {
    out.write_str("<h2>Side by side</h2><div class=\"card scroll\"><table><thead><tr><th></th>")?;
    for (kind, _) in &results.main.outcomes {
        write!(out, "<th>{}</th>", kind.name())?;
    }
    out.write_str("</tr></thead><tbody>")?;
    let mut row = |name: &str, cell: &dyn Fn(&Outcome) -> String| {
        write!(out, "<tr><td>{}</td>", Escaped(name))?;
        for (_, outcome) in &results.main.outcomes {
            write!(out, "<td>{}</td>", cell(outcome))?;
        }
        out.write_str("</tr>\n")
    };
    let has_tokens = matches!(results.machine, Machine::Engine { .. });
    for (tier, name) in shown_tiers(results) {
        let of = |outcome: &Outcome| outcome.tiers[tier].clone();
        row(&format!("P{tier} {name}: completed of submitted"), &|outcome| {
            let counts = of(outcome).counts;
            format!("{} of {}", counts.completed, counts.submitted)
        })?;
        let delay = |outcome: &Outcome| if has_tokens { of(outcome).ttft } else { of(outcome).queue_delay };
        let what = if has_tokens { "first token" } else { "queue delay" };
        row(&format!("P{tier} {name}: {what}, p50 / p99"), &|outcome| pair(delay(outcome)))?;
        row(&format!("P{tier} {name}: preemptions"), &|outcome| of(outcome).preemptions.to_string())?;
    }
    row("utilisation", &|outcome| format!("{:.1} %", 100.0 * outcome.utilisation))?;
    if has_tokens {
        row("output tokens per s", &|outcome| format!("{:.0}", outcome.output_tokens_per_s))?;
        row("worker hours per million output tokens", &|outcome| {
            let hours = results.workers as f64 / 3_600.0;
            let per_second = outcome.output_tokens_per_s;
            if per_second > 0.0 { format!("{:.2}", hours * 1e6 / per_second) } else { "-".to_owned() }
        })?;
    }
    row("simulated", &|outcome| time(outcome.simulated_ns as f64))?;
    out.write_str("</tbody></table></div>\n")
}

/// A card for each tier and distribution, a line for each set-up.
fn latencies(results: &Results, out: &mut impl Write) -> fmt::Result {
    out.write_str(
        "<h2>Latencies by tier</h2><p class=\"soft\">The share of requests that took at most so long; ",
    )?;
    out.write_str("the further to the left, the better.</p><div class=\"legend\">")?;
    for (kind, _) in &results.main.outcomes {
        write!(
            out,
            "<span><b class=\"stroke\" style=\"border-color:var(--{})\"></b>{}</span>",
            colour(*kind),
            kind.name()
        )?;
    }
    out.write_str("</div>")?;
    type Pick = fn(&Curves) -> &[u64];
    let picks: [(&str, Pick); 3] = [
        ("first token", |curves| &curves.ttft),
        ("each further token", |curves| &curves.tpot),
        ("queue delay", |curves| &curves.queue_delay),
    ];
    for (tier, name) in shown_tiers(results) {
        write!(out, "<div class=\"grid\" style=\"margin-bottom:14px\">")?;
        for (what, pick) in picks {
            let curve = |outcome: &Outcome| {
                outcome.tiers[tier].curves.as_ref().map(|curves| pick(curves).to_vec()).unwrap_or_default()
            };
            let curves: Vec<_> = results.main.outcomes.iter().map(|(kind, o)| (*kind, curve(o))).collect();
            if curves.iter().any(|(_, curve)| !curve.is_empty()) {
                let title = format!("P{tier} {}: {what}", Escaped(name));
                write!(out, "<div class=\"card\"><h3>{title}</h3>")?;
                distribution(&curves, &title, out)?;
                out.write_str("</div>")?;
            }
        }
        out.write_str("</div>\n")?;
    }
    Ok(())
}

fn distribution(curves: &[(SetupKind, Vec<u64>)], title: &str, out: &mut impl Write) -> fmt::Result {
    /// What is quicker is drawn as if it took this long, a tenth of a millisecond.
    const LEAST_NS: f64 = 1e5;
    let log = |ns: u64| (ns as f64).max(LEAST_NS).log10();
    let all = || curves.iter().flat_map(|(_, curve)| curve);
    let least = all().map(|&ns| log(ns)).fold(f64::INFINITY, f64::min).floor();
    let most = all().map(|&ns| log(ns)).fold(f64::NEG_INFINITY, f64::max).ceil().max(least + 1.0);
    let x_ticks: Vec<_> =
        (least as i32..=most as i32).map(|power| (power.into(), decade(power, most - least))).collect();
    let y_ticks = [0.0, 0.5, 0.9, 1.0].map(|share: f64| (share, format!("{:.0} %", share * 100.0)));
    let plot = Plot {
        width: 380.0,
        height: 210.0,
        x: [least, most],
        x_ticks: &x_ticks,
        top: 1.0,
        y_ticks: &y_ticks,
    };
    plot.draw(out, title, |out| {
        for (kind, curve) in curves {
            let name = kind.name();
            let dash = match kind {
                SetupKind::Dedicated => ";stroke-dasharray:7 4",
                SetupKind::Naive => ";stroke-dasharray:2 3",
                SetupKind::Tidegate | SetupKind::Policy(_) => "",
            };
            let last = curve.len().saturating_sub(1).max(1) as f64;
            let points = curve.iter().enumerate().map(|(part, &ns)| (log(ns), part as f64 / last));
            let style = format!("stroke:var(--{}){dash}", colour(*kind));
            let at = |part: usize| curve.get(part).map_or_else(String::new, |&ns| time(ns as f64));
            plot.curve(out, &style, &format!("{name}: p50 {}, p99 {}", at(50), at(99)), points)?;
        }
        Ok(())
    })
}

/// The name of a set-up's colour in the style sheet. Policies have those of the tiers.
fn colour(kind: SetupKind) -> String {
    match kind {
        SetupKind::Policy(discipline) => {
            let place = Discipline::ALL.iter().position(|&other| other == discipline).unwrap_or(0);
            format!("t{}", place % TIER_COLOURS)
        }
        own => own.name().to_owned(),
    }
}

/// A power of ten of nanoseconds, in units of a thousand. Of many every second one has no text: there is no room.
fn decade(power: i32, decades: f64) -> String {
    if decades > 6.0 && power % 2 != 0 {
        return String::new();
    }
    let units = ["ns", "µs", "ms", "s"];
    let unit = (power / 3).clamp(0, units.len() as i32 - 1);
    format!("{} {}", 10_u64.pow((power - 3 * unit) as u32), units[unit as usize])
}

/// Memory by tier, requests that wait and preemptions of one set-up.
fn over_time(
    results: &Results,
    kind: SetupKind,
    outcome: &Outcome,
    timeline: &Timeline,
    out: &mut impl Write,
) -> fmt::Result {
    let capacity = Capacity::new(results, timeline, outcome.simulated_ns as f64, 1160.0);
    write!(out, "<h2>{}: capacity over time</h2><div class=\"card\">", kind.name())?;
    write!(out, "<h3>{}</h3>", Capacity::MEMORY)?;
    legend(results, timeline, out)?;
    capacity.memory(280.0, out)?;
    out.write_str("<h3 style=\"margin-top:12px\">Requests that wait</h3>")?;
    capacity.waiting(130.0, out)?;
    write!(out, "<h3 style=\"margin-top:12px\">{}</h3>", capacity.reclaimed_title())?;
    capacity.reclaimed(130.0, out)?;
    out.write_str("</div>\n")
}

fn legend(results: &Results, timeline: &Timeline, out: &mut impl Write) -> fmt::Result {
    out.write_str("<div class=\"legend\">")?;
    let has_reserves = timeline.tiers.iter().any(|tier| tier.reserve > 0.0);
    for (tier, name) in shown_tiers(results) {
        let colour = tier % TIER_COLOURS;
        let name = Escaped(name);
        if has_reserves {
            write!(
                out,
                "<span><b style=\"background:var(--t{colour})\"></b>P{tier} {name}, within its reserve</span>"
            )?;
        }
        let what = if has_reserves { "borrowed" } else { "no reserve" };
        write!(
            out,
            "<span><b class=\"lent\" style=\"background:var(--t{colour})\"></b>P{tier} {name}, {what}</span>"
        )?;
    }
    if has_reserves {
        out.write_str("<span><b class=\"stroke\" style=\"border-top-style:dashed\"></b>P0's reserve</span>")?;
    }
    out.write_str("</div>")
}

/// Who got how much.
fn tenants(results: &Results, kind: SetupKind, timeline: &Timeline, out: &mut impl Write) -> fmt::Result {
    let mut order: Vec<usize> = (0..timeline.tenants.len()).collect();
    order.sort_by_key(|&tenant| (std::cmp::Reverse(timeline.tenants[tenant].served), tenant));
    let unit = if matches!(results.machine, Machine::Engine { .. }) { "tokens" } else { "seconds" };
    write!(
        out,
        "<h2>{}: service of the tenants</h2><div class=\"card scroll\"><table><thead><tr><th>tenant</th>",
        kind.name()
    )?;
    write!(
        out,
        "<th>completed</th><th>preemptions</th><th>{unit}</th><th></th><th>over time</th></tr></thead><tbody>"
    )?;
    let most = order.first().map_or(1, |&tenant| timeline.tenants[tenant].served.max(1)) as f64;
    let peak =
        timeline.tenants.iter().flat_map(|tenant| &tenant.served_over_time).copied().max().unwrap_or(0);
    for &tenant in order.iter().take(TENANTS_SHOWN) {
        let of = &timeline.tenants[tenant];
        let name = results.tenants.get(tenant).map_or("", String::as_str);
        write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"bar\"><i style=\"width:{:.1}%\"></i></td><td>",
            Escaped(name),
            of.completed,
            of.preemptions,
            of.served,
            100.0 * of.served as f64 / most
        )?;
        sparkline(&of.served_over_time, peak, out)?;
        out.write_str("</td></tr>\n")?;
    }
    out.write_str("</tbody></table>")?;
    if order.len() > TENANTS_SHOWN {
        write!(out, "<p class=\"soft\">and {} more</p>", order.len() - TENANTS_SHOWN)?;
    }
    out.write_str("</div>\n")
}

/// A small curve, on the scale of all tenants; by the square root, so that small ones are seen.
fn sparkline(values: &[u64], peak: u64, out: &mut impl Write) -> fmt::Result {
    let [width, height] = [220.0, 26.0];
    write!(
        out,
        "<svg viewBox=\"0 0 {width} {height}\" style=\"width:{width}px\" role=\"img\" aria-label=\"over time\">"
    )?;
    out.write_str("<path class=\"curve\" style=\"stroke:var(--t0);stroke-width:1\" d=\"")?;
    for (index, &value) in values.iter().enumerate() {
        let x = width * (index as f64 + 0.5) / values.len() as f64;
        let y = (height - 1.0) * (1.0 - (value as f64 / peak.max(1) as f64).sqrt()) + 0.5;
        write!(out, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })?;
    }
    out.write_str("\"/></svg>")
}

/// Tiers that have requests, and their names.
pub(super) fn shown_tiers(results: &Results) -> impl Iterator<Item = (usize, &str)> {
    let has_requests = |tier: usize| {
        let of = |outcome: &Outcome| outcome.tiers.get(tier).map_or(0, |t: &TierOutcome| t.counts.submitted);
        results.main.outcomes.iter().any(|(_, outcome)| of(outcome) > 0)
    };
    let names = results.tier_names.iter().map(String::as_str).enumerate();
    names.filter(move |&(tier, _)| has_requests(tier))
}

fn pair(percentiles: Percentiles) -> String {
    let text = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), |ns| time(ns as f64));
    format!("{} / {}", text(percentiles.p50), text(percentiles.p99))
}

/// Nanoseconds in the unit that suits them, three digits.
fn time(ns: f64) -> String {
    const UNITS: [(f64, &str); 6] =
        [(86_400e9, "d"), (3_600e9, "h"), (60e9, "min"), (1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    let (unit, name) =
        UNITS.into_iter().find(|(unit, _)| ns >= 2.0 * unit || ns == *unit).unwrap_or((1e3, "µs"));
    if ns == 0.0 { "0".to_owned() } else { format!("{} {name}", short(ns / unit)) }
}

/// Three digits, without zeros at the end.
fn short(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Text from outside, harmless inside HTML, SVG and their attributes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_easy_to_read() {
        let shown = [0.0, 1e5, 1e6, 1.5e6, 1e9, 1.63e9, 95e9, 600e9, 7_200e9, 604_800e9].map(time);
        assert_eq!(
            shown,
            ["0", "100 µs", "1 ms", "1500 µs", "1 s", "1630 ms", "95 s", "10 min", "2 h", "7 d"]
        );
    }

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(Escaped("<b a='\"&'>").to_string(), "&lt;b a=&#39;&quot;&amp;&#39;&gt;");
    }
}
