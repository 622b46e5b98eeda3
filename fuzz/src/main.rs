//! Inputs of the fuzz targets without a fuzzer.
//!
//! ```text
//! genkan-fuzz seeds DIRECTORY       writes every target's seeds to DIRECTORY/TARGET/
//! genkan-fuzz run TARGET FILE…      runs inputs, one after the other; a bad one panics
//! ```

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use genkan_fuzz::{TARGETS, target};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["seeds", directory] => seeds(Path::new(directory)),
        ["run", name, ref files @ ..] if !files.is_empty() => run(name, files),
        _ => Err("usage: genkan-fuzz seeds DIRECTORY | run TARGET FILE…".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn seeds(directory: &Path) -> Result<(), String> {
    for target in TARGETS {
        let folder = directory.join(target.name);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            let path = folder.join(format!("seed-{number:03}"));
            fs::write(&path, seed).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn run(name: &str, files: &[&str]) -> Result<(), String> {
    let target = target(name).ok_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("no target {name}; there are: {}", names.join(" "))
    })?;
    for file in files {
        let input = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        // Named first: a panic's last line tells which it was.
        eprintln!("{file}: {} bytes", input.len());
        (target.run)(&input);
    }
    Ok(())
}
