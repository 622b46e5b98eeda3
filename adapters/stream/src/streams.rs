//! The application's side: opening, accepting, reading, writing and ending streams.
//!
//! None of these calls sends anything by itself; they leave work for `poll_packet`. None blocks:
//! zero bytes taken or given is back-pressure, and the driver asks again after the next packets.

use smoltcp::socket::tcp::State;

use crate::error::{ConnectError, ListenError, StreamError, StreamState};
use crate::slot::{Phase, Slot};
use crate::stack::{StreamHandle, StreamStack, vacant};

/// First port of those that outgoing streams use on their own side; the range reaches to 65,535.
const FIRST_EPHEMERAL: u16 = 49_152;

impl<'a, S> StreamStack<'a, S>
where
    S: AsRef<[Slot<'a>]> + AsMut<[Slot<'a>]>,
{
    /// Lets the peer open streams to `port`, until [`unlisten`](Self::unlisten). Listening twice is
    /// the same as once.
    ///
    /// # Errors
    ///
    /// [`ListenError::InvalidPort`] for port 0, [`ListenError::TableFull`] beyond
    /// [`MAX_LISTENERS`](crate::MAX_LISTENERS) ports.
    pub fn listen(&mut self, port: u16) -> Result<(), ListenError> {
        if port == 0 {
            return Err(ListenError::InvalidPort);
        }
        if self.listeners.contains(&port) {
            return Ok(());
        }
        let free = self.listeners.iter_mut().find(|taken| **taken == 0);
        *free.ok_or(ListenError::TableFull)? = port;
        Ok(())
    }

    /// Refuses further streams to `port`. Those that were opened before stay.
    pub fn unlisten(&mut self, port: u16) {
        for taken in self.listeners.iter_mut().filter(|taken| **taken == port) {
            *taken = 0;
        }
    }

    /// Opens a stream to the peer's `port`. Bytes can be sent once it is [`StreamState::Open`]; a
    /// refusal shows as its state.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidPort`] for port 0, [`ConnectError::TableFull`] when every slot holds
    /// a stream.
    pub fn connect(&mut self, now: u64, port: u16) -> Result<StreamHandle, ConnectError> {
        if port == 0 {
            return Err(ConnectError::InvalidPort);
        }
        self.turn(now);
        let local = self.ephemeral_port().ok_or(ConnectError::TableFull)?;
        let slots = self.slots.as_mut();
        let index = vacant(slots).ok_or(ConnectError::TableFull)?;
        let slot = slots.get_mut(index).ok_or(ConnectError::TableFull)?;
        if !slot.open(&mut self.interface, self.role, (local, port), &self.config) {
            return Err(ConnectError::InvalidPort);
        }
        self.drained = false;
        handle(index, slot).ok_or(ConnectError::TableFull)
    }

    /// A port that no slot uses. They are taken in turn, so that one comes back only after
    /// thousands of streams, when nothing of its former stream is on its way any more.
    fn ephemeral_port(&mut self) -> Option<u16> {
        for _ in FIRST_EPHEMERAL..=u16::MAX {
            let port = self.next_port | FIRST_EPHEMERAL;
            self.next_port = self.next_port.wrapping_add(1);
            let used = self.slots.as_ref().iter().any(|slot| slot.uses_local_port(port));
            if !used && !self.listeners.contains(&port) {
                return Some(port);
            }
        }
        None
    }

    /// Takes the stream that waits longest among those that the peer opened.
    pub fn accept(&mut self) -> Option<StreamHandle> {
        let slots = self.slots.as_mut();
        let waiting = slots.iter().enumerate().filter_map(|(index, slot)| match slot.phase {
            Phase::Backlog { order } => Some((order, index)),
            _ => None,
        });
        let (_, index) = waiting.min()?;
        let slot = slots.get_mut(index)?;
        slot.phase = Phase::Owned;
        handle(index, slot)
    }

    /// Queues bytes and returns how many were taken from the front of `data`; 0 is back-pressure,
    /// also while the stream is still opening.
    ///
    /// # Errors
    ///
    /// [`StreamError::Stale`]; [`StreamError::Finished`] after [`finish`](Self::finish);
    /// [`StreamError::Ended`] when the stream is over.
    pub fn send(&mut self, handle: StreamHandle, data: &[u8]) -> Result<usize, StreamError> {
        let slot = self.slot_mut(handle)?;
        if slot.finish_wanted() {
            return Err(StreamError::Finished);
        }
        if let StreamState::Ended(reason) = slot.state() {
            return Err(StreamError::Ended(reason));
        }
        let taken = slot.socket_mut().send_slice(data).unwrap_or(0);
        self.drained &= taken == 0;
        Ok(taken)
    }

    /// Moves bytes that arrived into `room` and returns how many; 0 means none now. What had
    /// arrived before a stream ended, however it ended, is given first.
    ///
    /// # Errors
    ///
    /// [`StreamError::Stale`]; [`StreamError::Finished`] when the peer has finished and everything
    /// is read; [`StreamError::Ended`] when the stream is over otherwise and everything is read.
    pub fn recv(&mut self, handle: StreamHandle, room: &mut [u8]) -> Result<usize, StreamError> {
        let slot = self.slot_mut(handle)?;
        if slot.socket().state() == State::SynReceived {
            return Ok(0);
        }
        if slot.socket().recv_queue() > 0 {
            let given = slot.read(room);
            self.drained = false;
            return Ok(given);
        }
        match slot.state() {
            _ if slot.peer_finished() => Err(StreamError::Finished),
            StreamState::Ended(reason) => Err(StreamError::Ended(reason)),
            _ => Ok(0),
        }
    }

    /// Finishes this end's direction: the peer reads the end of the stream after all bytes queued
    /// so far. The other direction stays open. Finishing twice is the same as once.
    ///
    /// # Errors
    ///
    /// [`StreamError::Stale`].
    pub fn finish(&mut self, handle: StreamHandle) -> Result<(), StreamError> {
        self.slot_mut(handle)?.finish();
        self.drained = false;
        Ok(())
    }

    /// Frees the handle in order: queued bytes and the end of the stream are still delivered, for
    /// at most [`Config::linger`](crate::Config::linger); what the peer sends meanwhile is thrown
    /// away. The slot is vacant when that is done; TIME-WAIT does not keep it.
    ///
    /// # Errors
    ///
    /// [`StreamError::Stale`].
    pub fn release(&mut self, now: u64, handle: StreamHandle) -> Result<(), StreamError> {
        let until = self.turn(now).now + self.config.linger;
        let slot = self.slot_mut(handle)?;
        if slot.state() == StreamState::Opening {
            slot.abort();
        }
        slot.release(until);
        self.drained = false;
        Ok(())
    }

    /// Frees the handle and resets the stream: what is queued is lost, and the peer sees
    /// [`EndReason::Reset`](crate::EndReason::Reset). The slot is vacant when the reset has left.
    ///
    /// # Errors
    ///
    /// [`StreamError::Stale`].
    pub fn abort(&mut self, handle: StreamHandle) -> Result<(), StreamError> {
        let slot = self.slot_mut(handle)?;
        slot.abort();
        slot.release(u64::MAX);
        self.drained = false;
        Ok(())
    }

    /// How a stream stands.
    ///
    /// # Errors
    ///
    /// [`StreamError::Stale`].
    pub fn state(&self, handle: StreamHandle) -> Result<StreamState, StreamError> {
        self.slot(handle).map(Slot::state)
    }

    /// Whether bytes may be sent, now or as soon as there is room.
    #[must_use]
    pub fn may_send(&self, handle: StreamHandle) -> bool {
        self.slot(handle).is_ok_and(|slot| !slot.finish_wanted() && slot.socket().may_send())
    }

    /// Whether bytes may be received: some have arrived, or may arrive yet.
    #[must_use]
    pub fn may_recv(&self, handle: StreamHandle) -> bool {
        self.slot(handle).is_ok_and(|slot| slot.socket().may_recv())
    }

    /// How many bytes [`send`](Self::send) would take now; 0 for a stale handle.
    #[must_use]
    pub fn send_room(&self, handle: StreamHandle) -> usize {
        let room = |socket: &smoltcp::socket::tcp::Socket<'_>| {
            socket.send_capacity().saturating_sub(socket.send_queue())
        };
        if self.may_send(handle) {
            self.slot(handle).map_or(0, |slot| room(slot.socket()))
        } else {
            0
        }
    }

    /// How many bytes the peer has not acknowledged yet, sent or not; 0 for a stale handle.
    #[must_use]
    pub fn unacknowledged(&self, handle: StreamHandle) -> usize {
        self.slot(handle).map_or(0, |slot| slot.socket().send_queue())
    }

    /// How many bytes [`recv`](Self::recv) could give now; 0 for a stale handle.
    #[must_use]
    pub fn readable(&self, handle: StreamHandle) -> usize {
        self.slot(handle).map_or(0, |slot| slot.socket().recv_queue())
    }

    /// This end's port of a stream: for an accepted one, the port that the peer asked for. `None`
    /// for a stale handle and once the stream is over.
    #[must_use]
    pub fn local_port(&self, handle: StreamHandle) -> Option<u16> {
        Some(self.slot(handle).ok()?.socket().local_endpoint()?.port)
    }

    /// How many slots there are, free or not.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.as_ref().len()
    }

    /// How many slots are free for a new stream.
    #[must_use]
    pub fn vacant_slots(&self) -> usize {
        self.slots.as_ref().iter().filter(|slot| slot.vacancy().is_some()).count()
    }

    fn slot(&self, handle: StreamHandle) -> Result<&Slot<'a>, StreamError> {
        let slot = self.slots.as_ref().get(usize::from(handle.index));
        slot.filter(|slot| slot.is_held_by(handle.generation)).ok_or(StreamError::Stale)
    }

    fn slot_mut(&mut self, handle: StreamHandle) -> Result<&mut Slot<'a>, StreamError> {
        let slot = self.slots.as_mut().get_mut(usize::from(handle.index));
        slot.filter(|slot| slot.is_held_by(handle.generation)).ok_or(StreamError::Stale)
    }
}

fn handle(index: usize, slot: &Slot<'_>) -> Option<StreamHandle> {
    let index = u16::try_from(index).ok()?;
    Some(StreamHandle { index, generation: slot.generation })
}
