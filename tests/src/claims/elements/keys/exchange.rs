//! The exchange on the first and on the second TCP connection: the same elements on each.

use core::time::Duration;

use super::spoil::{
    by_datagram, change, disown, early, for_another_key, late, lose, other_certificate,
};
use super::{
    certificate, checked, common_key, info_down, info_up, is_asking, is_certificate, is_info_down,
    is_info_up,
};
use crate::claims::elements::{Element, Spoil};
use crate::claims::run::{Run, SERVER};
use crate::story::Key;

/// The five elements of the exchange on one connection.
macro_rules! exchange {
    ($leg:ident, $forged:ident, $n:literal, $up:literal, $down:literal,
     $certificate:ident, $checked:ident, $info_up:ident, $info_down:ident, $key:ident) => {
        #[doc = concat!("The certificate on the ", $n, " TCP connection.")]
        pub static $certificate: Element = Element {
            id: concat!($n, "/certificate"),
            says: concat!(
                "the server transmits its stored certificate information on the ",
                $n,
                " TCP connection, before the connection request goes over it"
            ),
            check: |run| certificate(run, run.$leg()?),
            spoils: &[
                Spoil("it is missing", |run| change(Run::$leg, run, is_certificate, lose)),
                Spoil("it comes before all", |run| {
                    change(Run::$leg, run, is_certificate, early);
                }),
                Spoil("it comes late", |run| change(Run::$leg, run, is_certificate, late)),
                Spoil("it comes in a datagram", |run| {
                    change(Run::$leg, run, is_certificate, by_datagram);
                }),
                Spoil("it is another server's", |run| {
                    change(Run::$leg, run, is_certificate, other_certificate);
                }),
                Spoil("nobody asked for it", |run| change(Run::$leg, run, is_asking, lose)),
            ],
        };

        #[doc = concat!("The equipment checks the certificate on the ", $n, " TCP connection.")]
        pub static $checked: Element = Element {
            id: concat!($n, "/certificate-checked"),
            says: concat!(
                "the equipment authenticates the server certificate information, and \
                generates the ",
                $up,
                " key generation information only when it is valid"
            ),
            check: |run| checked(run, run.$leg()?, run.$forged.as_ref()),
            spoils: &[
                Spoil("the authority has not signed it", |run| {
                    change(Run::$leg, run, is_certificate, other_certificate);
                }),
                Spoil("key information came first", |run| {
                    change(Run::$leg, run, is_info_up, early);
                }),
                Spoil("an invalid one was never tried", |run| run.$forged = None),
                Spoil("the invalid one was valid", |run| run.$forged = Some(run.story.clone())),
                Spoil("key information left for an invalid one", |run| {
                    let found = run.story.packets.iter().rev();
                    let client = run.$leg().map_or("", |leg| leg.client);
                    let mut found = found.filter(|p| is_info_up(p) && p.from == client);
                    let info = found.find(|p| p.tcp().is_some()).cloned();
                    if let (Some(forged), Some(info)) = (&mut run.$forged, info) {
                        forged.packets.push(info);
                    }
                }),
            ],
        };

        #[doc = concat!("The equipment's key information on the ", $n, " TCP connection.")]
        pub static $info_up: Element = Element {
            id: concat!($n, "/key-information-up"),
            says: concat!(
                $up,
                " key generation information, generated in response to the \
                certificate, goes to the server over the ",
                $n,
                " TCP connection"
            ),
            check: |run| info_up(run, run.$leg()?),
            spoils: &[
                Spoil("it is missing", |run| change(Run::$leg, run, is_info_up, lose)),
                Spoil("it comes first", |run| change(Run::$leg, run, is_info_up, early)),
                Spoil("it goes in a datagram", |run| {
                    change(Run::$leg, run, is_info_up, by_datagram);
                }),
                Spoil("it is for another key", |run| {
                    change(Run::$leg, run, is_info_up, for_another_key);
                }),
                Spoil("there is no certificate", |run| {
                    change(Run::$leg, run, is_certificate, lose);
                }),
            ],
        };

        #[doc = concat!("The server's key information on the ", $n, " TCP connection.")]
        pub static $info_down: Element = Element {
            id: concat!($n, "/key-information-down"),
            says: concat!(
                $down,
                " key generation information, generated in response to the ",
                $up,
                ", comes back over the ",
                $n,
                " TCP connection"
            ),
            check: |run| info_down(run, run.$leg()?),
            spoils: &[
                Spoil("it is missing", |run| change(Run::$leg, run, is_info_down, lose)),
                Spoil("it comes first", |run| change(Run::$leg, run, is_info_down, early)),
                Spoil("it comes late", |run| change(Run::$leg, run, is_info_down, late)),
                Spoil("it comes in a datagram", |run| {
                    change(Run::$leg, run, is_info_down, by_datagram);
                }),
            ],
        };

        #[doc = concat!("The common key of the ", $n, " TCP connection.")]
        pub static $key: Element = Element {
            id: concat!($n, "/common-key"),
            says: concat!(
                "both ends generate the identical ",
                $n,
                " common key out of the ",
                $up,
                " and the ",
                $down,
                " key generation information, and nobody else has it"
            ),
            check: |run| common_key(run, run.$leg()?),
            spoils: &[
                Spoil("the server does not hold it", |run| disown(run, SERVER)),
                Spoil("the equipment does not hold it", |run| {
                    let client = run.$leg().map_or("", |leg| leg.client);
                    disown(run, client);
                }),
                Spoil("a third holds it", |run| {
                    let root = run.$leg().map(|leg| leg.request.key());
                    let mut keys = run.story.keys.iter();
                    let key = keys.find(|key| root == Ok(Some(key.root))).cloned();
                    run.story.keys.extend(key.map(|key| Key { owner: "lamp".into(), ..key }));
                }),
                Spoil("it was there before", |run| {
                    for key in &mut run.story.keys {
                        key.at = Duration::ZERO;
                    }
                }),
                Spoil("there is no information from the server", |run| {
                    change(Run::$leg, run, is_info_down, lose);
                }),
            ],
        };
    };
}

exchange!(
    first_leg,
    forged_first,
    "first",
    "first",
    "second",
    FIRST_CERTIFICATE,
    FIRST_CHECKED,
    FIRST_INFO_UP,
    FIRST_INFO_DOWN,
    FIRST_KEY
);
exchange!(
    second_leg,
    forged_second,
    "second",
    "third",
    "fourth",
    SECOND_CERTIFICATE,
    SECOND_CHECKED,
    SECOND_INFO_UP,
    SECOND_INFO_DOWN,
    SECOND_KEY
);
