//! Where a role puts what leaves: packets to the sockets, news to the application.

use core::net::SocketAddr;

use genkan_core::wire::Kind;
use genkan_core::{FRAME_PREFIX, Instant, Path};

use crate::event::{Action, Carrier, Events, Happening, Step, Trace};
use crate::lease::LeaseNews;
use crate::net::{Net, Queued, Sent};

/// Tells the application.
#[derive(Debug)]
pub(crate) struct Journal<E> {
    events: Events<E>,
    trace: Trace,
}

impl<E> Journal<E> {
    pub(crate) const fn new(events: Events<E>, trace: Trace) -> Self {
        Self { events, trace }
    }

    pub(crate) fn machine(&self, now: Instant, event: E) {
        self.events.push(now, Happening::Machine(event));
    }

    pub(crate) fn trouble(&self, now: Instant, text: String) {
        self.events.push(now, Happening::Trouble(text));
    }

    pub(crate) fn lease(&self, now: Instant, news: LeaseNews) {
        self.events.push(now, Happening::Lease(news));
    }

    pub(crate) fn unheard(&self, now: Instant, port: u16, measurements: u8) {
        self.events.push(now, Happening::Unheard { port, measurements });
    }

    /// A step that is no message.
    pub(crate) fn step(&self, now: Instant, remote: SocketAddr, action: Action) {
        if self.trace != Trace::Off {
            self.events
                .push(now, Happening::Step(Step { carrier: Carrier::Stream, remote, action }));
        }
    }

    /// A message on the wire; `message` begins with its kind.
    pub(crate) fn message(
        &self,
        now: Instant,
        at: (Carrier, SocketAddr),
        message: &[u8],
        action: impl FnOnce(Option<Kind>, usize) -> Action,
    ) {
        if self.trace != Trace::Off {
            let kind = Kind::of(message).ok();
            self.kind(now, at, kind, action(kind, message.len()));
        }
    }

    /// As [`Journal::message`] where the message itself is gone.
    pub(crate) fn kind(
        &self,
        now: Instant,
        (carrier, remote): (Carrier, SocketAddr),
        kind: Option<Kind>,
        action: Action,
    ) {
        if self.trace.wants(kind) {
            self.events.push(now, Happening::Step(Step { carrier, remote, action }));
        }
    }

    pub(super) fn end(&self) {
        self.events.end();
    }
}

/// The way out for sessions' packets.
#[derive(Debug)]
pub(crate) struct Desk<'a, E> {
    pub(super) net: &'a mut Net,
    pub(super) journal: &'a Journal<E>,
}

impl<E> Desk<'_, E> {
    /// Whether a payload on this path would leave now.
    pub(crate) fn has_room(&self, path: &Path) -> bool {
        self.net.has_room(path)
    }

    /// Sends a sealed payload; whether it has left or was queued.
    pub(crate) fn send(&mut self, now: Instant, path: &Path, bytes: &[u8]) -> bool {
        let remote = path.remote().into();
        let (carrier, message, taken) = match path {
            Path::Datagram { socket, .. } => {
                let taken = self.net.send(*socket, bytes, remote, None) == Sent::Done;
                (Carrier::Datagram(*socket), bytes, taken)
            }
            Path::Stream { stream, .. } => {
                let taken = self.net.push_payload(*stream, bytes) == Queued::Taken;
                (Carrier::Stream, bytes.get(FRAME_PREFIX..).unwrap_or_default(), taken)
            }
        };
        self.journal.message(now, (carrier, remote), message, |kind, bytes| {
            if taken { Action::Sent { kind, bytes } } else { Action::Lost { kind, bytes } }
        });
        taken
    }
}
