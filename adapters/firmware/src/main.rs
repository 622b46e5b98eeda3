//! A bare-metal appliance that is reached through Genkan: a thermostat on a Cortex-M.
#![no_std]
#![no_main]

mod board;
mod clock;
mod entropy;
mod flash;
mod http;
mod lan9118;
mod net;
mod panic;
mod settings;
mod store;
mod thermostat;
mod watchdog;

use core::time::Duration;

use cortex_m_rt::entry;
use defmt_semihosting as _;
use smoltcp::iface::{SocketSet, SocketStorage};
use static_cell::StaticCell;

#[entry]
fn main() -> ! {
    let mut watchdog = watchdog::Watchdog::start(Duration::from_secs(4));
    clock::start();
    if let Some(reason) = panic::last_reason() {
        defmt::warn!("the last start ended so: {=str}", reason.as_str());
    }
    static SOCKETS: StaticCell<[SocketStorage<'static>; 8]> = StaticCell::new();
    static QUERIES: StaticCell<[Option<smoltcp::socket::dns::DnsQuery>; 1]> = StaticCell::new();
    static DEVICE: StaticCell<lan9118::Lan9118> = StaticCell::new();
    let device = DEVICE.init(lan9118::Lan9118::OFF);
    let mut store = store::Store::open(flash::Flash::take().unwrap());
    let mut entropy = entropy::HostEntropy;
    let settings = match settings::Settings::load(&mut store, &mut entropy) {
        Ok(s) => s,
        Err(e) => { defmt::error!("{}", e); panic!("no settings") }
    };
    defmt::info!("id {}, start {}", defmt::Display2Format(&settings.identity().key.id()), settings.identity().boots);
    let mut sockets = SocketSet::new(&mut SOCKETS.init([SocketStorage::EMPTY; 8])[..]);
    let mut net = net::Net::start(clock::now(), device, &mut sockets, QUERIES.init([const { None }; 1]), &mut entropy).unwrap();
    net.look_up(clock::now());
    loop {
        watchdog.feed();
        let now = clock::now();
        net.iface.poll(clock::stack_time(now), device, &mut sockets);
        while let Some(c) = net.poll(now, &settings.host, device, &mut sockets) {
            defmt::info!("{}", c);
        }
        let wake = net.wake_at(now, &sockets);
        cortex_m::interrupt::free(|_| {
            if device.arm() {
                clock::alarm(wake.since(clock::now()));
                cortex_m::asm::wfi();
            }
        });
    }
}
