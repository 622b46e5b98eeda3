//! What is asserted of everything that the issuer does.

use genkan_core::wire::message::Offer;

use super::*;
use crate::caller::NOWHERE;

impl Trial for IssuerTrial {
    type Machine = Phone;
    type Seen = Seen;

    fn stage(&mut self) -> &mut Stage<Phone> {
        &mut self.stage
    }

    fn seen(&self) -> Seen {
        let wakeup = self.stage.machine.poll_timeout();
        Seen { wakeup, certificate: self.stage.machine.certificate().to_vec() }
    }

    fn answer(far: &mut Far, message: &[u8], early_taken: bool) -> Option<Vec<u8>> {
        let sealed = Kind::of(message) == Ok(Kind::Transport);
        if sealed { None } else { far.answer(message, early_taken) }
    }

    /// A changed certificate shows who holds the server's address to be no server, and ends the
    /// attempt.
    fn open_head(kind: Option<Kind>) -> Option<usize> {
        match kind {
            Some(Kind::Response | Kind::Hint) => Some(6),
            Some(Kind::Cookie) => Some(2),
            Some(Kind::Certificate) => None,
            _ => Some(0),
        }
    }

    fn served(&mut self) {
        self.serve(false, &Record::new(&[]));
    }

    fn hear(&mut self, out: &Out<IssuerEvent>) {
        let now = self.stage.watch.now;
        for (to, bytes, from) in &out.datagrams {
            if !self.stage.holes.judge(now, *to, bytes, *from) {
                self.overheard(bytes, false);
                self.stage.unanswered.push((None, bytes.clone()));
            }
        }
        for command in &out.commands {
            match command {
                Command::Connect { remote, .. } => {
                    assert_eq!(*remote, sa(SERVER), "it dials somebody else");
                }
                Command::ConnectFrom { remote, .. } => {
                    assert!(self.stage.holes.permits(*remote), "it calls {remote}");
                }
                Command::Listen { socket } => {
                    assert_eq!(*socket, SocketId::LISTENER);
                    self.listens = true;
                }
                _ => {}
            }
        }
        for (stream, bytes) in &out.frames {
            if self.stage.watch.streams.get(stream).is_none_or(|pipe| pipe.remote == sa(SERVER)) {
                self.overheard(bytes, true);
                self.stage.unanswered.push((Some(*stream), bytes.clone()));
            }
        }
        out.events.iter().for_each(|event| self.told(event));
    }
}

impl IssuerTrial {
    /// The server reads requests and gives the offers to those whom they are for.
    fn overheard(&mut self, message: &[u8], on_stream: bool) {
        let (mut bytes, mut plain) = (message.to_vec(), [0; 1_024]);
        let far = if on_stream { &mut self.stage.near } else { &mut self.stage.far };
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
            let mut opened = self.doors.iter().filter_map(|door| door.opens(request.offer));
            if let Some(Offer { punch_key: key, index, .. }) = opened.next() {
                self.stage.holes.offered(Offered { request: request.request, key, index });
            }
        }
    }

    /// Every request has one end, and none comes to life again.
    fn told(&mut self, event: &IssuerEvent) {
        // An attempt is over with its connection, or when the connection has another path.
        if !matches!(event, IssuerEvent::Nat(_) | IssuerEvent::Hopeless { .. }) {
            self.stage.holes.doubt();
        }
        let (connection, fate) = match event {
            IssuerEvent::Certificate => {
                self.certificate = self.stage.machine.certificate().to_vec();
                return assert_eq!(self.certificate, certificate(), "nobody has issued another");
            }
            IssuerEvent::Connected { connection, path } => {
                let answered =
                    path.stream().map_or(self.punched, |one| self.answered.contains(&one));
                assert!(answered, "connected without an answer");
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
        if fate == Fate::Over {
            let held = self.stage.watch.sockets.of_slot(connection.index.into());
            assert_eq!(held, 0, "{connection:?} has left sockets");
        }
    }
}

impl Punching for IssuerTrial {
    const CHECK: Kind = Kind::AcceptorPunch;

    fn peer_says(&mut self, act: &Act) -> Option<Vec<u8>> {
        let door = &mut self.doors[act.below(8, DOORS)];
        let message = match act.byte(9) % 8 {
            0..=3 => {
                self.punched = true;
                return door.answer(act.below(10, 4), NOWHERE, None);
            }
            4 | 5 => PeerMessage::Alive,
            6 => PeerMessage::Probe,
            _ => PeerMessage::Close,
        };
        Some(door.says(&[&[0][..], &body(&message, 0)].concat())?.1)
    }
}
