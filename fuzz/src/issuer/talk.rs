//! What the hostile server and the hostile acceptors say to the issuer.

use super::*;

impl IssuerTrial {
    pub(super) fn say(&mut self, act: &Act) {
        let request = match self.requests.len() {
            count if count > 0 && !act.flag(3, 0) => self.requests[act.below(6, count)],
            _ => act.long(5),
        };
        let acceptor = sa(OBSERVED);
        let message = match act.byte(2) % 8 {
            0 | 1 => ToEquipment::Plan(Plan {
                request,
                acceptor: acceptor.into(),
                accepted: act.flag(3, 1),
            }),
            2 | 3 => ToEquipment::Refused(Refused { request, reason: Reason::Unspecified }),
            4 => ToEquipment::Goodbye,
            5 => ToEquipment::Wake(Wake { request }),
            6 => ToEquipment::Registered(Registered {
                observed: acceptor.into(),
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

    /// Somebody dials back, with a communication request or without.
    pub(super) fn dial(&mut self, act: &Act) {
        let now = self.stage.watch.now;
        let from = sa(DIALLER);
        let accepted = self.stage.machine.handle_accept(now, SocketId::LISTENER, from);
        let Some(stream) = accepted else {
            self.drained();
            return;
        };
        // One that has not shown whose it is may have to go first; its name may be used again then.
        self.drained();
        self.stage.watch.accepted(stream, from);
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
