//! `genkan accept`: this process is the appliance for a local TCP service.
//!
//! It keeps itself registered, admits whom it may, and joins each stream that a user opens to a new
//! connection to the service ([`forward`]). It runs until it is stopped; a server that goes away
//! and comes back is found again by itself.

mod forward;
mod tell;

use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use genkan_core::{AcceptorConfig, AcceptorEvent, AdmissionPolicy, Discard, EquipmentId, Identity};
use genkan_std::files::{self, StateDir};
use genkan_std::{AcceptorNode, AcceptorOptions, Happening, Trace};

use super::make_private_dir;
use crate::args::{HostPort, PolicyArgs, PunchArgs, ServerArgs, data_dir};
use crate::events::{Event, Times};
use crate::exit::{Failure, Outcome};
use crate::node;
use crate::output::{DIM, KEY, Output};
use crate::password::{self, PasswordArgs};
use crate::qr;
use crate::stop::Stop;
use crate::thermostat::Thermostat;

use tell::Teller;

/// After this long without an answer from the server, the user is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long streams may finish when it is stopped.
const GRACE: Duration = Duration::from_millis(500);

/// Be the appliance for a local TCP service
///
/// Who may connect: whoever has the password (--password-file, --ask-password or GENKAN_PASSWORD;
/// kept as a salted hash for later starts), whoever is on the --allow list, or with --open anybody.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("service").required(true).args(["forward", "thermostat"])))]
pub(crate) struct Args {
    /// The service
    #[arg(long, value_name = "HOST:PORT")]
    forward: Option<HostPort>,
    /// Serve a thermostat's web page instead, to try things out
    #[arg(long)]
    thermostat: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    password: PasswordArgs,
    /// Admit this user by key alone; repeat for more, up to eight
    #[arg(long, value_name = "GK1…")]
    allow: Vec<EquipmentId>,
    /// Admit anybody: for services that ask for a password of their own
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    punch: PunchArgs,
    /// Where the key and the state are kept [default: the user's data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With --json: also an event for each message on the wire
    #[arg(long)]
    trace: bool,
}

pub(crate) fn run(args: &Args, supervised: bool, output: &Output) -> Outcome {
    let stop = Stop::on_signals(supervised)?;
    let thermostat = args.thermostat.then(Thermostat::start).transpose();
    let thermostat =
        thermostat.map_err(|error| Failure::other(format!("the thermostat: {error}")))?;
    let service = match (&thermostat, &args.forward) {
        (Some(thermostat), _) => vec![thermostat.address()],
        (None, Some(forward)) => forward.resolve()?,
        (None, None) => return Err(Failure::usage("--forward HOST:PORT is missing")),
    };
    let server = node::server(&args.server)?;
    genkan_std::raise_open_files();
    let node = Arc::new(start(args, server, output)?);
    let listener = node
        .listen(node::SERVICE)
        .map_err(|error| Failure::other(format!("cannot take streams: {error}")))?;
    announce(node.id(), &service, output)?;
    forward::start(listener, service)?;
    let stopped = Arc::clone(&node);
    let stopper = stop.then(move || stopped.stop(GRACE))?;
    let watched = watch(&node, server, output);
    // It may have ended by itself; then this says why.
    stop.set();
    node::stopped(stopper)?;
    watched?;
    output.json(&Event::new("stopped").into_value());
    Ok(())
}

fn start(args: &Args, server: SocketAddr, output: &Output) -> Result<AcceptorNode, Failure> {
    let data = data_dir(args.data.as_deref(), "appliance")?;
    make_private_dir(&data)?;
    let state = StateDir::open(&data)?;
    let key = files::load_or_create_key_in(&data, &["password", "paired", "boots", "floor"])?;
    let admission = admission(args, &key.id(), &state)?;
    let anchors = node::anchors(&args.server, 0)?;
    let identity = Identity { key, boots: 0 };
    let mut config = AcceptorConfig::new(identity, node::both(server), anchors);
    config.admission = admission;
    config.addresses = node::policy(args.policy, server, output);
    config.punch = node::ability(args.punch, output);
    config.lifetime = true;
    config.wall_clock = genkan_std::Clock::new().wall();
    // A person watches; whole towns of these do not start in the same second.
    config.spread = Duration::ZERO;
    let mut options = AcceptorOptions::new(config);
    options.lease = args.punch.port_mapping;
    options.state = Some(state);
    options.trace = if args.trace { Trace::All } else { Trace::Off };
    AcceptorNode::start(options).map_err(node::cannot_start)
}

/// What users need to know.
fn announce(id: EquipmentId, service: &[SocketAddr], output: &Output) -> Outcome {
    let service = service.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if output.is_terminal() {
        output.line(qr::painted(&id.to_string(), false)?);
    }
    output.line(format!("{DIM}id{DIM:#}        {KEY}{id}{KEY:#}"));
    output.line(format!("{DIM}forwards{DIM:#}  {service}"));
    output.json(&Event::new("ready").text("id", id).with("forward", service).into_value());
    Ok(())
}

/// Who may connect.
fn admission(args: &Args, id: &EquipmentId, state: &StateDir) -> Result<AdmissionPolicy, Failure> {
    if let Some(password) = args.password.read(true)? {
        state.set_password(Some(&*password::information(&password, id)?))?;
    }
    let password = state.password()?;
    if password.is_none() && args.allow.is_empty() && !args.open {
        return Err(Failure::usage("nobody could connect: there is no password")
            .hint("--password-file FILE, --ask-password, --allow ID, or --open"));
    }
    let paired = heapless::Vec::from_slice(&args.allow)
        .map_err(|_| Failure::usage("at most eight users can be on the --allow list"))?;
    let before = state.paired()?;
    if before.iter().any(|id| !args.allow.contains(id)) {
        // Who is off the list knows the old one.
        state.renew_early_key()?;
    }
    if before != args.allow {
        state.set_paired(&args.allow)?;
    }
    Ok(AdmissionPolicy { password, paired, open: args.open, ..AdmissionPolicy::default() })
}

/// Tells what happens until the node ends.
fn watch(node: &AcceptorNode, server: SocketAddr, output: &Output) -> Outcome {
    let events = node.events();
    output.progress(|_| format!("registering at {server} …"));
    let (mut times, teller) = (Times::new(), Teller::new(server, output));
    let mut patience = Some(Instant::now() + PATIENCE);
    loop {
        let stamped = match patience {
            Some(until) => events.next_within(until.saturating_duration_since(Instant::now())),
            None => events.next(),
        };
        match stamped {
            Some(stamped) => {
                let registered =
                    matches!(stamped.event, Happening::Machine(AcceptorEvent::Registered { .. }));
                patience = patience.filter(|_| !registered);
                teller.tell(&stamped.event, times.of(&stamped));
            }
            None if events.is_ended() => return Ok(()),
            None => {
                patience = None;
                complain(node, server, output)?;
            }
        }
    }
}

/// The server does not answer, or is not the one that it should be.
fn complain(node: &AcceptorNode, server: SocketAddr, output: &Output) -> Outcome {
    let strange =
        node.counters().is_ok_and(|counters| counters.discarded(Discard::BadCertificate) > 0);
    if strange {
        return Err(node::wrong_certificate());
    }
    output.note(format!("no answer from {server} yet; trying on"));
    Ok(())
}
