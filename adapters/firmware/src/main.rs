//! A bare-metal appliance that is reached through Genkan: a thermostat on a Cortex-M3.
//!
//! This is the code that the author of a firmware may copy. It runs on QEMU's machine `mps2-an385`
//! behind real NATs (`tests/run firmware`), without an operating system, an allocator or threads; the
//! processor sleeps whenever nothing is to be done.
//!
//! | file | what it is | in a product |
//! |---|---|---|
//! | `main.rs` | start and main loop | the same, with a logger that needs no debugger |
//! | `service.rs` | what is kept and logged, streams to the service | the same, with another service |
//! | `net.rs`, `names.rs` | DHCP, DNS, the cable | the same |
//! | `router.rs`, `advert.rs` | IPv6 (feature `proto-ipv6`): address and router | the same, or none |
//! | `store.rs` | values in flash, safe against power cuts | the same |
//! | `settings.rs` | what the device is told at its first start | its own way of being told |
//! | `http.rs`, `thermostat.rs` | the service | its own |
//! | `stack.rs` | how deep the stack has been | the same |
//! | `server.rs` | which of its name's addresses the server is used at | the same |
//! | `panic.rs`, `watchdog.rs`, `memory.x` | a fault ends in a reset, with a reason | the same, other registers |
//! | `kept.rs`, `note.rs` | what survives a reset, and pauses between them | the same |
//! | `lan9118.rs`, `clock.rs`, `board.rs` | drivers | the chip's own |
//! | `flash.rs` | flash, emulated in RAM | the chip's own driver |
//! | `entropy.rs` | **the host's randomness** | **the chip's true random number generator** |
//! | `provoke.rs` | misfortune for the tests | nothing |
#![no_std]
#![no_main]

#[cfg(feature = "proto-ipv6")]
mod advert;
mod board;
mod clock;
mod entropy;
mod flash;
mod http;
mod kept;
mod lan9118;
mod names;
mod net;
mod note;
mod panic;
mod provoke;
#[cfg_attr(not(feature = "proto-ipv6"), path = "no_router.rs")]
mod router;
mod server;
mod service;
mod settings;
mod stack;
mod store;
mod thermostat;
mod watchdog;

use core::convert::Infallible;
use core::time::Duration;

use cortex_m_rt::entry;
use defmt_semihosting as _;
use genkan_core::punch::Limits;
use genkan_core::{AcceptorSlot, Entropy as _, Instant};
use genkan_smoltcp::{Handles, Node, Options, Storage};
use genkan_stream::Role;
use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::socket::dns::DnsQuery;
use static_cell::{ConstStaticCell, StaticCell};

use crate::entropy::HostEntropy;
use crate::flash::Flash;
use crate::lan9118::Lan9118;
use crate::net::Net;
use crate::server::{Answers, Server};
use crate::service::{Appliance, Calls, Machine, Memory, SESSIONS, Streams};
use crate::settings::{Provoke, Settings};
use crate::store::{Key, Store};
use crate::watchdog::Watchdog;

/// The main one, two for a measurement, and for each connection those that punch its hole; it keeps one
/// of them.
const UDP: usize = 1 + 2 + SESSIONS * Limits::SMALL.sockets as usize;
/// A dial-back for each connection, and two for one whose ends call each other: one to the server, and the
/// call. Where UDP is blocked, the registration shares them.
const TCP: usize = SESSIONS + 2;
/// Besides: DHCP, DNS, and what routers say.
const SOCKETS: usize = UDP + TCP + 2 + router::SOCKETS;
/// How long the main loop may take for one turn: see *The watchdog* in `core/docs/PORTING.md`.
const TURN: Duration = Duration::from_secs(16);
/// A start that has run for so long was a good one: a reset after that is no loop.
const GOOD_RUN: Duration = Duration::from_secs(30);

/// While there is no registration, the server's name is looked up again after this long: it may
/// have moved.
const LOOK_UP: Duration = Duration::from_secs(60);

/// All memory but the stack.
static DEVICE: ConstStaticCell<Lan9118> = ConstStaticCell::new(Lan9118::OFF);
static RINGS: ConstStaticCell<Storage<UDP, TCP>> = ConstStaticCell::new(Storage::new());
static STREAMS: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
static CALLS: ConstStaticCell<Calls> = ConstStaticCell::new(service::NO_CALLS);
static PLACES: StaticCell<[SocketStorage<'static>; SOCKETS]> = StaticCell::new();
static ROUTERS: ConstStaticCell<router::Memory> = ConstStaticCell::new(router::Memory::new());
static QUERIES: StaticCell<[Option<DnsQuery>; 1]> = StaticCell::new();
static SET: StaticCell<SocketSet<'static>> = StaticCell::new();
static NET: StaticCell<Net> = StaticCell::new();
static SETTINGS: StaticCell<Settings> = StaticCell::new();
static SLOTS: ConstStaticCell<[AcceptorSlot; SESSIONS]> =
    ConstStaticCell::new([const { AcceptorSlot::EMPTY }; SESSIONS]);
static NODE: StaticCell<Node<Machine, UDP, TCP>> = StaticCell::new();
static SESSION: StaticCell<Streams> = StaticCell::new();

#[entry]
fn main() -> ! {
    let mut watchdog = Watchdog::start(TURN);
    clock::start();
    stack::paint();
    begin(&mut watchdog);
    // The pause is no part of the run: a start that fails after it has not run well.
    clock::start();
    let Err(failure) = run(&mut watchdog);
    panic::reset(format_args!("{failure}"))
}

/// What the main loop works on.
struct Running {
    settings: &'static Settings,
    server: Server,
    device: &'static mut Lan9118,
    sockets: &'static mut SocketSet<'static>,
    net: &'static mut Net,
    node: &'static mut Node<Machine, UDP, TCP>,
    sessions: &'static mut Streams,
    /// From one look at the server's name to the next.
    pause: Duration,
}

/// Runs for ever, or until something fails that a new start may mend.
fn run(watchdog: &mut Watchdog) -> Result<Infallible, &'static str> {
    let Running { settings, mut server, device, sockets, net, node, sessions, pause } =
        start(watchdog)?;
    defmt::info!("stack {=usize} bytes, at the start", stack::deepest());
    stack::paint();
    let mut look_up_at = clock::now().after(pause);
    loop {
        let now = turn_begins(watchdog);
        let wake = node.poll(now, &mut net.iface, device, sockets, sessions);
        let wake = wake.min(net.poll(now, &settings.host, device, sockets));
        let lost = core::mem::take(&mut sessions.service.lost);
        if sessions.service.registered {
            look_up_at = now.after(pause);
            server.answers();
        } else if lost || look_up_at <= now {
            look_up_at = now.after(pause);
            net.names.look_up(now);
        }
        if let Some(answers) = net.names.found.take()
            // When the server has come meanwhile, it is where it was.
            && !sessions.service.registered
            && moves(now, &mut server, &answers, settings, node.machine_mut())
        {
            continue;
        }
        if let Some(when) = sessions.service.mark.take() {
            defmt::info!("stack {=usize} bytes, {=str}", stack::deepest(), when);
            stack::paint();
        }
        if let Some(provoke) = settings.provoke {
            provoke.when_due(now);
        }
        sleep(device, wake);
    }
}

// What is made once is made in functions of their own, so that what they have on the stack meanwhile
// is not there for ever.

#[inline(never)]
fn start(watchdog: &mut Watchdog) -> Result<Running, &'static str> {
    let mut entropy = HostEntropy;
    let mut store = Store::open(Flash::take().ok_or("the flash is in use")?);
    let settings = settings(&mut store, &mut entropy)?;
    if settings.provoke == Some(Provoke::Writes) {
        provoke::write_for_ever(&mut store, watchdog);
    }
    let mut seed = [0; 8];
    entropy.fill(&mut seed).map_err(|_| "no entropy")?;
    let seed = u64::from_le_bytes(seed);
    let device = DEVICE.take();
    let (sockets, net) = network(device, seed);

    // Nothing can be done before the server's address is known.
    net.names.look_up(clock::now());
    let server = loop {
        let now = turn_begins(watchdog);
        let wake = net.poll_alone(now, &settings.host, device, sockets);
        let found = net.names.found.take();
        if let Some(server) = found.and_then(|answers| Server::choose(&answers, seed)) {
            break server;
        }
        sleep(device, wake);
    };

    let handles = RINGS.take().install(sockets);
    let node = node(settings, &server, handles, seed);
    restore(node.machine_mut(), &mut store);
    let sessions = sessions(store, seed)?;
    // Devices that lost their server together do not ask together.
    let pause = LOOK_UP + Duration::from_millis(seed % 8_192);
    Ok(Running { settings, server, device, sockets, net, node, sessions, pause })
}

/// Tells how the last start ended, and waits as long as a start after that one must.
#[inline(never)]
fn begin(watchdog: &mut Watchdog) {
    let start = kept::start();
    if let Some(reason) = start.reason {
        defmt::warn!("the last start ended with {=str}", reason.as_str());
    }
    let end = clock::now().after(start.pause);
    while clock::now() < end {
        watchdog.feed();
        clock::wait(end.since(clock::now()).min(TURN / 2));
    }
}

#[inline(never)]
fn settings(
    store: &mut Store,
    entropy: &mut HostEntropy,
) -> Result<&'static Settings, &'static str> {
    let settings = Settings::load(store, entropy).map_err(|missing| {
        defmt::error!("no settings: {}", missing);
        "no settings"
    })?;
    let identity = settings.identity();
    let id = defmt::Display2Format(&identity.key.id());
    let (powered, resets) = (identity.boots >> 16, identity.boots as u16);
    defmt::info!("this is {}, start {=u64}.{=u16}", id, powered, resets);
    Ok(SETTINGS.init(settings))
}

#[inline(never)]
fn network(device: &mut Lan9118, seed: u64) -> (&'static mut SocketSet<'static>, &'static mut Net) {
    let places = PLACES.init([SocketStorage::EMPTY; SOCKETS]);
    let sockets = SET.init(SocketSet::new(&mut places[..]));
    let queries = QUERIES.init([const { None }; 1]);
    let memory = ROUTERS.take();
    let net = NET.init(Net::start(clock::now(), device, sockets, queries, memory, seed));
    (sockets, net)
}

/// The acceptor on its sockets.
#[inline(never)]
fn node(
    settings: &Settings,
    server: &Server,
    handles: Handles<UDP, TCP>,
    seed: u64,
) -> &'static mut Node<Machine, UDP, TCP> {
    let options = Options::equipment(seed as u32);
    NODE.init(Node::new(machine(settings, server), handles, options))
}

#[inline(never)]
fn machine(settings: &Settings, server: &Server) -> Machine {
    Machine::new(clock::now(), settings.config(server.address), SLOTS.take(), HostEntropy)
}

/// What the acceptor knew before. Not while it is made: a signature is checked, which takes another
/// 8 kB of stack.
#[inline(never)]
fn restore(acceptor: &mut Machine, store: &mut Store) {
    if let Ok(Some(certificate)) = store.read(Key::Certificate) {
        // One that has expired is fetched anew.
        let _ = acceptor.restore_certificate(certificate);
    }
    if let Ok(Some(session)) = settings::session(store) {
        acceptor.restore_session(&session);
    }
}

/// Has the acceptor look for its server elsewhere, if that is better. Connections stand without it.
#[inline(never)]
fn moves(
    now: Instant,
    server: &mut Server,
    answers: &Answers,
    settings: &Settings,
    acceptor: &mut Machine,
) -> bool {
    let is_better = server.looked_up(answers);
    if is_better {
        let address = defmt::Display2Format(&server.address);
        defmt::warn!("the server is looked for at {}", address);
        acceptor.set_server_address(now, settings.server(server.address));
    }
    is_better
}

/// The streams of its connections, and the thermostat at their end.
#[inline(never)]
fn sessions(store: Store, seed: u64) -> Result<&'static mut Streams, &'static str> {
    let appliance = Appliance::new(store, CALLS.take());
    let role = Role::Acceptor;
    let sessions = Streams::new(role, STREAMS.take(), seed, clock::now(), appliance);
    let sessions = SESSION.init(sessions);
    sessions.listen(service::PORT).map_err(|_| "no port to listen on")?;
    Ok(sessions)
}

/// Has the watchdog know that the main loop has come round. Now.
fn turn_begins(watchdog: &mut Watchdog) -> Instant {
    watchdog.feed();
    let now = clock::now();
    if now.since(Instant::START) >= GOOD_RUN {
        kept::run_well();
    }
    now
}

/// Sleeps until a frame comes, the link changes, or `wake`; at most half a turn of the watchdog.
fn sleep(device: &Lan9118, wake: Instant) {
    // An interrupt that comes from here on ends the sleep, because it is pending then.
    cortex_m::interrupt::free(|_| {
        let left = wake.since(clock::now()).min(TURN / 2);
        if !left.is_zero() && device.arm() {
            clock::wait(left);
        }
    });
}
