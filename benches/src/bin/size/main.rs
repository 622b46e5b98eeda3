//! What an acceptor takes on a microcontroller, by crate, and whether anything in it can panic.
#![allow(clippy::print_stdout, reason = "a report is printed")]

mod image;
mod panics;
mod share;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
    let data = std::fs::read(&args[0]).unwrap();
    let image = image::Image::read(&data, root).unwrap();
    if std::env::var_os("IN").is_some() { share::instances(&image); return ExitCode::SUCCESS; }
    let shares = share::shares(&image);
    let mut crates: BTreeMap<&str, u64> = BTreeMap::new();
    for ((owner, _), bytes) in &shares {
        *crates.entry(owner).or_default() += bytes;
    }
    println!("flash {}", image.flash);
    let mut rows: Vec<_> = crates.iter().collect();
    rows.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    for (owner, bytes) in rows {
        println!("  {bytes:>7} {owner}");
    }
    println!("{:?}", image.sizes);
    if args.len() > 1 {
        let mut rows: Vec<_> = shares.iter().collect();
        rows.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
        for ((owner, file), bytes) in rows.iter().take(args[1].parse().unwrap()) {
            println!("  {bytes:>7} {owner} {file}");
        }
    }
    for (owner, sites) in panics::panics(&image).unwrap() {
        println!("{owner}: {}", sites.len());
        for (place, called) in sites {
            println!("    {place}  {called}");
        }
    }
    ExitCode::SUCCESS
}
