//! What the hostile server and the hostile acceptors say to the issuer.

use super::*;

impl Trial {
    pub(super) fn serve(&mut self, early_taken: bool, act: &Act) {
        for (stream, message) in core::mem::take(&mut self.unanswered) {
            let far = if stream.is_some() { &mut self.near } else { &mut self.far };
            let answer = match Kind::of(&message) {
                Ok(Kind::Transport) => None,
                _ => far.answer(&message, early_taken),
            };
            if let Some(answer) = answer {
                self.deliver(stream, &answer, act);
            }
        }
    }

    pub(super) fn link(&self, wanted: bool) -> Option<StreamId> {
        let mut streams = self.watch.streams.iter();
        let up = streams.find(|(_, pipe)| pipe.up && pipe.remote == sa(SERVER));
        up.map(|(stream, _)| *stream).filter(|_| wanted)
    }

    pub(super) fn server_says(&mut self, body: &[u8], act: &Act) {
        let stream = self.link(act.flag(1, 7));
        let far = if stream.is_some() { &mut self.near } else { &mut self.far };
        let bytes = far.says(body);
        self.deliver(stream, &bytes, act);
    }

    pub(super) fn say(&mut self, act: &Act) {
        let request = match self.requests.len() {
            count if count > 0 && !act.flag(3, 0) => self.requests[act.below(6, count)],
            _ => act.long(5),
        };
        let acceptor = sa(OBSERVED);
        let message = match act.byte(2) % 8 {
            0 | 1 => ToEquipment::Plan(Plan { request, acceptor, accepted: act.flag(3, 1) }),
            2 | 3 => ToEquipment::Refused(Refused { request, reason: Reason::Unspecified }),
            4 => ToEquipment::Goodbye,
            5 => ToEquipment::Wake(Wake { request }),
            6 => ToEquipment::Registered(Registered {
                observed: acceptor,
                interval: act.word(7),
                register_every: 1,
            }),
            _ => return self.server_says(act.tail(3), act),
        };
        let mut body = body(&message, 0);
        if act.flag(1, 2) {
            mar(&mut body, act.byte(3), act.word(9), act.byte(4));
        }
        self.server_says(&body, act);
    }

    pub(super) fn short(&mut self, act: &Act) {
        let stream = self.link(act.flag(1, 7));
        let last = self.unanswered.last().map(|(_, message)| message.clone()).unwrap_or_default();
        let far = if stream.is_some() { &self.near } else { &self.far };
        let bytes = match act.byte(2) % 4 {
            0 => Some(far.short(Kind::KeepaliveAnswer, act.byte(7) & 3, u64::from(act.long(3)))),
            1 => Some(far.short(Kind::Challenge, act.byte(7) & 3, u64::from(act.long(3)) << 16)),
            2 => Far::hint(&last),
            _ => far.cookie(&last),
        };
        if let Some(bytes) = bytes {
            self.deliver(stream, &bytes, act);
        }
    }

    /// Somebody dials back, with a communication request or without.
    pub(super) fn dial(&mut self, act: &Act) {
        let now = self.watch.now;
        let from = sa(DIALLER);
        let accepted = self.machine.handle_accept(now, SocketId::LISTENER, from);
        let Some(stream) = accepted else {
            self.drained();
            return;
        };
        // One that has not shown whose it is may have to go first; its name may be used again then.
        self.drained();
        self.watch.accepted(stream, from);
        let early_key = act.flag(2, 0).then_some([act.byte(3); 16]);
        let door = &mut self.doors[act.below(1, DOORS)];
        let Some(mut answer) = door.answer(act.below(4, 4), stream, early_key) else { return };
        if !act.flag(2, 1) {
            self.answered.insert(stream);
            self.frame(stream, &answer);
        } else if mar(&mut answer, act.byte(5), act.word(6), act.byte(8)) {
            // The acceptor's index stands in the clear: who changes it gains nothing.
            let head_only = (2..6).contains(&(usize::from(act.word(6)) % answer.len().max(1)));
            if head_only || answer.get(1) != Some(&0) {
                self.answered.insert(stream);
            }
            self.frame(stream, &answer);
        }
    }

    /// A door speaks.
    pub(super) fn speak(&mut self, act: &Act) {
        let door = &mut self.doors[act.below(1, DOORS)];
        let mut body = match act.byte(2) % 8 {
            0 | 1 => [&[0][..], &body(&PeerMessage::Alive, 0)].concat(),
            2 => [&[0][..], &body(&PeerMessage::Probe, 0)].concat(),
            3 => [&[0][..], &body(&PeerMessage::Close, 0)].concat(),
            4 => [&[0][..], &body(&PeerMessage::EarlyKey([act.byte(3); 16]), 0)].concat(),
            5 => [&[act.byte(3) % 4][..], act.tail(4)].concat(),
            _ => act.tail(3).to_vec(),
        };
        if act.flag(2, 7) {
            mar(&mut body, act.byte(5), act.word(6), act.byte(8));
        }
        let Some((stream, mut bytes)) = door.says(&body) else { return };
        if act.flag(2, 6) {
            mar(&mut bytes, act.byte(5), act.word(6), act.byte(8));
        }
        if act.flag(2, 5) {
            self.datagram(sa(DIALLER), &bytes);
        } else {
            self.frame(stream, &bytes);
        }
    }
}
