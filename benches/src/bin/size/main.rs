//! What an acceptor takes on a microcontroller, by crate, and whether anything in it can panic.
//!
//! `genkan-size-report FOLDER TARGET=IMAGE...` reads the probe's images (`benches/size`), one for each
//! target, and prints a report. Limits hold for the first target; one that begins with the name of another
//! image (`plain-flash`) holds for that. It fails when a limit is exceeded, when a crate is linked that
//! `crates.txt` does not know, or when a call that can panic is left for which it gives no reason. The
//! report has nothing in it that depends on the machine.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is printed")]

mod image;
mod panics;
mod share;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use image::{Image, PROBE, UNKNOWN};
use panics::Panics;
use share::Shares;
use tables::Tables;

/// The image of the first target that was built without hole punching.
const PLAIN: &str = "plain";
/// How many files of the core are listed.
const FILES: usize = 40;

/// What was found on one target.
struct Measured {
    target: String,
    shares: Shares,
    crates: BTreeMap<String, u64>,
    panics: Panics,
    sizes: BTreeMap<String, u64>,
}

impl Measured {
    fn read(argument: &str, root: &Path) -> Result<Self, String> {
        let (target, path) = argument.split_once('=').ok_or("not TARGET=IMAGE")?;
        let data = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let image = Image::read(&data, root).map_err(|error| format!("{path}: {error}"))?;
        let shares = share::shares(&image);
        Ok(Self {
            target: target.to_owned(),
            crates: share::by_crate(&shares),
            panics: panics::panics(&image),
            shares,
            sizes: image.sizes,
        })
    }

    /// All but the probe.
    fn flash(&self) -> u64 {
        self.crates.iter().filter(|(name, _)| *name != PROBE).map(|(_, bytes)| bytes).sum()
    }

    fn crypto(&self, tables: &Tables) -> u64 {
        let is_crypto = |name: &str| tables.crates.get(name).is_some_and(|known| known.is_crypto);
        self.crates.iter().filter(|(name, _)| is_crypto(name)).map(|(_, bytes)| bytes).sum()
    }

    /// The figure of this name in `limits.txt`.
    fn figure(&self, name: &str, tables: &Tables) -> Option<u64> {
        match name {
            "flash" => Some(self.flash()),
            "flash-without-crypto" => Some(self.flash().saturating_sub(self.crypto(tables))),
            _ => self.sizes.get(name).copied(),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            wrong.iter().for_each(|line| eprintln!("{line}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("genkan-size-report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the report; what is wrong.
fn run() -> Result<Vec<String>, String> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: genkan-size-report FOLDER TARGET=IMAGE...")?;
    let tables = Tables::read(Path::new(&folder))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?;
    let all = arguments.map(|one| Measured::read(&one, root)).collect::<Result<Vec<_>, _>>()?;
    let main = all.first().ok_or("no image")?;
    summary(&all, &tables)?;
    crates(&all, &tables);
    files(main);
    calls(&all, &tables);
    let mut wrong = limits(&all, &tables)?;
    all.iter().for_each(|one| wrong.extend(unjustified(one, &tables)));
    Ok(wrong)
}

/// Whose figure a limit is for, and which one.
fn subject<'a>(all: &'a [Measured], name: &'a str) -> Option<(&'a Measured, &'a str)> {
    let named = |one: &'a Measured| Some((one, name.strip_prefix(&one.target)?.strip_prefix('-')?));
    all.iter().find_map(named).or_else(|| Some((all.first()?, name)))
}

fn row(name: &str, figures: impl Iterator<Item = u64>) -> String {
    figures.fold(format!("{name:<26}"), |line, figure| format!("{line} {figure:>12}"))
}

fn head(all: &[Measured], title: &str) {
    let short = |one: &Measured| one.target.split('-').next().unwrap_or_default().to_owned();
    println!(
        "{}",
        all.iter().fold(format!("{title:<26}"), |line, one| format!("{line} {:>12}", short(one)))
    );
}

fn summary(all: &[Measured], tables: &Tables) -> Result<(), String> {
    println!(
        "An acceptor with one connection: all that it links, without network stack and application,"
    );
    println!("at opt-level s with LTO. Bytes; made by tests/scripts/size.sh --keep.");
    let [main, ..] = all else { return Ok(()) };
    println!("{PLAIN}: on {}, built without the feature `punch`.\n", main.target);
    head(all, "figure");
    for (name, limit) in &tables.limits {
        let (of, figure) = subject(all, name).ok_or("no image")?;
        let first = of.figure(figure, tables).ok_or_else(|| format!("no such figure: {name}"))?;
        let verdict = match first.checked_sub(limit.budget) {
            None | Some(0) => format!("   budget {}: met", limit.budget),
            Some(over) => format!("   budget {}: EXCEEDED by {over}", limit.budget),
        };
        let line = match figure == name {
            true => row(name, all.iter().filter_map(|one| one.figure(name, tables))),
            false => row(name, core::iter::once(first)),
        };
        println!("{line}{verdict}");
    }
    println!("{}", row("crypto crates", all.iter().map(|one| one.crypto(tables))));
    let panics = |one: &Measured| one.panics.values().map(|calls| calls.len() as u64).sum();
    println!("{}", row("calls that can panic", all.iter().map(panics)));
    let ours = |one: &Measured| one.panics.get("genkan-core").map_or(0, |calls| calls.len() as u64);
    println!("{}", row("  of them in the core", all.iter().map(ours)));
    println!();
    head(all, "size of");
    let main = all.first().map(|one| &one.sizes);
    for name in main.into_iter().flat_map(BTreeMap::keys) {
        let figures = all.iter().map(|one| one.sizes.get(name).copied().unwrap_or(0));
        println!("{}", row(name, figures));
    }
    Ok(())
}

fn crates(all: &[Measured], tables: &Tables) {
    println!();
    head(all, "flash of the crate");
    let main = all.first().map(|one| &one.crates);
    let mut names: Vec<_> = main.into_iter().flatten().filter(|(name, _)| *name != PROBE).collect();
    names.sort_by_key(|(name, bytes)| (core::cmp::Reverse(**bytes), name.as_str()));
    for (name, _) in names {
        let figures = all.iter().map(|one| one.crates.get(name).copied().unwrap_or(0));
        let crypto = tables.crates.get(name).is_some_and(|known| known.is_crypto);
        println!("{}{}", row(name, figures), if crypto { "   crypto" } else { "" });
    }
}

fn files(main: &Measured) {
    println!("\nflash of the core's files, {}", main.target);
    let mut files: Vec<_> =
        main.shares.iter().filter(|((owner, _), _)| owner == "genkan-core").collect();
    files.sort_by_key(|((_, file), bytes)| (core::cmp::Reverse(**bytes), file.as_str()));
    for ((_, file), bytes) in files.iter().take(FILES) {
        println!("{}", row(file, core::iter::once(**bytes)));
    }
    let rest: u64 = files.iter().skip(FILES).map(|(_, bytes)| **bytes).sum();
    println!("{}", row("all others", core::iter::once(rest)));
}

fn calls(all: &[Measured], tables: &Tables) {
    println!("\ncalls that can panic, for all that the compiler knows");
    for one in all {
        for (owner, calls) in &one.panics {
            let known = tables.crates.get(owner).and_then(|known| known.reason.as_deref());
            println!("{}, {owner}: {}", one.target, known.unwrap_or("NO REASON GIVEN"));
            for (place, called) in calls {
                println!("    {place} calls {called}");
            }
        }
    }
}

fn limits(all: &[Measured], tables: &Tables) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for (name, limit) in &tables.limits {
        let (of, figure) = subject(all, name).ok_or("no image")?;
        let figure = of.figure(figure, tables).ok_or_else(|| format!("no such figure: {name}"))?;
        if figure > limit.held {
            wrong.push(format!(
                "{name}: {figure} bytes, more than the {} of limits.txt",
                limit.held
            ));
        }
    }
    Ok(wrong)
}

fn unjustified(one: &Measured, tables: &Tables) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in one.crates.keys().filter(|name| ![PROBE, UNKNOWN].contains(&name.as_str())) {
        if !tables.crates.contains_key(name) {
            wrong
                .push(format!("{}: {name} is linked, and crates.txt does not know it", one.target));
        }
    }
    for (owner, calls) in one.panics.iter().filter(|(owner, _)| *owner != PROBE) {
        if tables.crates.get(owner).is_none_or(|known| known.reason.is_none()) {
            for (place, called) in calls {
                let target = &one.target;
                wrong.push(format!("{target}: {owner} can panic: {place} calls {called}"));
            }
        }
    }
    wrong
}
