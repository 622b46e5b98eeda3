//! Whose flash it is.
//!
//! An instruction belongs to the crate of the innermost source line of its inline chain, the language's
//! own crates left out: an `Option::map` in a function of the core is the core's, a rotation of SHA-256
//! is sha2's wherever it was inlined, and a copy of `core::str::from_utf8` that stands by itself is the
//! language's. A constant belongs to whoever refers to it first.

use std::collections::BTreeMap;

use crate::image::{Image, Symbol, UNKNOWN, is_language};

/// Bytes by crate and source file.
pub(crate) type Shares = BTreeMap<(String, String), u64>;

/// What each crate's files have of the image's flash. The rows add up to it.
pub(crate) fn shares(image: &Image<'_>) -> Shares {
    let mut shares = Shares::new();
    for symbol in image.symbols.iter().filter(|symbol| symbol.is_code) {
        for at in (symbol.address..symbol.address + symbol.size).step_by(2) {
            *shares.entry(owner(image, at)).or_default() +=
                2.min(symbol.address + symbol.size - at);
        }
    }
    let constants = constants(image);
    for symbol in image.symbols.iter().filter(|symbol| !symbol.is_code) {
        let owner = constants.get(&symbol.address).cloned();
        let owner = owner.unwrap_or_else(|| (UNKNOWN.into(), String::new()));
        *shares.entry(owner).or_default() += symbol.size;
    }
    // Alignment, and constants that were merged and have no name any more.
    let booked: u64 = shares.values().sum();
    *shares.entry((UNKNOWN.into(), String::new())).or_default() +=
        image.flash.saturating_sub(booked);
    shares
}

/// Bytes by crate.
pub(crate) fn by_crate(shares: &Shares) -> BTreeMap<String, u64> {
    let mut crates = BTreeMap::new();
    for ((owner, _), bytes) in shares {
        *crates.entry(owner.clone()).or_default() += bytes;
    }
    crates
}

/// The crate that an instruction belongs to, and the source file there.
fn owner(image: &Image<'_>, address: u64) -> (String, String) {
    let lines = image.lines(address);
    let chosen = lines.iter().find(|line| !is_language(&line.owner)).or_else(|| lines.last());
    chosen.map_or_else(
        || (UNKNOWN.into(), String::new()),
        |line| (line.owner.clone(), line.file.clone()),
    )
}

/// The owner of each constant's address: the first instruction that refers to it, or to a constant
/// that refers to it.
fn constants(image: &Image<'_>) -> BTreeMap<u64, (String, String)> {
    let is_constant = |symbol: &&Symbol| !symbol.is_code;
    let mut owners: BTreeMap<u64, (String, String)> = BTreeMap::new();
    loop {
        let before = owners.len();
        for reference in &image.references {
            let Some(to) = image.symbol(reference.to).filter(is_constant) else { continue };
            let Some(from) = image.symbol(reference.from) else { continue };
            let owner = if from.is_code {
                Some(owner(image, reference.from))
            } else {
                owners.get(&from.address).cloned()
            };
            if let Some(owner) = owner {
                owners.entry(to.address).or_insert(owner);
            }
        }
        if owners.len() == before {
            return owners;
        }
    }
}
