//! What strangers, the network and the application do.

use super::*;

impl AcceptorTrial {
    /// A datagram once more, changed or from elsewhere. What was not taken is not answered either.
    pub(super) fn repeat(&mut self, act: &Act) {
        let from = sa(["192.0.2.66:6666", "203.0.113.1:4601", SERVER][act.below(6, 3)]);
        let once = [Kind::ServerTransport, Kind::KeepaliveAnswer, Kind::Response, Kind::Resumed];
        self.again(act, from, |taken, kind| {
            !taken || kind.is_some_and(|kind| once.contains(&kind))
        });
    }

    pub(super) fn nonsense(&mut self, act: &Act) {
        let bytes = garbage(act, &[1, 6, 28, 30, 38, 50, 54, 98, 210, 330, 1_232]);
        let from = if act.flag(3, 1) { sa(SERVER) } else { claimed(act.byte(3)) };
        self.unauthentic(from, &bytes, &[]);
    }

    pub(super) fn application(&mut self, act: &Act) {
        let now = self.stage.watch.now;
        let connection = self.connections.get(act.below(2, 8)).copied();
        match (act.byte(1) % 8, connection) {
            (0 | 1, _) => {
                self.flash.failures = self.stage.machine.failures();
                self.stage.machine.handle_persisted(now, self.flash.failures);
            }
            (2, _) => self.stage.machine.handle_persisted(now, act.long(3)),
            (3, Some(connection)) => {
                let bytes = vec![act.byte(3); usize::from(act.word(4))];
                if let Ok(mut payload) =
                    self.stage.machine.send(now, connection, Channel::Datagram, &bytes)
                {
                    let mut out = vec![0; payload.len()];
                    assert_eq!(payload.encode(&mut out), Ok(out.len()));
                    payload.commit();
                }
            }
            (4, Some(connection)) => self.stage.machine.close(now, connection),
            (5, _) if act.byte(3) == 255 => {
                self.stage.machine.deregister(now);
                self.left = true;
            }
            (5, _) => {
                let (socket, local) = (SocketId(act.word(4)), Some(claimed(act.byte(3))));
                self.stage.watch.sockets.told(socket, true);
                self.stage.machine.handle_bound(now, socket, local);
            }
            (6, _) => self.stage.machine.set_early_key(now, [act.byte(3); 16]),
            (7, _) => {
                let head = Record::new(&[0, act.byte(3)]);
                self.policy = policy(&head);
                self.stage.machine.set_admission(self.policy.clone());
            }
            _ => {}
        }
        self.drained();
    }
}
