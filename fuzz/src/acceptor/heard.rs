//! What is asserted of everything that the appliance does.

use super::*;
use crate::caller::NOWHERE;

impl Trial for AcceptorTrial {
    type Machine = Lamp;
    type Seen = Seen;

    fn stage(&mut self) -> &mut Stage<Lamp> {
        &mut self.stage
    }

    fn seen(&self) -> Seen {
        let machine = &self.stage.machine;
        Seen {
            wakeup: machine.poll_timeout(),
            certificate: machine.certificate().to_vec(),
            floor: machine.floor(),
            failures: machine.failures(),
            session: machine.resumption(),
        }
    }

    fn answer(far: &mut Far, message: &[u8], plain: bool) -> Option<Vec<u8>> {
        if plain { far.answer(message, false) } else { far.serve(message) }
    }

    /// The fields before a handshake's Noise message are not authenticated, and a hint's are not
    /// compared: who can change them could as well lose the message.
    fn open_head(kind: Option<Kind>) -> Option<usize> {
        Some(match kind {
            Some(Kind::Response | Kind::Hint) => 6,
            Some(Kind::Certificate | Kind::Cookie) => 2,
            _ => 0,
        })
    }

    fn served(&mut self) {
        self.honest();
    }

    fn hear(&mut self, out: &Out<AcceptorEvent>) {
        let now = self.stage.watch.now;
        for (to, bytes, from) in &out.datagrams {
            if self.stage.holes.judge(now, *to, bytes, *from) {
                self.callers.iter_mut().for_each(|caller| caller.hears(NOWHERE, bytes));
            } else {
                self.stage.unanswered.push((None, bytes.clone()));
            }
        }
        for command in &out.commands {
            if let Command::Connect { remote, .. } = command
                && *remote != sa(SERVER)
            {
                self.dials(*remote);
            }
            if let Command::ConnectFrom { remote, .. } = command {
                self.calls(*remote);
            }
        }
        for (stream, bytes) in &out.frames {
            if self.stage.watch.streams.get(stream).is_none_or(|pipe| pipe.remote == sa(SERVER)) {
                self.stage.unanswered.push((Some(*stream), bytes.clone()));
            } else {
                self.callers.iter_mut().for_each(|caller| caller.hears(*stream, bytes));
            }
        }
        out.events.iter().for_each(|event| self.told(event));
    }
}

impl AcceptorTrial {
    /// It dials nobody but who was let in, and no address that it may not dial (threats T11, T12).
    fn dials(&self, remote: SocketAddr) {
        assert!(self.addresses.permits(remote), "dials {remote} under {:?}", self.addresses);
        let of = |offered: &&Offered| canonical(offered.address) == remote;
        let known: Vec<&Offered> = self.offered.iter().filter(of).collect();
        assert!(!known.is_empty(), "dials {remote}, which nobody has named");
        assert!(
            known.iter().any(|offered| offered.welcome),
            "dials {remote} for nobody it lets in"
        );
    }

    /// Nor does it call anybody else, at whatever port the server has named.
    fn calls(&self, remote: SocketAddr) {
        assert!(self.addresses.permits(remote), "calls {remote} under {:?}", self.addresses);
        let of = |offered: &Offered| canonical(offered.address).ip() == canonical(remote).ip();
        let welcome = self.offered.iter().any(|offered| of(offered) && offered.welcome);
        assert!(welcome, "calls {remote} for nobody it lets in");
    }

    fn told(&mut self, event: &AcceptorEvent) {
        match event {
            AcceptorEvent::RegistrationLost => self.lost += 1,
            AcceptorEvent::Certificate => {
                self.flash.certificate = self.stage.machine.certificate().to_vec();
                self.flash.floor = self.stage.machine.floor();
                assert_eq!(self.flash.certificate, certificate(), "nobody has issued another");
            }
            AcceptorEvent::Resumable => self.flash.resumption = self.stage.machine.resumption(),
            AcceptorEvent::Connected { connection, peer, path } => {
                let spoken =
                    |caller: &Caller| caller.id() == *peer && caller.has_spoken(path.stream());
                assert!(self.callers.iter().any(spoken), "connected to {peer}, who said nothing");
                self.connections.push(*connection);
            }
            AcceptorEvent::Closed { connection, .. } => {
                let held = self.stage.watch.sockets.of_slot(connection.index.into());
                assert_eq!(held, 0, "{connection:?} has left sockets");
            }
            _ => {}
        }
        // An attempt is over with its connection, or when the connection has another path.
        if !matches!(event, AcceptorEvent::Nat(_)) {
            self.stage.holes.doubt();
        }
    }
}

impl Punching for AcceptorTrial {
    const CHECK: Kind = Kind::IssuerPunch;

    fn peer_says(&mut self, act: &Act) -> Option<Vec<u8>> {
        let caller = &mut self.callers[act.below(8, CALLERS)];
        let message = match act.byte(9) % 4 {
            0 | 1 => PeerMessage::Alive,
            2 => PeerMessage::Probe,
            _ => PeerMessage::Close,
        };
        let (_, bytes) = caller.says(&[&[0][..], &body(&message, 0)].concat())?;
        caller.spoken();
        Some(bytes)
    }
}
