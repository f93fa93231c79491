//! One line of a journal: the table of the verbs with the order of their fields, and how each kind of field
//! is written and read. Writer and reader are made from the one table, so that they cannot drift.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::ops::RangeInclusive;

use super::JournalFault;
use crate::config::Config;
use crate::event::{
    Amendment, Decline, DevicePart, DeviceSpec, Input, Release, Shrink, StepException, WorkerKind, WorkerSpec,
};
use crate::id::{Attempt, DeviceId, PoolId, RequestId, TenantId, Tier, WorkerId};
use crate::request::{OtherPools, RequestSpec, Usage, Yielding};
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::share::Ppm;
use crate::tenant::{OverQuota, QuotaLimit, Rate, TenantPolicy};
use crate::time::Instant;

/// `VERB: FIELDS => INPUT`, where INPUT is the pattern that the writer matches and the expression that the
/// reader builds.
macro_rules! verbs {
    ($($verb:literal: $($field:ident)+ => [$($input:tt)+],)+) => {
        pub(super) fn write_input(out: &mut impl Write, input: &Input) -> fmt::Result {
            match input {
                $($($input)+ => {
                    out.write_str($verb)?;
                    $($field.write(out)?;)+
                })+
            }
            Ok(())
        }

        pub(super) fn read_input(verb: &str, words: &mut Words<'_>) -> Result<Input, JournalFault> {
            match verb {
                $($verb => {
                    $(let $field = Field::read(words, stringify!($field))?;)+
                    Ok($($input)+)
                })+
                _ => Err(JournalFault::UnknownVerb { text: clip(verb) }),
            }
        }
    };
}

verbs! {
    "tenant_set": name => [Input::TenantSet { name }],
    "tenant_configure": tenant policy => [Input::TenantConfigure { tenant, policy }],
    "tenant_remove": tenant => [Input::TenantRemove { tenant }],
    "lease_granted": tenant limit seq tokens valid_for_ns =>
        [Input::LeaseGranted { tenant, limit, seq, tokens, valid_for_ns }],
    "device_add": limit checkpoint_mib => [Input::DeviceAdd(DeviceSpec { limit, checkpoint_mib })],
    "device_resize": device limit shrink => [Input::DeviceResize { device, limit, shrink }],
    "device_lost": device => [Input::DeviceLost { device }],
    "worker_add": pool capacity kind spare replaces devices => [
        Input::WorkerAdd(WorkerSpec { pool, capacity, kind, spare, replaces, devices })
    ],
    "worker_resize": worker capacity shrink => [Input::WorkerResize { worker, capacity, shrink }],
    "worker_usage": worker in_use => [Input::WorkerUsage { worker, in_use }],
    "worker_drain": worker => [Input::WorkerDrain { worker }],
    "worker_lost": worker => [Input::WorkerLost { worker }],
    "cache_stored": worker blocks => [Input::CacheStored { worker, blocks }],
    "cache_evicted": worker blocks => [Input::CacheEvicted { worker, blocks }],
    "reconfigure": config => [Input::Reconfigure { config }],
    "submit": tenant tier pool demand peak prompt_tokens cached_tokens output_tokens yielding deadline
        queue_timeout_ns tag other_pools => [
        Input::Submit(RequestSpec {
            tenant, tier, pool, demand, peak, prompt_tokens, cached_tokens, output_tokens, yielding, deadline,
            queue_timeout_ns, tag, other_pools,
        })
    ],
    "prefix_set": request blocks => [Input::PrefixSet { request, blocks }],
    "amend": request demand peak tier deadline => [
        Input::Amend { request, amendment: Amendment { demand, peak, tier, deadline } }
    ],
    "cancel": request => [Input::Cancel { request }],
    "started": request attempt cached_tokens in_use => [
        Input::Started { request, attempt, cached_tokens, in_use }
    ],
    "step": worker tokens_each exceptions => [Input::Step { worker, tokens_each, exceptions }],
    "declined": request attempt why => [Input::Declined { request, attempt, why }],
    "progress": request attempt output_tokens in_use => [
        Input::Progress { request, attempt, output_tokens, in_use }
    ],
    "preempted": request attempt tokens_kept release => [
        Input::Preempted { request, attempt, tokens_kept, release }
    ],
    "released": request attempt => [Input::Released { request, attempt }],
    "complete": request attempt prompt_tokens cached_tokens output_tokens => [
        Input::Complete { request, attempt, usage: Usage { prompt_tokens, cached_tokens, output_tokens } }
    ],
    "failed": request attempt => [Input::Failed { request, attempt }],
}

/// The fields of a line that were not read yet.
pub(super) struct Words<'a> {
    rest: Option<&'a str>,
    /// The text that follows the line: a config stands on lines of its own.
    below: &'a str,
    lines_taken: u64,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str, below: &'a str) -> Self {
        Self { rest: Some(line), below, lines_taken: 0 }
    }

    pub(super) fn word(&mut self, field: &'static str) -> Result<&'a str, JournalFault> {
        let rest = self.rest(field)?;
        let Some((word, rest)) = rest.split_once(' ') else { return Ok(rest) };
        self.rest = Some(rest);
        Ok(word)
    }

    /// All that is left, spaces too.
    fn rest(&mut self, field: &'static str) -> Result<&'a str, JournalFault> {
        self.rest.take().ok_or(JournalFault::Missing { field })
    }

    /// The next lines below this one.
    fn lines_below(&mut self, count: u64) -> Result<&'a str, JournalFault> {
        let mut length = 0;
        for _ in 0..count {
            length += 1 + self.below[length..].find('\n').ok_or(JournalFault::Torn)?;
        }
        self.lines_taken = count;
        Ok(&self.below[..length])
    }

    /// A decimal number as the writer writes it: digits only, and no zero in front.
    pub(super) fn number(
        &mut self,
        field: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<u64, JournalFault> {
        let word = self.word(field)?;
        let plain = word == "0" || !word.starts_with(['0', '+']);
        word.parse().ok().filter(|number| plain && range.contains(number)).ok_or_else(|| {
            JournalFault::BadNumber { field, text: clip(word), min: *range.start(), max: *range.end() }
        })
    }

    /// Nothing may be left. Returns how many lines below were read too.
    pub(super) fn end(self) -> Result<u64, JournalFault> {
        match self.rest {
            Some(rest) => Err(JournalFault::Extra { text: clip(rest) }),
            None => Ok(self.lines_taken),
        }
    }
}

/// As much of a text as an error message should quote.
pub(super) fn clip(text: &str) -> String {
    const ENOUGH: usize = 40;
    text.chars().take(ENOUGH).collect()
}

/// A kind of field: written with the space in front of it, read without.
trait Field: Sized {
    fn write(&self, out: &mut impl Write) -> fmt::Result;
    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault>;
}

/// Fields that are one number: its largest value, how to get it and how to come back.
macro_rules! numbers {
    ($($kind:ty: $max:expr, $get:expr, $new:expr;)+) => {$(
        impl Field for $kind {
            fn write(&self, out: &mut impl Write) -> fmt::Result {
                let number: u64 = $get(*self);
                write!(out, " {number}")
            }

            fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
                words.number(field, 0..=$max.into()).map($new)
            }
        }
    )+};
}

numbers! {
    u64: u64::MAX, |number| number, |number| number;
    u32: u32::MAX, u64::from, |number| number as Self;
    bool: true, u64::from, |number| number == 1;
    RequestId: u64::MAX, RequestId::to_bits, RequestId::from_bits;
    Instant: u64::MAX, Instant::as_nanos, Instant::from_nanos;
    Ppm: u32::MAX, |share: Self| share.get().into(), |number| Self::new(number as u32);
    DeviceId: u32::MAX, |id: Self| id.get().into(), |number| Self::new(number as u32);
    TenantId: u32::MAX, |id: Self| id.get().into(), |number| Self::new(number as u32);
    WorkerId: u32::MAX, |id: Self| id.get().into(), |number| Self::new(number as u32);
    PoolId: u32::MAX, |id: Self| id.get().into(), |number| Self::new(number as u32);
    Attempt: u32::MAX, |id: Self| id.get().into(), |number| Self::new(number as u32);
    Tier: u8::MAX, |id: Self| id.get().into(), |number| Self::new(number as u8);
    Yielding: Yielding::Never as u8, |how| how as u64, |number| match number {
        0 => Self::Restart,
        1 => Self::Checkpoint,
        _ => Self::Never,
    };
    Release: Release::Later as u8, |when| when as u64, |number| match number {
        0 => Self::Done,
        _ => Self::Later,
    };
    Decline: Decline::NotReady as u8, |why| why as u64, |number| match number {
        0 => Self::Other,
        1 => Self::NoRoom,
        _ => Self::NotReady,
    };
    WorkerKind: WorkerKind::Mig as u8, |kind| kind as u64, |number| Self::ALL[number as usize];
    OverQuota: OverQuota::Demote as u8, |action| action as u64, |number| match number {
        0 => Self::Wait,
        1 => Self::Reject,
        _ => Self::Demote,
    };
}

/// Counted from 1, as where 0 says that there is none.
impl Field for QuotaLimit {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        write!(out, " {}", *self as u64)
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        let number = words.number(field, Self::Requests as u64..=Self::Units as u64)?;
        Ok(match number {
            1 => Self::Requests,
            2 => Self::Tokens,
            3 => Self::Running,
            _ => Self::Units,
        })
    }
}

/// What may be left out is `-` then.
impl<F: Field> Field for Option<F> {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        match self {
            Some(field) => field.write(out),
            None => out.write_str(" -"),
        }
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        let mut ahead = Words { ..*words };
        if ahead.word(field)? == "-" {
            words.rest = ahead.rest;
            return Ok(None);
        }
        F::read(words, field).map(Some)
    }
}

/// How many there are, and then each: as many as the text has, whatever number it announces.
impl<F: Field> Field for Vec<F> {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        (self.len() as u64).write(out)?;
        self.iter().try_for_each(|item| item.write(out))
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        (0..u64::read(words, field)?).map(|_| F::read(words, field)).collect()
    }
}

impl<F: Field> Field for Box<[F]> {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        (self.len() as u64).write(out)?;
        self.iter().try_for_each(|item| item.write(out))
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        Vec::read(words, field).map(Vec::into_boxed_slice)
    }
}

impl Field for DevicePart {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        self.device.write(out)?;
        self.part.write(out)
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        Ok(Self { device: Field::read(words, field)?, part: Field::read(words, field)? })
    }
}

impl Field for StepException {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        self.request.write(out)?;
        self.attempt.write(out)?;
        self.output_tokens.write(out)?;
        self.in_use.write(out)
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        Ok(Self {
            request: Field::read(words, field)?,
            attempt: Field::read(words, field)?,
            output_tokens: Field::read(words, field)?,
            in_use: Field::read(words, field)?,
        })
    }
}

/// `-` for `Drain`, else after how many nanoseconds what is too much has to stop.
impl Field for Shrink {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        match *self {
            Self::Drain => None,
            Self::Preempt { after_ns } => Some(after_ns),
        }
        .write(out)
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        let after_ns: Option<u64> = Field::read(words, field)?;
        Ok(after_ns.map_or(Self::Drain, |after_ns| Self::Preempt { after_ns }))
    }
}

/// Fields that are several, one after the other: their names, which are those of a fault too.
macro_rules! records {
    ($($kind:ident { $($field:ident)+ })+) => {$(
        impl Field for $kind {
            fn write(&self, out: &mut impl Write) -> fmt::Result {
                $(self.$field.write(out)?;)+
                Ok(())
            }

            fn read(words: &mut Words<'_>, _: &'static str) -> Result<Self, JournalFault> {
                Ok(Self { $($field: Field::read(words, stringify!($field))?),+ })
            }
        }
    )+};
}

records! {
    Rate { amount period_ns burst }
    TenantPolicy {
        parent weight most_urgent requests tokens leased max_running max_in_use queue_limit queue_token_limit
        over_quota allow_when_full
    }
}

impl Field for Box<TenantPolicy> {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        TenantPolicy::write(self, out)
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        TenantPolicy::read(words, field).map(Self::new)
    }
}

/// How many lines it takes, and then the lines below.
impl Field for Box<Config> {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        let text = self.to_toml();
        write!(out, " {}\n{}", text.lines().count(), text.trim_end_matches('\n'))
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        let lines = u64::read(words, field)?;
        let text = words.lines_below(lines)?;
        Config::from_toml(text).map(Box::new).map_err(JournalFault::Config)
    }
}

impl Field for Resources {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        self.as_array().iter().try_for_each(|units| units.write(out))
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        let mut units = Self::ZERO;
        for dimension in 0..MAX_DIMENSIONS {
            units[dimension] = u64::read(words, field)?;
        }
        Ok(units)
    }
}

/// Those that there are go to the end of the line: there may be none.
impl Field for OtherPools {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        self.iter().try_for_each(|pool| pool.write(out))
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        let text = words.rest.unwrap_or_default();
        let mut pools = Vec::new();
        while words.rest.is_some() {
            pools.push(PoolId::read(words, field)?);
        }
        Self::new(&pools).ok_or_else(|| JournalFault::Extra { text: clip(text) })
    }
}

/// A name goes to the end of the line. The scheduler refuses one with control characters, but what a host
/// tried is journaled all the same, and must stay on its line.
impl Field for Box<str> {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        out.write_char(' ')?;
        for letter in self.chars() {
            if is_escaped(letter) {
                write!(out, "\\x{:02x}", letter as u32)?;
            } else {
                out.write_char(letter)?;
            }
        }
        Ok(())
    }

    fn read(words: &mut Words<'_>, field: &'static str) -> Result<Self, JournalFault> {
        let text = words.rest(field)?;
        let mut name = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(letter) = rest.next() {
            let letter = match letter {
                '\\' => unescape(rest.as_str()).inspect(|_| rest = rest.as_str()[3..].chars()),
                _ => Some(letter).filter(|&letter| !is_escaped(letter)),
            };
            name.push(letter.ok_or_else(|| JournalFault::BadName { field, text: clip(text) })?);
        }
        Ok(name.into_boxed_str())
    }
}

fn is_escaped(letter: char) -> bool {
    letter == '\\' || letter.is_ascii_control()
}

/// The letter that `xHH` at the start of the text stands for, if it is one that the writer escapes.
fn unescape(text: &str) -> Option<char> {
    let digits = text.strip_prefix('x')?.get(..2)?;
    let canonical = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let letter = char::from(u8::from_str_radix(digits, 16).ok()?);
    (canonical && is_escaped(letter)).then_some(letter)
}
