//! What a node announces when the process may open few files. A process of its own, because the limit
//! is the process's.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]

use genkan_core::punch::Ability;
use genkan_core::{AcceptorConfig, Anchors, Identity, IssuerConfig, ServerAddress, StaticKey};
use genkan_std::{AcceptorNode, AcceptorOptions, IssuerNode, IssuerOptions, raise_open_files};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What an acceptor and an issuer with the default sizes announce.
fn announced(punch: Option<Ability>) -> [Option<u8>; 2] {
    let identity = || Identity { key: StaticKey::from_secret([2; 32]), boots: 0 };
    // Nobody is there.
    let server = ServerAddress::both("127.0.0.1:9".parse().unwrap());
    let mut config = AcceptorConfig::new(identity(), server, Anchors::default());
    config.punch = punch;
    let acceptor = AcceptorNode::start(AcceptorOptions::new(config)).unwrap().punch();
    let mut config = IssuerConfig::new(identity(), server, Anchors::default());
    config.punch = punch;
    let issuer = IssuerNode::start(IssuerOptions::new(config)).unwrap().punch();
    [acceptor, issuer].map(|ability| ability.map(|it| it.limits.sockets))
}

#[test]
fn sockets_for_holes_are_what_the_limit_of_open_files_leaves() {
    let limit = getrlimit(Resource::Nofile);
    let at = |current| setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit });
    at(1_024).unwrap();
    assert_eq!(announced(Some(Ability::LARGE)), [Some(53); 2]);
    assert_eq!(announced(Some(Ability::SMALL)), [Some(4); 2]);
    assert_eq!(announced(None), [None; 2]);
    at(256).unwrap();
    assert_eq!(announced(Some(Ability::LARGE)), [Some(0); 2]);
    if limit.maximum.is_none_or(|most| most >= 4_096) {
        raise_open_files();
        assert_eq!(announced(Some(Ability::LARGE)), [Some(255); 2]);
    }
}
