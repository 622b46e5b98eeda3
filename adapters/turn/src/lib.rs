//! What the adapters for microcontrollers share.
//!
//! `genkan-smoltcp` and `genkan-nal` both carry out what a machine of `genkan-core` asks for, in one
//! call for the main loop. What differs is the sockets: each adapter implements [`Udp`] and [`Tcp`].
//! What is the same stands here: the order of things ([`Turn`]), what the application sees ([`App`],
//! [`Outlet`]) and, with the feature `streams`, byte streams inside connections (`Sessions`). A stack
//! of another kind needs the two traits only.
//!
//! Applications use the names that their adapter exports.

#![no_std]

mod app;
#[cfg(feature = "streams")]
mod sessions;
mod sockets;
mod turn;

pub use app::{App, Change, Outlet, Peer, Unsent};
#[cfg(feature = "streams")]
pub use sessions::{Service, Session, Sessions, StreamStorage, Streams};
pub use sockets::{Encode, Stack, Tcp, TcpChange, Udp, Unplaced, draw_ports};
pub use turn::{REQUESTS, ROUNDS, Turn};

// With the feature `defmt` everything public formats itself: what does not, does not compile.
#[cfg(feature = "defmt")]
const _: () = {
    const fn formats<T: defmt::Format>() {}
    formats::<Change>();
    formats::<Outlet<'_, '_, ()>>();
    formats::<TcpChange>();
    formats::<Turn<'_, (), (), ()>>();
    formats::<Unplaced>();
    formats::<Unsent>();
};

#[cfg(all(feature = "defmt", feature = "streams"))]
const _: () = {
    const fn formats<T: defmt::Format>() {}
    formats::<Session<'_, 1>>();
    formats::<Sessions<'_, (), 1, 1>>();
    formats::<StreamStorage<'_, 1, 1>>();
    formats::<Streams<'_, 1>>();
};
