//! One machine and its turns.

use core::net::SocketAddr;

use genkan_core::{Instant, MAX_FRAME, Machine, SocketId};
use genkan_turn::App;
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::Device;

use crate::addr::{own, time};
use crate::counters::Counters;
use crate::storage::Handles;
use crate::tcp::Wire;
use crate::turn::{self, Turn};
use crate::udp::Port;
use crate::view::{Lasting, View};

/// Which ports a node has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Options {
    /// Draws ports. It should differ from boot to boot, or the NAT may still hold what the last one
    /// left; it need not be secret.
    pub seed: u32,
    /// The main UDP socket's port; 0: one from 49,152 up is drawn.
    pub port: u16,
    /// A second UDP port, at a server that measures NATs.
    pub other_port: Option<u16>,
    /// The TCP port when the machine listens; 0: one is drawn.
    pub listen_port: u16,
    /// Listen from the start, without being told to by the machine: servers do.
    pub listening: bool,
}

impl Options {
    /// For an acceptor or issuer: drawn ports.
    #[must_use]
    pub const fn equipment(seed: u32) -> Self {
        Self { seed, port: 0, other_port: None, listen_port: 0, listening: false }
    }

    /// For a server: `port` for UDP and TCP, and perhaps another one for UDP, of which the machine's
    /// configuration must know.
    #[must_use]
    pub const fn server(port: u16, other_port: Option<u16>) -> Self {
        Self { seed: 0, port, other_port, listen_port: port, listening: true }
    }
}

/// A machine on sockets of the application's.
#[derive(Debug)]
pub struct Node<M, const UDP: usize, const TCP: usize> {
    machine: M,
    ports: [Port; UDP],
    wires: [Wire; TCP],
    lasting: Lasting,
    scratch: [u8; MAX_FRAME],
    now: Instant,
    options: Options,
    begun: bool,
    /// How many turns it has had; from the largest number on, from 0 again.
    turns: usize,
    /// The address that the machine knows to be its own.
    told: Option<SocketAddr>,
}

#[cfg(feature = "defmt")]
impl<M, const UDP: usize, const TCP: usize> defmt::Format for Node<M, UDP, TCP> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Node of {}, lost: {}", self.options, self.lasting.counters);
    }
}

impl<M: Machine, const UDP: usize, const TCP: usize> Node<M, UDP, TCP> {
    /// A machine that has not had a turn yet.
    #[inline(always)] // A machine that is made for it is made in its place then.
    pub fn new(machine: M, handles: Handles<UDP, TCP>, options: Options) -> Self {
        let lasting = Lasting {
            seed: options.seed,
            counters: Counters::default(),
            listening: None,
            listen_port: options.listen_port,
        };
        Self {
            machine,
            ports: handles.udp.map(Port::new),
            wires: handles.tcp.map(Wire::new),
            lasting,
            scratch: [0; MAX_FRAME],
            now: Instant::START,
            options,
            begun: false,
            turns: 0,
            told: None,
        }
    }

    /// The machine.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine, to tell it the application's wishes. They are carried out in the next turn: have
    /// it at once.
    pub const fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// What was lost.
    pub const fn counters(&self) -> &Counters {
        &self.lasting.counters
    }

    /// The main UDP socket's port; 0 before the first turn.
    pub const fn port(&self) -> u16 {
        if self.begun { self.options.port } else { 0 }
    }

    /// One turn: packets in, whatever the machine and `app` want done, packets out. Returns when the
    /// next turn is due at the latest, also for the other sockets in the set; `now` or earlier means
    /// at once, and [`Instant::END`] that only a packet or a wish of the application can change
    /// anything. To be called whenever a packet has arrived, too.
    ///
    /// While the interface has no address, or no route to where a datagram is to go, the datagram is
    /// lost, and the machine tries again as if the network had lost it.
    #[inline(never)]
    pub fn poll<D: Device + ?Sized, A: App<M>>(
        &mut self,
        now: Instant,
        iface: &mut Interface,
        device: &mut D,
        sockets: &mut SocketSet<'_>,
        app: &mut A,
    ) -> Instant {
        self.now = self.now.max(now);
        iface.poll_maintenance(time(self.now));
        let begun = core::mem::replace(&mut self.begun, true);
        let (options, told) = (self.options, self.told);
        let mut turn = self.turn(iface, sockets, app);
        let main = if begun { options.port } else { turn.stack.begin(&options) };
        let local = own(turn.stack.iface).map(|ip| SocketAddr::new(ip.into(), main));
        if local != told {
            turn.machine.handle_bound(turn.now, SocketId::MAIN, local);
        }
        let mut wake = turn::arrivals(&mut turn, device);
        turn.timeout();
        wake = wake.min(turn::drain(&mut turn, device));
        wake = wake.min(turn::deadline(&mut turn));
        (self.options.port, self.told) = (main, local);
        wake
    }

    fn turn<'t, 's, A: App<M>>(
        &'t mut self,
        iface: &'t mut Interface,
        sockets: &'t mut SocketSet<'s>,
        app: &'t mut A,
    ) -> Turn<'t, 's, M, A> {
        let view = View {
            now: self.now,
            iface,
            sockets,
            ports: &mut self.ports,
            wires: &mut self.wires,
            lasting: &mut self.lasting,
            scratch: &mut self.scratch,
        };
        self.turns = self.turns.wrapping_add(1);
        Turn::new(&mut self.machine, app, view, self.now, self.turns)
    }
}
