//! Everything at once: for each seed ten minutes of bad lines, kills, clocks that jump, pauses and
//! failing randomness, with requests in between. Then the world is mended, and within the longest
//! back-off all must be as new.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;

use genkan_sim::fleet::FleetIssuer;
use genkan_sim::{Death, EntropyMode, Faults, Rng};
use genkan_tests::scene::{PATIENCE, Scene, Setup};

/// Lets one thing go wrong.
fn mischief(scene: &mut Scene, rng: &mut Rng) {
    let hosts = [scene.lamp, scene.phone, scene.fleet.server];
    let host = hosts[rng.index(3)];
    let death = if rng.below(2) == 0 { Death::Silent } else { Death::WithReset };
    let world = &mut scene.fleet.world;
    match rng.below(9) {
        0 if host == scene.fleet.server => scene.fleet.reboot_server(death),
        0 => scene.fleet.reboot(host, death),
        1 => world.set_line(host, &Faults::hostile()),
        2 => world.set_line(host, &Faults::default().without_udp()),
        3 => world.set_line(host, &Faults::default().without_tcp()),
        4 => world.set_line(host, &Faults::default()),
        5 => world.jump_ahead(host, rng.up_to(Duration::from_secs(100))),
        6 if host != scene.fleet.server => {
            let switch = scene.fleet.entropy(host);
            switch.set(EntropyMode::Failing);
            let world = &mut scene.fleet.world;
            let wait = world.now() + rng.up_to(Duration::from_secs(5));
            world.at(wait, move |_| switch.set(EntropyMode::Seeded));
        }
        7 => {
            world.pause(host);
            let wait = world.now() + rng.up_to(Duration::from_secs(20));
            world.at(wait, move |world| world.resume(host));
        }
        _ => world.set_send_errors(host, 0.1),
    }
}

fn mend(scene: &mut Scene) {
    for host in [scene.lamp, scene.phone, scene.fleet.server] {
        scene.fleet.world.set_line(host, &Faults::default());
        scene.fleet.world.set_send_errors(host, 0.0);
    }
    for host in [scene.lamp, scene.phone] {
        scene.fleet.entropy(host).set(EntropyMode::Seeded);
    }
    scene.fleet.world.run_for(Duration::from_secs(330));
}

#[test]
fn after_ten_minutes_of_everything_all_is_as_new() {
    // The last are seeds that have found something once.
    for seed in (0..100).chain([1_545]) {
        let mut setup = Setup::all()[usize::try_from(seed % 5).unwrap()];
        setup.seed = seed;
        let mut scene = setup.scene();
        let mut rng = scene.fleet.world.chance("swarm");
        scene.fleet.world.run_for(Duration::from_secs(5));
        for _ in 0..40 {
            mischief(&mut scene, &mut rng);
            scene.fleet.world.run_for(rng.up_to(Duration::from_secs(20)));
            let (phone, target) = (scene.phone, scene.target());
            scene.fleet.world.with(phone, |machine: &mut FleetIssuer, io| {
                let _full_or_no_entropy = machine.request(io.now(), &target);
            });
            scene.fleet.world.run_for(rng.up_to(Duration::from_secs(10)));
        }
        mend(&mut scene);
        let list = scene.server().registered();
        assert!(list == 1, "seed {seed}: not registered\n{}", scene.fleet.story());
        // What the phone still had open was refused or failed long ago, or stands: it hangs up.
        scene.assert_at_rest();
        let request = scene.ask();
        let connected = scene.fleet.wait_connected(scene.phone, request, PATIENCE);
        assert!(connected, "seed {seed}: {setup:?}\n{}", scene.fleet.story());
    }
}
