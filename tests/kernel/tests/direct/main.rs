//! The command's processes behind NATs of the running kernel: a user's `connect` and an appliance's
//! `accept` meet over UDP, and the thermostat's page comes by that path. Nobody can call the user
//! back: no TCP of the appliance's passes the user's NAT, which counts what does.
#![cfg(target_os = "linux")]

mod calls;
mod disturbed;
mod leases;
mod pairs;

use core::time::Duration;
use std::time::Instant;

use genkan_kernel_tests::direct::{Appliance, Town, User, field, is_page};
use genkan_kernel_tests::scenario::R;
use genkan_kernel_tests::{Lab, Rules, SiteSpec};

/// How long a pair may take that has to be lucky: several attempts.
const LONGEST: Duration = Duration::from_secs(60);
/// Which site is whose.
const APPLIANCE: usize = 0;
const USER: usize = 1;

/// What passes the user's NAT on its way in from the appliance's address, by protocol. The server's TCP
/// does not count: as long as nothing but a call over TCP seems to be left, the user shows it a port.
const WATCH: &str = "table ip watch {
  counter streams { }
  counter datagrams { }
  chain forward {
    type filter hook forward priority 300;
    iifname wan meta l4proto tcp ip saddr PEER counter name streams
    iifname wan meta l4proto udp ip saddr PEER counter name datagrams
  }
}
";

/// An appliance and a user, each behind NATs; a server with a second port in the open.
struct Pair {
    lab: Lab,
    town: Town,
}

impl Pair {
    fn new(appliance: &[Rules], user: &[Rules]) -> Self {
        let site = |nats: &[Rules]| SiteSpec { nats: nats.to_vec(), ..SiteSpec::new(nats[0]) };
        let lab = Lab::new(&[site(appliance), site(user)]);
        let peer = lab.external(APPLIANCE).to_string();
        lab.border(USER).run(&["nft", "-f", "-"], &WATCH.replace("PEER", &peer));
        // An appliance that is seen elsewhere says so within 5 s.
        let town = Town::new(lab.internet(), R.address(), &["--interval", "5"]);
        Self { lab, town }
    }

    fn accept(&self, more: &[&str]) -> Appliance {
        self.town.accept(self.lab.host(APPLIANCE, 0), "appliance", more)
    }

    fn connect(&self, id: &str, more: &[&str]) -> User<'_> {
        let arguments = [&["--transport", "udp", "--timeout", "25"], more].concat();
        self.town.connect(self.lab.host(USER, 0), "user", id, &arguments)
    }

    /// Waits for a connection over UDP that carries the page.
    fn assert_met(&self, user: &User<'_>) {
        let connected = user.process.event_within(LONGEST, "connected");
        assert_eq!(field(&connected, "path"), "udp", "{connected}");
        let remote = field(&connected, "remote");
        let external = self.lab.external(APPLIANCE).to_string();
        assert_eq!(remote.split(':').next(), Some(&external[..]), "{connected}");
        assert!(is_page(&user.page()));
        self.assert_no_tcp();
        assert!(self.passed("datagrams") >= 5, "the page came another way");
    }

    /// Nothing of the appliance's has come in to the user over TCP: what called back was stopped.
    fn assert_no_tcp(&self) {
        assert_eq!(self.passed("streams"), 0, "TCP has passed the user's NAT");
        let table = ["conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED"];
        let standing = self.lab.border(USER).output(&table, "");
        let peer = format!("={} ", self.lab.external(APPLIANCE));
        assert!(!standing.contains(&peer), "a TCP connection stands: {standing}");
    }

    /// How many packets a counter of the user's NAT has seen.
    #[expect(clippy::panic, reason = "a test's helpers are part of the test")]
    fn passed(&self, counter: &str) -> u64 {
        let told =
            self.lab.border(USER).output(&["nft", "list", "counter", "ip", "watch", counter], "");
        let mut words = told.split_whitespace().skip_while(|&word| word != "packets");
        words.nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{told}"))
    }

    /// Asks for the page until it comes.
    fn assert_page_within(&self, user: &User<'_>, longest: Duration) {
        let until = Instant::now() + longest;
        while !user.get("/").is_ok_and(|page| is_page(&page)) {
            assert!(Instant::now() < until, "no page: {:#?}", user.process.told());
        }
        let told = user.process.told();
        assert!(told.iter().all(|event| event["event"] != "closed"), "{told:#?}");
        self.assert_no_tcp();
    }
}

/// The two meet, with these arguments for both.
fn meet(appliance: &[Rules], user: &[Rules], more: &[&str]) {
    let pair = Pair::new(appliance, user);
    let appliance = pair.accept(more);
    let user = pair.connect(&appliance.id, more);
    pair.assert_met(&user);
}
