//! Genkan's machines on smoltcp's sockets: for microcontrollers.
//!
//! The application owns the interface, the device and the set of sockets, in which its own sockets
//! live, too: DHCP and DNS are its business. A [`Node`] owns a machine of `genkan-core` (server, issuer
//! or acceptor) and knows which sockets of the set are its machine's. All it does happens in
//! [`Node::poll`], which the main loop calls when a packet has come or the time has come that the last
//! call named. There is no allocation and no unsafe code, and nothing panics: what comes from the
//! network is counted at most.
//!
//! # The main loop
//!
//! An appliance with one page, which anybody who is let in can read:
//!
//! ```no_run
//! use genkan_core::{Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, Entropy, Instant};
//! use genkan_smoltcp::{Node, Options, Service, Session, Sessions, Storage, StreamStorage};
//! use genkan_stream::Role;
//! use smoltcp::iface::{Interface, SocketSet, SocketStorage};
//! use smoltcp::phy::Device;
//!
//! /// One connection at a time.
//! type Machine<E> = Acceptor<[AcceptorSlot; 1], E>;
//!
//! struct Page;
//!
//! impl<E: Entropy> Service<Machine<E>, 2> for Page {
//!     fn event(&mut self, now: Instant, acceptor: &mut Machine<E>, event: AcceptorEvent) {
//!         match event {
//!             AcceptorEvent::Persist => { /* write acceptor.failures() to flash, then say so: */
//!                 acceptor.handle_persisted(now, acceptor.failures());
//!             }
//!             AcceptorEvent::Certificate => { /* write acceptor.certificate() and floor() */ }
//!             _ => {}
//!         }
//!     }
//!
//!     fn serve(&mut self, now: Instant, session: &mut Session<'_, 2>) {
//!         while let Some(stream) = session.streams.accept() {
//!             // A page this short always fits into an empty buffer.
//!             let _ = session.streams.send(stream, b"HTTP/1.0 200 OK\r\n\r\n21 degrees\r\n");
//!             let _ = session.streams.release(now.as_micros(), stream);
//!         }
//!     }
//! }
//!
//! fn run<E: Entropy>(
//!     config: AcceptorConfig,
//!     entropy: E,
//!     seed: u32, // of the entropy, too
//!     iface: &mut Interface, // with an address, by DHCP say
//!     device: &mut impl Device,
//!     now: impl Fn() -> Instant, // 64-bit microseconds
//!     sleep: impl Fn(Instant), // until then, or until a packet has come
//! ) -> ! {
//!     // 5 UDP and 2 TCP sockets; 1 connection with 2 streams. Statics, on a microcontroller.
//!     let (mut rings, mut rooms) = (<Storage<5, 2>>::new(), <StreamStorage<'_, 1, 2>>::new());
//!     let mut places = [SocketStorage::EMPTY; 7];
//!     let mut sockets = SocketSet::new(&mut places[..]);
//!     let handles = rings.install(&mut sockets);
//!     let acceptor = Machine::new(now(), config, [AcceptorSlot::EMPTY], entropy);
//!     let mut node = Node::new(acceptor, handles, Options::equipment(seed));
//!     let mut sessions = Sessions::new(Role::Acceptor, &mut rooms, seed.into(), now(), Page);
//!     let _ = sessions.listen(1); // what `genkan connect` opens
//!     loop {
//!         let wake = node.poll(now(), iface, device, &mut sockets, &mut sessions);
//!         sleep(wake);
//!     }
//! }
//! ```
//!
//! Without byte streams an application implements [`App`] itself and exchanges datagrams, by
//! [`Outlet::send`]; a server's is just a closure that takes the events.
//!
//! # What a turn does
//!
//! Packets are taken from the device one by one, each with all its consequences, so that short rings
//! suffice for what comes in; at most eight, and of datagrams and frames at most as many as are work for
//! eight handshakes: a watchdog must allow for so many. What the machine wants to send is encrypted straight into the ring of
//! the socket that it leaves from; where a ring is full, it stays in the machine. Frames of TCP
//! connections are decrypted in the ring when they lie there in one piece.
//!
//! Fresh UDP sockets, for measuring NATs and punching holes, come from the pool that [`Storage`] made,
//! on consecutive free ports; when there are too few, the machine is told and makes do. TCP
//! connections in both directions share a pool, too (`src/tcp.rs`).
//!
//! # When the network changes
//!
//! Nothing has to be told: while the interface has no address or no route, datagrams are lost, and the
//! machine repeats them; connections of an address that is gone are ended by smoltcp; and the machine
//! learns its new address with the next turn. A neighbour that does not answer ARP for
//! some seconds costs the datagrams that wait for it.
//!
//! # What is not done
//!
//! * A machine's datagrams leave in its order: one whose ring is full holds up those behind it, also those
//!   of other sockets. A ring holds one of the longest. So one that waits for a neighbour which does not
//!   answer ARP can hold up all of the machine's datagrams, for 2.5 s.
//! * Errors that ICMP brings are not seen: a closed port is noticed by silence.
//! * One ARP request or neighbour solicitation leaves per second, whatever the number of neighbours.
//! * Rings are sent in order: a datagram whose neighbour is not known yet holds up those behind it in
//!   the same socket, for 2.5 s at the most.
//! * A TCP segment that comes while the pool has nothing that listens is refused by a reset.
//!
//! Two connections that are opened towards each other at the same time become one, as they should
//! (RFC 9293, section 3.5), also from a port that another connection has, and whatever few packets of it are
//! lost. Each takes two sockets of the pool while it is tried: the one that the server sees, and its own.
//!
//! # Features
//!
//! `streams`: [`Sessions`]. `medium-ethernet`, `medium-ip`, `proto-ipv4` and `proto-ipv6` are smoltcp's
//! own; what this crate is to speak must be switched on here. `punch` is the core's: hole punching. All
//! of these are on by default. `defmt` and `log` are those of the core and of smoltcp, which takes one
//! of them at a time. `sizes` checks the figures in this crate's README, on 32-bit targets, when it is
//! built.

#![no_std]

mod addr;
mod counters;
mod node;
#[cfg(all(feature = "sizes", target_pointer_width = "32"))]
mod sizes;
mod storage;
mod tcp;
#[cfg(test)]
mod tests;
mod turn;
mod udp;
mod view;

pub use counters::Counters;
pub use genkan_turn::{App, Change, Outlet, Peer, Unsent};
#[cfg(feature = "streams")]
pub use genkan_turn::{Service, Session, Sessions, StreamStorage, Streams};
pub use node::{Node, Options};
pub use storage::{Handles, PACKETS, Storage, TCP_RING, UDP_RING};

// With the feature `defmt` everything public formats itself: what does not, does not compile.
#[cfg(feature = "defmt")]
const _: () = {
    const fn formats<T: defmt::Format>() {}
    formats::<Counters>();
    formats::<Handles<1, 1>>();
    formats::<Node<(), 1, 1>>();
    formats::<Options>();
    formats::<Storage<1, 1>>();
};
