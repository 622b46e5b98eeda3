//! `genkan demo`: server, appliance and user as three processes on this machine, and what happens
//! between them.
//!
//! The processes are this same program, started as a user would start them (`serve`, `accept`,
//! `connect`), with throw-away keys in a temporary directory. [`stage`] brings them up,
//! [`timeline`] merges what they tell, [`report`] prints it, [`hold`] keeps them up.

mod children;
mod hold;
pub(crate) mod http;
mod report;
mod stage;
mod timeline;

use crate::args::Global;
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::stop::Stop;

use stage::Stage;

/// Show everything at work on this machine: server, appliance and user, with a timeline
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep everything up afterwards, for a browser, until Ctrl-C
    #[arg(long)]
    hold: bool,
}

pub(crate) fn run(args: &Args, global: &Global, output: &Output) -> Outcome {
    let stop = Stop::on_signals(global.supervised)?;
    let mut stage = Stage::new(output, &stop, global.verbose)?;
    let result = show(&mut stage, args.hold, output);
    output.end_progress();
    let closed = stage.close();
    match result {
        Err(_) if stop.is_set() && !args.hold => Err(Failure::interrupted()),
        Err(_) if stop.is_set() => Ok(()),
        result => result.and(closed),
    }
}

fn show(stage: &mut Stage<'_>, keep: bool, output: &Output) -> Outcome {
    stage.start_server()?;
    stage.start_appliance()?;
    stage.start_user()?;
    let visit = stage.visit()?;
    stage.settle()?;
    report::print(stage, &visit, output);
    if keep { hold::hold(stage, output) } else { Ok(()) }
}
