//! The whole state of a scheduler as bytes, and a scheduler from them that goes on exactly where the other stood.
//!
//! Decides whether bytes are a whole snapshot of this format; what stands in them is `scheduler`'s. The bytes are a head of
//! 24 bytes (what they are, the format, the checksum of the rest and its length), then the config as JSON and the state, as
//! postcard writes them. What does not change a decision and can be found again is not in them. O(all that is known).

use alloc::string::String;
use alloc::vec::Vec;

use thiserror::Error;

use crate::config::Config;
use crate::fault::ConfigError;
use crate::scheduler::{Loaded, Saved, Scheduler};

/// What a snapshot begins with: with the end of a line, which who takes it for text may change.
const MAGIC: [u8; 8] = *b"TGSNAP\r\n";
/// Of the state that follows the head. Whoever changes what stands there, or its order, raises it: the fixture in
/// `tests/snapshot.rs` tells.
const FORMAT: u32 = 5;
/// The magic word, the format, the checksum of what follows (CRC-32 as in ISO 3309), and its length: the numbers
/// little-endian.
const HEAD_BYTES: usize = MAGIC.len() + 2 * size_of::<u32>() + size_of::<u64>();

/// Bytes of which no scheduler could be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// They are something else.
    #[error("this is no snapshot of a scheduler")]
    NotASnapshot,
    /// They are the snapshot of another build of tidegate.
    #[error("a snapshot of format {found}, from another build of tidegate; this one reads format {expected}")]
    Format {
        /// That they have.
        found: u32,
        /// That this build reads and writes.
        expected: u32,
    },
    /// Some are missing, or there are more than were written.
    #[error("a damaged snapshot: {found} bytes of {expected}")]
    Length {
        /// How many there are.
        found: u64,
        /// How many were written.
        expected: u64,
    },
    /// They are as many as were written, and not those.
    #[error("a damaged snapshot: the checksum does not agree, or what it covers is no state")]
    Damaged,
    /// The config has other dimensions, pools or tiers than the one that the scheduler had.
    #[error("a snapshot under a config of another shape: {0}")]
    OtherShape(ConfigError),
}

/// What follows the head when it is written, and when it was read.
type Written<'a> = (String, Saved<'a>);
type Read = (String, Loaded);

impl Scheduler {
    /// All that it knows, as bytes for [`restore`](Self::restore): requests and what they hold, workers, tenants, quotas,
    /// what was decided and not polled yet, the config. The same state gives the same bytes. O(all that is known); some 100
    /// bytes for each request that waits.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let body: Written<'_> = (self.config().to_json(), self.saved());
        let head = Vec::from([0; HEAD_BYTES]);
        let mut bytes = postcard::to_extend(&body, head).expect("all of it has a length, and memory grows");
        let (head, body) = bytes.split_at_mut(HEAD_BYTES);
        let (format, checksum) = (FORMAT.to_le_bytes(), crc32fast::hash(body).to_le_bytes());
        let length = (body.len() as u64).to_le_bytes();
        head.copy_from_slice(&[&MAGIC[..], &format, &checksum, &length].concat());
        bytes
    }

    /// The scheduler of which a [`snapshot`](Self::snapshot) was taken: told the same from there on, it returns the same
    /// actions. Under a config that differs from the one it had, it is that scheduler
    /// [reconfigured](Self::reconfigure) at its [`now`](Self::now), from which the host's clock must go on. What it was told
    /// after the snapshot it does not know, and ids that it gave after that it gives again. O(all that is known).
    ///
    /// The checksum finds accidents, not forgery: of bytes that somebody made up, what becomes of later calls is unknown,
    /// but for that memory is safe.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn restore(config: Config, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let read = postcard::take_from_bytes::<Read>(body(bytes)?);
        let ((text, loaded), rest) = read.map_err(|_| SnapshotError::Damaged)?;
        if !rest.is_empty() {
            return Err(SnapshotError::Damaged);
        }
        let former = Config::from_json(&text).map_err(|_| SnapshotError::Damaged)?;
        let is_another = former != config;
        let mut scheduler = Self::of_loaded(former, loaded);
        if is_another {
            scheduler.reconfigure(scheduler.now(), config).map_err(SnapshotError::OtherShape)?;
        }
        Ok(scheduler)
    }
}

/// What follows the head, if that is in order.
fn body(bytes: &[u8]) -> Result<&[u8], SnapshotError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(SnapshotError::NotASnapshot)?;
    let found = bytes.len() as u64;
    let expected = |length: u64| (HEAD_BYTES as u64).saturating_add(length);
    let (format, checksum, length, body) =
        numbers(rest).ok_or(SnapshotError::Length { found, expected: expected(0) })?;
    if format != FORMAT {
        return Err(SnapshotError::Format { found: format, expected: FORMAT });
    }
    if body.len() as u64 != length {
        return Err(SnapshotError::Length { found, expected: expected(length) });
    }
    if crc32fast::hash(body) != checksum {
        return Err(SnapshotError::Damaged);
    }
    Ok(body)
}

/// The numbers of the head, and what follows.
fn numbers(bytes: &[u8]) -> Option<(u32, u32, u64, &[u8])> {
    let (format, rest) = bytes.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let (length, body) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*format), u32::from_le_bytes(*checksum), u64::from_le_bytes(*length), body))
}
