//! Whatever arrives, nothing panics and running streams go on.

use genkan_stream::{Discard, INNER_MTU, Received};

use crate::lab::{Dice, Lab, Link, MS, SECOND, both_ways, transfer};

/// Recomputes the IPv4 header's checksum after a test has changed a field.
fn reseal(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let words = packet[..20].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn with_field(packet: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut packet = packet.to_vec();
    change(&mut packet);
    reseal(&mut packet);
    packet
}

fn real_packet(lab: &mut Lab) -> Vec<u8> {
    let (near, _) = lab.open();
    lab.issuer.send(near, &[7; 600]).unwrap();
    let mut packet = [0; INNER_MTU];
    let now = lab.now;
    let len = lab.issuer.poll_packet(now, &mut packet).unwrap();
    packet[..len].to_vec()
}

#[test]
fn every_kind_of_foreign_packet_is_named_and_counted() {
    let mut lab = Lab::new(1, 4096, Link::CLEAN);
    let real = real_packet(&mut lab);
    let cases = [
        (vec![], Discard::NotIpv4),
        (vec![0x60; 60], Discard::NotIpv4),
        (vec![0x45; INNER_MTU + 1], Discard::Oversized),
        (with_field(&real, |p| p[0] = 0x46), Discard::NotIpv4),
        (with_field(&real, |p| p[3] ^= 1), Discard::NotIpv4),
        (with_field(&real, |p| p[6] |= 0x20), Discard::Fragment),
        (with_field(&real, |p| p[7] = 9), Discard::Fragment),
        (with_field(&real, |p| p[9] = 1), Discard::NotTcp),
        (with_field(&real, |p| p[9] = 17), Discard::NotTcp),
        (with_field(&real, |p| p[15] = 2), Discard::WrongAddress),
        (with_field(&real, |p| p[19] = 1), Discard::WrongAddress),
        (with_field(&real, |p| p[16] = 224), Discard::WrongAddress),
        (with_field(&real, |p| p[50] ^= 1), Discard::Malformed),
        (with_field(&real, |p| p[32] = 0x10), Discard::Malformed),
    ];
    let before = lab.acceptor.counters();
    let count = cases.len() as u64;
    for (packet, discard) in cases {
        let now = lab.now;
        assert_eq!(lab.acceptor.handle_packet(now, &packet), Received::Discarded(discard));
    }
    let mut broken = real.clone();
    broken[8] ^= 0xff;
    let now = lab.now;
    let received = lab.acceptor.handle_packet(now, &broken);
    assert_eq!(received, Received::Discarded(Discard::Malformed));
    assert_eq!(lab.acceptor.counters().discarded - before.discarded, count + 1);
    assert_eq!(lab.acceptor.handle_packet(now, &real), Received::Accepted);
    // No answer of any kind leaves for a discarded packet: what leaves is the acknowledgement.
    let mut room = [0; INNER_MTU];
    assert_eq!(lab.acceptor.poll_packet(now + 20 * MS, &mut room), Some(40));
    assert_eq!(lab.acceptor.poll_packet(now + 20 * MS, &mut room), None);
}

#[test]
fn garbage_of_every_kind_does_not_disturb_a_running_transfer() {
    let mut lab = Lab::new(2, 16_384, Link::CLEAN);
    let (near, far) = lab.open();
    let mut flows = both_ways(near, far, 300_000);
    let mut dice = Dice(77);
    let mut discarded = 0;
    let done = lab.run(120 * SECOND, |lab| {
        for _ in 0..4 {
            let garbage = garbage(&mut dice, &lab.last_packet);
            let now = lab.now;
            for received in
                [lab.issuer.handle_packet(now, &garbage), lab.acceptor.handle_packet(now, &garbage)]
            {
                discarded += u32::from(received != Received::Accepted);
            }
        }
        flows.iter_mut().filter_map(|flow| (!flow.pump(lab)).then_some(())).count() == 0
    });
    assert!(done && discarded > 300, "{discarded}");
    flows.iter().for_each(crate::lab::Flow::check);
}

/// Random bytes, truncated, extended, flipped or split real packets.
fn garbage(dice: &mut Dice, real: &[u8]) -> Vec<u8> {
    let mut packet = real.to_vec();
    match dice.below(6) {
        0 => packet = (0..dice.below(1300)).map(|_| dice.roll() as u8).collect(),
        1 => packet.truncate(dice.below(real.len() as u64) as usize),
        2 => packet.extend([0; 9]),
        3 => {
            let at = dice.below(packet.len() as u64) as usize;
            packet[at] ^= 1 << dice.below(8);
        }
        4 => packet = with_field(real, |p| p[6] |= 0x20),
        _ => packet = with_field(real, |p| p[12 + dice.below(8) as usize] ^= 0x40),
    }
    packet
}

/// Segments with right checksums and senseless contents, as only a hostile peer could send them.
#[test]
fn hostile_segments_never_panic_and_never_make_a_stack_spin() {
    for seed in 1..=300 {
        let mut lab = Lab::new(3, 2048, Link::CLEAN);
        let (near, far) = lab.open();
        let mut dice = Dice(seed * 0xdead_beef);
        for _ in 0..300 {
            let now = lab.now;
            let _ = lab.acceptor.send(far, &[1; 300]);
            let _ = lab.issuer.send(near, &[1; 300]);
            let _ = lab.acceptor.recv(far, &mut [0; 100]);
            let forged = forge(&mut dice, &lab.last_packet);
            lab.acceptor.handle_packet(now, &forged);
            lab.issuer.handle_packet(now, &forged);
            if dice.below(10) == 0 {
                let _ = lab.acceptor.accept();
            }
            if dice.below(100) == 0 {
                let _ = lab.acceptor.finish(far);
            }
            let limit = now + dice.below(100) * MS;
            lab.step(limit);
        }
        let steps = lab.steps;
        lab.idle(400 * SECOND);
        assert!(lab.steps - steps < 3_000, "{} steps", lab.steps - steps);
    }
}

fn forge(dice: &mut Dice, real: &[u8]) -> Vec<u8> {
    use smoltcp::wire::{IpAddress, Ipv4Packet, TcpPacket};
    let mut bytes = real.to_vec();
    let mut ip = Ipv4Packet::new_unchecked(&mut bytes[..]);
    let (source, destination) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
    let mut tcp = TcpPacket::new_unchecked(ip.payload_mut());
    if dice.below(2) == 0 {
        tcp.set_seq_number(tcp.seq_number() + dice.below(4000) as usize);
    }
    if dice.below(4) == 0 {
        tcp.set_ack_number(tcp.ack_number() + dice.below(3000) as usize);
    }
    if dice.below(4) == 0 {
        tcp.set_window_len(dice.roll() as u16);
    }
    match dice.below(8) {
        0 => tcp.set_fin(true),
        1 => tcp.set_syn(true),
        2 => tcp.set_ack(false),
        3 if dice.below(10) == 0 => tcp.set_rst(true),
        4 => {
            tcp.set_dst_port(crate::lab::PORT);
            tcp.set_src_port(dice.roll() as u16 | 1);
            tcp.set_syn(true);
            tcp.set_ack(false);
            tcp.set_fin(false);
        }
        _ => {}
    }
    tcp.fill_checksum(&source, &destination);
    bytes
}

#[test]
fn a_peer_that_ignores_the_window_fills_no_more_than_the_buffer() {
    let mut lab = Lab::new(1, genkan_stream::MAX_BUFFER, Link::CLEAN);
    let (near, far) = lab.open();
    lab.issuer.send(near, &[3; 1000]).unwrap();
    let mut packet = [0; INNER_MTU];
    let now = lab.now;
    let len = lab.issuer.poll_packet(now, &mut packet).unwrap();
    for _ in 0..200 {
        lab.acceptor.handle_packet(now, &packet[..len]);
        shift(&mut packet[..len]);
    }
    let held = lab.acceptor.readable(far);
    assert!(held <= genkan_stream::MAX_BUFFER && held > 60_000, "{held}");
    transfer(&mut lab, &mut [], SECOND);
}

/// Moves a segment behind itself in sequence space.
fn shift(packet: &mut [u8]) {
    use smoltcp::wire::{IpAddress, Ipv4Packet, TcpPacket};
    let mut ip = Ipv4Packet::new_unchecked(packet);
    let (source, destination) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
    let mut tcp = TcpPacket::new_unchecked(ip.payload_mut());
    let next = tcp.seq_number() + 1000;
    tcp.set_seq_number(next);
    tcp.fill_checksum(&source, &destination);
}
