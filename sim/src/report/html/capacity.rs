//! Capacity over time as charts: who holds memory within a reserve and beyond it, who waits, and what victims gave back.
//!
//! Decides what the page of a replay and its picture draw alike. Does not know what is around a chart.

use std::fmt::{self, Write};

use super::chart::{Plot, round_ticks};
use super::{Escaped, TIER_COLOURS, short, shown_tiers, time};
use crate::replay::Timeline;
use crate::report::Results;

/// The charts of one set-up, over one axis of time.
pub(in crate::report) struct Capacity<'a> {
    results: &'a Results,
    timeline: &'a Timeline,
    width: f64,
    /// Where steps begin, and where the last one ends, in nanoseconds.
    edges: Vec<f64>,
    x: [f64; 2],
    x_ticks: Vec<(f64, String)>,
}

impl<'a> Capacity<'a> {
    /// What [`memory`](Self::memory) shows, in words.
    pub(in crate::report) const MEMORY: &'static str = "Memory that requests hold, of all workers";

    /// The charts up to `end`, in nanoseconds.
    pub(in crate::report) fn new(results: &'a Results, timeline: &'a Timeline, end: f64, width: f64) -> Self {
        let steps = timeline.tiers.first().map_or(0, |tier| tier.waiting.len());
        let steps = steps.min((end / timeline.step_ns as f64).ceil() as usize);
        let edge = |step: usize| (step as u64 * timeline.step_ns) as f64;
        let edges = (0..=steps).map(|step| edge(step).min(end.max(edge(step.min(1))))).collect();
        let (last, ticks) = round_ticks(end);
        let x_ticks = time_ticks(end.min(last), &ticks);
        Self { results, timeline, width, edges, x: [0.0, end.max(1.0)], x_ticks }
    }

    fn steps(&self) -> usize {
        self.edges.len() - 1
    }

    fn plot<'b>(&'b self, height: f64, top: f64, y_ticks: &'b [(f64, String)]) -> Plot<'b> {
        Plot { width: self.width, height, x: self.x, x_ticks: &self.x_ticks, top, y_ticks }
    }

    /// What each tier holds, one on top of the other: within its reserve in full colour, borrowed in a lighter one.
    pub(in crate::report) fn memory(&self, height: f64, out: &mut impl Write) -> fmt::Result {
        let percents =
            [0.0, 0.25, 0.5, 0.75, 1.0].map(|share: f64| (share, format!("{:.0} %", share * 100.0)));
        let plot = self.plot(height, 1.0, &percents);
        plot.draw(out, "memory by tier", |out| {
            let mut lower = vec![0.0; self.steps()];
            for (tier, name) in shown_tiers(self.results) {
                let of = &self.timeline.tiers[tier];
                for (values, opacity, what) in
                    [(&of.guaranteed, 0.9, "within its reserve"), (&of.borrowed, 0.38, "borrowed")]
                {
                    let upper: Vec<f64> =
                        lower.iter().zip(values).map(|(below, value)| below + value).collect();
                    let style = format!("fill:var(--t{});fill-opacity:{opacity}", tier % TIER_COLOURS);
                    let title = format!("P{tier} {}, {what}", Escaped(name));
                    plot.area(out, &style, &title, &self.edges, &lower, &upper)?;
                    lower = upper;
                }
            }
            match self.first_reserve() {
                Some(reserve) => plot.level(out, reserve, &format!("P0's reserve: {:.0} %", reserve * 100.0)),
                None => Ok(()),
            }
        })
    }

    /// What the most urgent tier has reserved, by all that the workers have.
    pub(in crate::report) fn first_reserve(&self) -> Option<f64> {
        self.timeline.tiers.first().map(|tier| tier.reserve).filter(|&reserve| reserve > 0.0)
    }

    /// A line for each tier.
    pub(super) fn waiting(&self, height: f64, out: &mut impl Write) -> fmt::Result {
        let waiting = self.timeline.tiers.iter().flat_map(|tier| tier.waiting.iter().copied());
        let (top, ticks) = round_ticks(waiting.fold(1.0, f64::max));
        let y_ticks: Vec<_> = ticks.iter().map(|&tick| (tick, short(tick))).collect();
        let plot = self.plot(height, top, &y_ticks);
        plot.draw(out, "requests that wait", |out| {
            for (tier, name) in shown_tiers(self.results) {
                let middle = |step: usize| f64::midpoint(self.edges[step], self.edges[step + 1]);
                let points = self.timeline.tiers[tier].waiting.iter().take(self.steps()).enumerate();
                let points = points.map(|(step, &waiting)| (middle(step), waiting));
                let style = format!("stroke:var(--t{})", tier % TIER_COLOURS);
                plot.curve(out, &style, &format!("P{tier} {}", Escaped(name)), points)?;
            }
            Ok(())
        })
    }

    /// What [`reclaimed`](Self::reclaimed) shows, in words.
    pub(in crate::report) fn reclaimed_title(&self) -> String {
        let shown = |counts: &[u64]| counts.iter().take(self.steps()).sum::<u64>();
        let preemptions: u64 = self.timeline.tiers.iter().map(|tier| shown(&tier.preemptions)).sum();
        let step = time(self.timeline.step_ns as f64);
        format!("Reclaimed by preemption, in % of all memory per {step} ({preemptions} preemptions)")
    }

    /// Bars of what victims gave back, by tier that gave it.
    pub(in crate::report) fn reclaimed(&self, height: f64, out: &mut impl Write) -> fmt::Result {
        let steps = self.steps();
        let sum = |step: usize| self.timeline.tiers.iter().map(|tier| tier.reclaimed[step]).sum::<f64>();
        let (top, ticks) = round_ticks((0..steps).map(sum).fold(0.01, f64::max));
        let percent =
            |tick: f64| format!("{:.3}", tick * 100.0).trim_end_matches('0').trim_end_matches('.').to_owned();
        let y_ticks: Vec<_> = ticks.iter().map(|&tick| (tick, percent(tick) + " %")).collect();
        let plot = self.plot(height, top, &y_ticks);
        plot.draw(out, "reclaimed by preemption", |out| {
            let mut lower = vec![0.0; steps];
            for (tier, name) in shown_tiers(self.results) {
                let values = &self.timeline.tiers[tier].reclaimed;
                let upper: Vec<f64> = lower.iter().zip(values).map(|(below, value)| below + value).collect();
                let style = format!("fill:var(--t{})", tier % TIER_COLOURS);
                let title = format!("given back by P{tier} {}", Escaped(name));
                plot.area(out, &style, &title, &self.edges, &lower, &upper)?;
                lower = upper;
            }
            Ok(())
        })
    }
}

/// Ticks of a time axis that ends at `end`.
fn time_ticks(end: f64, decimal: &[f64]) -> Vec<(f64, String)> {
    /// Seconds that people count in.
    const UNITS: [f64; 14] = [
        1.0, 5.0, 15.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 21_600.0, 43_200.0,
        86_400.0, 604_800.0,
    ];
    let seconds = end / 1e9;
    let Some(unit) = UNITS.into_iter().find(|unit| seconds / unit <= 9.0 && seconds >= 2.0 * unit) else {
        return decimal.iter().filter(|&&tick| tick <= end).map(|&tick| (tick, time(tick))).collect();
    };
    (0..=(seconds / unit) as u32)
        .map(|count| f64::from(count) * unit * 1e9)
        .map(|tick| (tick, time(tick)))
        .collect()
}
