//! What the page calls: numbers go in, and text comes out as a place in the module's memory and its length.
//!
//! There is one world, as there is one page and one thread. The text of a call stays where it is until the next one.

#![allow(unsafe_code)] // a name that is exported counts as that; no block and no function here is unsafe

use std::cell::RefCell;

use crate::world::World;

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State { world: World::new(0), text: String::new() });
}

struct State {
    world: World,
    text: String,
}

fn with<T>(act: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(act)
}

/// A new world.
#[unsafe(no_mangle)]
extern "C" fn playground_new(seed: u32) {
    with(|state| state.world = World::new(seed));
}

/// Requests of a tier that arrive in a minute.
#[unsafe(no_mangle)]
extern "C" fn playground_load(tier: u32, per_minute: u32) {
    with(|state| state.world.load(tier as usize, per_minute));
}

/// A tier's share. 1 if it may have it, 0 if nothing changed.
#[unsafe(no_mangle)]
extern "C" fn playground_reserve(tier: u32, ppm: u32) -> u32 {
    with(|state| u32::from(state.world.reserve(tier as usize, ppm)))
}

/// How long is held what a tier needed. 1 if it is so, 0 if nothing changed.
#[unsafe(no_mangle)]
extern "C" fn playground_hold(ms: u32) -> u32 {
    with(|state| u32::from(state.world.hold(u64::from(ms))))
}

/// The time goes on.
#[unsafe(no_mangle)]
extern "C" fn playground_advance(ms: u32) {
    with(|state| state.world.advance(u64::from(ms)));
}

/// What there is to see becomes the text. Its length in bytes.
#[unsafe(no_mangle)]
extern "C" fn playground_view() -> usize {
    with(|state| {
        state.text = serde_json::to_string(&state.world.view()).expect("numbers and names are JSON");
        state.text.len()
    })
}

/// Why a request is where it is becomes the text. Its length in bytes; 0 if the request has ended.
#[unsafe(no_mangle)]
extern "C" fn playground_explain(request: u64) -> usize {
    with(|state| {
        state.text = state.world.explain(request).unwrap_or_default();
        state.text.len()
    })
}

/// Where the text is.
#[unsafe(no_mangle)]
extern "C" fn playground_text() -> *const u8 {
    with(|state| state.text.as_ptr())
}
