//! Both ends of a handshake, and who gets none.

use super::*;

fn handshake() -> (Initiator<36>, StaticKey, [u8; 36 + IK1_OVERHEAD]) {
    let (issuer, acceptor) = (StaticKey::from_secret([1; 32]), StaticKey::from_secret([2; 32]));
    let mut first = [0; 36 + IK1_OVERHEAD];
    let to = acceptor.public();
    let initiator = Initiator::new(Link::Peer, &issuer, to, [3; 32], &[7; 36]).unwrap();
    initiator.write(&issuer, to, &mut first).unwrap();
    (initiator, acceptor, first)
}

#[test]
fn both_ends_reach_the_same_root_and_know_each_other() {
    let (initiator, acceptor, first) = handshake();
    let mut payload = [0; 36];
    let mut responder = Responder::new(Link::Peer, &acceptor, [4; 32]);
    assert!(responder.answer(&[8; 5], &mut [0; 5 + IK2_OVERHEAD]).is_none(), "before message 1");
    let who = responder.read(&first, &mut payload).unwrap();
    assert_eq!((who, payload), (*StaticKey::from_secret([1; 32]).public(), [7; 36]));
    let mut second = [0; 5 + IK2_OVERHEAD];
    let theirs = responder.answer(&[8; 5], &mut second).unwrap();
    let issuer = StaticKey::from_secret([1; 32]);
    let mut garbage = second;
    garbage[40] ^= 1;
    let to = acceptor.public();
    assert!(initiator.finish(&issuer, to, &garbage, &mut [0; 5]).is_none());
    let mut payload = [0; 5];
    let ours = initiator.finish(&issuer, to, &second, &mut payload).unwrap();
    assert_eq!((ours == theirs, payload), (true, [8; 5]));
}

#[test]
fn every_changed_byte_and_every_other_link_is_refused() {
    let (_, acceptor, first) = handshake();
    for position in 0..first.len() {
        let mut wrong = first;
        wrong[position] ^= 0x40;
        let read = Responder::new(Link::Peer, &acceptor, [4; 32]).read(&wrong, &mut [0; 36]);
        assert!(read.is_none(), "byte {position}");
    }
    let mut other = Responder::new(Link::Server, &acceptor, [4; 32]);
    assert!(other.read(&first, &mut [0; 36]).is_none());
}

#[test]
fn low_order_points_give_no_secret() {
    assert_eq!(dh(&[1; 32], &[0; 32]), None);
    // Nor do they where nothing is known beforehand, which zeros stand for.
    assert!(X25519::dh(&pair(&StaticKey::from_secret([1; 32]), None).secret, &[0; 32]).is_err());
    let mut one = [0; 32];
    one[0] = 1;
    assert_eq!(dh(&[1; 32], &one), None);
}

/// The value stands in PROTOCOL.md, section 21. Do not change the test!
#[test]
fn the_root_of_a_fixed_handshake_is_frozen() {
    let (issuer, acceptor) = (StaticKey::from_secret([1; 32]), StaticKey::from_secret([2; 32]));
    let mut first = [0; 32 + IK1_OVERHEAD];
    let (link, to) = (Link::Peer, acceptor.public());
    let initiator = Initiator::<32>::new(link, &issuer, to, [3; 32], &[0; 32]).unwrap();
    initiator.write(&issuer, to, &mut first).unwrap();
    let mut responder = Responder::new(link, &acceptor, [4; 32]);
    responder.read(&first, &mut [0; 32]).unwrap();
    let mut second = [0; 32 + IK2_OVERHEAD];
    let root = responder.answer(&[0; 32], &mut second).unwrap();
    assert!(initiator.finish(&issuer, to, &second, &mut [0; 32]) == Some(root.clone()));
    let frozen = [
        0x0e, 0x48, 0xbe, 0x02, 0x5e, 0x9b, 0x32, 0xcc, 0xfa, 0xa5, 0x24, 0x4e, 0x26, 0xb0, 0xe8,
        0xd4, 0xca, 0x4a, 0x2a, 0x03, 0xc8, 0x01, 0xe2, 0x58, 0xf7, 0x51, 0x15, 0x88, 0x60, 0x4d,
        0x9b, 0x04,
    ];
    assert_eq!(root.0, frozen);
}
