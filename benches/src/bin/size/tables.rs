//! The two tables beside the probe: what may be taken, and what each crate is.

use std::collections::BTreeMap;
use std::path::Path;

/// What a figure may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// What is aimed at.
    pub(crate) budget: u64,
    /// What no build may exceed.
    pub(crate) held: u64,
}

/// What is known of a crate.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) is_crypto: bool,
    /// Why what can panic in it, for all that the compiler knows, cannot happen.
    pub(crate) reason: Option<String>,
}

pub(crate) struct Tables {
    pub(crate) limits: Vec<(String, Limit)>,
    pub(crate) crates: BTreeMap<String, Known>,
}

impl Tables {
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let limits = rows(&folder.join("limits.txt"))?;
        let limits = limits.iter().map(|row| limit(row)).collect::<Result<_, _>>()?;
        let crates = rows(&folder.join("crates.txt"))?;
        let crates = crates.iter().map(|row| known(row)).collect::<Result<_, _>>()?;
        Ok(Self { limits, crates })
    }
}

fn rows(path: &Path) -> Result<Vec<String>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let is_row = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    Ok(text.lines().filter(is_row).map(str::to_owned).collect())
}

fn limit(row: &str) -> Result<(String, Limit), String> {
    let words: Vec<&str> = row.split_whitespace().collect();
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("not a number: {row}"));
    match words[..] {
        [what, budget, held] => {
            Ok((what.to_owned(), Limit { budget: number(budget)?, held: number(held)? }))
        }
        _ => Err(format!("not `what budget held`: {row}")),
    }
}

fn known(row: &str) -> Result<(String, Known), String> {
    let mut words = row.split_whitespace();
    let (Some(name), Some(kind)) = (words.next(), words.next()) else {
        return Err(format!("not `crate kind [reason]`: {row}"));
    };
    let is_crypto = match kind {
        "crypto" => true,
        "core" | "wire" | "collections" | "language" => false,
        _ => return Err(format!("not a kind of crate: {row}")),
    };
    let reason = words.collect::<Vec<_>>().join(" ");
    let reason = (!reason.is_empty() && name != "genkan-core").then_some(reason);
    Ok((name.to_owned(), Known { is_crypto, reason }))
}
