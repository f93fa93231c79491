//! What people look for in journals: lines about something, where two runs part, why a request waited.

use std::path::PathBuf;

use clap::Args;
use tidegate::{Created, Entry, Input, Instant, Journal, RequestId};

use super::super::{Failure, print};
use super::walk::{Outcome, Walk};
use super::{Of, each_line, words};

/// What lines are about.
#[derive(Debug, Args)]
pub(in crate::cli) struct Grep {
    /// The journal
    pub(super) file: PathBuf,
    /// A request, as `show` prints it
    #[arg(long)]
    request: Option<u64>,
    /// A worker by its number
    #[arg(long)]
    worker: Option<u32>,
    /// A tenant by its name: the entries that name it, and all about its requests
    #[arg(long)]
    tenant: Option<String>,
    /// A verb, an action, a reason, or any other word of the line
    #[arg(long)]
    word: Option<String>,
}

impl Grep {
    pub(super) fn run(&self, journal: &Journal) -> Result<(), Failure> {
        let tenant = self.tenant.as_deref().map(|name| number_of(journal, name)).transpose()?;
        let (mut submits, mut known) = (None, Vec::new());
        each_line(journal, |_, line, of| {
            // The line of a submission comes before the one that gives it a number.
            let mut about = requests(of);
            match of {
                Of::Entry(Entry::Input(Input::Submit(spec))) => submits = Some(spec.tenant.get()),
                Of::Outcome(Outcome::Taken(Created::Request(id))) if submits == tenant => known.push(*id),
                _ => {}
            }
            about.retain(|id| tenant.is_none() || known.contains(id));
            let is_tenants = tenant.is_none_or(|tenant| !about.is_empty() || names_tenant(of, tenant));
            let is_requests =
                self.request.is_none_or(|request| requests(of).contains(&RequestId::from_bits(request)));
            let is_workers = self.worker.is_none_or(|worker| is_of_worker(of, &line, worker));
            let has_word = self.word.as_deref().is_none_or(|word| has_word(&line, word));
            (is_tenants && is_requests && is_workers && has_word).then_some(line)
        })
    }
}

/// The number that a journal's scheduler gave a tenant.
fn number_of(journal: &Journal, name: &str) -> Result<u32, Failure> {
    let (mut walk, mut found) = (Walk::new(journal), None);
    while let Some((_, entry)) = walk.entry() {
        let is_it = matches!(entry, Entry::Input(Input::TenantSet { name: known }) if **known == *name);
        walk.step(|_, outcome| {
            if let (true, Outcome::Taken(Created::Tenant(id))) = (is_it, outcome) {
                found = Some(id.get());
            }
        });
        if found.is_some() {
            break;
        }
    }
    found.ok_or_else(|| {
        Failure::bad_input(format_args!("--tenant {name:?}: the journal knows no such tenant"))
    })
}

/// The requests that a line is about.
fn requests(of: &Of<'_>) -> Vec<RequestId> {
    match of {
        Of::Entry(Entry::Input(input)) => match input {
            Input::PrefixSet { request, .. }
            | Input::Amend { request, .. }
            | Input::Cancel { request }
            | Input::Started { request, .. }
            | Input::Declined { request, .. }
            | Input::Progress { request, .. }
            | Input::Preempted { request, .. }
            | Input::Released { request, .. }
            | Input::Complete { request, .. }
            | Input::Failed { request, .. } => vec![*request],
            Input::Step { exceptions, .. } => exceptions.iter().map(|exception| exception.request).collect(),
            _ => Vec::new(),
        },
        Of::Outcome(Outcome::Taken(Created::Request(request))) => vec![*request],
        Of::Outcome(Outcome::Action(_, action)) => {
            let beneficiary = match *action {
                tidegate::Action::Preempt { beneficiary, .. } => beneficiary,
                _ => None,
            };
            action.request().into_iter().chain(beneficiary).collect()
        }
        Of::Entry(Entry::Poll { .. }) | Of::Outcome(_) => Vec::new(),
    }
}

fn names_tenant(of: &Of<'_>, number: u32) -> bool {
    match of {
        Of::Entry(Entry::Input(
            Input::TenantConfigure { tenant, .. }
            | Input::TenantRemove { tenant }
            | Input::LeaseGranted { tenant, .. },
        ))
        | Of::Outcome(
            Outcome::Taken(Created::Tenant(tenant))
            | Outcome::Action(_, tidegate::Action::LeaseWanted { tenant, .. }),
        ) => tenant.get() == number,
        Of::Entry(Entry::Input(Input::Submit(spec))) => spec.tenant.get() == number,
        _ => false,
    }
}

fn is_of_worker(of: &Of<'_>, line: &str, number: u32) -> bool {
    match of {
        Of::Entry(Entry::Input(
            Input::WorkerResize { worker, .. }
            | Input::WorkerUsage { worker, .. }
            | Input::WorkerDrain { worker }
            | Input::WorkerLost { worker }
            | Input::CacheStored { worker, .. }
            | Input::CacheEvicted { worker, .. }
            | Input::Step { worker, .. },
        )) => worker.get() == number,
        _ => has_word(line, &format!("worker={number}")),
    }
}

/// Whether a word stands in a line, or behind a `=` there.
fn has_word(line: &str, word: &str) -> bool {
    line.split_whitespace()
        .any(|other| other == word || other.split_once('=').is_some_and(|(_, end)| end == word))
}

/// Says where two journals part.
pub(super) fn diff(one: &Journal, other: &Journal) -> Result<(), Failure> {
    if one.config.to_toml() != other.config.to_toml() {
        return Err(Failure::CheckFailed("the configs differ".to_string()));
    }
    if one.started_at != other.started_at {
        return Err(Failure::CheckFailed("they begin at different instants".to_string()));
    }
    let (mut left, mut right) = (Walk::new(one), Walk::new(other));
    loop {
        let number = left.done + 1;
        let line = |entry: Option<(Instant, &Entry)>| {
            entry.map_or_else(|| "the end".to_string(), |(now, entry)| words::entry_line(number, now, entry))
        };
        let [ours, theirs] = [left.entry(), right.entry()].map(line);
        if ours != theirs || left.entry().map(|(_, entry)| entry) != right.entry().map(|(_, entry)| entry) {
            print(&format!("- {ours}\n+ {theirs}\n{}\n", left.replay()))?;
            return Err(Failure::CheckFailed(format!("entry {number} differs")));
        }
        // The same entries came to the same: a run is decided by them.
        right.step(|_, _| ());
        if !left.step(|_, _| ()) {
            return print(&format!("{}\n", left.replay()));
        }
    }
}

/// The life of one request.
pub(super) fn explain(journal: &Journal, request: RequestId) -> Result<(), Failure> {
    let (mut walk, mut text, mut last) = (Walk::new(journal), String::new(), None);
    while let Some((now, entry)) = walk.entry() {
        let number = walk.done + 1;
        let mut lines = Vec::new();
        if requests(&Of::Entry(entry)).contains(&request) {
            lines.push(words::entry_line(number, now, entry));
        }
        walk.step(|now, outcome| {
            if requests(&Of::Outcome(&outcome)).contains(&request) {
                lines.extend(words::outcome_line(number, now, &outcome));
            }
        });
        // Within a round more may come.
        let told = walk.scheduler.explain(request).ok().filter(|_| matches!(entry, Entry::Poll { .. }));
        if let Some(told) = told.filter(|told| last != Some((told.state, told.gate))) {
            last = Some((told.state, told.gate));
            lines.push(format!("{number} is {told}"));
        }
        text.extend(lines.into_iter().flat_map(|line| [line, "\n".to_string()]));
    }
    if text.is_empty() {
        return Err(Failure::bad_input(format_args!("the journal knows no request {}", request.to_bits())));
    }
    print(&text)
}
