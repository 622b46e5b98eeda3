//! One turn's view of the stack and of the node's sockets.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use embedded_nal::{TcpClientStack, TcpFullStack, UdpClientStack, UdpFullStack};
use genkan_core::{Instant, MAX_FRAME};

use crate::counters::Counters;
use crate::tcp::Wire;
use crate::udp::Port;

/// What a node needs of a stack: UDP sockets on ports of its choice, TCP connections of its own.
pub trait Nal: UdpFullStack + TcpClientStack {}

impl<S: UdpFullStack + TcpClientStack> Nal for S {}

pub(crate) type UdpOf<S> = <S as UdpClientStack>::UdpSocket;
pub(crate) type TcpOf<S> = <S as TcpClientStack>::TcpSocket;

/// A connection that has come in, and from where.
type Caller<S> = (TcpOf<S>, SocketAddr);

/// How a stack takes callers, where it can.
pub(crate) struct Door<S: Nal> {
    /// A listener on that port.
    pub(crate) open: fn(&mut S, u16) -> Option<TcpOf<S>>,
    /// The next caller.
    pub(crate) accept: fn(&mut S, &mut TcpOf<S>) -> Option<Caller<S>>,
}

impl<S: Nal + TcpFullStack> Door<S> {
    pub(crate) const fn new() -> Self {
        Self { open: open::<S>, accept: accept::<S> }
    }
}

fn open<S: Nal + TcpFullStack>(stack: &mut S, port: u16) -> Option<TcpOf<S>> {
    let mut socket = TcpClientStack::socket(stack).ok()?;
    let bound = TcpFullStack::bind(stack, &mut socket, port);
    if bound.and_then(|()| stack.listen(&mut socket)).is_ok() {
        return Some(socket);
    }
    // What cannot be closed was not open.
    let _ = TcpClientStack::close(stack, socket);
    None
}

fn accept<S: Nal + TcpFullStack>(stack: &mut S, listener: &mut TcpOf<S>) -> Option<Caller<S>> {
    stack.accept(listener).ok()
}

/// What lasts from turn to turn besides the tables of sockets.
pub(crate) struct Lasting<S: Nal> {
    pub(crate) seed: u32,
    pub(crate) counters: Counters,
    pub(crate) door: Option<Door<S>>,
    pub(crate) listener: Option<TcpOf<S>>,
    /// The TCP port to listen on when that is wanted; 0: draw one.
    pub(crate) listen_port: u16,
    /// Nobody knocks in this round.
    pub(crate) quiet: bool,
    /// The stack tells a TCP connection that has ended from one that has nothing yet.
    pub(crate) tells_ends: bool,
    /// Reads of datagrams and of streams that are left in this turn: a flood of the ones does not hold
    /// up the others.
    pub(crate) datagrams: u16,
    pub(crate) pieces: u16,
    /// A TCP connection's buffer has become empty.
    pub(crate) emptied: bool,
}

pub(crate) struct View<'v, S: Nal> {
    pub(crate) now: Instant,
    pub(crate) stack: &'v mut S,
    pub(crate) ports: &'v mut [Port<UdpOf<S>>],
    pub(crate) wires: &'v mut [Wire<TcpOf<S>>],
    pub(crate) lasting: &'v mut Lasting<S>,
    pub(crate) scratch: &'v mut [u8; MAX_FRAME],
}

/// The local address of a port. The traits do not tell ours; the machines need the port only.
pub(crate) const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}
