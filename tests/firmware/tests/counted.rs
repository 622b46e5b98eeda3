//! What the reference firmware executes, network stack and application included, counted by the emulator.
//!
//! An instruction takes 8 ns of the board's time then, and it sleeps as long as it takes; so its counts are of
//! what it does awake. They vary by some percent between runs: with what else is on the wire, and with how
//! soon the harness asks; budgets leave a quarter. `benches/instructions-m4` counts the acceptor alone, to the instruction.
#![cfg(target_os = "linux")]

use core::time::Duration;

use genkan_firmware_tests::{APPLIANCE, Home};
use genkan_kernel_tests::Rules::Plain;

/// Instructions from the switch to the server's list: flash, DHCP, DNS, certificate, handshake.
const REGISTERED: u64 = 16_000_000;
/// From a request to a connection over a dial-back that the user has confirmed.
const CONNECTED: u64 = 11_000_000;
/// A turn of the main loop each second, most of which goes through seventeen sockets, and two for each
/// keepalive, one for its answer: 15,000 to 16,700 were measured.
const IDLE_SECOND: u64 = 17_500;
/// Seconds until what follows the registration is done, and the start is taken for a good one.
const QUIET: u64 = 34;
/// Seconds that it is idle.
const IDLE: u64 = 20;

/// Keepalives of the board's on their way to the server: 28 bytes and a UDP header.
const COUNTER: &str = "table ip counted {
  chain way { type filter hook forward priority -300;
    ip saddr 192.0.2.0/24 udp length 36 counter; }
}
";

#[test]
fn a_life_is_counted() {
    let mut home = Home::new(Plain, Plain);
    home.counts = true;
    home.expose_user();
    let board = home.board(&["no-punch"]);
    board.says("registered, seen as 203.0.113.1:");
    let registered = board.instructions();
    // Then it writes its session to the flash, logs, and paints its stack anew. That is not idle time.
    board.says("bytes, registering");
    std::thread::sleep(Duration::from_secs(QUIET));
    let quiet = board.instructions();
    home.lab.border(APPLIANCE).run(&["nft", "-f", "-"], COUNTER);
    std::thread::sleep(Duration::from_secs(IDLE));
    let idle = board.instructions() - quiet;
    let keepalives = keepalives(&home);
    let before = board.instructions();
    let user = home.user(&["--punch", "no"]);
    board.says("connected, Stream");
    let connected = board.instructions() - before;
    home.assert_page(&user);
    let all = board.instructions();
    eprintln!(
        "instructions: {registered} until registered, {idle} in {IDLE} idle seconds with {keepalives} \
         keepalives, {connected} until connected, {all} in all with a page"
    );
    assert!(keepalives >= 2, "{keepalives} keepalives");
    assert!(registered <= REGISTERED, "{registered} until registered");
    assert!(idle <= IDLE * IDLE_SECOND, "{idle} in {IDLE} idle seconds");
    assert!(connected <= CONNECTED, "{connected} until connected");
}

/// How many have passed.
#[expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]
fn keepalives(home: &Home) -> u64 {
    let table = home.lab.border(APPLIANCE).output(&["nft", "list", "table", "ip", "counted"], "");
    let packets = table.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
    packets.and_then(|packets| packets.parse().ok()).unwrap()
}
