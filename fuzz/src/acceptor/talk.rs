//! What the hostile server and the hostile issuers say to the appliance.

use super::*;

/// What the callers' offers name as their index.
const INDEX: u32 = 7;

impl AcceptorTrial {
    /// The server passes a request on.
    pub(super) fn notify(&mut self, act: &Act) {
        let lamp = self.stage.machine.id();
        let caller = &mut self.callers[act.below(2, CALLERS)];
        let password = match act.byte(3) % 3 {
            0 => None,
            1 => Some(PASSWORD),
            _ => Some([act.byte(3); 32]),
        };
        if !act.flag(1, 0) || !caller.has_offer() {
            caller.offer(&lamp, password, u64::from(act.byte(4)), act.flag(1, 3));
        }
        let address = claimed(act.byte(5));
        let right = caller.password() == Some(PASSWORD) && self.policy.password.is_some();
        let welcome = self.policy.open || right || self.policy.paired.contains(&caller.id());
        let offer = caller.sealed().to_vec();
        self.offered.push(Offered { address, welcome });
        let request = u32::from(act.byte(6));
        let (key, index) = (caller.punch_key(), INDEX);
        self.stage.holes.offered(holes::Offered { request, key, index });
        self.stage.holes.doubt();
        let notify = ConnectNotify {
            request,
            issuer: address.into(),
            paired: act.flag(1, 1),
            offer: &offer,
        };
        let mut body = body(&ToEquipment::Notify(notify), 0);
        if act.flag(1, 2) {
            mar(&mut body, act.byte(7), act.word(8), act.byte(4));
            // The address may be another one now: it stands near the front.
            self.renamed(&body, welcome);
        }
        self.server_says(&body, act);
    }

    /// What a changed notification names, if it is still one.
    fn renamed(&mut self, body: &[u8], welcome: bool) {
        let read = genkan_core::inspect::body::<ToEquipment<'_>>(body);
        if let Some(ToEquipment::Notify(notify)) = read {
            self.offered.push(Offered { address: notify.issuer.into(), welcome });
        }
    }

    pub(super) fn say(&mut self, act: &Act) {
        let request = u32::from(act.byte(6));
        let message = match act.byte(2) % 8 {
            0 | 1 => ToEquipment::Registered(Registered {
                observed: if act.flag(3, 0) { claimed(act.byte(4)) } else { sa(OBSERVED) }.into(),
                interval: act.word(7),
                register_every: act.byte(5),
            }),
            2 | 3 => ToEquipment::Wake(Wake { request }),
            4 => ToEquipment::Plan(Plan {
                request,
                acceptor: claimed(act.byte(4)).into(),
                accepted: true,
            }),
            5 => ToEquipment::Refused(Refused { request, reason: Reason::Offline }),
            6 => ToEquipment::Goodbye,
            _ => return self.server_says(act.tail(3), act),
        };
        let mut body = body(&message, 0);
        if act.flag(1, 2) {
            mar(&mut body, act.byte(3), act.word(9), act.byte(4));
        }
        if matches!(message, ToEquipment::Registered(_)) {
            // An appliance that is told so without having asked believes it.
            self.stage.far.vouch();
            self.stage.near.vouch();
        }
        self.server_says(&body, act);
    }

    /// A caller speaks on the stream that the appliance has dialled.
    pub(super) fn call(&mut self, act: &Act) {
        let caller = &mut self.callers[act.below(1, CALLERS)];
        let mut body = match act.byte(2) % 6 {
            0 | 1 => [&[0][..], &body(&PeerMessage::Alive, 0)].concat(),
            2 => [&[0][..], &body(&PeerMessage::Probe, 0)].concat(),
            3 => [&[0][..], &body(&PeerMessage::Close, 0)].concat(),
            4 => [&[act.byte(3) % 4][..], act.tail(4)].concat(),
            _ => act.tail(3).to_vec(),
        };
        if act.flag(2, 7) {
            mar(&mut body, act.byte(5), act.word(6), act.byte(8));
        }
        let Some((stream, mut bytes)) = caller.says(&body) else { return };
        if !act.flag(2, 6) || !mar(&mut bytes, act.byte(5), act.word(6), act.byte(8)) {
            caller.spoken();
        }
        if act.flag(2, 5) {
            self.datagram(claimed(0), &bytes);
        } else {
            self.frame(stream, &bytes);
        }
    }
}
