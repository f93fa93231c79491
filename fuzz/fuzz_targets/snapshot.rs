//! Any host that restarts now and then, and never notices; and states that nobody wrote, under a right checksum: they are
//! refused, or are some scheduler, and reading them neither panics nor takes long.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::{Config, Scheduler};
use tidegate_fuzz::{Bytes, Host, World};

/// The magic word, the format, the checksum of the rest and its length.
const HEAD: usize = 24;
const FORMAT_END: usize = 12;

/// The same head before another body.
fn with_body(snapshot: &[u8], body: &[u8]) -> Vec<u8> {
    let (checksum, length) = (crc32fast::hash(body).to_le_bytes(), (body.len() as u64).to_le_bytes());
    [&snapshot[..FORMAT_END], &checksum, &length, body].concat()
}

/// Changes a few bytes of a state, or cuts it; the config's text stays as it is.
fn forge(config: &Config, snapshot: &[u8], bytes: &mut Bytes<'_>) {
    let mut body = snapshot[HEAD..].to_vec();
    let state = config.to_json().len();
    for _ in 0..1 + bytes.below(4) {
        let place = state + (bytes.below(256) << 8 | bytes.below(256)) % (body.len() - state);
        body[place] = bytes.below(256) as u8;
    }
    if bytes.below(4) == 0 {
        body.truncate(state + (bytes.below(256) << 8 | bytes.below(256)) % (body.len() - state));
    }
    drop(Scheduler::restore(config.clone(), &with_body(snapshot, &body)));
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes::new(data);
    let mut host = Host::new(World::new(&mut bytes));
    let (config, first) = (host.scheduler().config().clone(), host.scheduler().snapshot());
    drop(Scheduler::restore(config.clone(), data));
    drop(Scheduler::restore(config.clone(), &with_body(&first, data)));
    while !bytes.is_empty() {
        match bytes.below(16) {
            0 | 1 => host.restart(),
            2 => forge(&config, &host.scheduler().snapshot(), &mut bytes),
            _ => host.step(&mut bytes),
        }
    }
    host.settle();
});
