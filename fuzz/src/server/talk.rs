//! What equipment with keys says to the server, and hears from it.

use super::*;

impl Siege {
    /// Equipment listens to what was sent to it.
    pub(super) fn hear(&mut self, out: &Out<ServerEvent>) {
        for event in &out.events {
            if let ServerEvent::Accepted { issuer, target } = event {
                self.accepted.insert((*issuer, *target));
            }
        }
        for (to, bytes, _) in &out.datagrams {
            // One that was asked for may go to any port, but to no other address.
            let asked = bytes.get(1) == Some(&3);
            let at = |member: &Member| {
                let named = asked || to.port() >= 1_024 && member.named.contains(&to.port());
                let there = |place: &SocketAddr| place == to || named && place.ip() == to.ip();
                member.spoke.iter().any(there)
            };
            if Kind::of(bytes) == Ok(Kind::FilterProbe) {
                assert!(self.members.iter().any(at), "a probe to {to}, where nobody was");
                let carried = bytes.get(6..12).and_then(|field| field.try_into().ok());
                self.probes.extend(carried.filter(|_| !asked).map(|carried| (*to, carried)));
            }
        }
        let mut punches = Vec::new();
        let frames = out.frames.iter().map(|(stream, bytes)| (Some(*stream), bytes));
        let datagrams = out.datagrams.iter().map(|(_, bytes, _)| (None, bytes));
        for (over, bytes) in datagrams.chain(frames) {
            for (who, member) in self.members.iter_mut().enumerate() {
                let root = LoggedRoot(member.evil.root);
                match Kind::of(bytes) {
                    Ok(Kind::Response) if member.waits == Some(over) => {
                        member.waits = None;
                        member.evil.finish(bytes);
                        (member.role, member.burst) = (member.next_role, None);
                        member.stream = over;
                    }
                    Ok(Kind::Challenge) => {
                        member.cookie = bytes.get(6..12).and_then(|c| c.try_into().ok());
                    }
                    Ok(Kind::ServerTransport) => match inspect::open(&root, &mut bytes.clone()) {
                        Some(Body::ToEquipment(ToEquipment::Notify(notify))) => {
                            self.requests.push(notify.request);
                        }
                        Some(Body::ToEquipment(ToEquipment::Wake(wake))) => {
                            self.requests.push(wake.request);
                        }
                        Some(Body::ToEquipment(ToEquipment::Punch(punch))) => {
                            punches.push((who, punch));
                        }
                        _ => {}
                    },
                    _ => {}
                }
            }
        }
        punches.iter().for_each(|(who, punch)| self.instructed(*who, punch));
    }

    /// A member's own message, as it is.
    pub(super) fn speak(&mut self, who: usize, place: u8, bytes: Vec<u8>) {
        let Some(member) = self.members.get_mut(who) else { return };
        if let Some(stream) = member.stream {
            let Some(pipe) = self.watch.streams.get(&stream) else {
                member.stream = None;
                return;
            };
            member.spoke.insert(pipe.remote);
            self.on_stream(stream, &framed(&bytes));
            return;
        }
        let from = home(who, place);
        member.spoke.insert(from);
        // Some are caught on the way: they are fresh, but in other hands.
        let caught = place & 0x80 != 0;
        let taken = !caught && self.datagram(from, &bytes).0;
        self.sent.push(Sent { bytes, taken });
    }

    pub(super) fn on_stream(&mut self, stream: genkan_core::StreamId, bytes: &[u8]) {
        for out in self.watch.feed(&mut self.desk.server, stream, bytes) {
            self.hear(&out);
        }
    }

    pub(super) fn hello(&mut self, who: usize, act: &Act) {
        let role =
            if (who < EQUIPMENT / 2) ^ act.flag(2, 0) { Role::Acceptor } else { Role::Issuer };
        let stream = if act.flag(2, 1) { self.watch.stream(act.below(3, 8)) } else { None };
        let target = self.members[act.below(4, EQUIPMENT)].evil.id();
        let since = self.watch.now.since(genkan_core::Instant::from_millis(1_000_000)).as_secs();
        if act.flag(2, 3) {
            self.asked_early(who, target, act);
        }
        let member = &mut self.members[who];
        member.next_role = role;
        let bytes = speech::hello(&mut member.evil, role, target, since, act);
        (member.waits, member.stream) = (Some(stream), stream);
        self.speak(who, act.byte(3), bytes);
        let member = &mut self.members[who];
        if member.waits.take().is_some() {
            member.stream = None;
        }
        if act.flag(2, 2) {
            let member = &mut self.members[who];
            let bytes = match role {
                Role::Acceptor => member.evil.transport(&register(&member.evil)),
                Role::Issuer => member.evil.raw(&[0]),
            };
            self.speak(who, act.byte(3), bytes);
        }
    }

    pub(super) fn say(&mut self, who: usize, act: &Act) {
        let ids: Vec<EquipmentId> = self.members.iter().map(|member| member.evil.id()).collect();
        let request = match self.requests.len() {
            0 => act.long(8),
            count => self.requests[act.below(5, count)],
        };
        let observed = home(who, act.byte(3));
        let mut body = speech::to_server(&self.members[who].evil, &ids, request, observed, act);
        if act.flag(2, 7) {
            mar(&mut body, act.byte(6), act.word(7), act.byte(9));
        }
        self.noted(who, &body);
        let bytes = self.members[who].evil.raw(&body);
        self.speak(who, act.byte(3), bytes);
    }

    pub(super) fn keepalive(&mut self, who: usize, act: &Act) {
        let member = &mut self.members[who];
        let cookie = member.cookie.filter(|_| act.flag(2, 0));
        let bytes = member.evil.keepalive(cookie.as_ref().map(|cookie| &cookie[..]));
        self.speak(who, act.byte(3), bytes);
    }

    pub(super) fn resume(&mut self, who: usize, act: &Act) {
        let member = &mut self.members[who];
        if member.stream.is_some() {
            return;
        }
        let nonce = [act.byte(2); 16];
        let bytes = speech::resume(&member.evil, &nonce);
        let from = home(who, act.byte(3));
        member.spoke.insert(from);
        let (taken, out) = self.datagram(from, &bytes);
        self.sent.push(Sent { bytes, taken });
        let answers = out.datagrams.iter().map(|(_, bytes, _)| bytes);
        for answer in answers.filter(|bytes| Kind::of(bytes) == Ok(Kind::Resumed)) {
            speech::resumed(&mut self.members[who].evil, &nonce, answer);
        }
        if act.flag(2, 0) {
            let bytes = self.members[who].evil.raw(&[0]);
            self.speak(who, act.byte(3), bytes);
        }
    }
}
