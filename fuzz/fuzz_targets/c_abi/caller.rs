//! What calls are made of: handles, numbers, structs and room for outputs, as the bytes choose; and what must hold of
//! each status.

use std::ffi::CStr;
use std::ptr::null_mut;

use tidegate_c_abi::builder::{BuilderHandle, tidegate_config_builder_free, tidegate_config_builder_new};
use tidegate_c_abi::config::{ConfigHandle, tidegate_config_free, tidegate_config_from_toml};
use tidegate_c_abi::fleet::tidegate_scheduler_worker_add;
use tidegate_c_abi::names::tidegate_status_str;
use tidegate_c_abi::observe::tidegate_scheduler_check_invariants;
use tidegate_c_abi::scheduler::{SchedulerHandle, tidegate_scheduler_free, tidegate_scheduler_new};
use tidegate_c_abi::shared::{SharedHandle, tidegate_shared_free, tidegate_shared_new, tidegate_shared_open};
use tidegate_c_abi::status::TidegateStatus as Status;
use tidegate_c_abi::tenant::tidegate_scheduler_tenant_set;
use tidegate_c_abi::types::WorkerInput;
use tidegate_fuzz::Bytes;

use crate::block::Block;

/// Everything may be borrowed, so that whoever is told to go on does, and queues are short.
const CONFIG: &str = "dimensions = [\"slots\", \"blocks\"]\npools = [\"a\", \"b\"]\nqueue_limit = 6\nmax_tenants = 3\n\
    min_run = \"0s\"\n[[tiers]]\nname = \"first\"\nreserve_ppm = 300000\n[[tiers]]\nname = \"second\"\n";

/// A host without manners.
pub(crate) struct Caller<'a> {
    pub(crate) bytes: Bytes<'a>,
    pub(crate) config: *mut ConfigHandle,
    pub(crate) builder: *mut BuilderHandle,
    /// One of its own, and one of `shared`.
    pub(crate) own: *mut SchedulerHandle,
    opened: *mut SchedulerHandle,
    shared: *mut SharedHandle,
    /// No handle.
    foreign: Block,
    pub(crate) now: u64,
    /// What was given: requests with the attempt of their last start, and tickets.
    pub(crate) requests: Vec<(u64, u32)>,
    pub(crate) tickets: Vec<u64>,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(bytes: Bytes<'a>) -> Self {
        let mut config = null_mut();
        let (text, len) = (CONFIG.as_ptr().cast(), CONFIG.len());
        // SAFETY: a text, and room for a handle.
        good(unsafe { tidegate_config_from_toml(text, len, null_mut(), 0, null_mut(), &raw mut config) });
        let own = scheduler(config);
        let (mut shared, mut opened, mut builder) = (null_mut(), null_mut(), null_mut());
        // SAFETY: live handles, and room for others.
        unsafe {
            good(tidegate_shared_new(scheduler(config), 4, &raw mut shared));
            good(tidegate_shared_open(shared, &raw mut opened));
            good(tidegate_config_builder_new(&raw mut builder));
        }
        let foreign = Block::of(&[0; 64]);
        let (requests, tickets) = (Vec::new(), Vec::new());
        Self { bytes, config, builder, own, opened, shared, foreign, now: 0, requests, tickets }
    }

    /// Every status is one of the header's, and none tells of a bug.
    pub(crate) fn check(&self, status: Status, outputs: &[&Block]) -> bool {
        // SAFETY: it is never NULL, and never freed.
        let words = unsafe { CStr::from_ptr(tidegate_status_str(status as u32)) };
        assert_ne!(words, c"unknown status", "{status:?}");
        assert!(
            !matches!(status, Status::Panic | Status::Poisoned | Status::InUse | Status::InvariantViolated),
            "{status:?}"
        );
        if status != Status::Ok {
            assert!(outputs.iter().all(|output| output.is_untouched()), "{status:?} and an output");
        }
        status == Status::Ok
    }

    pub(crate) fn scheduler(&mut self) -> *mut SchedulerHandle {
        self.pick([self.own, self.own, self.own, self.own, self.opened, self.opened])
    }

    pub(crate) fn shared(&mut self) -> *mut SharedHandle {
        self.pick([self.shared; 6])
    }

    pub(crate) fn config(&mut self) -> *mut ConfigHandle {
        self.pick([self.config; 6])
    }

    pub(crate) fn builder(&mut self) -> *mut BuilderHandle {
        self.pick([self.builder; 6])
    }

    fn pick<T>(&mut self, live: [*mut T; 6]) -> *mut T {
        match self.bytes.below(64) {
            0 => null_mut(),
            1 => self.foreign.at(),
            chosen => live[chosen % 6],
        }
    }

    /// The clock, which mostly goes on.
    pub(crate) fn now(&mut self) -> u64 {
        match self.bytes.below(8) {
            0 => 0,
            1 => u64::MAX,
            step => {
                self.now += [0, 1, 1_000_000, 400_000_000][step % 4];
                self.now
            }
        }
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.bytes.one_of(&[0, 0, 0, 1, 1, 2, 3, 4, 255, 256, 1_000_000, u32::MAX])
    }

    pub(crate) fn wide(&mut self) -> u64 {
        self.bytes.one_of(&[0, 1, 1, 2, 3, 4, 10, 100, 1_000_000_000, 1 << 40, 1 << 62, u64::MAX])
    }

    pub(crate) fn request(&mut self) -> (u64, u32) {
        let chosen = self.bytes.below(self.requests.len() + 1);
        self.requests.get(chosen).copied().unwrap_or((self.wide(), self.number()))
    }

    pub(crate) fn ticket(&mut self) -> u64 {
        let chosen = self.bytes.below(self.tickets.len() + 1);
        self.tickets.get(chosen).copied().unwrap_or(u64::MAX)
    }

    /// Some bytes; mostly a text.
    pub(crate) fn text(&mut self) -> Block {
        const TEXTS: [&[u8]; 10] = [
            b"a",
            b"b",
            b"second",
            b"slots",
            b"",
            b"\xC3",
            b"\xFF\xFE",
            b"dimensions[0]",
            b"tiers[0].name",
            b"a\nb",
        ];
        match self.bytes.below(3) {
            0 => {
                let len = self.bytes.below(24);
                Block::of(&(0..len).map(|_| self.bytes.below(256) as u8).collect::<Vec<_>>())
            }
            _ => Block::of(self.bytes.one_of(&TEXTS)),
        }
    }

    /// A vector of units, or none.
    pub(crate) fn units(&mut self) -> Option<Block> {
        let mut units = Vec::new();
        for _ in 0..4 {
            units.extend(self.bytes.one_of(&[0, 1, 1, 2, 4, 1 << 40, u64::MAX]).to_ne_bytes());
        }
        (self.bytes.below(32) > 0).then(|| Block::of(&units))
    }

    /// A struct that begins with its size, of whatever size it states; a few of its words differ from those given.
    pub(crate) fn structure(&mut self, words: &[u32]) -> Option<Block> {
        let known = words.len() * 4;
        let stated = match self.bytes.below(16) {
            0 => return None,
            1 => self.bytes.one_of(&[0, 1, 3, 4, 4097, u32::MAX]) as usize,
            2 => self.bytes.below(256),
            3 => known + self.bytes.below(40),
            _ => known,
        };
        // What is wrong to state is not read beyond the statement.
        let len = if stated > 4096 { 4 } else { stated.max(4) };
        let mut content: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        content.resize(len, 0);
        content[..4].copy_from_slice(&(stated as u32).to_ne_bytes());
        for _ in 0..self.bytes.below(5) {
            let (word, value) = (self.bytes.below(64) * 4, self.number().to_ne_bytes());
            if word >= 4 && word + 4 <= len {
                content[word..word + 4].copy_from_slice(&value);
            }
        }
        Some(Block::of(&content))
    }

    /// Records that stand in arrays, which the bytes fill, and how many; sometimes there can be no such array.
    pub(crate) fn records(&mut self, size: usize) -> (Block, usize) {
        let count = self.bytes.below(4);
        let mut content = vec![0; count * size];
        for record in content.chunks_exact_mut(size) {
            let (request, attempt) = self.request();
            record[..8].copy_from_slice(&request.to_ne_bytes());
            for _ in 0..self.bytes.below(4) {
                let (word, value) = (self.bytes.below(size / 4) * 4, self.number().to_ne_bytes());
                record[word..word + 4].copy_from_slice(&value);
            }
            // Where a completion has its attempt, and an exception of a step too.
            if size == 64 {
                let place = if self.bytes.below(2) == 0 { 32 } else { 48 };
                record[place..place + 4].copy_from_slice(&attempt.to_ne_bytes());
            }
        }
        let count = if self.bytes.below(32) == 0 { usize::MAX } else { count };
        (Block::of(&content), count)
    }

    /// Room for an output, or none.
    pub(crate) fn room(&mut self, len: usize) -> (Block, bool) {
        (Block::untouched(len), self.bytes.below(32) > 0)
    }

    /// Checks what must hold when all is said, and ends every handle.
    pub(crate) fn settle(&mut self) {
        // SAFETY: live handles, which are not used again.
        unsafe {
            for scheduler in [self.own, self.opened] {
                good(tidegate_scheduler_check_invariants(scheduler, null_mut(), 0, null_mut()));
                tidegate_scheduler_free(scheduler);
            }
            tidegate_shared_free(self.shared);
            tidegate_config_free(self.config);
            tidegate_config_builder_free(self.builder);
        }
    }
}

/// A pointer to the block, or NULL.
pub(crate) fn at<T>(block: &Option<Block>) -> *mut T {
    block.as_ref().map_or(null_mut(), Block::at)
}

/// A pointer to the room, unless it is not offered.
pub(crate) fn to<T>((block, offered): &(Block, bool)) -> *mut T {
    if *offered { block.at() } else { null_mut() }
}

/// A scheduler with a tenant and two workers.
fn scheduler(config: *mut ConfigHandle) -> *mut SchedulerHandle {
    let (mut scheduler, mut number) = (null_mut(), 0);
    // SAFETY: a live handle, and room for another.
    good(unsafe { tidegate_scheduler_new(config, 0, &raw mut scheduler) });
    // SAFETY: a live handle, a text, and room for a number.
    good(unsafe { tidegate_scheduler_tenant_set(scheduler, 0, c"t".as_ptr(), 1, &raw mut number) });
    for pool in 0..2 {
        let spec = WorkerInput {
            struct_size: size_of::<WorkerInput>() as u32,
            pool,
            capacity: [4, 8, 0, 0],
            kind: 0,
            flags: 0,
            replaces: 0,
            reserved: 0,
        };
        // SAFETY: a live handle, a struct of the size it states, and room for a number.
        good(unsafe {
            tidegate_scheduler_worker_add(scheduler, 0, &raw const spec, std::ptr::null(), 0, &raw mut number)
        });
    }
    scheduler
}

fn good(status: Status) {
    assert_eq!(status, Status::Ok);
}
