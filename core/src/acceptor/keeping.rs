//! Writing what keeps the registration: registrations, keepalives, echoes and resumptions.

use super::View;
use super::outbound::Ticket;
use super::registration::Due;
use crate::link::Transport;
use crate::session::keepalive::{Keepalive, WANTS_ANSWER};
use crate::wire::Kind;
use crate::wire::TAG_LEN;
use crate::wire::codec::Writer;

impl View<'_> {
    pub(super) fn encode_registration(&mut self, out: &mut [u8]) {
        let over = self.state.registration.over;
        match self.state.registration.due {
            Due::Nothing => {}
            Due::Resume => {
                let message = self.state.registration.write_resume([Kind::Resume as u8, 0]);
                Writer::new(out).put(&message);
            }
            Due::Register => {
                self.state.registration.told_key = true;
                self.seal(over, Ticket::Registration, out);
                self.remember(out);
            }
            Due::Deregister => self.seal(over, Ticket::Registration, out),
            Due::Keepalive { wants_answer } => {
                let status = if wants_answer { WANTS_ANSWER } else { 0 };
                self.keepalive(Kind::Keepalive, status, None, out);
            }
            Due::Echo { cookie } => self.keepalive(Kind::Echo, WANTS_ANSWER, Some(cookie), out),
        }
    }

    /// Remembers counter and tag of a registration: a hint echoes them.
    fn remember(&mut self, message: &[u8]) {
        if self.state.registration.over == Transport::Datagram
            && let Some(header) = crate::session::Header::parse(Kind::Transport, message)
            && let Some(tag) = message.last_chunk::<TAG_LEN>()
        {
            self.state.registration.last = Some((header.counter, *tag));
        }
    }

    fn keepalive(&mut self, kind: Kind, status: u8, cookie: Option<[u8; 6]>, out: &mut [u8]) {
        let state = &mut *self.state;
        let (session, out) = match state.registration.over {
            Transport::Datagram => (&mut state.datagram.session, out),
            Transport::Stream => (&mut state.stream.session, crate::frame::prefix(out)),
        };
        let Some(session) = session else { return };
        let Some(counter) = session.next_counter() else { return };
        let message = Keepalive { kind, status, handle: session.peer_index, counter, cookie };
        let tag = message.tag(&state.registration.keepalive_up);
        message.write(&tag, out);
        state.registration.last = Some((counter, tag));
    }

    /// A hint answers a Resume with the nonce's counter-sized part and the tag.
    pub(super) fn remember_resume(&mut self) {
        let message = self.state.registration.write_resume([Kind::Resume as u8, 0]);
        let (Some(nonce), Some(tag)) = (message.get(6..12), message.last_chunk::<TAG_LEN>()) else {
            return;
        };
        let counter = nonce.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
        self.state.registration.last = Some((counter, *tag));
    }
}
