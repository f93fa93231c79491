//! Any text as a journal and as a config: an error or a value, never a panic; and what was read, once written,
//! reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::{Config, Entry, Journal};

/// Longer replays find nothing that shorter ones do not, and one line can ask for 4 billion polls.
const MAX_POLLS: u64 = 1_000;

fuzz_target!(|text: &str| {
    if let Ok(config) = Config::from_toml(text) {
        assert_eq!(Config::from_toml(&config.to_toml()).as_ref(), Ok(&config));
    }
    if let Ok(config) = Config::from_json(text) {
        assert_eq!(Config::from_json(&config.to_json()).as_ref(), Ok(&config));
        assert_eq!(Config::from_toml(&config.to_toml()).as_ref(), Ok(&config));
    }
    let Ok(journal) = Journal::parse(text) else { return };
    let mut written = String::new();
    journal.write(&mut written).expect("a String takes everything");
    let again = Journal::parse(&written).expect("what was written is a journal");
    assert_eq!(again.entries, journal.entries);
    let polls = |entry: &Entry| if let Entry::Poll { calls } = entry { u64::from(*calls) } else { 0 };
    if journal.entries.iter().map(|(_, entry)| polls(entry)).sum::<u64>() <= MAX_POLLS {
        assert_eq!(again.replay().digest, journal.replay().digest);
    }
});
