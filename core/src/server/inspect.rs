//! What a server shows of itself to tests.

use super::clients::Use;
use super::requests::{Meeting, Stage};
use super::{ClientSlot, RequestSlot, Server, StreamSlot};
use crate::inspect::{Inspect, KeyLog, LoggedRoot, Pending, bits, time};

impl<C, R, S, E> Inspect for Server<C, R, S, E>
where
    C: AsRef<[ClientSlot]>,
    R: AsRef<[RequestSlot]>,
    S: AsRef<[StreamSlot]>,
{
    fn inspect(&self, see: &mut dyn FnMut(u64)) {
        for (at, slot) in self.clients.as_ref().iter().enumerate() {
            if slot.usage != Use::Free {
                see(at as u64);
                slot.inspect(see);
            }
        }
        for pending in &self.state.pending {
            see(u64::from(pending.handle));
        }
        let waiting = |slot: &&RequestSlot| slot.stage != Stage::Free;
        for slot in self.requests.as_ref().iter().filter(waiting) {
            see(slot.stage as u64 | u64::from(slot.generation) << 8 | u64::from(slot.tries) << 24);
            see(u64::from(slot.request));
            see(slot.until.as_micros());
            see(time(slot.ask_at));
            slot.inspect(see);
            slot.calls.inspect(see);
        }
        for one in &self.state.measurements {
            one.inspect(see);
        }
        for slot in self.streams.as_ref().iter().filter(|slot| slot.remote.is_some()) {
            see(u64::from(slot.generation) << 32 | u64::from(slot.received));
            see(slot.capabilities.into());
            see(slot.until.as_micros());
            if let Some(session) = &slot.session {
                session.inspect(see);
            }
        }
    }

    fn pending(&self) -> Pending {
        let requests = self.requests.as_ref().iter();
        let streams = self.streams.as_ref().iter();
        Pending {
            clients: usize::try_from(self.state.index.live).unwrap_or(usize::MAX),
            requests: requests.filter(|slot| slot.stage != Stage::Free).count(),
            streams: streams.filter(|slot| slot.remote.is_some()).count(),
            ..Pending::default()
        }
    }
}

impl RequestSlot {
    fn inspect(&self, see: &mut dyn FnMut(u64)) {
        let [one, other] = self.heard;
        let kind = match &self.meeting {
            Meeting::None => 0,
            Meeting::Under(_) => 1,
            Meeting::Hopeless(..) => 2,
            Meeting::Over => 3,
        };
        see(kind << 2 | bits([one, other]));
        if let Some(coordinator) = self.meeting.coordinator() {
            coordinator.inspect(see);
        }
    }
}

impl ClientSlot {
    fn inspect(&self, see: &mut dyn FnMut(u64)) {
        let flags = [
            self.usage == Use::Live,
            self.registered,
            self.over_stream,
            self.has_place,
            self.has_early_key,
            self.stream.is_some(),
        ];
        let (generation, epoch) = (u64::from(self.generation()), u64::from(self.epoch));
        see(bits(flags) << 16 | generation << 8 | epoch);
        see(self.root().print());
        see(u64::from(self.peer_index) << 32 | u64::from(self.expires));
        see(u64::from(self.capabilities) << 32 | u64::from(self.measured_at));
        see(u64::from(self.asked_at) << 32 | self.look as u64);
        see(u64::from(self.leased) << 1 | u64::from(self.leads));
        self.profile().to_bytes().chunks(8).for_each(|part| see(word(part)));
        self.window.inspect(see);
        if let Some(address) = self.address() {
            let bytes = address.bytes();
            bytes.chunks(8).for_each(|part| see(word(part)));
        }
    }
}

/// Up to eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

impl<C: AsRef<[ClientSlot]>, R, S: AsRef<[StreamSlot]>, E> KeyLog for Server<C, R, S, E> {
    fn roots(&self, log: &mut dyn FnMut(LoggedRoot)) {
        for slot in self.clients.as_ref().iter().filter(|slot| slot.usage == Use::Live) {
            log(LoggedRoot(slot.root().0));
        }
        for session in self.streams.as_ref().iter().filter_map(|slot| slot.session.as_ref()) {
            log(LoggedRoot(session.root().0));
        }
    }
}
