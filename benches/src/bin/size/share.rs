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

/// The crate that an instruction belongs to, and the source line there.
pub(crate) fn owner(image: &Image<'_>, address: u64) -> (String, String) {
    let lines = image.lines(address);
    let chosen = lines.iter().find(|line| !is_language(&line.owner)).or(lines.last());
    chosen.map_or_else(
        || (UNKNOWN.into(), String::new()),
        |line| (line.owner.clone(), if std::env::var_os("FN").is_some() { let f=&line.function; format!("{} {}:0", line.place.split(':').next().unwrap(), f) } else if std::env::var_os("LN").is_some() {format!("{}:0", line.place.replace(':',"#"))} else {line.place.clone()}),
    )
}

/// What each crate's files have of the image's flash.
pub(crate) fn shares(image: &Image<'_>) -> Shares {
    let mut shares = Shares::new();
    let mut booked = 0;
    for symbol in image.symbols.iter().filter(|symbol| symbol.is_code) {
        for at in (symbol.address..symbol.address + symbol.size).step_by(2) {
            book(&mut shares, owner(image, at), 2);
        }
        booked += symbol.size.next_multiple_of(2);
    }
    let constants = constants(image);
    for symbol in image.symbols.iter().filter(|symbol| !symbol.is_code) {
        let owner = constants.get(&symbol.address).cloned();
        book(&mut shares, owner.unwrap_or_else(|| (UNKNOWN.into(), symbol.name.clone())), symbol.size);
        booked += symbol.size;
    }
    // Alignment between symbols, and constants without a name of their own.
    book(&mut shares, ("(alignment)".into(), String::new()), image.flash.saturating_sub(booked));
    shares
}

fn book(shares: &mut Shares, (owner, place): (String, String), bytes: u64) {
    let file = place.rsplit_once(':').map_or(place.as_str(), |(file, _)| file).to_owned();
    *shares.entry((owner, file)).or_default() += bytes;
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

pub(crate) fn instances(image: &Image<'_>) {
    let mut all: BTreeMap<(String, String, String), BTreeMap<String, u64>> = BTreeMap::new();
    for symbol in image.symbols.iter().filter(|symbol| symbol.is_code) {
        for at in (symbol.address..symbol.address + symbol.size).step_by(2) {
            let lines = image.lines(at);
            for (index, line) in lines.iter().enumerate() {
                if line.owner != "genkan-core" { continue; }
                let outer: Vec<_> = lines[index + 1..].iter().map(|line| line.place.clone()).collect();
                let file = line.place.split(':').next().unwrap().to_owned();
                *all.entry((line.owner.clone(), file, line.function.clone())).or_default().entry(format!("{}{outer:?}", symbol.address)).or_default() += 2;
            }
        }
    }
    let mut rows: Vec<_> = all.iter().map(|(key, value)| (value.values().sum::<u64>(), value.len(), key)).collect();
    rows.sort();
    rows.reverse();
    for (bytes, count, (_, file, function)) in rows.iter().filter(|row| row.1 > 1).take(90) {
        println!("{bytes:>6} in {count:>3} = {:>5}  {file} {function}", bytes / *count as u64);
    }
}
