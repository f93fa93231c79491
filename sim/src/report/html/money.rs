//! What the replay cost: the workers for its time, by tier and by tenant, and what an API would ask.

use std::fmt::{self, Write};

use super::{Escaped, TENANTS_SHOWN, shown_tiers};
use crate::cost::{Bill, Part};
use crate::report::{Results, thousands};

/// The section, where there are prices and a replay that watched.
pub(super) fn section(results: &Results, out: &mut impl Write) -> fmt::Result {
    let Some((gpu, api)) = results.prices else { return Ok(()) };
    let bills: Vec<_> = results
        .main
        .outcomes
        .iter()
        .filter_map(|(kind, outcome)| {
            let timeline = outcome.timeline.as_ref()?;
            Some((kind.name(), Bill::of(timeline, results.workers, outcome.simulated_ns, gpu, api)))
        })
        .collect();
    if bills.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Cost</h2><p class=\"soft\">{} workers on {} GPUs at {} USD an hour each, {} hours a month, busy or idle. Who pays for what: by \
         the worker time that completed requests take of an otherwise full worker; of workers of its own a tier pays all. The API asks \
         {} USD for a million prompt tokens, {} for as many of output. How few workers would do is asked by <code>tidegate cost</code>.</p>",
        results.workers,
        (gpu.gpus(results.workers) * 100.0).round() / 100.0,
        gpu.usd_per_gpu_hour,
        gpu.hours_per_month,
        api.usd_per_million_input,
        api.usd_per_million_output
    )?;
    by_tier(results, &bills, out)?;
    by_tenant(results, &bills, out)
}

type Bills<'a> = [(&'a str, Bill)];

fn heading(first: &str, bills: &Bills<'_>, out: &mut impl Write) -> fmt::Result {
    write!(out, "<div class=\"card scroll\"><table><thead><tr><th>{first}</th>")?;
    bills.iter().try_for_each(|(name, _)| write!(out, "<th>{name}</th>"))?;
    out.write_str("</tr></thead><tbody>\n")
}

fn row(name: &str, cells: impl Iterator<Item = String>, out: &mut impl Write) -> fmt::Result {
    write!(out, "<tr><td>{}</td>", Escaped(name))?;
    cells.into_iter().try_for_each(|cell| write!(out, "<td>{cell}</td>"))?;
    out.write_str("</tr>\n")
}

const END: &str = "</tbody></table></div>\n";

fn by_tier(results: &Results, bills: &Bills<'_>, out: &mut impl Write) -> fmt::Result {
    heading("USD", bills, out)?;
    let mut all =
        |name: &str, cell: &dyn Fn(&Bill) -> String| row(name, bills.iter().map(|(_, bill)| cell(bill)), out);
    all("a month of these workers", &|bill| thousands(bill.usd_per_month.round() as u64))?;
    all("the time of the replay", &|bill| cents(bill.all.usd))?;
    all("for a million tokens", &|bill| price(bill.all))?;
    for (tier, name) in shown_tiers(results) {
        all(&format!("for a million tokens of P{tier} {name}"), &|bill| price(bill.tiers[tier]))?;
    }
    all("the API, for the tokens of completed requests", &|bill| cents(bill.api_usd))?;
    out.write_str(END)
}

/// Those first who pay most in the last of the set-ups.
fn by_tenant(results: &Results, bills: &Bills<'_>, out: &mut impl Write) -> fmt::Result {
    let Some((_, last)) = bills.last() else { return Ok(()) };
    let mut order: Vec<usize> = (0..last.tenants.len()).collect();
    order.sort_by(|&a, &b| last.tenants[b].usd.total_cmp(&last.tenants[a].usd).then(a.cmp(&b)));
    heading("USD by tenant, and for a million tokens", bills, out)?;
    for &tenant in order.iter().take(TENANTS_SHOWN) {
        let name = results.tenants.get(tenant).map_or("", String::as_str);
        let cell = |part: Part| format!("{} ({})", cents(part.usd), price(part));
        row(name, bills.iter().map(|(_, bill)| cell(bill.tenants[tenant])), out)?;
    }
    if order.len() > TENANTS_SHOWN {
        writeln!(out, "<tr><td>and {} more</td></tr>", order.len() - TENANTS_SHOWN)?;
    }
    out.write_str(END)
}

fn cents(usd: f64) -> String {
    format!("{usd:.2}")
}

fn price(part: Part) -> String {
    part.usd_per_million_tokens.map_or_else(|| "-".to_owned(), cents)
}
