//! The main loop of `core/docs/PORTING.md`, compiled: what stands between the two marks is the page's
//! own text, and the rest is what its reader has.
#![allow(clippy::unwrap_used, dead_code, reason = "it need only compile")]

use core::convert::Infallible;
use core::net::SocketAddr;

use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, Anchors, Entropy, EntropyError,
    Identity, Instant, Resumption, ServerAddress, StaticKey,
};
use genkan_smoltcp::{Node, Options, Service, Session, Sessions, Storage, StreamStorage};
use genkan_stream::{Role, StreamHandle};
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::Device;
use static_cell::ConstStaticCell;

type Machine = Acceptor<&'static mut [AcceptorSlot; 1], Trng>;

struct Trng;

impl Entropy for Trng {
    fn fill(&mut self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

mod clock {
    pub(super) fn now() -> genkan_core::Instant {
        genkan_core::Instant::START
    }
}

enum Key {
    Certificate,
    Failures,
}

#[derive(Debug)]
struct Broken;

struct Store;

impl Store {
    fn read(&mut self, _: Key) -> Result<Option<&[u8]>, Broken> {
        Err(Broken)
    }

    fn write_number(&mut self, _: Key, _: u64) -> Result<(), Broken> {
        Err(Broken)
    }
}

mod settings {
    pub(super) fn session(
        _: &mut super::Store,
    ) -> Result<Option<super::Resumption>, super::Broken> {
        Err(super::Broken)
    }
}

struct Watchdog;

impl Watchdog {
    fn feed(&mut self) {}
}

struct Appliance {
    store: Store,
}

impl Appliance {
    fn call(&mut self, _: Instant, _: &mut Session<'_, 2>, _: StreamHandle) {}
}

/// A start failed: there will be another one.
struct Failure;

impl<E: core::fmt::Debug> From<E> for Failure {
    fn from(_: E) -> Self {
        Self
    }
}

fn config(server: SocketAddr) -> AcceptorConfig {
    let identity = Identity { key: StaticKey::from_secret([1; 32]), boots: 0 };
    AcceptorConfig::new(identity, ServerAddress::both(server), Anchors::default())
}

fn dhcp_and_dns(_: Instant) -> Instant {
    Instant::END
}

fn sleep_until(_: Instant) {}

// The page:
static RINGS: ConstStaticCell<Storage<5, 2>> = ConstStaticCell::new(Storage::new());
static ROOMS: ConstStaticCell<StreamStorage<'_, 1, 2>> = ConstStaticCell::new(StreamStorage::new());
static SLOTS: ConstStaticCell<[AcceptorSlot; 1]> = ConstStaticCell::new([AcceptorSlot::EMPTY]);

// Not the page:
fn run(
    (server, seed, mut store, mut watchdog): (SocketAddr, u32, Store, Watchdog),
    (mut interface, mut device, mut sockets): (Interface, impl Device, SocketSet<'static>),
) -> Result<Infallible, Failure> {
    // The page:
    // The interface is yours: it has an address by DHCP, and DNS has found the server.
    let mut acceptor = Acceptor::new(clock::now(), config(server), SLOTS.take(), Trng);
    if let Some(certificate) = store.read(Key::Certificate)? {
        let _ = acceptor.restore_certificate(certificate); // an expired one is fetched anew
    }
    if let Some(session) = settings::session(&mut store)? {
        acceptor.restore_session(&session); // or each start costs a handshake
    }
    let mut node =
        Node::new(acceptor, RINGS.take().install(&mut sockets), Options::equipment(seed));
    let (role, service) = (Role::Acceptor, Appliance { store });
    let mut sessions = Sessions::new(role, ROOMS.take(), seed.into(), clock::now(), service);
    sessions.listen(1)?; // the inner port that `genkan connect` opens

    loop {
        watchdog.feed();
        let now = clock::now();
        // Drives the interface, the machine, and your service on its streams.
        let wake = node.poll(now, &mut interface, &mut device, &mut sockets, &mut sessions);
        let wake = wake.min(dhcp_and_dns(now));
        sleep_until(wake); // or until a frame comes
    }
    // Not the page:
}

// The page:
impl Service<Machine, 2> for Appliance {
    fn event(&mut self, now: Instant, acceptor: &mut Machine, event: AcceptorEvent) {
        let failures = acceptor.failures();
        if event == AcceptorEvent::Persist
            && self.store.write_number(Key::Failures, failures.into()).is_ok()
        {
            acceptor.handle_persisted(now, failures);
        } // Certificate, Resumable: keep what the acceptor has; the rest is for your log
    }

    fn serve(&mut self, now: Instant, session: &mut Session<'_, 2>) {
        while let Some(stream) = session.streams.accept() {
            self.call(now, session, stream); // somebody calls
        }
        // recv, answer, send, finish, release: adapters/firmware/src/service.rs
    }
}

// Not the page:
/// As one line without blanks.
fn packed(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn the_page_has_this_main_loop() {
    let here = include_str!("porting.rs");
    let parts = here.split("// The page:\n").skip(1).filter_map(|part| part.split_once("// Not"));
    let here: String = parts.take(3).map(|(part, _)| packed(part)).collect();
    let page = include_str!("../../../core/docs/PORTING.md");
    let (_, page) = page.split_once("```rust\n").unwrap();
    let (page, rest) = page.split_once("```\n").unwrap();
    assert!(!rest.contains("```rust"), "one block of code");
    assert_eq!(here, packed(page));
}
