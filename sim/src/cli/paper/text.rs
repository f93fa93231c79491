//! The tables as text: what is published, what comes out, the error, and tidegate, one below the other.

use std::fmt::Write;

use tidegate_sim::paper::draws::Figures;
use tidegate_sim::paper::row::Row;
use tidegate_sim::paper::{
    openb::table as openb, t1::table as t1, t2::table as t2, t3::table as t3, t4::table as t4,
    t6::table as t6,
};

/// Name, heading, digits.
type Column = (&'static str, &'static str, usize);

const T1_COLUMNS: [Column; 9] = [
    ("served", "served", 0),
    ("throughput_tok_s", "tokens/s", 1),
    ("max_diff", "max diff", 2),
    ("avg_diff", "avg diff", 2),
    ("diff_var", "diff var", 0),
    ("max_gap", "max gap", 0),
    ("ttft_mean_s", "ttft s", 2),
    ("ttft_p99_s", "p99 s", 2),
    ("tpot_mean_ms", "tpot ms", 2),
];

pub(super) fn t1(table: &t1::Table) -> String {
    let mut text = format!(
        "T1, fairness against GPU logs (VTC, OSDI'24); model {}, fitted to {} alone; means and spreads \
         of {} draws\n\n{:<44}",
        table.model, table.calibrated_on, table.draws, ""
    );
    headings(&mut text, &T1_COLUMNS);
    if table.moved_s > 0.0 {
        writeln!(text, "every request up to {} s later than published", table.moved_s).expect(INTO_TEXT);
    }
    for row in &table.rows {
        let Row { policy, run, published, reproduced, reproduced_spread, error, tidegate, tidegate_spread } =
            row;
        line(&mut text, &T1_COLUMNS, &format!("{policy} {run}"), "published", published, false);
        line(&mut text, &T1_COLUMNS, "", "reproduced", reproduced, false);
        line(&mut text, &T1_COLUMNS, "", "+-", reproduced_spread, false);
        line(&mut text, &T1_COLUMNS, "", "error %", error, true);
        line(&mut text, &T1_COLUMNS, "", "tidegate", tidegate, false);
        line(&mut text, &T1_COLUMNS, "", "+-", tidegate_spread, false);
    }
    text.push_str("\ntidegate on the real requests, by what it is told of outputs\n");
    for (foresight, figures) in &table.tidegate_by_foresight {
        line(&mut text, &T1_COLUMNS, &format!("tidegate, {foresight}"), "", figures, false);
        let share = figures["throughput_of_fcfs"] * 100.0;
        writeln!(text, "{:<44}{share:>10.2} % of the throughput of fcfs", "").expect(INTO_TEXT);
    }
    text
}

const INTO_TEXT: &str = "a string takes all that is written to it";

fn line(text: &mut String, columns: &[Column], name: &str, what: &str, figures: &Figures, is_share: bool) {
    write!(text, "{name:<32}{what:<12}").expect(INTO_TEXT);
    cells(text, columns, figures, is_share);
}

fn cells(text: &mut String, columns: &[Column], figures: &Figures, is_share: bool) {
    for &(key, _, digits) in columns {
        let cell = figures.get(key).map_or("-".to_owned(), |&figure| {
            if is_share { format!("{:+.1}", figure * 100.0) } else { format!("{figure:.digits$}") }
        });
        write!(text, "{cell:>11}").expect(INTO_TEXT);
    }
    text.push('\n');
}

pub(super) fn t4(table: &t4::Table) -> String {
    let mut text = format!(
        "T4, prompts routed to caches; model {}, {} blocks of cache a worker; {} requests, of whose blocks an endless \
         cache would find {:.1} %\n\n{:>7}  {:<13}{:>8}{:>11}{:>10}{:>10}{:>10}{:>10}{:>12}\n",
        table.model,
        table.cache_blocks,
        table.requests,
        table.ceiling_percent,
        "workers",
        "policy",
        "hits %",
        "tokens/s",
        "ttft s",
        "p99 s",
        "order s",
        "least s",
        "gap tokens"
    );
    for t4::Row { workers, policy, found, p99_at_least_s, p99_of_order_s } in &table.rows {
        writeln!(
            text,
            "{workers:>7}  {policy:<13}{:>8.1}{:>11.0}{:>10.2}{:>10.2}{p99_of_order_s:>10.2}{p99_at_least_s:>10.2}{:>12.0}",
            found.hit_percent, found.throughput_tok_s, found.ttft_mean_s, found.ttft_p99_s, found.gap_tokens
        )
        .expect(INTO_TEXT);
    }
    text
}

const OPENB_COLUMNS: [Column; 12] = [
    ("ls_wait_mean_s", "LS wait s", 1),
    ("ls_wait_p99_s", "LS p99", 0),
    ("burstable_wait_mean_s", "burst. s", 1),
    ("be_wait_mean_s", "BE wait s", 1),
    ("be_wait_p99_s", "BE p99", 0),
    ("fragmented_gpus", "fragm. GPU", 2),
    ("fragmented_percent", "% of free", 1),
    ("used_percent", "used %", 1),
    ("stopped", "stopped", 0),
    ("killed", "killed", 0),
    ("failed", "failed", 0),
    ("wasted_gpu_h", "wasted h", 1),
];

pub(super) fn openb(table: &openb::Table) -> String {
    let mut text = format!(
        "openb, {} pods as slices of GPUs ({} of several GPUs left out); in rows with deaths the server of a GPU \
         dies every {} s, and one pod in {} cannot start over; {} replicas on each GPU\n\n{:<32}",
        table.pods, table.left_out, table.deaths_every_s, table.one_cannot_in, table.replicas, ""
    );
    headings(&mut text, &OPENB_COLUMNS);
    for openb::Row { gpus, policy, found } in &table.rows {
        write!(text, "{gpus:>5} {policy:<26}").expect(INTO_TEXT);
        cells(&mut text, &OPENB_COLUMNS, found, false);
    }
    let fullest = table.rows.iter().map(|row| row.found["fullest_gpu_milli"]).fold(0.0, f64::max);
    writeln!(text, "\nthe fullest GPU ever held {fullest} thousandths").expect(INTO_TEXT);
    text
}

pub(super) fn t6(table: &t6::Table) -> String {
    let mut text = format!(
        "T6, reservation, weight and limit (mClock, OSDI'10); model: {}\n\n{:<22}{:<12}",
        table.model, "tokens/s", ""
    );
    let clients: Vec<&str> =
        table.rows.iter().take(1).flat_map(|row| row.published.keys().copied()).collect();
    for client in &clients {
        write!(text, "{client:>10}").expect(INTO_TEXT);
    }
    text.push('\n');
    for row in &table.rows {
        let lines = [("published", &row.published), ("mclock", &row.reproduced), ("tidegate", &row.tidegate)];
        for (index, (what, figures)) in lines.into_iter().enumerate() {
            let name = if index == 0 { &row.run } else { "" };
            write!(text, "{name:<22}{what:<12}").expect(INTO_TEXT);
            for client in &clients {
                write!(text, "{:>10.1}", figures[client]).expect(INTO_TEXT);
            }
            text.push('\n');
        }
    }
    for (name, kept) in [("mclock", &table.mclock), ("tidegate", &table.tidegate)] {
        let [least, excess, one] =
            ["reserve_least_tok_s", "limit_excess_tokens", "one_request_tokens"].map(|figure| kept[figure]);
        writeln!(
            text,
            "{name:<10}least of the reserve in any 5 s: {least:.1} tokens/s; begun beyond the limit in any span: \
             {excess:.1} tokens, one request is {one:.0}"
        )
        .expect(INTO_TEXT);
    }
    text
}

fn headings(text: &mut String, columns: &[Column]) {
    for (_, heading, _) in columns {
        write!(text, "{heading:>11}").expect(INTO_TEXT);
    }
    text.push('\n');
}

/// A row: what is published, if anything is, what comes out, how far that is off, and tidegate.
fn four_lines(text: &mut String, columns: &[Column], name: &str, figures: [&Figures; 4]) {
    let mut name = name;
    for (what, figures) in ["published", "reproduced", "error %", "tidegate"].into_iter().zip(figures) {
        if !figures.is_empty() {
            line(text, columns, name, what, figures, what == "error %");
            name = "";
        }
    }
}

const T2_COLUMNS: [Column; 10] = [
    ("capacity_per_s", "capacity/s", 1),
    ("violations_percent", "violated %", 2),
    ("tier0_violations_percent", "tier 0 %", 2),
    ("tier1_violations_percent", "tier 1 %", 2),
    ("tier2_violations_percent", "tier 2 %", 2),
    ("ttft_p99_ms", "ttft p99", 0),
    ("gap_p99_ms", "gap p99 ms", 1),
    ("late_tokens_percent", "late %", 2),
    ("output_tok_s", "tokens/s", 0),
    ("peak_kv_tokens", "peak kv", 0),
];

pub(super) fn t2(table: &t2::Table) -> String {
    let mut text = format!(
        "T2, capacity under objectives by tier (Niyama, ASPLOS'26); model {}, nothing fitted; {} requests, \
         means of {} draws\n\n{:<44}",
        table.model, table.requests, table.draws, ""
    );
    headings(&mut text, &T2_COLUMNS);
    for row in &table.rows {
        let lines = [&row.published, &row.reproduced, &row.error, &row.tidegate];
        four_lines(&mut text, &T2_COLUMNS, &format!("{} {}", row.policy, row.run), lines);
    }
    text.push_str("\ntidegate at its capacity, by how long tier 0 may wait from token to token\n");
    for (objective, figures) in &table.tidegate_by_objective {
        line(&mut text, &T2_COLUMNS, &format!("tidegate {objective}"), "", figures, false);
    }
    text
}

const T3_COLUMNS: [Column; 12] = [
    ("output_of_online", "output x", 2),
    ("batch_output_tok_s", "batch/s", 0),
    ("ttft_p99_ms", "ttft p99", 0),
    ("ttft_p99_more", "more", 3),
    ("tbt_p99_ms", "tbt p99", 1),
    ("tbt_p99_more", "more", 3),
    ("tpot_p99_ms", "tpot p99", 1),
    ("tpot_p99_more", "more", 3),
    ("tpot_mean_more", "mean more", 3),
    ("utilisation", "utilised", 3),
    ("stops_per_online", "stops/onl.", 3),
    ("recomputed_tokens", "again", 0),
];

pub(super) fn t3(table: &t3::Table) -> String {
    let mut text = format!(
        "T3, batch work beside online requests (ConServe, HyGen, Valve); model {}, nothing fitted; {} s\n\n{:<44}",
        table.model, table.seconds, ""
    );
    headings(&mut text, &T3_COLUMNS);
    for row in &table.rows {
        line(&mut text, &T3_COLUMNS, &format!("{} {}", row.run, row.policy), "", &row.reproduced, false);
    }
    let sets = table.rows.iter().filter_map(|row| row.tidegate.get("most_victim_sets_per_start"));
    let most = sets.copied().fold(0.0, f64::max);
    writeln!(text, "\ntidegate stopped at most {most:.0} sets of victims for any one start")
        .expect(INTO_TEXT);
    for (claim, figure) in &table.published {
        writeln!(text, "published elsewhere: {claim} {figure}").expect(INTO_TEXT);
    }
    text
}
