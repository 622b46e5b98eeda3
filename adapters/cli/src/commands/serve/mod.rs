//! `genkan serve`: the server.

mod ends;
mod keys;

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::ValueEnum;
use genkan_core::wire::certificate::Certificate;
use genkan_core::{ServerConfig, ServerEvent};
use genkan_std::files::StateDir;
use genkan_std::{Bind, Happening, ServerNode, ServerOptions, Trace};

use super::make_private_dir;
use crate::args::{PORT, data_dir};
use crate::authority_key::AuthorityKey;
use crate::clock;
use crate::events::{self, Event, Times};
use crate::exit::{Failure, Outcome};
use crate::logs::tag;
use crate::nat;
use crate::node;
use crate::output::{DIM, KEY, Output, clean};
use crate::stop::Stop;

/// Run the server that appliances register with and users ask
///
/// The first start makes keys and a certificate in the data directory and prints the authority key,
/// which appliances and users need beside the address.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen, for UDP and TCP; port 0 lets the system choose [default: every address of
    /// this machine, port 18251]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,
    /// A second UDP port, by which the server sees what a NAT does; with `none` it helps nobody to
    /// meet through NATs over UDP. PUBLIC: how it is reached behind a port forward [default: the one
    /// after the first, or any that is free]
    #[arg(long, value_name = "PORT[=PUBLIC]", value_parser = ends::port)]
    other_port: Option<ends::Port>,
    /// Another address of this machine, which shows more of a NAT; --bind must then be a single
    /// address, too. PUBLIC: how it is reached behind a 1:1 NAT [port: the first one's, or any]
    #[arg(long, value_name = "ADDRESS[:PORT][=PUBLIC]", value_parser = ends::address)]
    other_address: Option<ends::Address>,
    /// How many appliances and users have room on the list
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    capacity: u32,
    /// The server's name, for the certificate of the first start; repeat for more
    #[arg(long = "name", value_name = "NAME", default_value = "genkan")]
    names: Vec<String>,
    /// How requests are brought to appliances
    #[arg(long, value_name = "HOW", default_value = "auto")]
    delivery: Delivery,
    /// The keepalive interval that appliances are advised
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    #[arg(value_parser = clap::value_parser!(u16).range(5..=1_800))]
    interval: u16,
    /// The interval that it may grow to where an appliance's NAT remembers long enough [default: that
    /// of --interval]
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u16).range(5..=1_800))]
    longest_interval: Option<u16>,
    /// Where keys and certificate are kept [default: the user's data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With --json: also an event for each message on the wire
    #[arg(long)]
    trace: bool,
}

/// How requests are brought to appliances.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Delivery {
    /// As a datagram where the appliance takes them, over TCP otherwise
    Auto,
    /// The appliance is woken, and fetches the request over TCP
    Stream,
}

impl From<Delivery> for genkan_core::Delivery {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Auto => Self::Auto,
            Delivery::Stream => Self::Stream,
        }
    }
}

pub(crate) fn run(args: &Args, supervised: bool, output: &Output) -> Outcome {
    ends::check(args)?;
    genkan_std::raise_open_files();
    let stop = Stop::on_signals(supervised)?;
    let data = data_dir(args.data.as_deref(), "server")?;
    make_private_dir(&data)?;
    // Held as long as the server runs: two of one key would take each other's equipment.
    let state = StateDir::open(&data)?;
    let keys = keys::load_or_make(&state, &args.names.join(" "), output)?;
    let certificate = heapless::Vec::from_slice(&keys.certificate)
        .map_err(|_| Failure::keys("the server's certificate is too long"))?;
    let mut config = ServerConfig::new(keys.key.clone(), certificate);
    config.delivery = args.delivery.into();
    config.interval = args.interval;
    config.longest_interval = args.longest_interval.unwrap_or(args.interval);
    config.wall_clock = clock::seconds();
    ends::announce(args, &mut config);
    let node = start(args, config)?;
    announce(&keys, &node, output)?;
    ends::warn(args, &node, output);
    let events = node.events();
    let stopper = stop.then(move || node.stop())?;
    let mut times = Times::new();
    while let Some(stamped) = events.next() {
        tell(&stamped.event, times.of(&stamped), output);
    }
    // It may have ended by itself; then this says why.
    stop.set();
    node::stopped(stopper)?;
    drop(state);
    output.json(&Event::new("stopped").into_value());
    Ok(())
}

/// Opens the sockets: where the user wants, or everywhere, on a machine without IPv6 too.
fn start(args: &Args, config: ServerConfig) -> Result<ServerNode, Failure> {
    let start_at = |address: SocketAddr| {
        let mut options = ServerOptions::new(config.clone(), Bind::At(address));
        ends::open(args, &mut options);
        options.clients = usize::try_from(args.capacity).unwrap_or(options.clients);
        options.trace = if args.trace { Trace::All } else { Trace::Off };
        ServerNode::start(options).map_err(|error| node::cannot_bind(error, address))
    };
    match args.bind {
        Some(address) => start_at(address),
        None => start_at((Ipv6Addr::UNSPECIFIED, PORT).into())
            .or_else(|_| start_at((Ipv4Addr::UNSPECIFIED, PORT).into())),
    }
}

/// What equipment needs to know.
fn announce(keys: &keys::Keys, node: &ServerNode, output: &Output) -> Outcome {
    let address = node.local_addr();
    let certificate = Certificate::parse(&keys.certificate)
        .map_err(|error| Failure::keys(format!("the server's certificate is {error}")))?;
    let authority = keys.authority.map(|key| AuthorityKey(key).to_string());
    output.line(format!("{DIM}listens{DIM:#}      {address} (UDP and TCP)"));
    output.line(format!("{DIM}sees NATs{DIM:#}    {}", ends::words(node)));
    match &authority {
        Some(authority) => output.line(format!("{DIM}authority{DIM:#}    {KEY}{authority}{KEY:#}")),
        None => output.line(format!("{DIM}authority{DIM:#}    its key is not on this machine")),
    }
    let until = clock::utc(certificate.not_after);
    let names = clean(certificate.names());
    output.line(format!("{DIM}certificate{DIM:#}  for {names}, until {until}"));
    let ready = Event::new("ready")
        .text("address", address)
        .with("other_port", node.other_port())
        .with("other_address", node.other_address().map(|address| address.to_string()))
        .with("authority", authority)
        .with("serial", certificate.serial)
        .with("not_after", certificate.not_after);
    output.json(&ready.into_value());
    Ok(())
}

fn tell(happening: &Happening<ServerEvent>, wall: SystemTime, output: &Output) {
    match happening {
        Happening::Machine(event) => tell_event(event, wall, output),
        Happening::Step(step) => {
            output.json(&events::step(step, wall, None).into_value());
        }
        Happening::Trouble(text) => tracing::warn!("{text}"),
        Happening::Unheard { port, measurements } => {
            ends::unheard(*port, *measurements, output);
            let event = Event::at("other-port-unheard", wall).with("port", *port);
            output.json(&event.with("measurements", *measurements).into_value());
        }
        _ => {}
    }
}

/// People see the list change only with `-v`: a server may have very many appliances.
fn tell_event(event: &ServerEvent, wall: SystemTime, output: &Output) {
    let told = match event {
        ServerEvent::Registered { id, address, over } => {
            let over = events::transport(*over);
            tracing::info!("{} registered from {address} over {over}", tag(id));
            Event::at("registered", wall).text("id", id).text("address", address).with("over", over)
        }
        ServerEvent::Left { id } => {
            tracing::info!("{} left", tag(id));
            Event::at("left", wall).text("id", id)
        }
        ServerEvent::Requested { issuer, target, found } => {
            tracing::info!("{} asks for {} (found: {found})", tag(issuer), tag(target));
            Event::at("requested", wall)
                .text("issuer", issuer)
                .text("target", target)
                .with("found", *found)
        }
        ServerEvent::Accepted { issuer, target } => {
            tracing::info!("{} accepts {}", tag(target), tag(issuer));
            Event::at("accepted", wall).text("issuer", issuer).text("target", target)
        }
        ServerEvent::Refused { issuer, target, reason } => {
            let reason = events::reason(*reason);
            tracing::info!(
                "the request of {} for {} was refused: {reason}",
                tag(issuer),
                tag(target)
            );
            Event::at("refused", wall)
                .text("issuer", issuer)
                .text("target", target)
                .with("reason", reason)
        }
        ServerEvent::Measured { id, profile } => {
            tracing::info!("the NAT of {}: {}", tag(id), nat::words(profile));
            nat::with(Event::at("measured", wall).text("id", id), profile)
        }
        ServerEvent::Planned { issuer, target, plan } => {
            let words = nat::plan_words(plan);
            tracing::info!("{} and {} are to meet over UDP: {words}", tag(issuer), tag(target));
            let event = Event::at("planned", wall).text("issuer", issuer).text("target", target);
            nat::with_plan(event, plan)
        }
        ServerEvent::Full => {
            tracing::warn!("the equipment list is full");
            Event::at("full", wall)
        }
        _ => return,
    };
    if output.is_json() {
        output.json(&told.into_value());
    }
}
