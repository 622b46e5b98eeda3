//! An acceptor with one connection on no board in particular: every public call of it is made with
//! arguments that the compiler cannot know, so that all of it is linked, and nothing else is.
//!
//! The program is never run; `genkan-size-report` reads it.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::nat::NatProfile;
use genkan_core::punch::Ability;
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorSlot, AddressPolicy, AdmissionPolicy, Anchors, Channel,
    ConnectionId, Entropy, EntropyError, Identity, Instant, MAX_FRAME, Machine, Received,
    ServerAddress, SocketId, StaticKey, StreamId, StreamState,
};

/// A device's generator, of which the compiler knows nothing.
#[derive(Debug)]
pub struct Noise;

impl Entropy for Noise {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        black_box(dest);
        black_box(Ok(()))
    }
}

type Device = Acceptor<[AcceptorSlot; 1], Noise>;

/// What the report says of each public type that a firmware author finds memory for.
macro_rules! sizes {
    ($($name:ident: $of:ty),+ $(,)?) => { $(
        // SAFETY: the section is the report's own, and nobody but it reads the name.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".sizes")]
        #[used]
        pub static $name: u32 = size_of::<$of>() as u32;
    )+ };
}

sizes! {
    SIZE_ACCEPTOR_OF_ONE: Device,
    SIZE_ACCEPTOR_OF_NONE: Acceptor<[AcceptorSlot; 0], Noise>,
    SIZE_ACCEPTOR_SLOT: AcceptorSlot,
    SIZE_ACCEPTOR_CONFIG: AcceptorConfig,
    SIZE_NAT_PROFILE: NatProfile,
}

/// Where a microcontroller writes that it wants to begin anew; the compiler cannot leave it out.
const RESET: *mut u32 = 0xE000_ED0C as *mut u32;

#[panic_handler]
#[inline(never)]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        // SAFETY: the program is never run.
        unsafe { RESET.write_volatile(0x05FA_0004) };
    }
}

fn configuration() -> AcceptorConfig {
    let identity = Identity { key: StaticKey::from_parts(any(), any()), boots: any() };
    let mut anchors = Anchors { floor: any(), min_serial: any(), ..Anchors::default() };
    let _room = anchors.authorities.push(any());
    let mut config = AcceptorConfig::new(identity, server(), anchors);
    config.admission = admission();
    config.addresses = AddressPolicy { loopback: any(), private: any(), low_ports: any() };
    config.wall_clock = any();
    config.spread = Duration::from_secs(any());
    config.stream_fallback = any();
    config.fetch_certificate_each = any();
    config.punch = black_box(Some(Ability::SMALL));
    config.lifetime = any();
    config
}

fn server() -> ServerAddress {
    ServerAddress { datagram: any_address(), stream: any_address() }
}

fn admission() -> AdmissionPolicy {
    let mut policy = AdmissionPolicy::default();
    if any() {
        policy.password = Some(genkan_core::PasswordRecord { salt: any(), hash: any() });
    }
    policy.failures = any();
    let _room = policy.paired.push(genkan_core::EquipmentId(any()));
    policy.open = any();
    policy.early_key = any();
    policy
}

/// A value of which the compiler knows nothing.
#[inline(never)]
fn any<T: Default>() -> T {
    black_box(T::default())
}

#[inline(never)]
fn any_address() -> SocketAddr {
    black_box(SocketAddr::from(([0; 4], 0)))
}

static mut DEVICE: MaybeUninit<Device> = MaybeUninit::uninit();
static mut BUFFER: [u8; MAX_FRAME] = [0; MAX_FRAME];

/// All that a firmware does with its acceptor.
#[unsafe(no_mangle)]
pub extern "C" fn start() -> ! {
    // SAFETY: the program has one thread, and this is called once.
    let (device, buffer) =
        unsafe { ((&raw mut DEVICE).as_mut_unchecked(), (&raw mut BUFFER).as_mut_unchecked()) };
    let at = Instant::from_micros(any());
    let device = device.write(Acceptor::new(at, configuration(), [AcceptorSlot::EMPTY], Noise));
    loop {
        let now = Instant::from_micros(any());
        match any::<u8>() {
            0 => arrives(device, now, buffer),
            1 => changes(device, now),
            2 => keeps(device, now, buffer),
            3 => speaks(device, now, buffer),
            _ => device.handle_timeout(now),
        }
        drains(device, now, buffer);
    }
}

fn stream() -> StreamId {
    StreamId { index: any(), generation: any() }
}

fn connection() -> ConnectionId {
    ConnectionId { index: any(), generation: any() }
}

fn arrives(device: &mut Device, now: Instant, buffer: &mut [u8]) {
    let Some(bytes) = buffer.get_mut(..any()) else { return };
    if any() {
        let received =
            device.handle_datagram(now, SocketId(any()), any_address(), black_box(bytes));
        if let Received::Payload { connection, channel, plaintext } = received {
            black_box((connection, channel, plaintext));
        }
    } else {
        let input = device.handle_stream(now, stream(), black_box(bytes));
        black_box(input.consumed);
        if let Received::Payload { connection, channel, plaintext } = input.received {
            black_box((connection, channel, plaintext));
        }
    }
}

fn changes(device: &mut Device, now: Instant) {
    let state = if any() { StreamState::Connected } else { StreamState::Closed };
    match any::<u8>() {
        0 => device.handle_stream_state(now, stream(), state),
        1 => device.handle_bound(now, SocketId(any()), any::<bool>().then(any_address)),
        2 => {
            black_box(device.handle_accept(now, SocketId(any()), any_address()));
        }
        3 => device.set_admission(admission()),
        4 => device.set_early_key(now, any()),
        5 => device.set_leased(now, any::<bool>().then(any)),
        6 => device.set_server_address(now, server()),
        _ => device.deregister(now),
    }
}

fn keeps(device: &mut Device, now: Instant, buffer: &[u8]) {
    match any::<u8>() {
        0 => {
            black_box(device.restore_certificate(black_box(buffer)).is_ok());
        }
        1 => {
            black_box((device.certificate(), device.floor(), device.failures()));
        }
        2 => device.restore_session(&genkan_core::Resumption { handle: any(), root: any() }),
        3 => {
            black_box(device.resumption());
        }
        4 => device.handle_persisted(now, any()),
        _ => {
            black_box(device.id());
        }
    }
}

fn speaks(device: &mut Device, now: Instant, buffer: &mut [u8]) {
    let Some((bytes, out)) = buffer.split_at_mut_checked(any()) else { return };
    match any::<u8>() {
        0 => {
            let channel = if any() { Channel::Stream } else { Channel::Datagram };
            let Ok(mut payload) = device.send(now, connection(), channel, bytes) else { return };
            black_box(payload.path());
            if payload.encode(out).is_ok() {
                payload.commit();
            }
        }
        1 => device.close(now, connection()),
        2 => {
            black_box(device.connection(connection()));
        }
        _ => {
            black_box(device.counters());
        }
    }
}

fn drains(device: &mut Device, now: Instant, buffer: &mut [u8]) {
    while let Some(command) = device.poll_command() {
        black_box(command);
    }
    while let Some(mut transmit) = device.poll_transmit(now) {
        black_box((transmit.socket(), transmit.remote(), transmit.hop_limit()));
        match transmit.encode(buffer) {
            Ok(len) if any() => {
                black_box(len);
                transmit.commit();
            }
            _ => transmit.abandon(),
        }
    }
    while let Some(mut frame) = device.poll_frame(now, stream()) {
        if frame.encode(buffer).is_err() {
            break;
        }
        frame.commit();
    }
    while let Some(event) = device.poll_event() {
        black_box(event);
    }
    black_box(device.poll_timeout());
}
