//! A box as the site of a scenario: what real sockets see, beside what the same settings and the same
//! draws come to without devices.

use core::net::IpAddr;

use genkan_sim::nat::NatConfig;

use super::home::{Home, Internet};
use crate::compare::{Outcome, Ports, count};
use crate::kernel::{Side, Site};
use crate::model::Model;
use crate::netns::Namespace;
use crate::scenario::Step;

/// The seed that [`Model`] has for the NAT next to the hosts.
const SEED: u64 = 1;

#[derive(Debug)]
struct Behind {
    internet: Internet,
    home: Home,
}

impl Site for Behind {
    fn internet(&self) -> &Namespace {
        self.internet.namespace()
    }

    fn host(&self, _: u8) -> &Namespace {
        self.home.host()
    }

    fn external(&self) -> IpAddr {
        self.home.external().into()
    }

    fn reboot(&self) {
        self.home.reboot();
    }
}

/// Goes through a scenario with a box of these settings and with a model of it, which must show the
/// same to the port, drawn ones too.
///
/// # Panics
/// At the first difference, with everything up to there; and when there are no devices here.
#[expect(clippy::panic, reason = "what a comparison in a test does")]
pub fn same(config: &NatConfig, steps: &[Step]) -> Outcome {
    count(steps.len());
    let internet = Internet::new();
    let home = Home::new(&internet, 1, config.clone(), SEED);
    let site = Behind { internet, home };
    let model = Model::new([(site.external(), config.clone())]);
    let outcome = Side::at(&site).compare(model, Ports::Exact, steps);
    outcome.unwrap_or_else(|difference| panic!("{config:?}\n{}", difference.story))
}
