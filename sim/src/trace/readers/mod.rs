//! One reader per family of formats; each turns a text into the arrivals of one trace.
//!
//! A reader decides what a row means and which labels it gets. It does not know the other traces: the common
//! zero and the order are `merge`'s.

mod azure;
mod lengths;
pub(super) mod mooncake;
mod openb;
mod plain;
mod servegen;
mod vtc;

use std::collections::BTreeMap;

use crate::trace::label::tenant_of_sixteen;
use crate::trace::text::Text;
use crate::trace::{Batches, Kind, LoadOptions, TraceError, TraceRequest};

/// What a reader makes of one file.
pub(super) struct Trace {
    /// What the arrivals count from.
    pub(super) clock: Clock,
    /// In the order of the file.
    pub(super) requests: Vec<TraceRequest>,
    /// What was read and which labels were added, for people.
    pub(super) summary: String,
}

impl Trace {
    fn from_own_zero(requests: Vec<TraceRequest>, labels: &str) -> Self {
        let summary = format!("{} requests, {labels}", requests.len());
        Self { clock: Clock::Own, requests, summary }
    }
}

/// What a trace's arrivals count from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// The trace's own start.
    Own,
    /// 1970, so that traces of one day keep their distance.
    Wall,
}

/// What readers share: the options and the tenants met so far.
pub(super) struct Context<'a> {
    options: &'a LoadOptions,
    tenants: Tenants,
}

impl<'a> Context<'a> {
    pub(super) fn new(options: &'a LoadOptions) -> Self {
        Self { options, tenants: Tenants::default() }
    }

    /// The names, in the order in which they were met.
    pub(super) fn into_tenants(self) -> Vec<String> {
        self.tenants.names
    }

    fn tenant(&mut self, name: &str) -> u32 {
        self.tenants.number(name)
    }

    fn tenant_by_hash(&mut self, key: &str) -> u32 {
        self.tenants.number(&format!("t{:02}", tenant_of_sixteen(key)))
    }

    fn batches(&self) -> Option<Batches> {
        self.options.batch_every
    }
}

/// Numbers for names, the same name the same number.
#[derive(Default)]
pub(super) struct Tenants {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Tenants {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = u32::try_from(self.names.len()).expect("fewer names than bytes that a text can hold");
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// Reads the text as a trace of this kind; an overridden tier replaces that of every row.
pub(super) fn read(kind: Kind, text: &Text, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    let mut trace = match kind {
        Kind::AzureConv => azure::read(text, azure::Service::Conversation, context),
        Kind::AzureCode => azure::read(text, azure::Service::Code, context),
        Kind::Mooncake => mooncake::read(text, context),
        Kind::Arxiv => lengths::read(text, lengths::Source::Arxiv, context),
        Kind::Sharegpt => lengths::read(text, lengths::Source::Sharegpt, context),
        Kind::ServegenCsv => servegen::read(text, context),
        Kind::Vtc => vtc::read(text, context),
        Kind::Openb => openb::read(text, context),
        Kind::Csv => plain::read_csv(text, context),
        Kind::Jsonl => plain::read_jsonl(text, context),
    }?;
    let given = context.options.tier_overrides.iter().rev().find(|(of, _)| *of == kind);
    if let Some(&(_, tier)) = given {
        for request in &mut trace.requests {
            request.tier = tier;
        }
        trace.summary += &format!(", every tier overridden: P{tier}");
    }
    Ok(trace)
}
