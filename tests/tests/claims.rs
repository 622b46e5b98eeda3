use core::time::Duration;
use genkan_core::*;
use genkan_tests::world::Lab;
#[test]
fn smoke() {
    for stream in [false, true] {
        let mut lab = Lab::with_server(1, |c| {
            c.interval = 5;
            c.register_every = 2;
            if stream { c.delivery = Delivery::Stream; }
        });
        let door = lab.acceptor("door", |c| { c.admission.open = true; c.fetch_certificate_each = true; });
        let phone = lab.issuer("phone", |c| { c.transport = RequestTransport::Stream; });
        assert!(lab.wait_registered(door, Duration::from_secs(15)));
        lab.run_for(Duration::from_secs(20));
        let r = lab.request(phone, &Target::new(lab.id(door)));
        println!("{:?}", lab.wait_outcome(phone, r, Duration::from_secs(12)));
        lab.run_for(Duration::from_millis(20));
        lab.say(phone, r, b"on").unwrap();
        lab.run_for(Duration::from_millis(200));
        let story = lab.story();
        for p in &story.packets { println!("{:?} {:?} {}->{} {} {} {:?} {:.100?} {}", p.at, p.arrived, p.from, p.to, p.source, p.destination, p.via, p.what, p.opened_by.len()); }
        println!("{:#?} {:#?} {:#?}", story.listed, story.keys, story.told);
    }
}
