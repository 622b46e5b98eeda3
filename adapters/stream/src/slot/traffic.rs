//! Segments into and out of one slot's socket, and when the next is due.

use smoltcp::iface::Interface;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{Ipv4Packet, TcpControl, TcpPacket, TcpSeqNumber};

use super::{Cause, Phase, Slot, Turn};
use crate::config::INNER_MTU;
use crate::device::{Pipe, REPLY_LEN};
use crate::filter::Segment;

/// From then on, a stream in TIME-WAIT with unread bytes is kept from the stack below, in
/// microseconds. Half of the stack's own ten seconds.
const TIME_WAIT_HOLD: u64 = 5_000_000;

/// Packets with options do not get this far.
const IPV4_HEADER_LEN: usize = 20;

impl Slot<'_> {
    /// Delivers a segment; the length of the answer in `room`, 0 if there is none.
    pub(crate) fn ingress(
        &mut self,
        interface: &mut Interface,
        turn: &Turn,
        segment: &Segment,
        packet: &[u8],
        room: &mut [u8; REPLY_LEN],
    ) -> usize {
        let mut copy = [0; REPLY_LEN];
        if !self.is_synchronized() {
            return self.deliver(interface, turn, segment, packet, room);
        }
        let sequence = self.expected();
        if self.is_bare(segment) {
            if self.ignores(segment) {
                return 0;
            }
            self.note(segment.ack);
            let bare = Segment { sequence, ..*segment };
            let placed = place(packet, &bare, &mut copy).unwrap_or(packet);
            return self.deliver(interface, turn, &bare, placed, room);
        }
        if self.is_spent(segment) {
            // The peer repeats because it wants an answer, so this end must not be gone before.
            let withheld = i32::from(self.socket().state() == State::LastAck);
            let ack = segment.ack.map(|ack| ack.wrapping_sub(withheld));
            let bare = Segment { sequence, ack, control: TcpControl::None, len: 0, ..*segment };
            if let Some(placed) = place(packet, &bare, &mut copy) {
                self.note(ack);
                self.deliver(interface, turn, &bare, placed, room);
            }
        }
        self.deliver(interface, turn, segment, packet, room)
    }

    fn deliver(
        &mut self,
        interface: &mut Interface,
        turn: &Turn,
        segment: &Segment,
        packet: &[u8],
        room: &mut [u8; REPLY_LEN],
    ) -> usize {
        let before = self.socket().state();
        if segment.control == TcpControl::Fin {
            // Its acknowledgement frees the peer's slot, and nothing comes after it that could carry
            // it along: many short streams would otherwise use up all slots while it waits.
            self.socket_mut().set_ack_delay(None);
        }
        let mut pipe = Pipe::inbound(packet, room);
        interface.poll_ingress_single(turn.at(), &mut pipe, &mut self.set);
        let written = pipe.written();
        self.settle(before, Cause::Segment(*segment), turn);
        written
    }

    /// A reset, or an acknowledgement without bytes. One that stands right before the expected
    /// place asks whether this end is still there, and is left as it is so that it is answered.
    fn is_bare(&self, segment: &Segment) -> bool {
        let is_reset = segment.control == TcpControl::Rst && segment.len == 0;
        let asks = segment.sequence == self.expected().wrapping_sub(1);
        is_reset || segment.pure_ack().is_some() && !asks
    }

    /// A repeated acknowledgement while nothing but the FIN is in flight. Three of them would make
    /// the stack below plan a fast retransmission of data that it does not have, and lose the timer
    /// that repeats the FIN.
    fn ignores(&self, segment: &Segment) -> bool {
        let socket = self.socket();
        let state = socket.state();
        let fin_sent = matches!(state, State::FinWait1 | State::Closing | State::LastAck);
        let lone_fin = fin_sent && socket.send_queue() == 0;
        lone_fin && segment.pure_ack().is_some() && segment.ack == self.acknowledged
    }

    /// A repetition of bytes that have all arrived, whose acknowledgement matters: it is new, or
    /// the segment is a keepalive and shows that the peer is alive while this end's bytes get lost.
    fn is_spent(&self, segment: &Segment) -> bool {
        let socket = self.socket();
        let receives_only = matches!(socket.state(), State::FinWait2 | State::TimeWait);
        if receives_only || socket.send_queue() == 0 {
            return false;
        }
        let flags = match segment.control {
            TcpControl::None | TcpControl::Psh => 0,
            TcpControl::Fin => 1,
            TcpControl::Syn | TcpControl::Rst => return false,
        };
        let end = segment.sequence.wrapping_add(i32::from(segment.len)).wrapping_add(flags);
        let left = self.expected().wrapping_sub(end);
        let asks = segment.len <= 1 && left <= 1;
        left >= 0 && (asks || self.is_news(segment.ack))
    }

    /// Whether an acknowledgement goes beyond those that came in segments of their own.
    fn is_news(&self, ack: Option<i32>) -> bool {
        match (ack, self.acknowledged) {
            (Some(ack), Some(newest)) => ack.wrapping_sub(newest) > 0,
            (ack, _) => ack.is_some(),
        }
    }

    fn note(&mut self, ack: Option<i32>) {
        if self.is_news(ack) {
            self.acknowledged = ack;
        }
    }

    /// The sequence number that the peer's next new byte will have.
    fn expected(&self) -> i32 {
        let queued = u32::try_from(self.socket().recv_queue()).unwrap_or(0);
        let received = self.taken.wrapping_add(queued);
        let flags = 1 + i32::from(self.peer_finished);
        self.first_sequence.wrapping_add(flags).wrapping_add(received.cast_signed())
    }

    fn is_synchronized(&self) -> bool {
        use State::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, TimeWait};
        let state = self.socket().state();
        matches!(
            state,
            Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck | TimeWait
        )
    }

    /// Moves bytes that arrived into `room`.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> usize {
        let given = self.socket_mut().recv_slice(room).unwrap_or(0);
        self.count_read(given);
        given
    }

    fn count_read(&mut self, bytes: usize) {
        self.taken = self.taken.wrapping_add(u32::try_from(bytes).unwrap_or(0));
    }

    /// Writes the next packet into `room`; its length, 0 if there is none.
    pub(crate) fn egress(
        &mut self,
        interface: &mut Interface,
        turn: &Turn,
        room: &mut [u8; INNER_MTU],
    ) -> usize {
        if self.is_still(turn.now) {
            return 0;
        }
        if let Phase::Lingering { until } = self.phase
            && turn.now >= until
        {
            self.abort();
        }
        let before = self.socket().state();
        let mut pipe = Pipe::outbound(room);
        interface.poll_egress(turn.at(), &mut pipe, &mut self.set);
        let written = pipe.written();
        self.settle(before, Cause::Timer, turn);
        written
    }

    /// When [`egress`](Self::egress) has something to do next, in microseconds; 0 means now.
    pub(crate) fn wakeup(&self, interface: &mut Interface, turn: &Turn) -> Option<u64> {
        if self.is_still(turn.now) {
            return None;
        }
        let due = interface.poll_at(turn.at(), &self.set);
        let due = due.map(|at| u64::try_from(at.total_micros()).unwrap_or(0));
        match self.phase {
            Phase::Lingering { until } => Some(due.map_or(until, |due| due.min(until))),
            _ => due,
        }
    }

    /// Nothing to send and no timer to run. The end of TIME-WAIT would empty the receive buffer, so
    /// it is put off while the application has not read everything.
    fn is_still(&self, now: u64) -> bool {
        let socket = self.socket();
        match socket.state() {
            State::Closed => socket.remote_endpoint().is_none(),
            State::TimeWait => {
                let held = matches!(self.phase, Phase::Owned | Phase::Backlog { .. });
                let unread = socket.recv_queue() > 0;
                held && unread && now >= self.time_wait_since.saturating_add(TIME_WAIT_HOLD)
            }
            _ => false,
        }
    }
}

/// A copy of a segment without its bytes that says what `bare` says.
///
/// After a timeout the stack rewinds the sequence number that all its segments carry. Its bare
/// acknowledgements then stand before the peer's window, where the peer discards them unread, and
/// so do those that ride on repeated bytes. When both ends have timed out, neither hears the other
/// again. What protects against segments forged from outside is the session, so the place of a
/// segment without bytes need not be checked.
fn place<'c>(packet: &[u8], bare: &Segment, copy: &'c mut [u8; REPLY_LEN]) -> Option<&'c [u8]> {
    let header_len = TcpPacket::new_checked(packet.get(IPV4_HEADER_LEN..)?).ok()?.header_len();
    let len = IPV4_HEADER_LEN + usize::from(header_len);
    let copy = copy.get_mut(..len)?;
    copy.copy_from_slice(packet.get(..len)?);
    // Checksums have been verified and are not looked at again.
    Ipv4Packet::new_unchecked(&mut *copy).set_total_len(u16::try_from(len).ok()?);
    let mut segment = TcpPacket::new_unchecked(copy.get_mut(IPV4_HEADER_LEN..)?);
    segment.set_seq_number(TcpSeqNumber(bare.sequence));
    if let Some(ack) = bare.ack {
        segment.set_ack_number(TcpSeqNumber(ack));
    }
    if bare.control == TcpControl::None {
        segment.set_fin(false);
        segment.set_psh(false);
    }
    Some(copy)
}
