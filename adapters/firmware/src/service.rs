//! The appliance's side of Genkan: what it keeps of what it is told, and the thermostat on the byte
//! streams of its sessions.

use core::time::Duration;

use genkan_core::{Acceptor, AcceptorEvent, AcceptorSlot, Instant};
use genkan_smoltcp::{Service, Session, Sessions, StreamStorage};
use genkan_stream::{StreamError, StreamHandle};

use crate::entropy::HostEntropy;
use crate::http::Visit;
use crate::settings;
use crate::store::{Broken, Key, Store};
use crate::thermostat::Thermostat;

/// The inner port that `genkan connect` opens streams to.
pub const PORT: u16 = 1;
/// Connections at once.
pub const SESSIONS: usize = 2;
/// Streams at once in each: a browser asks for page, style and script side by side.
pub const STREAMS: usize = 3;
/// Bytes of each stream in either direction.
const BYTES: usize = 1_024;
/// A stream gives its place back when no whole request has come within this time, or when nothing of the
/// answer is taken for as long. Browsers open streams that they may never use.
const PATIENCE: Duration = Duration::from_secs(15);

/// The machine.
pub type Machine = Acceptor<&'static mut [AcceptorSlot; SESSIONS], HostEntropy>;
/// Its sessions.
pub type Streams = Sessions<'static, Appliance, SESSIONS, STREAMS>;
/// Memory for them.
pub type Memory = StreamStorage<'static, SESSIONS, STREAMS, BYTES>;

/// For each stream, what was said on it.
pub type Calls = [[Call; STREAMS]; SESSIONS];

/// A stream, if there is one, and what was said on it.
#[derive(Debug)]
pub struct Call {
    stream: Option<StreamHandle>,
    visit: Visit,
    /// When the stream came, or something of the answer was taken last.
    since: Option<Instant>,
}

impl Call {
    const NONE: Self = Self { stream: None, visit: Visit::new(), since: None };
}

/// Nobody has called.
pub const NO_CALLS: Calls = [const { [const { Call::NONE }; STREAMS] }; SESSIONS];

/// The appliance.
pub struct Appliance {
    store: Store,
    thermostat: Thermostat,
    calls: &'static mut Calls,
    /// The server does not answer: it may have another address.
    pub lost: bool,
    /// The server has it in its list.
    pub registered: bool,
    /// The stack is to be looked at, and why.
    pub mark: Option<&'static str>,
}

impl Appliance {
    /// One that keeps what it must in this store.
    pub const fn new(store: Store, calls: &'static mut Calls) -> Self {
        let thermostat = Thermostat::new();
        Self { store, thermostat, calls, lost: false, registered: false, mark: None }
    }

    /// Keeps what an event brings, so that it is in the flash when this returns.
    fn keep(&mut self, acceptor: &Machine, event: &AcceptorEvent) -> Result<(), Broken> {
        match event {
            AcceptorEvent::Certificate => {
                self.store.write_number(Key::Floor, acceptor.floor())?;
                self.store.write(Key::Certificate, acceptor.certificate())
            }
            AcceptorEvent::Resumable => match acceptor.resumption() {
                Some(session) => settings::keep_session(&mut self.store, &session),
                None => Ok(()),
            },
            AcceptorEvent::Persist => {
                self.store.write_number(Key::Failures, acceptor.failures().into())
            }
            _ => Ok(()),
        }
    }
}

impl Service<Machine, STREAMS> for Appliance {
    fn event(&mut self, now: Instant, acceptor: &mut Machine, event: AcceptorEvent) {
        let kept = self.keep(acceptor, &event);
        if let Err(broken) = &kept {
            defmt::error!("not kept: {}", defmt::Debug2Format(broken));
        }
        self.mark = match event {
            AcceptorEvent::Registered { .. } => Some("registering"),
            AcceptorEvent::Connected { .. } => Some("connecting"),
            AcceptorEvent::Closed { .. } => Some("connected"),
            _ => self.mark,
        };
        match event {
            AcceptorEvent::Registered { observed, over } => {
                self.registered = true;
                let observed = defmt::Display2Format(&observed);
                defmt::info!("registered, seen as {} over {}", observed, over);
            }
            AcceptorEvent::RegistrationLost => {
                defmt::warn!("the server does not answer; trying on");
                self.lost = true;
                self.registered = false;
            }
            AcceptorEvent::Connected { path, .. } => defmt::info!("connected, {}", path),
            AcceptorEvent::PathChanged { path, .. } => defmt::info!("now {}", path),
            AcceptorEvent::Closed { cause, .. } => defmt::info!("connection ended, {}", cause),
            // A password that was tried is acted upon when the try is counted, for good.
            AcceptorEvent::Persist if kept.is_ok() => {
                acceptor.handle_persisted(now, acceptor.failures());
            }
            other => defmt::info!("{}", other),
        }
    }

    fn serve(&mut self, now: Instant, session: &mut Session<'_, STREAMS>) {
        let Some(calls) = self.calls.get_mut(session.index()) else { return };
        for call in calls {
            if call.stream.is_none() {
                // There are as many places as streams.
                call.stream = session.streams.accept();
                call.visit.clear();
                call.since = Some(now);
            }
            let Some(stream) = call.stream else { continue };
            if !talk(now, session, stream, call, &mut self.thermostat) {
                // What is queued still leaves, and so does the end of the stream.
                let _ = session.streams.release(now.as_micros(), stream);
                call.stream = None;
            } else if call.since.is_some_and(|since| now.since(since) >= PATIENCE) {
                // No turn is waited for: the main loop has one every second.
                defmt::info!("a stream that says nothing is ended");
                let _ = session.streams.abort(stream);
                call.stream = None;
            }
        }
    }
}

/// Moves what can be moved; whether more is to come.
#[inline(never)]
fn talk(
    now: Instant,
    session: &mut Session<'_, STREAMS>,
    stream: StreamHandle,
    call: &mut Call,
    thermostat: &mut Thermostat,
) -> bool {
    let streams = &mut session.streams;
    let Call { visit, since, .. } = call;
    let mut piece = [0; 128];
    loop {
        match streams.recv(stream, &mut piece) {
            Ok(0) => break,
            Ok(length) => visit.hear(piece.get(..length).unwrap_or_default(), |request| {
                defmt::info!("{=str} {=str}", request.method, request.path);
                thermostat.answer(now.as_micros(), request)
            }),
            // It has asked and waits for the answer, or asks no more.
            Err(StreamError::Finished) if !visit.pending().is_empty() => break,
            Err(_) => return false,
        }
    }
    while let Ok(sent @ 1..) = streams.send(stream, visit.pending()) {
        visit.sent(sent);
        *since = Some(now);
    }
    !visit.is_over()
}
