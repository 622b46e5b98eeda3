//! x
use core::time::Duration;
use std::collections::BTreeMap;
use genkan_sim::fleet::Fleet;
use genkan_sim::{NatConfig, Via, Fate};
use genkan_sim::capture::*;
fn main() {
    let mut fleet = Fleet::new(7);
    fleet.watch();
    fleet.world.tcp_mut().split = true;
    let nat = fleet.nat(NatConfig::default());
    let lamp = fleet.acceptor_behind(Some(nat), "lamp", |config| config.admission.open = true);
    let phone = fleet.issuer("phone", |c| c.wall_clock = Some(genkan_sim::fleet::START));
    assert!(fleet.wait_registered(lamp, Duration::from_secs(15)));
    fleet.world.run_for(Duration::from_secs(40));
    let connection = fleet.request(phone, lamp);
    assert!(fleet.wait_connected(phone, connection, Duration::from_secs(1)));
    fleet.world.run_for(Duration::from_millis(20));
    fleet.say(phone, connection, &[9; 900]).unwrap();
    fleet.say(phone, connection, b"on").unwrap();
    fleet.say(phone, connection, b"off").unwrap();
    fleet.world.run_for(Duration::from_secs(30));
    eprint!("{}", fleet.story());
    std::fs::write("/tmp/t-see/x/a.svg", fleet.diagram(200)).unwrap();
    let mut frames = vec![];
    let mut off: BTreeMap<(u64, bool), u64> = BTreeMap::new();
    let mut callers = BTreeMap::new();
    for e in fleet.world.transcript().entries() {
        let (id, kind) = match e.via {
            Via::Udp => (None, SegmentKind::Ack),
            Via::Tcp(id) => (Some(id), SegmentKind::Ack),
            Via::Syn(id) => { callers.insert(id, e.from.clone()); (Some(id), SegmentKind::Syn) }
            Via::SynAck(id) => (Some(id), SegmentKind::SynAck),
            Via::Fin(id) => (Some(id), SegmentKind::Fin),
            Via::Rst(id) => (Some(id), SegmentKind::Rst),
        };
        let load = match id {
            None => Load::Udp(e.bytes.clone()),
            Some(conn) => {
                let from_caller = callers[&conn] == e.from;
                let o = off.entry((format!("{conn}").len() as u64, from_caller)).or_default();
                let offset = *o;
                *o += e.bytes.len() as u64;
                Load::Tcp { conn, from_caller, kind, offset, bytes: e.bytes.clone() }
            }
        };
        let Fate::Delivered(at) = e.fate else { continue };
        let host = |n: &str| Interface::Host(match n { "server" => fleet.server, "lamp" => lamp, _ => phone });
        let f = Frame { at: e.at, interface: host(&e.from), inbound: false, source: e.source, destination: e.destination, hop_limit: 64, load };
        frames.push(f.clone());
        frames.push(Frame { at, interface: host(&e.to), inbound: true, ..f });
    }
    frames.sort_by_key(|f| f.at);
    let name = |i| match i { Interface::Host(h) => fleet.world.name(h).to_owned(), _ => String::new() };
    std::fs::write("/tmp/t-see/x/all.pcapng", genkan_sim::see::pcapng::write(&frames, name, |_| true).unwrap()).unwrap();
    for (n, h) in [("lamp", lamp), ("phone", phone), ("server", fleet.server)] {
        std::fs::write(format!("/tmp/t-see/x/{n}.pcapng"), genkan_sim::see::pcapng::write(&frames, name, |i| i == Interface::Host(h)).unwrap()).unwrap();
    }
}
