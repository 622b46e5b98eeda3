//! What is asserted of everything that the issuer does.

use super::*;

impl Trial {
    /// Looks at all that came out, and keeps what will be needed.
    pub(super) fn hear(&mut self, out: &Out<IssuerEvent>) {
        for (to, bytes) in &out.datagrams {
            assert_eq!(*to, sa(SERVER), "a datagram to somebody else");
            self.overheard(bytes, false);
            self.unanswered.push((None, bytes.clone()));
        }
        for command in &out.commands {
            match command {
                Command::Connect { remote, .. } => {
                    assert_eq!(*remote, sa(SERVER), "it dials somebody else");
                }
                Command::Listen { socket } => {
                    assert_eq!(*socket, SocketId::LISTENER);
                    self.listens = true;
                }
                _ => {}
            }
        }
        for (stream, bytes) in &out.frames {
            if self.watch.streams.get(stream).is_none_or(|pipe| pipe.remote == sa(SERVER)) {
                self.overheard(bytes, true);
                self.unanswered.push((Some(*stream), bytes.clone()));
            }
        }
        out.events.iter().for_each(|event| self.told(event));
    }

    /// The server reads requests and gives the offers to those whom they are for.
    pub(super) fn overheard(&mut self, message: &[u8], on_stream: bool) {
        let (mut bytes, mut plain) = (message.to_vec(), [0; 1_024]);
        let far = if on_stream { &mut self.near } else { &mut self.far };
        let request = match Kind::of(message) {
            Ok(Kind::Initiation) => inspect::open_initiation(&key(1), message, &mut plain)
                .and_then(|(_, hello)| hello.early),
            Ok(Kind::Transport) => match far.read(&mut bytes) {
                Some(Body::ToServer(ToServer::Connect(request))) => Some(request),
                _ => None,
            },
            _ => None,
        };
        if let Some(request) = request {
            self.requests.push(request.request);
            self.doors.iter_mut().for_each(|door| door.sees(request.offer));
        }
    }

    /// Every request has one end, and none comes to life again.
    pub(super) fn told(&mut self, event: &IssuerEvent) {
        let (connection, fate) = match event {
            IssuerEvent::Certificate => {
                self.certificate = self.machine.certificate().to_vec();
                return assert_eq!(self.certificate, certificate(), "nobody has issued another");
            }
            IssuerEvent::Connected { connection, path } => {
                let stream = path.stream().expect("an acceptor dials back");
                assert!(self.answered.contains(&stream), "connected without an answer");
                (connection, Fate::Connected)
            }
            IssuerEvent::Refused { connection, .. }
            | IssuerEvent::Failed { connection, .. }
            | IssuerEvent::Closed { connection, .. } => (connection, Fate::Over),
            IssuerEvent::Planned { connection, .. } => (connection, Fate::Asked),
            IssuerEvent::EarlyKey { connection, .. } => (connection, Fate::Connected),
            _ => return,
        };
        let before = self.connections.get(connection).copied();
        let key = matches!(event, IssuerEvent::EarlyKey { .. });
        let fits = match (before, fate) {
            (Some(Fate::Asked), _) => !key,
            (Some(Fate::Connected), Fate::Over) => true,
            (Some(Fate::Connected), Fate::Connected) => key,
            _ => false,
        };
        assert!(fits, "{event:?}, which was {before:?}");
        self.connections.insert(*connection, fate);
    }

    /// A message that no key was used for. `like` is what it was made from.
    pub(super) fn unauthentic(&mut self, from: SocketAddr, bytes: &[u8], like: &[u8]) {
        let head = match Kind::of(like) {
            Ok(Kind::Response | Kind::Hint) => 6,
            Ok(Kind::Cookie) => 2,
            // It shows who holds the server's address to be no server, and ends the attempt.
            Ok(Kind::Certificate) => return,
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
