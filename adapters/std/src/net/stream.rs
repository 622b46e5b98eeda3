//! One TCP connection: bytes in as frames, frames out through a queue.
//!
//! Whole frames lie in the outgoing queue; what the kernel does not take stays there. A frame of the
//! machine itself is always queued, so that none is lost; a peer's payload is dropped where more than
//! [`QUEUE_LIMIT`] bytes wait, as a router's full queue would drop it: the TCP inside the session then
//! slows down, and what is urgent does not wait behind seconds of bulk.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use genkan_core::{Instant, StreamId};
use mio::net::TcpStream;

/// Beyond this many queued bytes no payload is queued.
pub(crate) const QUEUE_LIMIT: usize = 32 << 10;
/// How long a connection that the machine has let go may take to send what is queued.
const LINGER: Duration = Duration::from_secs(5);
/// How much longer the other side may then take to close. A socket that is closed with bytes unread
/// resets the connection, and what was sent last may never be read.
const PARTING: Duration = Duration::from_secs(1);
/// How much is read and thrown away at once meanwhile.
const WASTE: usize = 4 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The TCP handshake is under way; given up at this time.
    Connecting(Instant),
    /// It stands.
    Open,
    /// The machine has forgotten it; the queue leaves until this time.
    Leaving(Instant),
    /// The queue has left, and the other side was told that no more comes; closed when it closes
    /// too, or at this time.
    Parting(Instant),
}

/// What a look at a connection in the making found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    Waiting,
    Connected,
    Failed,
}

#[derive(Debug)]
pub(crate) struct Wire {
    pub(super) id: StreamId,
    pub(super) remote: SocketAddr,
    pub(super) socket: TcpStream,
    pub(super) phase: Phase,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The other side will send no more, or the connection broke.
    pub(super) ended: bool,
    queue: VecDeque<u8>,
    partial: Vec<u8>,
}

impl Wire {
    pub(super) fn new(id: StreamId, remote: SocketAddr, socket: TcpStream, phase: Phase) -> Self {
        // Frames are small and somebody waits for each.
        let _ = socket.set_nodelay(true);
        let writable = phase == Phase::Open;
        Self {
            id,
            remote,
            socket,
            phase,
            readable: writable,
            writable,
            ended: false,
            queue: VecDeque::new(),
            partial: Vec::new(),
        }
    }

    pub(super) fn progress(&mut self) -> Progress {
        if let Ok(Some(_)) | Err(_) = self.socket.take_error() {
            return Progress::Failed;
        }
        match self.socket.peer_addr() {
            Ok(_) => {
                self.phase = Phase::Open;
                (self.readable, self.writable) = (true, true);
                Progress::Connected
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Progress::Waiting,
            Err(_) => Progress::Failed,
        }
    }

    /// Puts what is left of the last read and what has arrived into `room`; how many bytes that are.
    pub(super) fn fill(&mut self, room: &mut [u8]) -> usize {
        let kept = self.partial.len().min(room.len());
        let (front, back) = room.split_at_mut(kept);
        front.copy_from_slice(self.partial.get(..kept).unwrap_or_default());
        loop {
            match self.socket.read(back) {
                Ok(0) => self.ended = true,
                Ok(count) => return kept + count,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => self.readable = false,
                    _ => self.ended = true,
                },
            }
            return kept;
        }
    }

    /// Keeps the beginning of a frame whose rest has not arrived.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.partial.clear();
        self.partial.extend_from_slice(rest);
        if rest.is_empty() {
            // Thousands of idle connections should not hold a buffer each.
            self.partial = Vec::new();
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.queue.extend(bytes);
    }

    /// Gives the kernel what it takes.
    pub(super) fn flush(&mut self) {
        while self.writable && !self.ended && !self.queue.is_empty() {
            let (front, back) = self.queue.as_slices();
            match self.socket.write_vectored(&[IoSlice::new(front), IoSlice::new(back)]) {
                Ok(0) => self.ended = true,
                Ok(count) => drop(self.queue.drain(..count)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.writable = false,
                    _ => self.ended = true,
                },
            }
        }
        if self.queue.is_empty() && self.queue.capacity() > QUEUE_LIMIT {
            self.queue = VecDeque::new();
        }
    }

    /// Whether it stands, for the machine too.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open && !self.ended
    }

    /// The machine lets go of it.
    pub(super) fn leave(&mut self, now: Instant) {
        self.phase = Phase::Leaving(now.after(LINGER));
    }

    /// Moves a connection that the machine has forgotten towards its end; whether it is there.
    pub(super) fn part(&mut self, now: Instant) -> bool {
        if let Phase::Leaving(until) = self.phase {
            if self.ended || now >= until {
                return true;
            }
            if !self.queue.is_empty() {
                return false;
            }
            if self.socket.shutdown(Shutdown::Write).is_err() {
                return true;
            }
            self.phase = Phase::Parting(now.after(PARTING));
        }
        let Phase::Parting(until) = self.phase else { return false };
        let mut waste = [0; WASTE];
        while self.readable && !self.ended {
            self.partial.clear();
            self.fill(&mut waste);
        }
        self.ended || now >= until
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Connecting(until) | Phase::Leaving(until) | Phase::Parting(until) => Some(until),
            Phase::Open => None,
        }
    }
}
