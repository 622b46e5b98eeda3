//! `genkan sim`: fleets, NATs and faults in virtual time, without a socket.

mod judge;
mod matrix;
mod nats;
mod world;

use clap::Subcommand;

use crate::exit::Outcome;
use crate::output::Output;

/// What to simulate.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    World(Box<world::Args>),
    Nats(nats::Args),
    Judge(judge::Args),
    Matrix(matrix::Args),
}

pub(crate) fn run(command: &Command, output: &Output) -> Outcome {
    match command {
        Command::World(args) => world::run(args, output),
        Command::Nats(args) => nats::run(args, output),
        Command::Judge(args) => judge::run(args, output),
        Command::Matrix(args) => matrix::run(args, output),
    }
}
