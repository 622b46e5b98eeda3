//! `genkan`: the command. `genkan --help` says what it can do, README.md shows it.
//!
//! Reading order: [`args`] (what can be asked for), [`commands`] (one file each), [`demo`] (three
//! processes and their timeline), [`output`] and [`exit`] (what comes out), [`logs`], [`password`].

mod args;
mod authority_key;
mod clock;
mod commands;
mod demo;
mod events;
mod exit;
mod lease;
mod logs;
mod nat;
mod node;
mod output;
mod password;
mod qr;
mod stop;
mod thermostat;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use exit::{Exit, Outcome};
use output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    cli.global.color.choice().write_global();
    logs::start(cli.global.verbose);
    let payload = matches!(&cli.command, Command::Connect(args) if args.stdio);
    let output = Output::new(cli.global.json).beside_payload(payload);
    let outcome = run(cli, &output);
    end(outcome, &output)
}

/// A command that has done its work and could not print it has failed.
fn end(outcome: Outcome, output: &Output) -> ExitCode {
    match outcome.and_then(|()| output.unwritten().map_or(Ok(()), Err)) {
        Ok(()) => {
            output.end_progress();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Help and version were asked for, or the command line is wrong.
fn not_understood(error: &clap::Error) -> ExitCode {
    let told = error.print().and_then(|()| std::io::stdout().flush());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let output = Output::new(false);
            output.wrote(told);
            end(Ok(()), &output)
        }
        _ => Exit::Usage.into(),
    }
}

fn run(cli: Cli, output: &Output) -> Outcome {
    match cli.command {
        Command::Demo(args) => demo::run(&args, &cli.global, output),
        Command::Serve(args) => commands::serve::run(&args, cli.global.supervised, output),
        Command::Accept(args) => commands::accept::run(&args, cli.global.supervised, output),
        Command::Connect(args) => commands::connect::run(&args, cli.global.supervised, output),
        Command::Key(command) => commands::key::run(&command, output),
        Command::Authority(command) => commands::authority::run(&command, output),
        Command::Sim(command) => commands::sim::run(&command, output),
        Command::Completions(args) => commands::completions::run(&args, output),
    }
}
