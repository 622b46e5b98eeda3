//! The world: virtual time, the network, the hosts, and the order in which all of it happens.
//!
//! Nothing happens at once. A call leaves events in the queue; [`World::step`] takes the next one,
//! moves the clock there and lets it happen; the `run_*` calls step until something is the case.

mod control;
mod datagrams;
mod enter;
mod icmp;
mod record;
mod slot;
mod sockets;

use core::fmt;
use core::time::Duration;

use core::net::{IpAddr, SocketAddr};

use genkan_core::{Instant, SocketId};

use crate::capture::Frame;
use crate::entropy::SimEntropy;
use crate::nat::NatConfig;
use crate::net::{HostId, NatId, NatSpec, Net};
use crate::node::{Io, Node};
use crate::numbered::Numbered;
use crate::packet::Hook;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::see::open::KeyBook;
use crate::tcp::{Table, TcpConfig, TcpEvent};
use crate::transcript::Transcript;
use crate::watch::Watch;

pub use control::Death;
pub(crate) use datagrams::{Flight, host_of};
use icmp::Errand;
pub(crate) use record::Parcel;
pub use slot::HostSpec;
pub(crate) use slot::Slot;

/// Something that a test does to the world.
type Script = Box<dyn FnOnce(&mut World)>;

/// What happens at a time.
pub(crate) enum Event {
    Datagram(Flight),
    Icmp(Errand),
    Tcp(TcpEvent),
    Wake { host: HostId, wake: u64 },
    Early { host: HostId, life: u32 },
    Bound { host: HostId, life: u32, socket: SocketId, local: Option<SocketAddr> },
    Leaves { host: HostId, life: u32, socket: SocketId, remote: SocketAddr, parcel: Parcel },
    Script(Script),
}

/// Hosts, the network between them, and virtual time. One seed gives one run.
pub struct World {
    pub(crate) now: Duration,
    pub(crate) seed: Rng,
    pub(crate) rng: Rng,
    pub(crate) queue: Queue<Event>,
    pub(crate) net: Net,
    pub(crate) slots: Numbered<Slot>,
    pub(crate) tcp: Table,
    pub(crate) tcp_config: TcpConfig,
    pub(crate) transcript: Transcript,
    pub(crate) hook: Option<Hook>,
    capturing: bool,
    frames: Vec<Frame>,
    /// The machines' keys, when they are logged.
    pub(crate) key_book: Option<KeyBook>,
    pub(crate) watch: Option<Box<dyn Watch>>,
    /// How many events have happened at this moment.
    crowd: u32,
}

/// More events at one moment than this mean that time does not go on any more.
const LARGEST_CROWD: u32 = 1_000_000;

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<&str> = self.slots.iter().map(|slot| &*slot.name).collect();
        f.debug_struct("World")
            .field("now", &self.now)
            .field("hosts", &hosts)
            .field("events", &self.queue.len())
            .field("connections", &self.tcp.len())
            .finish_non_exhaustive()
    }
}

impl World {
    /// An empty world at time zero.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seed = Rng::new(seed);
        Self {
            now: Duration::ZERO,
            rng: seed.fork("network"),
            seed,
            queue: Queue::new(),
            net: Net::default(),
            slots: Numbered::default(),
            tcp: Table::default(),
            tcp_config: TcpConfig::default(),
            transcript: Transcript::new(),
            hook: None,
            capturing: false,
            frames: Vec::new(),
            key_book: None,
            watch: None,
            crowd: 0,
        }
    }

    /// Adds a host and switches it on: `boot` is given the host's clock and makes what runs on it.
    ///
    /// # Panics
    /// When another in its network has one of its addresses, or it is behind no NAT of this world.
    pub fn add_host<N: Node>(&mut self, spec: HostSpec, boot: impl FnOnce(Instant) -> N) -> HostId {
        let host = HostId(self.slots.len());
        let rng = self.seed.fork(&format!("host {} {}", host.0, spec.name));
        self.refuse_taken(&spec.name, self.net.inner(spec.behind), &spec.addresses, None);
        self.net.add_host(host, spec.behind, &spec.addresses);
        self.slots.push(Slot::new(spec, rng));
        self.restart(host, boot);
        host
    }

    /// Adds a NAT, in the public internet or behind another one; [`World::add_gateway`] can do more.
    ///
    /// # Panics
    /// As [`World::add_gateway`].
    pub fn add_nat(
        &mut self,
        name: &str,
        external: IpAddr,
        behind: Option<NatId>,
        config: NatConfig,
    ) -> NatId {
        let mut spec = NatSpec::new(name, config).external(external);
        spec.behind = behind;
        self.add_gateway(spec)
    }

    /// Adds a NAT or a firewall: with a pool of addresses, an address on the inside, beside another.
    ///
    /// # Panics
    /// When its settings make no sense ([`NatConfig::check`] says so before), when another in the same
    /// network has one of its addresses, or when it is behind or beside no NAT of this world.
    pub fn add_gateway(&mut self, spec: NatSpec) -> NatId {
        self.refuse_taken(&spec.name, self.net.inner(spec.behind), &spec.external, None);
        if let (Some(address), Some(sibling)) = (spec.inner, spec.beside) {
            self.refuse_taken(&spec.name, self.net.inner(Some(sibling)), &[address], None);
        }
        let rng = self.seed.fork(&format!("nat {} {}", self.net.next_nat().0, spec.name));
        self.net.add_nat(spec, rng)
    }

    /// A NAT's address on the inside.
    #[must_use]
    pub fn gateway(&self, nat: NatId) -> Option<IpAddr> {
        self.net.gateway(nat)
    }

    /// Randomness for a machine: from the world's seed and a label of the caller's.
    #[must_use]
    pub fn entropy(&self, label: &str) -> SimEntropy {
        SimEntropy::seeded(self.seed.fork(&format!("entropy {label}")).next_u64())
    }

    /// Chance for a test: from the world's seed and a label of the caller's.
    #[must_use]
    pub fn chance(&self, label: &str) -> Rng {
        self.seed.fork(&format!("test {label}"))
    }

    /// A host's name.
    #[must_use]
    pub fn name(&self, host: HostId) -> &str {
        &self.slots[host.0].name
    }

    /// The time since the world's start.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// What a host's clock says.
    #[must_use]
    pub fn instant(&self, host: HostId) -> Instant {
        self.slots[host.0].instant(self.now)
    }

    /// What a host's clock will say, or has said, at a moment of the world, as it runs now.
    #[must_use]
    pub fn instant_at(&self, host: HostId, at: Duration) -> Instant {
        self.slots[host.0].instant(at)
    }

    /// When a host wants to be called again.
    #[must_use]
    pub fn next_wake(&self, host: HostId) -> Option<Duration> {
        let slot = &self.slots[host.0];
        slot.io.announced.and_then(|at| slot.moment(at))
    }

    /// What has happened.
    #[must_use]
    pub const fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The machine on a host.
    ///
    /// # Panics
    /// When the host is off or runs another type.
    #[must_use]
    pub fn machine<M: 'static>(&self, host: HostId) -> &M {
        let node = self.slots[host.0].node.as_deref();
        expect(node.and_then(|node| node.machine().downcast_ref()), &self.slots[host.0].name)
    }

    /// The application on a host.
    ///
    /// # Panics
    /// When the host is off or runs another type.
    #[must_use]
    pub fn app<A: 'static>(&self, host: HostId) -> &A {
        let node = self.slots[host.0].node.as_deref();
        expect(node.and_then(|node| node.app().downcast_ref()), &self.slots[host.0].name)
    }

    /// The application on a host, to change.
    ///
    /// # Panics
    /// When the host is off or runs another type.
    #[must_use]
    pub fn app_mut<A: 'static>(&mut self, host: HostId) -> &mut A {
        let slot = &mut self.slots[host.0];
        let node = slot.node.as_deref_mut();
        expect(node.and_then(|node| node.app_mut().downcast_mut()), &slot.name)
    }

    /// Lets a test use the machine on a host, and drains it afterwards.
    ///
    /// # Panics
    /// When the host is off or runs another type.
    pub fn with<M: 'static, R>(
        &mut self,
        host: HostId,
        act: impl FnOnce(&mut M, &mut Io) -> R,
    ) -> R {
        let done = self.enter(host, |node, io| {
            let name = io.name().to_owned();
            act(expect(node.machine_mut().downcast_mut(), &name), io)
        });
        expect(done, &self.slots[host.0].name)
    }

    /// As [`World::with`], with the application too.
    ///
    /// # Panics
    /// When the host is off or runs other types.
    pub fn with_app<M: 'static, A: 'static, R>(
        &mut self,
        host: HostId,
        act: impl FnOnce(&mut M, &mut A, &mut Io) -> R,
    ) -> R {
        let done = self.enter(host, |node, io| {
            let name = io.name().to_owned();
            let (machine, app) = expect(node.both_mut(), &name);
            let machine = expect(machine.downcast_mut(), &name);
            act(machine, expect(app.downcast_mut(), &name), io)
        });
        expect(done, &self.slots[host.0].name)
    }

    /// At that time, or now when it has passed, `script` is run.
    pub fn at(&mut self, time: Duration, script: impl FnOnce(&mut Self) + 'static) {
        self.queue.push(time.max(self.now), Event::Script(Box::new(script)));
    }

    /// Lets the next event happen; the time then, or `None` when nothing is left to happen.
    ///
    /// # Panics
    /// When time does not go on, or a machine breaks a rule of the interface.
    pub fn step(&mut self) -> Option<Duration> {
        let (at, event) = self.queue.pop()?;
        self.crowd = if at > self.now { 0 } else { self.crowd + 1 };
        assert!(self.crowd < LARGEST_CROWD, "time stands still at {at:?}");
        self.now = self.now.max(at);
        match event {
            Event::Datagram(flight) => self.datagram_arrives(flight),
            Event::Icmp(errand) => self.icmp_arrives(errand),
            Event::Tcp(event) => self.tcp_event(event),
            Event::Wake { host, wake } => self.wake(host, wake),
            Event::Early { host, life } => self.wake_early(host, life),
            Event::Bound { host, life, socket, local } => {
                if self.slots[host.0].life == life {
                    self.enter(host, |node, io| node.bound(io, socket, local));
                }
            }
            Event::Leaves { host, life, socket, remote, parcel } => {
                if self.slots[host.0].life == life {
                    self.send_datagram(host, socket, remote, parcel);
                }
            }
            Event::Script(script) => script(self),
        }
        Some(self.now)
    }

    /// Lets everything happen up to and including that time.
    pub fn run_until(&mut self, time: Duration) {
        while self.queue.next_at().is_some_and(|at| at <= time) {
            self.step();
        }
        self.now = self.now.max(time);
    }

    /// Lets everything happen for that long.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now.saturating_add(duration));
    }

    /// Steps until `done`, which is asked before and after every event; false when that did not
    /// come about in so long.
    pub fn wait_for(&mut self, longest: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now.saturating_add(longest);
        while !done(self) {
            if self.queue.next_at().is_none_or(|at| at > end) {
                self.now = end;
                return false;
            }
            self.step();
        }
        true
    }

    pub(crate) fn schedule(&mut self, wait: Duration, event: Event) {
        self.queue.push(self.now.saturating_add(wait), event);
    }

    pub(crate) fn note(&mut self, host: HostId, text: String) {
        self.transcript.note(self.now, &self.slots[host.0].name, text);
    }
}

#[expect(clippy::panic, reason = "the test asked for what its host does not run")]
fn expect<T>(found: Option<T>, name: &str) -> T {
    found.unwrap_or_else(|| panic!("{name} is off, or runs another type"))
}
