//! `genkan key`: the key that is an equipment's identity.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use genkan_core::StaticKey;
use genkan_std::files;
use serde_json::json;

use super::make_private_dir;
use crate::args::data_dir;
use crate::clock;
use crate::exit::{Failure, Outcome};
use crate::output::{DIM, GOOD, KEY, Output};
use crate::qr;

/// The key's file within a data directory.
const FILE: &str = "key";

/// What to do with a key.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw a new key into a new file of mode 0600, and print its id
    New(FileArgs),
    /// Print the id alone
    Id(FileArgs),
    /// Print the id with its QR code, as for a label
    Show(ShowArgs),
}

/// Which file.
#[derive(Debug, clap::Args)]
pub(crate) struct FileArgs {
    /// The key file, or a data directory that holds one [default: the appliance's]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Which file, and how to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Draw the QR code for dark text on a light ground; needed only without colours
    #[arg(long)]
    light: bool,
}

impl FileArgs {
    fn path(&self) -> Result<PathBuf, Failure> {
        match &self.file {
            Some(path) if path.is_dir() => Ok(path.join(FILE)),
            Some(path) => Ok(path.clone()),
            None => Ok(data_dir(None, "appliance")?.join(FILE)),
        }
    }

    fn load(&self) -> Result<StaticKey, Failure> {
        let path = self.path()?;
        files::load_key(&path).map_err(|error| {
            let missing = error.is_missing();
            let failure = Failure::from(error);
            if missing {
                failure.hint(format!("genkan key new {}", path.display()))
            } else {
                failure
            }
        })
    }
}

pub(crate) fn run(command: &Command, output: &Output) -> Outcome {
    match command {
        Command::New(args) => new(args, output),
        Command::Id(args) => {
            let id = args.load()?.id();
            output.line(id.to_string());
            output.json(&json!({ "event": "key", "at": clock::micros(), "id": id.to_string() }));
            Ok(())
        }
        Command::Show(args) => show(args, output),
    }
}

fn new(args: &FileArgs, output: &Output) -> Outcome {
    let path = args.path()?;
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        make_private_dir(parent)?;
    }
    let id = files::create_key(&path)?.id().to_string();
    output.line(format!("{GOOD}made{GOOD:#} {}", path.display()));
    output.line(format!("id   {KEY}{id}{KEY:#}"));
    output.json(&json!({
        "event": "key", "at": clock::micros(), "id": id, "file": path.display().to_string(),
    }));
    Ok(())
}

fn show(args: &ShowArgs, output: &Output) -> Outcome {
    let id = args.file.load()?.id().to_string();
    let (code, painted) = (qr::half_blocks(&id, args.light)?, qr::painted(&id, args.light)?);
    output.line(format!("{painted}{KEY}{id}{KEY:#}"));
    output.line(format!("{DIM}The id is public. Whoever connects needs it.{DIM:#}"));
    output.json(&json!({ "event": "key", "at": clock::micros(), "id": id, "qr": code }));
    Ok(())
}
