//! Runs one small world and leaves behind everything that can be looked at:
//! `cargo run -p genkan-sim --example capture -- FOLDER`.
//!
//! - `story.txt` and `story.svg`: what happened, opened with the machines' keys;
//! - `all.pcapng`: every interface of the world; `NAME.pcapng`: that host's alone;
//! - `NAME.expected`: each message that the host sent and got by the transcript, as direction, kind
//!   and length, sorted;
//! - `spoilt.pcapng`: three of the messages damaged.
//!
//! A lamp behind a NAT registers; a phone asks for it, is dialled back over TCP, sends two words,
//! hears them again and closes; a datagram of the lamp's ends at its hop limit behind the NAT; the NAT gets another address; the
//! lamp and the server restart. Every kind of message occurs.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use genkan_core::wire::Kind;
use genkan_core::{Delivery, Rate, SocketId};
use genkan_sim::capture::{Frame, Interface, Load};
use genkan_sim::fleet::{AcceptorApp, Fleet, FleetAcceptor, FleetIssuer, START};
use genkan_sim::see::pcapng;
use genkan_sim::{Death, Entry, Fate, Faults, HostId, NatConfig, NatId, Via};

type Outcome<T> = Result<T, Box<dyn core::error::Error>>;

const HOPS: u8 = 6;

fn main() -> Outcome<()> {
    let folder = std::env::args().nth(1).ok_or("say where to: capture FOLDER")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    let fleet = run()?;
    let kinds: BTreeSet<u8> = fleet.world.transcript().entries().filter_map(number).collect();
    // Nobody punches holes in this run.
    let holes = [Kind::Detect, Kind::FilterProbe, Kind::IssuerPunch, Kind::AcceptorPunch];
    let mut wanted = Kind::ALL.iter().filter(|kind| !holes.contains(kind));
    let missing = wanted.find(|kind| !kinds.contains(&(**kind as u8)));
    missing.map_or(Ok(()), |kind| Err(format!("{kind:?} does not occur")))?;

    fs::write(folder.join("story.txt"), fleet.story())?;
    fs::write(folder.join("story.svg"), fleet.diagram(0..500))?;
    let frames = fleet.world.captured();
    let name = |interface| fleet.world.interface_name(interface);
    fs::write(folder.join("all.pcapng"), pcapng::write(frames, name, |_| true)?)?;
    for interface in fleet.world.interfaces() {
        if matches!(interface, Interface::Host(_)) {
            let host = name(interface);
            let alone = pcapng::write(frames, name, |at| at == interface)?;
            fs::write(folder.join(format!("{host}.pcapng")), alone)?;
            fs::write(folder.join(format!("{host}.expected")), expected(&fleet, &host))?;
        }
    }
    let server = Interface::Host(fleet.server);
    let spoilt = spoil(frames.iter().filter(|frame| frame.interface == server))?;
    fs::write(folder.join("spoilt.pcapng"), pcapng::write(&spoilt, name, |_| true)?)?;
    Ok(())
}

fn run() -> Outcome<Fleet> {
    let mut fleet = Fleet::with_server(7, |config| {
        config.delivery = Delivery::Stream;
        // One handshake a minute without a cookie.
        config.handshakes = Rate::new(1, 60_000);
    });
    fleet.watch();
    fleet.world.capture(true);
    let nat = fleet.nat(NatConfig::default());
    let lamp = fleet.acceptor_behind(Some(nat), "lamp", |config| config.admission.open = true);
    fleet.world.app_mut::<AcceptorApp>(lamp).echo = true;
    let phone = fleet.issuer("phone", |config| config.wall_clock = Some(START));
    let far = Faults { hops: HOPS, ..Faults::default() };
    fleet.world.set_line(lamp, &far);

    must(fleet.wait_registered(lamp, Duration::from_secs(30)), "the lamp registers")?;
    fleet.world.run_for(Duration::from_secs(2));
    let connection = fleet.request(phone, lamp);
    must(fleet.wait_connected(phone, connection, Duration::from_secs(2)), "the phone connects")?;
    fleet.world.run_for(Duration::from_millis(100));
    fleet.say(phone, connection, b"on")?;
    fleet.say(phone, connection, &[b'.'; 1_000])?;
    fleet.world.run_for(Duration::from_millis(100));
    must(fleet.heard(phone).len() == 2, "the phone hears both words again")?;

    fleet.world.with(phone, |machine: &mut FleetIssuer, io| machine.close(io.now(), connection));
    fleet.world.run_for(Duration::from_millis(500));

    low_hop_limit(&mut fleet, lamp)?;
    troubles(&mut fleet, (lamp, phone), nat)?;
    let under_way = fleet.world.transcript().entries().any(|entry| entry.fate == Fate::InFlight);
    must(!under_way, "everything has arrived")?;
    Ok(fleet)
}

/// A datagram that leaves the lamp's NAT and ends on the way: a keepalive's bytes, for the phone.
fn low_hop_limit(fleet: &mut Fleet, lamp: HostId) -> Outcome<()> {
    let all = || fleet.world.transcript().entries();
    let keepalive = all().find(|entry| entry.kind == Some(Kind::Keepalive));
    let bytes = match keepalive {
        Some(entry) => entry.bytes.clone(),
        None => [&[Kind::Keepalive as u8][..], &[0; 27]].concat(),
    };
    let sent = all().find(|entry| entry.from == "phone" && entry.via == Via::Udp);
    let to = sent.ok_or("the phone has sent a datagram")?.source;
    fleet.world.with(lamp, |_: &mut FleetAcceptor, io| {
        io.send_datagram(SocketId::MAIN, to, Some(3), bytes);
    });
    fleet.world.run_for(Duration::from_secs(1));
    let expired = fleet.world.transcript().entries().any(|entry| entry.fate == Fate::Expired);
    must(expired, "the hop limit is used up")
}

/// Another address for the NAT; both restart; the server forgets the lamp once more.
fn troubles(fleet: &mut Fleet, (lamp, phone): (HostId, HostId), nat: NatId) -> Outcome<()> {
    fleet.world.renumber_nat(nat, IpAddr::from([192, 0, 2, 99]));
    fleet.world.run_for(Duration::from_secs(60));
    fleet.reboot(phone, Death::WithReset);
    fleet.reboot(lamp, Death::Silent);
    fleet.world.run_for(Duration::from_secs(60));
    fleet.reboot_server(Death::Silent);
    fleet.world.run_for(Duration::from_secs(60));
    must(fleet.is_registered(lamp), "the lamp is back")
}

fn must(is: bool, what: &str) -> Outcome<()> {
    if is { Ok(()) } else { Err(format!("it should be that {what}").into()) }
}

fn number(entry: &Entry) -> Option<u8> {
    entry.kind.map(|kind| kind as u8)
}

/// What passed one host's interface by the transcript: `out 0x44 28`, a message a line.
fn expected(fleet: &Fleet, host: &str) -> String {
    let mut lines = Vec::new();
    for entry in fleet.world.transcript().entries() {
        let (Some(kind), Via::Udp | Via::Tcp(_)) = (number(entry), entry.via) else { continue };
        let line = format!("{kind:#04x} {}\n", entry.message().len());
        if entry.from == host {
            lines.push(format!("out {line}"));
        }
        if entry.to == host && entry.is_delivered() {
            lines.push(format!("in {line}"));
        }
    }
    lines.sort();
    lines.concat()
}

/// The frames with three of them damaged: a keepalive too short, a kind that does not exist, a TCP
/// frame of impossible length.
fn spoil<'a>(frames: impl Iterator<Item = &'a Frame>) -> Outcome<Vec<Frame>> {
    let mut frames: Vec<Frame> = frames.cloned().collect();
    let mut done = BTreeSet::new();
    for frame in &mut frames {
        match &mut frame.load {
            Load::Udp(bytes) if bytes.first() == Some(&(Kind::Keepalive as u8)) => {
                if done.insert("short") {
                    bytes.pop();
                } else if done.insert("unknown") {
                    bytes[0] |= 0x1f;
                }
            }
            Load::Tcp { bytes, offset: 0, .. } if bytes.len() > 2 && done.insert("frame") => {
                bytes[..2].fill(0xff);
            }
            _ => {}
        }
    }
    must(done.len() == 3, "there is something to spoil")?;
    Ok(frames)
}
