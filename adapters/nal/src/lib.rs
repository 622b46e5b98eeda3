//! Genkan's machines on any stack that speaks [`embedded_nal`]: smoltcp behind it, a WiFi module with
//! AT commands, or an operating system.
//!
//! A [`Node`] owns a machine of `genkan-core` (server, issuer or acceptor) and its sockets; the stack
//! stays the application's and is lent for each turn. There is no allocation and no unsafe code:
//! the node is one value, with two buffers of one frame for each TCP connection.
//!
//! # The main loop
//!
//! ```no_run
//! use genkan_core::{Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, Entropy, Instant};
//! use genkan_nal::{Nal, Node, Options};
//!
//! fn run<E: Entropy, S: Nal>(
//!     mut config: AcceptorConfig,
//!     entropy: E,
//!     seed: u32, // of the entropy, too
//!     stack: &mut S,
//!     now: impl Fn() -> Instant, // 64-bit microseconds
//!     sleep: impl Fn(Instant), // until then
//! ) -> ! {
//!     config.simultaneous_open = false; // see below
//!     let acceptor = Acceptor::new(now(), config, [AcceptorSlot::EMPTY], entropy);
//!     // At most 5 UDP and 2 TCP sockets.
//!     let mut node = Node::<_, S, 5, 2>::dialling(acceptor, Options::equipment(seed));
//!     let mut app = |_: Instant, acceptor: &mut Acceptor<_, E>, event: AcceptorEvent| match event {
//!         AcceptorEvent::Persist => { /* write acceptor.failures() to flash, then say so: */
//!             acceptor.handle_persisted(now(), acceptor.failures());
//!         }
//!         _ => {}
//!     };
//!     loop {
//!         let wake = node.poll(now(), stack, &mut app);
//!         sleep(wake);
//!     }
//! }
//! ```
//!
//! An application with byte streams gives `Sessions` instead of the closure, as with
//! `genkan-smoltcp`; one that exchanges datagrams implements [`App`].
//!
//! # What the traits cannot do, and what comes of it
//!
//! * **They do not wake.** Nothing says when a packet has come, so the stack is asked at least every
//!   [`Options::interval`], 10 ms unless said otherwise; that is added to each answer's round trip. An
//!   application that learns of packets in another way sets a long interval and has a turn then.
//! * **They know no hop limit.** A bubble with one is for NATs that punish what comes in early; sent
//!   without, it could cost the peer the port that it is registered from. Such bubbles are therefore
//!   not sent, and counted ([`Counters::unlimited`]): behind such a peer's NAT, and only there, punching
//!   fails and TCP's dial-back is the way. The peer's bubbles towards us are not concerned.
//! * **They do not tell the local port.** Every socket is therefore bound to a port that is drawn here,
//!   and where the stack refuses it another one is drawn. Nor do they tell the local address; the
//!   machines do not need it.
//! * **TCP connections choose no port.** So none shares the port of another, and two ends that call each
//!   other at the same time cannot be: set `simultaneous_open` to `false` in the machine's
//!   configuration. Otherwise it tells its peers that it can, and both try in vain for seconds, over a
//!   connection to the server that is opened for it.
//! * **UDP sockets must be able to send anywhere**: `UdpFullStack`, not `UdpClientStack`.
//! * **They do not say what zero bytes from TCP mean**, or how an empty socket is reported. Stacks
//!   differ; `src/tcp.rs` has what is made of it. Where an end cannot be told, the machines notice the
//!   silence.
//! * **A caller is accepted when a place is free for it**, not before; until then the stack keeps it, if
//!   it does.
//! * A stack whose calls block holds up the node for as long, and whoever shares its loop. With
//!   `std-embedded-nal` 0.4 connecting blocks, and so does reading from accepted connections, for
//!   ever: there, use [`Node::dialling`].
//! * A turn reads what is work for eight handshakes at the most; what the stack keeps beyond that, the next
//!   one reads, which is due at once.
//! * A machine's datagrams leave in its order: one that the stack has no room for holds up those
//!   behind it until the next turn.
//!
//! Which addresses can be reached, over IPv4 or IPv6, is the stack's affair. IPv4 addresses that
//! are written as IPv6 ones are understood.
//!
//! # Memory
//!
//! A place for a TCP connection takes 2.5 KiB, one for a UDP socket some bytes, the node itself 1.3
//! KiB, all besides the machine; what sockets take in the stack is the stack's affair.
//!
//! # Features
//!
//! `streams`: `Sessions`, and `punch`, the core's hole punching, are on by default. `defmt` and `log` are
//! those of the core.

#![no_std]

mod counters;
mod node;
mod tcp;
mod udp;
mod view;

pub use counters::Counters;
pub use genkan_turn::{App, Change, Outlet, Peer, Unsent};
#[cfg(feature = "streams")]
pub use genkan_turn::{Service, Session, Sessions, StreamStorage, Streams};
pub use node::{Node, Options};
pub use view::Nal;

// With the feature `defmt` everything public formats itself: what does not, does not compile.
#[cfg(feature = "defmt")]
const _: () = {
    const fn formats<T: defmt::Format>() {}
    #[expect(dead_code, reason = "it need only compile, for any stack")]
    const fn node<S: Nal>() {
        formats::<Node<(), S, 1, 1>>();
    }
    formats::<Counters>();
    formats::<Options>();
};
