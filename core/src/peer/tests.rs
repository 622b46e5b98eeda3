//! Which paths an end follows the other one to.

use super::*;

const AT: Instant = Instant::from_millis(1_000_000);

fn path(port: u16) -> Path {
    let remote = Endpoint::from(([192, 0, 2, 7], port));
    Path::Datagram { socket: SocketId::MAIN, remote }
}

/// How many of so many moves, ten milliseconds apart, it follows.
fn followed(peer: &mut Peer, from: Instant, moves: u16) -> usize {
    let mut now = from;
    // Half of the messages come by the path that there is.
    let moves = (0..moves).filter(|turn| {
        now = now.after(Duration::from_millis(10));
        let here = peer.path;
        peer.follow(now, here);
        peer.follow(now, path(10_000 + turn % 2))
    });
    moves.count()
}

#[test]
fn moves_from_port_to_port_are_followed_eight_times_and_then_once_a_minute() {
    let root = Root([7; 32]);
    let id = EquipmentId([1; 32]);
    let mut peer = Peer::new(AT, id, root, Direction::Up, 1, path(9_999));
    assert_eq!(followed(&mut peer, AT, 50), 8);
    let minutes = |count: u64| AT.after(Duration::from_secs(count * 60));
    assert_eq!(followed(&mut peer, minutes(1), 50), 1);
    assert_eq!(followed(&mut peer, minutes(3), 50), 2);
    assert_eq!(followed(&mut peer, minutes(300), 50), 8);
    // But it never loses an end that is nowhere else.
    let later = minutes(301);
    assert!(followed(&mut peer, later, 50) == 1 && peer.path != path(5));
    assert!(!peer.follow(later.after(Duration::from_secs(1)), path(5)));
    assert!(peer.follow(later.after(Duration::from_secs(2)), path(5)));
}
