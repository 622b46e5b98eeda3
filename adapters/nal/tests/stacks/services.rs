//! What the two ends do: the lamp sends back what comes, the phone sends a pattern and reads it.

use genkan_core::{AcceptorEvent, Instant, IssuerEvent};
use genkan_nal::{Service, Session, Sessions, StreamStorage};
use genkan_stream::{Role, StreamHandle};

use crate::machines::{TestAcceptor, TestIssuer};

pub(crate) const LONG: usize = 64 << 10;

/// Sends back whatever comes.
#[derive(Default)]
pub(crate) struct Echo {
    /// By session, since handles are only good for their own.
    open: [Vec<(StreamHandle, Vec<u8>)>; 2],
    pub(crate) ended: usize,
    pub(crate) registered: usize,
    pub(crate) closed: usize,
}

impl Service<TestAcceptor, 2> for Echo {
    fn event(&mut self, now: Instant, machine: &mut TestAcceptor, event: AcceptorEvent) {
        match event {
            AcceptorEvent::Persist => machine.handle_persisted(now, machine.failures()),
            AcceptorEvent::Registered { .. } => self.registered += 1,
            AcceptorEvent::Closed { .. } => self.closed += 1,
            _ => {}
        }
    }

    fn serve(&mut self, now: Instant, session: &mut Session<'_, 2>) {
        let open = &mut self.open[session.index()];
        let streams = &mut session.streams;
        while let Some(stream) = streams.accept() {
            open.push((stream, Vec::new()));
        }
        let mut room = [0; 512];
        let ended = &mut self.ended;
        open.retain_mut(|(stream, held)| {
            while held.is_empty() {
                match streams.recv(*stream, &mut room) {
                    Ok(0) => break,
                    Ok(length) => held.extend_from_slice(&room[..length]),
                    Err(_) => {
                        streams.release(now.as_micros(), *stream).unwrap();
                        *ended += 1;
                        return false;
                    }
                }
                let sent = streams.send(*stream, held).unwrap_or(0);
                held.drain(..sent);
            }
            let sent = streams.send(*stream, held).unwrap_or(0);
            held.drain(..sent);
            true
        });
    }
}

/// Sends a pattern over a stream of the first connection that stands, and reads what comes back.
#[derive(Default)]
pub(crate) struct Fetch {
    stream: Option<StreamHandle>,
    sent: usize,
    pub(crate) read: usize,
    pub(crate) failed: usize,
}

fn pattern(at: usize) -> u8 {
    (at as u8).wrapping_mul(31) ^ (at >> 8) as u8
}

impl Service<TestIssuer, 2> for Fetch {
    fn event(&mut self, _: Instant, _: &mut TestIssuer, event: IssuerEvent) {
        self.failed += usize::from(matches!(event, IssuerEvent::Failed { .. }));
    }

    fn serve(&mut self, now: Instant, session: &mut Session<'_, 2>) {
        if session.index() > 0 {
            return;
        }
        let connected = session.connection().is_some();
        let streams = &mut session.streams;
        if self.stream.is_none() && connected {
            self.stream = streams.connect(now.as_micros(), 80).ok();
        }
        let Some(stream) = self.stream else { return };
        while self.sent < LONG {
            let piece: Vec<u8> = (self.sent..LONG.min(self.sent + 512)).map(pattern).collect();
            match streams.send(stream, &piece) {
                Ok(0) | Err(_) => break,
                Ok(sent) => self.sent += sent,
            }
        }
        let mut room = [0; 512];
        while let Ok(length @ 1..) = streams.recv(stream, &mut room) {
            for byte in &room[..length] {
                assert_eq!(*byte, pattern(self.read), "byte {}", self.read);
                self.read += 1;
            }
        }
        if self.read == LONG {
            streams.finish(stream).unwrap();
        }
    }
}

pub(crate) type LampApp = Sessions<'static, Echo, 2, 2>;
pub(crate) type PhoneApp = Sessions<'static, Fetch, 2, 2>;

fn sessions<V>(role: Role, now: Instant, service: V) -> Sessions<'static, V, 2, 2> {
    let storage = Box::leak(Box::new(StreamStorage::<'_, 2, 2, 2_048>::new()));
    Sessions::new(role, storage, 7, now, service)
}

pub(crate) fn echo(now: Instant) -> LampApp {
    let mut app = sessions(Role::Acceptor, now, Echo::default());
    app.listen(80).unwrap();
    app
}

pub(crate) fn fetch(now: Instant) -> PhoneApp {
    sessions(Role::Issuer, now, Fetch::default())
}
