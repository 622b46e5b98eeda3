//! Byte streams over a session's datagrams.
//!
//! A session carries datagrams: they may be lost, repeated, reordered, and the path under them may
//! change from a relay to a punched hole or to a TCP connection while bytes are on their way. An
//! application often wants a pipe instead. This crate puts smoltcp's TCP *inside* the datagrams:
//! each plaintext of the session is one IPv4 packet of a tiny private network that has two hosts,
//! the issuer and the acceptor. Reliability, order, flow and congestion control are thus those of
//! one well-kept implementation on hosts and on microcontrollers alike, and a change of path is
//! nothing but a burst of loss to it.
//!
//! [`StreamStack`] is one end of one session. It does no I/O, reads no clock and, without the
//! feature `alloc`, allocates nothing; the caller gives the storage as [`Slot`]s, one per
//! concurrent stream. Its methods come in three kinds:
//!
//! * [`handle_packet`](StreamStack::handle_packet): a plaintext of the session arrived;
//! * [`poll_packet`](StreamStack::poll_packet) until `None`, then
//!   [`poll_timeout`](StreamStack::poll_timeout): what the caller must do after *every* other call;
//! * the application's wishes: [`connect`](StreamStack::connect), [`listen`](StreamStack::listen),
//!   [`accept`](StreamStack::accept), [`send`](StreamStack::send), [`recv`](StreamStack::recv),
//!   [`finish`](StreamStack::finish), [`release`](StreamStack::release), …
//!
//! All times are microseconds of one monotonic clock of the caller's choice; a `now` that lies
//! before an earlier one is taken as the earlier one.
//!
//! ```
//! use genkan_stream::{Config, INNER_MTU, Place, Role, Slot, StreamStack};
//!
//! // One slot of storage for each end; `static` cells on a microcontroller.
//! let (mut left, mut right) = (Place::EMPTY, Place::EMPTY);
//! let mut buffers = [[0; 2048]; 4];
//! let [a, b, c, d] = &mut buffers;
//! let (left, right) = ([Slot::new(&mut left, a, b)?], [Slot::new(&mut right, c, d)?]);
//! let mut issuer = StreamStack::new(Role::Issuer, left, Config::default(), 1, 0);
//! let mut acceptor = StreamStack::new(Role::Acceptor, right, Config::default(), 2, 0);
//!
//! acceptor.listen(80)?;
//! let stream = issuer.connect(0, 80)?;
//! let mut packet = [0; INNER_MTU];
//! for now in 1..8 {
//!     // A real caller seals the packet as one datagram of the session.
//!     while let Some(len) = issuer.poll_packet(now, &mut packet) {
//!         acceptor.handle_packet(now, &packet[..len]);
//!     }
//!     while let Some(len) = acceptor.poll_packet(now, &mut packet) {
//!         issuer.handle_packet(now, &packet[..len]);
//!     }
//! }
//! let accepted = acceptor.accept().ok_or("nobody called")?;
//! assert_eq!(acceptor.send(accepted, b"hello")?, 5);
//! # assert!(issuer.may_send(stream));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

mod config;
mod device;
mod error;
mod filter;
#[cfg(feature = "alloc")]
mod owned;
mod replies;
mod slot;
mod stack;
mod streams;

pub use config::{Config, HOST_BUFFER, INNER_MTU, MAX_BUFFER, MIN_BUFFER, Role};
pub use error::{BufferTooSmall, ConnectError, EndReason, ListenError, StreamError, StreamState};
pub use filter::Discard;
#[cfg(feature = "alloc")]
pub use owned::OwnedStack;
pub use slot::{Place, Slot};
pub use stack::{Counters, MAX_LISTENERS, Received, StreamHandle, StreamStack};

// With the feature `defmt` everything public formats itself: what does not, does not compile.
#[cfg(feature = "defmt")]
const _: () = {
    const fn formats<T: defmt::Format>() {}
    formats::<BufferTooSmall>();
    formats::<Config>();
    formats::<ConnectError>();
    formats::<Counters>();
    formats::<Discard>();
    formats::<EndReason>();
    formats::<ListenError>();
    formats::<Place<'_>>();
    formats::<Received>();
    formats::<Role>();
    formats::<Slot<'_>>();
    formats::<StreamError>();
    formats::<StreamHandle>();
    formats::<StreamStack<'_, ()>>();
    formats::<StreamState>();
};
