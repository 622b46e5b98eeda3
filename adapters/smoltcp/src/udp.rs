//! The machine's UDP sockets.
//!
//! Three habits of smoltcp's rings matter here. A ring sends its datagrams in order, so the first one
//! holds up the others while its neighbour's hardware address is unknown: a datagram is therefore
//! never lost to address resolution, and none is given to a ring without a route; but a neighbour that
//! never answers would stop the socket for ever, so a ring that has not moved for [`STALLED`] is
//! emptied. The hop limit belongs to the socket and counts when a datagram leaves, so a ring holds
//! datagrams of one hop limit at a time. And closing a socket empties its rings.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{Instant, MAX_DATAGRAM, SocketId};
use genkan_turn::{Encode, Udp, Unplaced};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{SendError, Socket};

use crate::addr::{endpoint, reaches};
use crate::counters::tally;
use crate::view::{View, any};

/// Longer than two tries at resolving an address, one second apart.
pub(crate) const STALLED: Duration = Duration::from_millis(2_500);

/// One UDP socket.
#[derive(Debug)]
pub(crate) struct Port {
    handle: SocketHandle,
    /// The machine's name for it, while it is open.
    pub(crate) id: Option<SocketId>,
    /// What its ring for sending held at the last look, in bytes, and since when it has not moved.
    held: usize,
    since: Instant,
}

impl Port {
    pub(crate) const fn new(handle: SocketHandle) -> Self {
        Self { handle, id: None, held: 0, since: Instant::START }
    }
}

impl<'s> View<'_, 's> {
    /// Opens a socket on a port that nobody has.
    pub(crate) fn open_port(&mut self, id: SocketId, port: u16) {
        let sockets = &mut *self.sockets;
        let free = self
            .ports
            .iter_mut()
            .find(|entry| entry.id.is_none() && !sockets.get::<Socket<'s>>(entry.handle).is_open());
        let Some(entry) = free else { return };
        if sockets.get_mut::<Socket<'s>>(entry.handle).bind(any(port)).is_ok() {
            entry.id = Some(id);
        }
    }

    /// The next datagram that the socket at `index` has, moved to the front of the scratch room.
    fn fetch(&mut self, index: usize) -> Option<(SocketId, SocketAddr, usize)> {
        loop {
            let entry = self.ports.get(index)?;
            let (bytes, meta) = self.sockets.get_mut::<Socket<'s>>(entry.handle).recv().ok()?;
            let Some(id) = entry.id else { continue };
            let ours = |to| self.iface.any_ip() || self.iface.has_ip_addr(to);
            if !meta.local_address.is_some_and(ours) {
                tally(&mut self.lasting.counters.misaddressed);
                continue;
            }
            let room = self.scratch.get_mut(..bytes.len().min(MAX_DATAGRAM))?;
            if room.len() < bytes.len() {
                tally(&mut self.lasting.counters.too_long);
                continue;
            }
            room.copy_from_slice(bytes);
            return Some((id, meta.endpoint.into(), room.len()));
        }
    }

    /// Before packets leave: notes what the rings hold.
    pub(crate) fn mark_ports(&mut self) {
        for entry in self.ports.iter_mut() {
            if entry.held == 0 {
                entry.since = self.now;
            }
            entry.held = self.sockets.get::<Socket<'s>>(entry.handle).send_queue();
        }
    }

    /// After packets have left: empties rings that do not move, and closes what is to be closed.
    pub(crate) fn sweep_ports(&mut self) {
        for entry in self.ports.iter_mut() {
            let socket = self.sockets.get_mut::<Socket<'s>>(entry.handle);
            let held = socket.send_queue();
            if held < entry.held {
                entry.since = self.now;
            }
            entry.held = held;
            if held > 0 && self.now.since(entry.since) >= STALLED {
                tally(&mut self.lasting.counters.stalled);
                let endpoint = socket.endpoint();
                socket.close();
                // It was bound there a moment ago.
                let _ = socket.bind(endpoint);
                entry.held = 0;
            }
        }
        self.close_forgotten();
    }

    /// Closes what the machine has let go and what holds nothing any more.
    fn close_forgotten(&mut self) {
        for entry in self.ports.iter_mut().filter(|entry| entry.id.is_none()) {
            let socket = self.sockets.get_mut::<Socket<'s>>(entry.handle);
            if socket.is_open() && socket.send_queue() == 0 {
                socket.close();
                socket.set_hop_limit(None);
                entry.held = 0;
            }
        }
    }

    /// When [`View::sweep_ports`] has something to do at the latest.
    pub(crate) fn ports_deadline(&self) -> Option<Instant> {
        let held = self.ports.iter().filter(|entry| entry.held > 0);
        held.map(|entry| entry.since.after(STALLED)).min()
    }
}

impl<'s> Udp for View<'_, 's> {
    fn bind(&mut self, first: SocketId, count: u8) -> Option<SocketAddr> {
        self.unbind(first, count);
        let is_free = |entry: &&Port| {
            entry.id.is_none() && !self.sockets.get::<Socket<'s>>(entry.handle).is_open()
        };
        let free = self.ports.iter().filter(is_free).count();
        let Some(port) = self.free_ports(count.into(), false).filter(|_| free >= count.into())
        else {
            tally(&mut self.lasting.counters.exhausted);
            return None;
        };
        for offset in 0..u16::from(count) {
            self.open_port(SocketId(first.0.wrapping_add(offset)), port + offset);
        }
        Some(self.local(port))
    }

    // They close when what they hold has left: mostly now, and the next to be bound can have them.
    fn unbind(&mut self, first: SocketId, count: u8) {
        for entry in self.ports.iter_mut() {
            let number = entry.id.map(|id| id.0.wrapping_sub(first.0));
            if number.is_some_and(|number| number < count.into()) {
                entry.id = None;
            }
        }
        self.close_forgotten();
    }

    fn ports(&self) -> usize {
        self.ports.len()
    }

    fn receive(&mut self, index: usize) -> Option<(SocketId, SocketAddr, &mut [u8])> {
        let (id, remote, length) = self.fetch(index)?;
        Some((id, remote, self.scratch.get_mut(..length)?))
    }

    fn send_datagram(
        &mut self,
        id: SocketId,
        remote: SocketAddr,
        hops: Option<u8>,
        length: usize,
        encode: &mut Encode<'_>,
    ) -> Result<(), Unplaced> {
        let hops = hops.filter(|hops| *hops > 0);
        let remote = endpoint(remote).filter(|remote| reaches(self.iface, &remote.addr));
        let entry = self.ports.iter().find(|port| port.id == Some(id));
        let (Some(entry), Some(remote)) = (entry, remote) else {
            tally(&mut self.lasting.counters.unsendable);
            return Err(Unplaced::Lost);
        };
        let socket = self.sockets.get_mut::<Socket<'s>>(entry.handle);
        if socket.hop_limit() != hops {
            if socket.send_queue() > 0 {
                return Err(Unplaced::Full);
            }
            socket.set_hop_limit(hops);
        }
        let room = socket.send(length, remote).map_err(|error| match error {
            SendError::BufferFull => Unplaced::Full,
            SendError::Unaddressable => Unplaced::Lost,
        })?;
        // The room has just the length.
        encode(room);
        Ok(())
    }

    // However the free room lies.
    fn has_datagram_room(&self, id: SocketId) -> bool {
        let Some(entry) = self.ports.iter().find(|port| port.id == Some(id)) else { return false };
        let socket = self.sockets.get::<Socket<'s>>(entry.handle);
        let held = socket.send_queue();
        let free = socket.payload_send_capacity().saturating_sub(held);
        let lone = socket.hop_limit().is_none() && free >= 2 * MAX_DATAGRAM;
        socket.can_send() && (held == 0 || lone)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use genkan_core::MAX_FRAME;
    use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
    use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
    use smoltcp::time;
    use smoltcp::wire::HardwareAddress;

    use super::*;
    use crate::Storage;
    use crate::counters::Counters;
    use crate::view::Lasting;

    /// No network.
    struct Nowhere;

    enum Never {}

    impl RxToken for Never {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, _: F) -> R {
            match self {}
        }
    }

    impl TxToken for Never {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _: usize, _: F) -> R {
            match self {}
        }
    }

    impl Device for Nowhere {
        type RxToken<'a> = Never;
        type TxToken<'a> = Never;

        fn receive(&mut self, _: time::Instant) -> Option<(Never, Never)> {
            None
        }

        fn transmit(&mut self, _: time::Instant) -> Option<Never> {
            None
        }

        fn capabilities(&self) -> DeviceCapabilities {
            let mut all = DeviceCapabilities::default();
            all.medium = Medium::Ip;
            all.max_transmission_unit = 1_500;
            all
        }
    }

    /// The machine lets sockets go and asks for others in one breath, before packets leave.
    #[test]
    fn sockets_that_are_let_go_can_be_had_at_once() {
        let mut rings = <Storage<5, 1>>::new();
        let mut places = [const { SocketStorage::EMPTY }; 6];
        let mut sockets = SocketSet::new(&mut places[..]);
        let mut ports = rings.install(&mut sockets).udp.map(Port::new);
        let config = Config::new(HardwareAddress::Ip);
        let mut iface = Interface::new(config, &mut Nowhere, time::Instant::ZERO);
        let counters = Counters::default();
        let mut lasting = Lasting { seed: 1, counters, listening: None, listen_port: 0 };
        let mut view = View {
            now: Instant::START,
            iface: &mut iface,
            sockets: &mut sockets,
            ports: &mut ports,
            wires: &mut [],
            lasting: &mut lasting,
            scratch: &mut [0; MAX_FRAME],
        };
        view.open_port(SocketId::MAIN, 4_000);
        for first in [10, 10, 20, 30] {
            assert!(view.bind(SocketId(first), 4).is_some(), "{first}");
            view.unbind(SocketId(first), 4);
        }
        assert!(view.bind(SocketId(40), 5).is_none());
        assert_eq!(view.lasting.counters.exhausted, 1);
    }
}
