//! `genkan connect`: an appliance's service on a local port, or on standard input and output.
//!
//! [`door`] keeps one connection to the appliance: made at the start, made again whenever it ends.
//! [`local`] joins local clients to it, [`stdio`] a single stream. The first attempt decides
//! whether the command fails; after that it goes on trying until it is stopped.

mod door;
mod local;
mod stdio;
mod tell;

use core::net::SocketAddr;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use genkan_core::{EquipmentId, Identity, IssuerConfig, RequestTransport, Target};
use genkan_std::files::{self, Problem, StateDir};
use genkan_std::{IssuerNode, IssuerOptions, Trace};

use super::make_private_dir;
use crate::args::{HostPort, PolicyArgs, PunchArgs, ServerArgs, data_dir, listen_address};
use crate::events::{Event, Times};
use crate::exit::{Failure, Outcome};
use crate::logs::tag;
use crate::node;
use crate::output::{DIM, KEY, Output};
use crate::password::{self, PasswordArgs};
use crate::stop::Stop;

use door::Door;
use tell::Teller;

/// How long streams may finish when it is stopped.
const GRACE: Duration = Duration::from_millis(500);

/// Reach an appliance: its service appears on a local port, or on standard input and output
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["listen", "stdio"])))]
pub(crate) struct Args {
    /// The appliance
    #[arg(value_name = "ID")]
    id: EquipmentId,
    /// Where local programs find the service; this machine alone unless a host is given, and
    /// a free port with port 0
    #[arg(long, value_name = "[HOST:]PORT", value_parser = listen_address)]
    listen: Option<HostPort>,
    /// Join standard input and output to the service, as `ssh -W` does
    #[arg(long)]
    pub(crate) stdio: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    password: PasswordArgs,
    /// How to reach the server
    #[arg(long, value_name = "HOW", default_value = "race")]
    transport: Transport,
    /// How long one attempt may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    punch: PunchArgs,
    /// Go on trying when the first attempt fails, too
    #[arg(long)]
    keep_trying: bool,
    /// Where the key and the state are kept [default: the user's data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With --json: also an event for each message on the wire
    #[arg(long)]
    trace: bool,
}

/// How to reach the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Transport {
    /// UDP and, a quarter of a second later, TCP; whichever answers first
    Race,
    /// UDP alone
    Udp,
    /// TCP alone
    Tcp,
}

impl From<Transport> for RequestTransport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Race => Self::Race,
            Transport::Udp => Self::Datagram,
            Transport::Tcp => Self::Stream,
        }
    }
}

pub(crate) fn run(args: &Args, supervised: bool, output: &Output) -> Outcome {
    let stop = Stop::on_signals(supervised)?;
    // Before anything is sent: a wrong port or password file is told at once.
    let listener = args.listen.as_ref().map(local::bind).transpose()?;
    let mut target = Target::new(args.id);
    if let Some(password) = args.password.read(false)? {
        target.password = Some(*password::information(&password, &args.id)?);
    }
    let server = node::server(&args.server)?;
    genkan_std::raise_open_files();
    let node = Arc::new(start(args, server, output)?);
    let events = node.events();
    if let Some((_, address)) = &listener {
        output.line(format!("{DIM}appliance{DIM:#}  {KEY}{}{KEY:#}", args.id));
        let ready = Event::new("ready").text("id", args.id).text("listen", address);
        output.json(&ready.into_value());
    }
    output.progress(|_| format!("asking {server} for {} …", tag(&args.id)));
    let stopped = Arc::clone(&node);
    let stopper = stop.then(move || stopped.stop(GRACE))?;
    let address = listener.as_ref().map(|(_, address)| *address);
    let door = Door::open(Arc::clone(&node), target, args.keep_trying, &stop)?;
    match listener {
        Some((listener, _)) => local::start(listener, &door)?,
        None => stdio::start(&door, &stop, output)?,
    }
    let (mut times, teller) = (Times::new(), Teller::new(server, address, output));
    while let Some(stamped) = events.next() {
        teller.tell(&stamped.event, times.of(&stamped));
    }
    // It may have ended by itself; then this says why.
    stop.set();
    node::stopped(stopper)?;
    output.json(&Event::new("stopped").into_value());
    match door.failure() {
        Some(failure) => Err(failure),
        None if door.was_open() => Ok(()),
        None => Err(Failure::interrupted()),
    }
}

fn start(args: &Args, server: SocketAddr, output: &Output) -> Result<IssuerNode, Failure> {
    let data = data_dir(args.data.as_deref(), "client")?;
    make_private_dir(&data)?;
    let key = files::load_or_create_key_in(&data, &["boots", "floor"])?;
    let anchors = node::anchors(&args.server, 0)?;
    let identity = Identity { key, boots: 0 };
    let mut config = IssuerConfig::new(identity, node::both(server), anchors);
    config.transport = args.transport.into();
    config.deadline = Duration::from_secs(args.timeout);
    config.wall_clock = genkan_std::Clock::new().wall();
    config.punch = node::ability(args.punch, output);
    if config.punch.is_some() {
        config.addresses = node::policy(args.policy, server, output);
    }
    let mut options = IssuerOptions::new(config);
    options.lease = args.punch.port_mapping;
    options.state = state(&data)?;
    options.trace = if args.trace { Trace::All } else { Trace::Off };
    IssuerNode::start(options).map_err(node::cannot_start)
}

/// The state, unless another `connect` of the same user has it: then this one does without.
fn state(data: &Path) -> Result<Option<StateDir>, Failure> {
    match StateDir::open(data) {
        Ok(state) => Ok(Some(state)),
        Err(error) if matches!(error.problem(), Problem::InUse) => {
            tracing::info!("another process uses {}; nothing is kept", data.display());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
