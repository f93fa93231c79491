//! The kinds of traces and how a command names one: `KIND:PATH`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tidegate::MAX_TIERS;

use super::TraceError;
use super::error::quoted;

/// A trace format together with its label rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Azure LLM inference trace 2023, conversation.
    AzureConv,
    /// Azure LLM inference trace 2023, code.
    AzureCode,
    /// Mooncake FAST'25 traces.
    Mooncake,
    /// Lengths of arXiv summarisation requests (Vidur).
    Arxiv,
    /// Requests sampled from ServeGen's clients.
    ServegenCsv,
    /// Requests and GPU runs of the VTC artifact.
    Vtc,
    /// GPU jobs of an Alibaba cluster.
    Openb,
    /// Lengths of ShareGPT requests.
    Sharegpt,
    /// Our own comma-separated format.
    Csv,
    /// Our own JSON lines format.
    Jsonl,
}

impl Kind {
    /// All kinds, in the order in which messages list them.
    pub const ALL: [Self; 10] = [
        Self::AzureConv,
        Self::AzureCode,
        Self::Mooncake,
        Self::Arxiv,
        Self::ServegenCsv,
        Self::Vtc,
        Self::Openb,
        Self::Sharegpt,
        Self::Csv,
        Self::Jsonl,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AzureConv => "azure-conv",
            Self::AzureCode => "azure-code",
            Self::Mooncake => "mooncake",
            Self::Arxiv => "arxiv",
            Self::ServegenCsv => "servegen-csv",
            Self::Vtc => "vtc",
            Self::Openb => "openb",
            Self::Sharegpt => "sharegpt",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = TraceError;

    fn from_str(name: &str) -> Result<Self, TraceError> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            TraceError::in_request(format!("{} is no kind of trace: expected one of {known}", quoted(name)))
        })
    }
}

/// A trace to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSpec {
    /// How to read it.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
}

impl fmt::Display for TraceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.path.display())
    }
}

impl FromStr for TraceSpec {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        match text.split_once(':') {
            Some((kind, path)) if !path.is_empty() => Ok(Self { kind: kind.parse()?, path: path.into() }),
            _ => Err(TraceError::in_request(format!("{} is no trace: expected KIND:PATH", quoted(text)))),
        }
    }
}

/// Reads `KIND=TIER`, the tier as a number or as P and a number.
///
/// # Errors
///
/// An unknown kind, or a tier beyond those that a scheduler can have.
pub fn parse_tier_override(text: &str) -> Result<(Kind, u8), TraceError> {
    let Some((kind, tier)) = text.split_once('=') else {
        return Err(TraceError::in_request(format!("{} names no tier: expected KIND=TIER", quoted(text))));
    };
    let tier = parse_tier(tier)
        .ok_or_else(|| TraceError::in_request(format!("{} is not {}", quoted(tier), expected_tier())))?;
    Ok((kind.parse()?, tier))
}

/// `P0` or `0`, up to the last tier that a scheduler can have.
pub(super) fn parse_tier(text: &str) -> Option<u8> {
    let number = text.strip_prefix(['P', 'p']).unwrap_or(text);
    number.parse().ok().filter(|&tier: &u8| usize::from(tier) < MAX_TIERS)
}

/// The end of a message about a tier that is none.
pub(super) fn expected_tier() -> String {
    let last = MAX_TIERS - 1;
    format!("a tier: P0 to P{last}, or 0 to {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_correspond() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }

    #[test]
    fn the_path_may_hold_colons() {
        let spec: TraceSpec = "csv:c:/a:b.csv".parse().expect("a kind and a path");
        assert_eq!(spec, TraceSpec { kind: Kind::Csv, path: "c:/a:b.csv".into() });
        assert_eq!(spec.to_string(), "csv:c:/a:b.csv");
    }

    #[test]
    fn tiers_are_numbers_or_p_names() {
        assert_eq!(parse_tier_override("azure-code=P0"), Ok((Kind::AzureCode, 0)));
        assert_eq!(parse_tier_override("csv=7"), Ok((Kind::Csv, 7)));
        assert_eq!(parse_tier("8"), None);
        assert_eq!(parse_tier("P-1"), None);
        assert_eq!(parse_tier("PP1"), None);
    }
}
