//! One machine and its turns.

use core::fmt;
use core::time::Duration;

use embedded_nal::TcpFullStack;
use genkan_core::{Instant, MAX_FRAME, Machine, SocketId};
use genkan_turn::{App, ROUNDS, Tcp as _, Turn, draw_ports};

use crate::counters::Counters;
use crate::tcp::Wire;
use crate::udp::{Port, TRIES};
use crate::view::{Door, Lasting, Nal, TcpOf, UdpOf, View, local};

/// Reads of UDP sockets in one turn, also of those that have nothing, and of TCP sockets.
const READS: u16 = 256;
/// How soon the next turn is when something is due that this one could not do.
const FLOOR: Duration = Duration::from_millis(1);
/// How often a stack is asked by itself.
const INTERVAL: Duration = Duration::from_millis(10);

/// Which ports a node has, and how often it asks its stack.
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
    /// The longest time between two turns: packets do not announce themselves. An application whose
    /// stack tells it by other ways when something has come can choose hours, and have a turn then;
    /// while a connection or what is to be sent waits for the stack, 10 ms are the longest anyway.
    pub interval: Duration,
}

impl Options {
    /// For an acceptor or issuer: drawn ports, a turn every 10 ms.
    #[must_use]
    pub const fn equipment(seed: u32) -> Self {
        Self {
            seed,
            port: 0,
            other_port: None,
            listen_port: 0,
            listening: false,
            interval: INTERVAL,
        }
    }

    /// For a server: `port` for UDP and TCP, and perhaps another one for UDP, of which the machine's
    /// configuration must know.
    #[must_use]
    pub const fn server(port: u16, other_port: Option<u16>) -> Self {
        let listening = true;
        Self { port, other_port, listen_port: port, listening, ..Self::equipment(0) }
    }
}

/// A machine on up to `UDP` and `TCP` sockets of a stack. The stack stays the application's; sockets
/// that are open when a node is dropped stay open in stacks whose sockets do not close by themselves.
pub struct Node<M, S: Nal, const UDP: usize, const TCP: usize> {
    machine: M,
    ports: [Port<UdpOf<S>>; UDP],
    wires: [Wire<TcpOf<S>>; TCP],
    lasting: Lasting<S>,
    scratch: [u8; MAX_FRAME],
    now: Instant,
    options: Options,
    begun: bool,
    /// How many turns it has had; from the largest number on, from 0 again.
    turns: usize,
}

impl<M, S: Nal, const UDP: usize, const TCP: usize> fmt::Debug for Node<M, S, UDP, TCP> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("options", &self.options).finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl<M, S: Nal, const UDP: usize, const TCP: usize> defmt::Format for Node<M, S, UDP, TCP> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Node of {}, lost: {}", self.options, self.lasting.counters);
    }
}

impl<M: Machine, S: Nal + TcpFullStack, const UDP: usize, const TCP: usize> Node<M, S, UDP, TCP> {
    /// A machine that has not had a turn yet.
    pub const fn new(machine: M, options: Options) -> Self {
        Self::with(machine, options, Some(Door::new()))
    }
}

impl<M: Machine, S: Nal, const UDP: usize, const TCP: usize> Node<M, S, UDP, TCP> {
    /// As [`Node::new`], on a stack that cannot listen: enough for an acceptor. An issuer is then
    /// reached by hole punching alone. [`Options::listening`] would be waited for without end.
    pub const fn dialling(machine: M, options: Options) -> Self {
        Self::with(machine, options, None)
    }

    const fn with(machine: M, options: Options, door: Option<Door<S>>) -> Self {
        const { assert!(UDP > 0, "every machine has a UDP socket") };
        let lasting = Lasting {
            seed: options.seed,
            counters: Counters::NONE,
            door,
            listener: None,
            listen_port: options.listen_port,
            quiet: false,
            tells_ends: false,
            datagrams: 0,
            pieces: 0,
            emptied: false,
        };
        Self {
            machine,
            ports: [const { Port::VACANT }; UDP],
            wires: [const { Wire::VACANT }; TCP],
            lasting,
            scratch: [0; MAX_FRAME],
            now: Instant::START,
            options,
            begun: false,
            turns: 0,
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

    /// The main UDP socket's port; 0 while it is not open.
    pub const fn port(&self) -> u16 {
        if self.begun { self.options.port } else { 0 }
    }

    /// One turn: everything that has come, whatever the machine and `app` want done, everything that
    /// is to leave. Returns when the next turn is due at the latest; `now` or earlier means at once.
    ///
    /// What is open from the start is tried again with each turn while the stack does not give it.
    pub fn poll<A: App<M>>(&mut self, now: Instant, stack: &mut S, app: &mut A) -> Instant {
        self.now = self.now.max(now);
        (self.lasting.datagrams, self.lasting.pieces) = (READS, READS);
        let (begun, options) = (self.begun, self.options);
        let mut turn = self.turn(stack, app);
        turn.stack.unblock_ports();
        let main = if begun { Some(options.port) } else { turn.stack.begin(&options) };
        if let Some(port) = main.filter(|_| !begun) {
            turn.machine.handle_bound(turn.now, SocketId::MAIN, Some(local(port)));
        }
        let mut wake = drain(&mut turn);
        if turn.timeout() {
            wake = drain(&mut turn);
        }
        wake = wake.min(deadline(&turn, options.interval));
        if let Some(port) = main {
            (self.options.port, self.begun) = (port, true);
        }
        wake
    }

    fn turn<'t, A: App<M>>(
        &'t mut self,
        stack: &'t mut S,
        app: &'t mut A,
    ) -> Turn<'t, M, A, View<'t, S>> {
        let view = View {
            now: self.now,
            stack,
            ports: &mut self.ports,
            wires: &mut self.wires,
            lasting: &mut self.lasting,
            scratch: &mut self.scratch,
        };
        self.turns = self.turns.wrapping_add(1);
        Turn::new(&mut self.machine, app, view, self.now, self.turns)
    }
}

impl<S: Nal> View<'_, S> {
    /// Opens what is open from the start: the main port when all of it is.
    fn begin(&mut self, options: &Options) -> Option<u16> {
        if options.listening && self.lasting.listener.is_none() {
            self.listen()?;
        }
        if let Some(port) = options.other_port
            && !self.open_port(SocketId::OTHER_PORT, port)
        {
            return None;
        }
        (0..TRIES).find_map(|_| {
            let port = match options.port {
                0 => draw_ports(&mut self.lasting.seed, 1),
                port => port,
            };
            self.open_port(SocketId::MAIN, port).then_some(port)
        })
    }
}

/// Whatever is to be done, until nothing is left; when the application wants to be called.
fn drain<M: Machine, A: App<M>, S: Nal>(turn: &mut Turn<'_, M, A, View<'_, S>>) -> Instant {
    for _ in 0..ROUNDS {
        let (busy, wake) = turn.round();
        let reads = &turn.stack.lasting;
        if turn.is_full() || reads.datagrams == 0 || reads.pieces == 0 {
            break;
        }
        // The machine may have another frame for a buffer that has become empty.
        if !busy && !core::mem::take(&mut turn.stack.lasting.emptied) {
            return wake;
        }
    }
    turn.now
}

/// When the next turn is due, as far as machine and stack go.
fn deadline<M: Machine, A, S: Nal>(
    turn: &Turn<'_, M, A, View<'_, S>>,
    interval: Duration,
) -> Instant {
    let (now, stack) = (turn.now, &turn.stack);
    let waits = stack.has_blocked_ports() || stack.has_blocked_wires();
    let interval = if waits { interval.min(INTERVAL) } else { interval };
    let machine = turn.machine.poll_timeout().map_or(Instant::END, |wakeup| wakeup.at);
    machine.min(now.after(interval)).max(now.after(FLOOR))
}
