//! What is asserted of everything that the appliance does.

use super::*;

impl Trial {
    /// Looks at all that came out, and keeps what will be needed.
    pub(super) fn hear(&mut self, out: &Out<AcceptorEvent>) {
        for (to, bytes) in &out.datagrams {
            assert_eq!(*to, sa(SERVER), "a datagram to somebody else");
            self.unanswered.push((None, bytes.clone()));
        }
        for command in &out.commands {
            if let Command::Connect { remote, .. } = command
                && *remote != sa(SERVER)
            {
                self.dials(*remote);
            }
        }
        for (stream, bytes) in &out.frames {
            if self.watch.streams.get(stream).is_none_or(|pipe| pipe.remote == sa(SERVER)) {
                self.unanswered.push((Some(*stream), bytes.clone()));
            } else {
                self.callers.iter_mut().for_each(|caller| caller.hears(*stream, bytes));
            }
        }
        out.events.iter().for_each(|event| self.told(event));
    }

    /// It dials nobody but who was let in, and no address that it may not dial (threats T11, T12).
    pub(super) fn dials(&self, remote: SocketAddr) {
        assert!(self.addresses.permits(remote), "dials {remote} under {:?}", self.addresses);
        let of = |offered: &&Offered| canonical(offered.address) == remote;
        let known: Vec<&Offered> = self.offered.iter().filter(of).collect();
        assert!(!known.is_empty(), "dials {remote}, which nobody has named");
        assert!(
            known.iter().any(|offered| offered.welcome),
            "dials {remote} for nobody it lets in"
        );
    }

    pub(super) fn told(&mut self, event: &AcceptorEvent) {
        match event {
            AcceptorEvent::RegistrationLost => self.lost += 1,
            AcceptorEvent::Certificate => {
                self.flash.certificate = self.machine.certificate().to_vec();
                self.flash.floor = self.machine.floor();
                assert_eq!(self.flash.certificate, certificate(), "nobody has issued another");
            }
            AcceptorEvent::Resumable => self.flash.resumption = self.machine.resumption(),
            AcceptorEvent::Connected { connection, peer, path } => {
                let stream = path.stream().expect("an acceptor dials");
                let spoken = |caller: &Caller| caller.id() == *peer && caller.has_spoken(stream);
                assert!(self.callers.iter().any(spoken), "connected to {peer}, who said nothing");
                self.connections.push(*connection);
            }
            _ => {}
        }
    }

    pub(super) fn outs(&mut self, outs: Vec<Out<AcceptorEvent>>) {
        outs.iter().for_each(|out| self.hear(out));
    }

    /// A message that no key was used for. `like` is what it was made from.
    pub(super) fn unauthentic(&mut self, from: SocketAddr, bytes: &[u8], like: &[u8]) {
        // The fields before a handshake's Noise message are not authenticated, and a hint's are not
        // compared: who can change them could as well lose the message.
        let head = match Kind::of(like) {
            Ok(Kind::Response | Kind::Hint) => 6,
            Ok(Kind::Certificate | Kind::Cookie) => 2,
            _ => 0,
        };
        if bytes.len() == like.len() && bytes[head..] == like[head..] && bytes[0] == like[0] {
            return;
        }
        let before = self.seen();
        let (taken, out) = self.datagram(from, bytes);
        let kind = Kind::of(bytes);
        assert!(!taken, "{kind:?} without a key was taken");
        assert!(out.is_silent(), "{kind:?} without a key brings {out:?}");
        assert_eq!(self.seen(), before, "{kind:?} without a key has changed something");
    }
}
