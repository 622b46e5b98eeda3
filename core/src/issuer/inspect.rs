//! What an issuer shows of itself to tests.

use super::request::Stage;
use super::{ConnectionSlot, Issuer, Listener, State};
use crate::inspect::{Inspect, KeyLog, LoggedRoot, Pending, bits, equipment_roots, time};

impl<S: AsRef<[ConnectionSlot]>, E> Inspect for Issuer<S, E> {
    fn inspect(&self, see: &mut dyn FnMut(u64)) {
        self.state.inspect(see);
        let used = |slot: &&ConnectionSlot| slot.stage != Stage::Free;
        for slot in self.slots.as_ref().iter().filter(used) {
            see(slot.stage as u64 | u64::from(slot.generation) << 8 | u64::from(slot.tries) << 24);
            see(u64::from(slot.request));
            see(bits([slot.due, slot.early, slot.asked, slot.accepted, slot.planned]));
            see(time(slot.until));
            see(time(slot.repeat));
            slot.calling.inspect(see);
            if let Some(peer) = &slot.peer {
                peer.inspect(see);
            }
        }
    }

    fn pending(&self) -> Pending {
        let count =
            |stage: Stage| self.slots.as_ref().iter().filter(|slot| slot.stage == stage).count();
        Pending {
            requests: count(Stage::Asking),
            passing: count(Stage::Closing),
            open: count(Stage::Open),
            ..Pending::default()
        }
    }
}

impl State {
    fn inspect(&self, see: &mut dyn FnMut(u64)) {
        self.datagram.inspect(see);
        self.stream.inspect(see);
        see(time(self.retry_at));
        see(time(self.idle_until));
        let open = matches!(self.listener, Listener::Open(_));
        see(bits([open, self.listener == Listener::Closed, self.unconfirmed, self.ability_due]));
        see(self.last.map_or(u64::MAX, |(counter, _)| counter));
        for inbound in self.inbound.iter().filter(|inbound| inbound.remote.is_some()) {
            see(u64::from(inbound.generation) << 1 | u64::from(inbound.slot.is_some()));
            see(inbound.until.as_micros());
        }
    }
}

impl<S: AsRef<[ConnectionSlot]>, E> KeyLog for Issuer<S, E> {
    fn roots(&self, log: &mut dyn FnMut(LoggedRoot)) {
        let peers = self.slots.as_ref().iter().filter_map(|slot| slot.peer.as_ref());
        equipment_roots([&self.state.datagram.session, &self.state.stream.session], peers, log);
    }
}
