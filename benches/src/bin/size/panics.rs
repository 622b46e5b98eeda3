//! Calls that end in the panic handler.
//!
//! The language's own functions that lead there (`core::panicking`, failed indexing, `unwrap` of
//! nothing) are followed backwards from the handler, as far as they are the language's: the first call
//! whose inline chain has a line of another crate is a place that can panic, and that line's crate is
//! the one to answer for it. What the optimiser has proved impossible is not there any more; where
//! nothing is left, neither is the handler.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::{Image, Symbol, is_language};

/// The panic handler, as every program must define it.
const HANDLER: &str = "rust_begin_unwind";

/// Places that can panic, by crate: file and line, and what is called.
pub(crate) type Panics = BTreeMap<String, BTreeSet<(String, String)>>;

pub(crate) fn panics(image: &Image<'_>) -> Panics {
    let mut found = Panics::new();
    let is_handler = |symbol: &&Symbol| symbol.is_code && symbol.name.contains(HANDLER);
    let Some(handler) = image.symbols.iter().find(is_handler) else { return found };
    let mut reached = BTreeSet::from([handler.address]);
    let mut waiting = vec![handler.address];
    while let Some(target) = waiting.pop() {
        for reference in image.references.iter().filter(|reference| reference.to == target) {
            let Some(from) = image.symbol(reference.from) else { continue };
            let lines = image.lines(reference.from);
            match lines.iter().find(|line| !is_language(&line.owner)) {
                // A table of functions is not code that calls; whoever calls through it would be.
                None if !from.is_code => {}
                None if reached.insert(from.address) => waiting.push(from.address),
                None => {}
                Some(line) => {
                    let called = image.symbol(target).map_or("", |symbol| symbol.name.as_str());
                    let place = format!("{}:{}", line.file, line.line);
                    let call = (place, called.to_owned());
                    found.entry(line.owner.clone()).or_default().insert(call);
                }
            }
        }
    }
    found
}
