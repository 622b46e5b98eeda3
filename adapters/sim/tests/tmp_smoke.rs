use genkan_core::*;
use genkan_sim::*;
use core::time::Duration;
#[test]
fn smoke() {
    let mut w = World::new(1);
    let key = |n| Identity { key: StaticKey::from_secret([n; 32]), boots: 0 };
    let addr = "203.0.113.1:4600".parse().unwrap();
    let a = w.add_host(HostSpec::new("acceptor", "198.51.100.1".parse().unwrap()), |now| {
        let c = AcceptorConfig::new(key(1), ServerAddress::both(addr), Anchors::default());
        Host::new(Acceptor::new(now, c, vec![AcceptorSlot::EMPTY, AcceptorSlot::EMPTY], SimEntropy::seeded(1)), Log::default())
    });
    let i = w.add_host(HostSpec::new("issuer", "198.51.100.2".parse().unwrap()), |now| {
        let c = IssuerConfig::new(key(2), ServerAddress::both(addr), Anchors::default());
        Host::new(Issuer::new(now, c, vec![IssuerSlot::EMPTY, IssuerSlot::EMPTY], SimEntropy::seeded(2)), Log::default())
    });
    w.with(i, |m: &mut Issuer<Vec<IssuerSlot>, SimEntropy>, io| m.request(io.now(), &Target::new(EquipmentId(*StaticKey::from_secret([1;32]).public()))).unwrap());
    w.run_for(Duration::from_secs(120));
    println!("{}", w.transcript());
    let _ = a;
}
