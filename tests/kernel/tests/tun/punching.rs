//! Two hosts behind two boxes, with devices and in the simulator: which pairs meet by plain punching.

use genkan_kernel_tests::punch::{between, in_world};
use genkan_kernel_tests::tun::{Home, Internet};
use genkan_sim::NatConfig;
use genkan_sim::nat::{Filtering, Mapping};

use crate::{APDF, counting};

fn check(configs: [NatConfig; 2], meet: bool) {
    let internet = Internet::new();
    let [one, two] = configs.clone();
    let homes = [Home::new(&internet, 1, one, 1), Home::new(&internet, 2, two, 2)];
    let met = between(internet.namespace(), [homes[0].host(), homes[1].host()], 0);
    assert_eq!(met.map(|met| met.is_some()), [meet; 2], "devices: {configs:?}, {met:?}");
    let met = in_world(configs.clone(), 0);
    assert_eq!(met.map(|met| met.is_some()), [meet; 2], "simulator: {configs:?}, {met:?}");
}

#[test]
fn a_counter_is_met_by_whoever_lets_in_any_port_and_by_no_one_else() {
    let eim = |filtering| NatConfig::new(Mapping::EndpointIndependent, filtering);
    check([eim(APDF), eim(APDF)], true);
    check([counting(-64), eim(Filtering::AddressDependent)], true);
    check([counting(2), eim(APDF)], false);
    check([counting(2), counting(1)], false);
}
