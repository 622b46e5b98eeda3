//! Several issuers ask one acceptor that is woken for each request.

use core::time::Duration;

use genkan_core::{Delivery, IssuerEvent, RequestTransport, Target};
use genkan_sim::fleet::Fleet;
use genkan_sim::{Faults, HostId};

/// Asks with so much time between the issuers; what each was told.
fn outcomes(issuers: usize, gap: u64, one_way: u64) -> Vec<Option<IssuerEvent>> {
    let mut fleet = Fleet::with_server(1, |config| config.delivery = Delivery::Stream);
    let door = fleet.acceptor("door", |config| config.admission.open = true);
    let phones: Vec<HostId> = (0..issuers)
        .map(|number| {
            fleet.issuer(&format!("phone {number}"), |config| {
                config.transport = RequestTransport::Stream;
            })
        })
        .collect();
    for host in phones.iter().copied().chain([door]) {
        fleet.world.set_line(host, &Faults::millis(one_way));
    }
    assert!(fleet.wait_registered(door, Duration::from_secs(30)));
    let target = Target::new(fleet.id(door));
    let requests: Vec<_> = phones
        .iter()
        .map(|phone| {
            let request = fleet.request_target(*phone, &target);
            fleet.world.run_for(Duration::from_millis(gap));
            request
        })
        .collect();
    let told = |(phone, request)| fleet.wait_outcome(phone, request, Duration::from_secs(12));
    phones.into_iter().zip(requests).map(told).collect()
}

#[test]
fn requests_that_come_close_together_are_all_fetched() {
    for issuers in [2, 4] {
        for gap in [0, 60, 150, 200, 300, 400] {
            for one_way in [5, 25, 50, 100] {
                let told = outcomes(issuers, gap, one_way);
                let connected =
                    told.iter().all(|event| matches!(event, Some(IssuerEvent::Connected { .. })));
                assert!(connected, "{issuers} issuers, {gap} ms apart, {one_way} ms: {told:?}");
            }
        }
    }
}
