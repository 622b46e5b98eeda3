//! What an acceptor shows of itself to tests.

use super::connection::Stage;
use super::registration::Due;
use super::{Acceptor, ConnectionSlot, State};
use crate::inspect::{Inspect, KeyLog, LoggedRoot, Pending, bits, equipment_roots, time};
use crate::link::Transport;

impl<S: AsRef<[ConnectionSlot]>, E> Inspect for Acceptor<S, E> {
    fn inspect(&self, see: &mut dyn FnMut(u64)) {
        self.state.inspect(see);
        let used = |slot: &&ConnectionSlot| slot.stage != Stage::Free;
        for slot in self.slots.as_ref().iter().filter(used) {
            see(slot.stage as u64 | u64::from(slot.generation) << 8);
            see(u64::from(slot.request));
            see(time(slot.until));
            slot.calling.inspect(see);
            if let Some(peer) = &slot.peer {
                peer.inspect(see);
            }
        }
    }

    fn pending(&self) -> Pending {
        let count = |what: fn(Stage) -> bool| {
            self.slots.as_ref().iter().filter(|slot| what(slot.stage)).count()
        };
        Pending {
            passing: count(|stage| !matches!(stage, Stage::Free | Stage::Open)),
            open: count(|stage| stage == Stage::Open),
            ..Pending::default()
        }
    }
}

impl State {
    fn inspect(&self, see: &mut dyn FnMut(u64)) {
        self.datagram.inspect(see);
        self.stream.inspect(see);
        let registration = &self.registration;
        see(registration.stage as u64 | u64::from(registration.tries) << 8);
        see(bits([
            registration.due == Due::Nothing,
            registration.over == Transport::Stream,
            registration.is_resuming(),
            registration.fetch_sent,
            registration.fetched,
        ]));
        for at in [registration.deadline, registration.datagram_at, registration.fetch_until] {
            see(time(at));
        }
        see(registration.last.map_or(u64::MAX, |(counter, _)| counter));
        see(registration.fetching.map_or(u64::MAX, u64::from));
        let admission = &self.admission;
        see(u64::from(admission.tries) << 32 | u64::from(admission.reserved()));
        see(self.equipment.anchors.floor);
        see(self.replies.len() as u64);
    }
}

impl<S: AsRef<[ConnectionSlot]>, E> KeyLog for Acceptor<S, E> {
    fn roots(&self, log: &mut dyn FnMut(LoggedRoot)) {
        let peers = self.slots.as_ref().iter().filter_map(|slot| slot.peer.as_ref());
        equipment_roots([&self.state.datagram.session, &self.state.stream.session], peers, log);
    }
}
