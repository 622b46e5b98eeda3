//! A handshake between its Initiation and the Response: what a link takes most memory for, and not for
//! long. So it lies beside the links, in as many places as an equipment has.

use super::{Attempt, Equipment, Link, Transport};
use crate::crypto::keys::mac1_key;
use crate::crypto::mac;
use crate::crypto::noise::Initiator;
use crate::wire::TAG_LEN;
use crate::wire::codec::Writer;

#[derive(Debug)]
pub(crate) struct Handshake<const P: usize> {
    pub(super) initiator: Initiator<P>,
    /// The key that it is for, whatever certificate has come meanwhile: a server whose key changes
    /// answers to the old one, too.
    pub(super) server_key: [u8; 32],
    /// The first MAC of the Initiation that was written last: a cookie is bound to it.
    pub(super) mac1: [u8; TAG_LEN],
    pub(super) cookie: Option<[u8; TAG_LEN]>,
}

impl<const P: usize> Handshake<P> {
    /// Writes the two MACs behind an Initiation.
    pub(super) fn finish(&mut self, message: &[u8], macs: &mut [u8]) {
        self.mac1 = mac::tag(&mac1_key(&self.server_key), &[message]);
        let mac2 = |key| mac::tag(&key, &[message, &self.mac1]);
        let mac2 = self.cookie.map_or([0; TAG_LEN], mac2);
        let mut writer = Writer::new(macs);
        writer.put(&self.mac1);
        writer.put(&mac2);
    }
}

/// Where handshakes lie: `N` places for payloads of at most `P` bytes, one for each transport or one
/// for both.
#[derive(Debug)]
pub(crate) struct Handshakes<const P: usize, const N: usize>([Option<Handshake<P>>; N]);

impl<const P: usize, const N: usize> Handshakes<P, N> {
    pub(super) const NONE: Self = Self([const { None }; N]);

    /// The place of a link's.
    pub(super) fn of(&mut self, over: Transport) -> Option<&mut Option<Handshake<P>>> {
        let place = if over == Transport::Stream { N.saturating_sub(1) } else { 0 };
        self.0.get_mut(place)
    }

    /// The handshake of a link that has one under way.
    pub(super) fn get(&mut self, over: Transport) -> Option<&mut Handshake<P>> {
        self.of(over)?.as_mut()
    }
}

impl<const P: usize, const N: usize> Link<P, N> {
    /// Whether that is a handshake.
    pub(crate) const fn is_shaking(&self) -> bool {
        matches!(self.attempt, Attempt::Handshake { .. })
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self, equipment: &mut Equipment<P, N>) {
        self.stop(equipment);
        *self = Self::new(self.transport);
    }

    /// Gives the handshake under way up; a session that stands stays.
    pub(crate) fn stop(&mut self, equipment: &mut Equipment<P, N>) {
        self.give_up(equipment, Attempt::None);
        self.due = false;
        self.deadline = None;
        self.refetched = false;
    }

    /// Goes on with something else than the handshake that may be under way.
    #[inline(never)]
    pub(super) fn give_up(&mut self, equipment: &mut Equipment<P, N>, next: Attempt) {
        if self.is_shaking()
            && let Some(place) = equipment.handshakes.of(self.transport)
        {
            *place = None;
        }
        self.attempt = next;
    }
}
