//! The files that show one world. They are made before it begins: what cannot be written is known
//! then, not after hours.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use genkan_sim::see;
use genkan_sim::swarm::{Keep, Replay};

use super::Args;
use crate::exit::{Failure, Outcome};
use crate::output::{DIM, Output};

/// A file that is open, and its name.
type Open = (PathBuf, File);

/// The files that were asked for.
#[derive(Debug)]
pub(super) struct Files {
    transcript: Option<Open>,
    pcapng: Option<Open>,
    svg: Option<Open>,
}

impl Files {
    /// Makes them, empty.
    pub(super) fn create(args: &Args) -> Result<Self, Failure> {
        let create = |path: &Option<PathBuf>| match path {
            None => Ok(None),
            Some(path) => match File::create(path) {
                Ok(file) => Ok(Some((path.clone(), file))),
                Err(error) => Err(unwritten(path, &error)),
            },
        };
        Ok(Self {
            transcript: create(&args.transcript)?,
            pcapng: create(&args.pcapng)?,
            svg: create(&args.svg)?,
        })
    }

    /// What must be kept of the world for them.
    pub(super) const fn keep(&self) -> Keep {
        let transcript = self.transcript.is_some() || self.svg.is_some();
        Keep { transcript, captures: self.pcapng.is_some() }
    }

    /// Fills them, each whatever becomes of the others; of the diagram's lines at most so many.
    pub(super) fn fill(self, replay: &Replay, lines: usize, output: &Output) -> Outcome {
        let fleet = &replay.fleet;
        let story = fill(self.transcript, || Ok(fleet.story().into_bytes()), output);
        let capture = || {
            let world = &fleet.world;
            see::pcapng::write(world.captured(), |at| world.interface_name(at), |_| true)
                .map_err(|error| Failure::other(error.to_string()))
        };
        let captures = fill(self.pcapng, capture, output);
        let all = fleet.world.transcript().lines().len();
        let shown = match replay.failure {
            Some(_) => all.saturating_sub(lines)..all,
            None => 0..lines,
        };
        let diagram = fill(self.svg, || Ok(fleet.diagram(shown).into_bytes()), output);
        story.and(captures).and(diagram)
    }
}

fn fill(
    open: Option<Open>,
    content: impl FnOnce() -> Result<Vec<u8>, Failure>,
    output: &Output,
) -> Outcome {
    let Some((path, mut file)) = open else { return Ok(()) };
    file.write_all(&content()?).map_err(|error| unwritten(&path, &error))?;
    output.line(format!("{DIM}wrote{DIM:#} {}", path.display()));
    Ok(())
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::other(format!("cannot write {}: {error}", path.display()))
}
