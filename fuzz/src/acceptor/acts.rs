//! What strangers, the network and the application do.

use super::*;

impl Trial {
    /// A datagram once more, changed or from elsewhere.
    pub(super) fn again(&mut self, act: &Act) {
        let count = self.sent.len();
        let Some(old) = count.checked_sub(1 + act.below(1, count.max(1))) else { return };
        let like = self.sent[old].clone();
        let mut bytes = like.clone();
        let changed = mar(&mut bytes, act.byte(2), act.word(3), act.byte(5));
        let (from, known) = match act.byte(6) % 3 {
            0 => (sa("192.0.2.66:6666"), false),
            1 => (sa("203.0.113.1:4601"), false),
            _ => (sa(SERVER), true),
        };
        if changed {
            return self.unauthentic(from, &bytes, &like);
        }
        let before = self.seen();
        let (taken, out) = self.datagram(from, &bytes);
        let kind = Kind::of(&bytes);
        assert!(known || !taken, "{kind:?} from nowhere was taken");
        let once = [Kind::ServerTransport, Kind::KeepaliveAnswer, Kind::Response, Kind::Resumed];
        if !taken || kind.is_ok_and(|kind| once.contains(&kind)) {
            assert!(!taken && out.is_silent(), "{kind:?} was taken twice: {out:?}");
            assert_eq!(self.seen(), before, "a repeated {kind:?} has changed something");
        }
    }

    pub(super) fn garbage(&mut self, act: &Act) {
        let kind = Kind::ALL[act.below(1, Kind::ALL.len())];
        let lengths = [1, 6, 28, 30, 38, 50, 54, 98, 210, 330, 1_232];
        let mut bytes = vec![act.byte(11); lengths[act.below(2, lengths.len())]];
        bytes.iter_mut().zip(act.tail(4)).for_each(|(to, from)| *to = *from);
        if !act.flag(3, 0) {
            bytes[0] = kind as u8;
        }
        let from = if act.flag(3, 1) { sa(SERVER) } else { claimed(act.byte(3)) };
        self.unauthentic(from, &bytes, &[]);
    }

    pub(super) fn stream_state(&mut self, act: &Act) {
        let Some(mut stream) = self.watch.stream(act.below(1, 4)) else { return };
        let state = if act.flag(2, 0) { StreamState::Closed } else { StreamState::Connected };
        if act.flag(2, 1) {
            stream.generation = stream.generation.wrapping_sub(1);
            self.machine.handle_stream_state(self.watch.now, stream, state);
        } else {
            self.watch.state(&mut self.machine, stream, state);
        }
        let out = self.watch.drain(&mut self.machine);
        self.hear(&out);
    }

    pub(super) fn application(&mut self, act: &Act) {
        let now = self.watch.now;
        let connection = self.connections.get(act.below(2, 8)).copied();
        match (act.byte(1) % 8, connection) {
            (0 | 1, _) => {
                self.flash.failures = self.machine.failures();
                self.machine.handle_persisted(now, self.flash.failures);
            }
            (2, _) => self.machine.handle_persisted(now, act.long(3)),
            (3, Some(connection)) => {
                let bytes = vec![act.byte(3); usize::from(act.word(4))];
                if let Ok(mut payload) =
                    self.machine.send(now, connection, Channel::Datagram, &bytes)
                {
                    let mut out = vec![0; payload.len()];
                    assert_eq!(payload.encode(&mut out), Ok(out.len()));
                    payload.commit();
                }
            }
            (4, Some(connection)) => self.machine.close(now, connection),
            (5, _) if act.byte(3) == 255 => {
                self.machine.deregister(now);
                self.left = true;
            }
            (5, _) => {
                self.machine.handle_bound(now, SocketId(act.word(4)), Some(claimed(act.byte(3))))
            }
            (6, _) => self.machine.set_early_key(now, [act.byte(3); 16]),
            (7, _) => {
                let head = Record::new(&[0, act.byte(3)]);
                self.policy = policy(&head);
                self.machine.set_admission(self.policy.clone());
            }
            _ => {}
        }
        let out = self.watch.drain(&mut self.machine);
        self.hear(&out);
    }

    pub(super) fn pour(&mut self, act: &Act) {
        let Some(stream) = self.watch.stream(act.below(1, 4)) else { return };
        let outs = self.watch.feed(&mut self.machine, stream, act.tail(2));
        self.outs(outs);
    }
}
