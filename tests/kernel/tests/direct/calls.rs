//! UDP is blocked, and nobody can be called back: the two call each other over TCP at the same time.

use core::time::Duration;

use genkan_kernel_tests::Rules::{self, FullyRandom, Plain, Rejecting};
use genkan_kernel_tests::direct::{User, field, is_page};

use crate::{APPLIANCE, LONGEST, Pair, USER};

/// No datagram passes any way.
const NO_UDP: &str = "table ip blocked {
  chain forward { type filter hook forward priority -300; meta l4proto udp drop; }
}
";

/// The two, with UDP blocked at these sites.
fn pair(appliance: &[Rules], user: &[Rules], blocked: &[usize]) -> Pair {
    let pair = Pair::new(appliance, user);
    for &site in blocked {
        pair.lab.border(site).run(&["nft", "-f", "-"], NO_UDP);
    }
    pair
}

fn connect<'p>(pair: &'p Pair, id: &str, timeout: &str) -> User<'p> {
    let home = pair.lab.host(USER, 0);
    pair.town.connect(home, "user", id, &["--timeout", timeout])
}

/// They meet and the page comes, over one connection that both NATs have let out and in.
fn assert_met(pair: &Pair, user: &User<'_>) {
    let connected = user.process.event_within(LONGEST, "connected");
    assert_eq!(field(&connected, "path"), "tcp", "{connected}");
    let [appliance, home] = [APPLIANCE, USER].map(|site| pair.lab.external(site).to_string());
    let remote = field(&connected, "remote");
    assert_eq!(remote.split(':').next(), Some(&appliance[..]), "{connected}");
    assert!(is_page(&user.page()));
    for (site, peer) in [(APPLIANCE, home), (USER, appliance)] {
        let table = ["conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED", "-d", &peer];
        let entries = pair.lab.border(site).output(&table, "");
        assert_eq!(entries.lines().count(), 1, "{entries}");
        assert!(entries.contains("[ASSURED]"), "{entries}");
    }
}

fn meet(appliance: &[Rules], user: &[Rules], blocked: &[usize]) {
    let pair = pair(appliance, user, blocked);
    let appliance = pair.accept(&[]);
    let user = connect(&pair, &appliance.id, "25");
    assert_met(&pair, &user);
}

#[test]
fn a_user_without_udp_meets_an_appliance_behind_a_nat() {
    meet(&[Plain], &[Plain], &[USER]);
}

#[test]
fn neither_has_udp() {
    meet(&[Plain], &[Plain, Plain], &[APPLIANCE, USER]);
}

/// Whoever calls too early is refused, and calls again.
#[test]
fn a_router_that_resets_what_nobody_asked_for() {
    meet(&[Rejecting], &[Plain], &[USER]);
    meet(&[Plain], &[Rejecting], &[USER]);
}

/// The port that the server sees is not the one that the appliance is seen from elsewhere.
#[test]
fn a_port_for_each_destination_is_not_met_and_told_in_time() {
    let pair = pair(&[FullyRandom], &[Plain], &[USER]);
    let appliance = pair.accept(&[]);
    let user = connect(&pair, &appliance.id, "3");
    user.process.event_within(Duration::from_secs(15), "unreached");
    let peer = pair.lab.external(APPLIANCE).to_string();
    let table = ["conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED", "-d", &peer];
    assert_eq!(pair.lab.border(USER).output(&table, ""), "", "a connection stands");
}
