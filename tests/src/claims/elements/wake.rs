//! Claims 2 and 9: the third connection request, and the second TCP connection that answers it.

use genkan_sim::Via;

use super::server::answers_registration;
use super::{Element, Spoil, defer, edit, hasten, remove};
use crate::claims::run::{
    ACCEPTOR, SERVER, arrival, is_connect, is_notify, is_register, is_syn, is_wake, must,
};
use crate::story::What;

const WAKE_SPOILS: &[Spoil] = &[
    Spoil("it is missing", |run| remove(run, is_wake)),
    Spoil("it comes before the registration and the request", |run| hasten(run, is_wake)),
    Spoil("it comes after the second request", |run| defer(run, is_wake)),
    Spoil("it goes to another address", |run| {
        edit(run, is_wake, |packet| packet.destination.set_port(1));
    }),
];

/// The server wakes the acceptor.
pub static SENDS_THIRD_REQUEST: Element = Element {
    id: "server/sends-third-request",
    says: "after identifying the address, and before the second connection request, it transmits \
           a third connection request signal to the acceptance equipment",
    check: |run| {
        let third = run.third_request()?;
        must(third.at >= arrival(run.first_request()?), "nobody had asked yet")?;
        let entry = run.story.address_at(run.story.id(ACCEPTOR), third.at);
        must(entry == Some(third.destination), "it went elsewhere than the list says")?;
        must(third.at < run.second_request()?.at, "it came after the second")
    },
    spoils: WAKE_SPOILS,
};

const SYN_SPOILS: &[Spoil] = &[
    Spoil("it is missing", |run| remove(run, |packet| is_syn(packet, ACCEPTOR, SERVER))),
    Spoil("it comes unasked", |run| hasten(run, |packet| is_syn(packet, ACCEPTOR, SERVER))),
    Spoil("it comes after the second request", |run| {
        defer(run, |packet| is_syn(packet, ACCEPTOR, SERVER));
    }),
    Spoil("it is not answered", |run| remove(run, |packet| packet.what == What::SynAck)),
    Spoil("there was no third request", |run| remove(run, is_wake)),
    Spoil("it is for another request", |run| {
        edit(run, is_wake, |packet| packet.what = What::Wake { request: u32::MAX });
    }),
];

/// The acceptor's SYN arrives.
pub static RECEIVES_SECOND_SYN: Element = Element {
    id: "server/receives-second-tcp-start",
    says: "it receives a second TCP connection start signal from the acceptance equipment as a \
           response to the third connection request, and a second TCP connection comes about",
    check: |run| {
        let (third, syn) = (run.third_request()?, run.second_syn()?);
        must(arrival(syn) > third.at, "it came before the third connection request")?;
        must(syn.destination == run.story.server, "it went elsewhere")?;
        let up = run.syn_ack(syn)?;
        must(arrival(up) <= run.second_request()?.at, "it came after the second request")?;
        let What::Wake { request } = third.what else { return Err("it is no wake".into()) };
        let fetch = run.first(ACCEPTOR, SERVER, "word on the second connection", |packet| {
            packet.tcp() == syn.tcp() && packet.what == What::Fetch { request }
        })?;
        must(arrival(fetch) <= run.second_request()?.at, "it was not what the request waited for")
    },
    spoils: SYN_SPOILS,
};

/// The second request goes over the second TCP connection.
pub static SENDS_SECOND_OVER_TCP: Element = Element {
    id: "server/sends-second-request-over-second-tcp",
    says: "it transmits the second connection request over the second TCP connection",
    check: |run| {
        let (syn, second) = (run.second_syn()?, run.second_request()?);
        must(second.tcp() == syn.tcp(), "it went another way")?;
        must(second.at >= arrival(run.syn_ack(syn)?), "the connection did not stand yet")?;
        must(second.destination == syn.source, "it went to another address")?;
        let mut all = run.story.packets.iter().filter(|packet| is_notify(packet));
        must(all.all(|packet| packet.tcp() == syn.tcp()), "it went another way, too")
    },
    spoils: OVER_TCP_SPOILS,
};

const OVER_TCP_SPOILS: &[Spoil] = &[
    Spoil("it is missing", |run| remove(run, is_notify)),
    Spoil("it goes in a datagram", |run| edit(run, is_notify, |packet| packet.via = Via::Udp)),
    Spoil("it comes before the connection", |run| hasten(run, is_notify)),
    Spoil("it goes over the first connection", |run| {
        let Ok(Some(first)) = run.first_request().map(crate::story::Packet::tcp) else { return };
        edit(run, is_notify, |packet| packet.via = Via::Tcp(first));
    }),
    Spoil("there is no second connection", |run| {
        remove(run, |packet| is_syn(packet, ACCEPTOR, SERVER));
    }),
];

/// The acceptor is woken as an answer to its registration.
pub static RECEIVES_THIRD_REQUEST: Element = Element {
    id: "acceptor/receives-third-request",
    says: "after its registration signal, and before the second connection request, it receives a \
           third connection request signal from the server as a response to the registration",
    check: |run| {
        answers_registration(run)?;
        let third = run.third_request()?;
        must(arrival(third) <= run.second_request()?.at, "it came after the second")?;
        must(third.source == run.story.server, "it did not come from the server")?;
        let registers = run.registers();
        let mut before = registers.iter().filter(|packet| packet.at < third.at);
        must(before.next().is_some(), "it came before any registration")
    },
    spoils: &[
        Spoil("it is missing", |run| remove(run, is_wake)),
        Spoil("it comes before the registration", |run| hasten(run, is_wake)),
        Spoil("it comes after the second request", |run| defer(run, is_wake)),
        Spoil("there was no registration", |run| remove(run, is_register)),
        Spoil("it comes from elsewhere", |run| {
            edit(run, is_wake, |packet| packet.source.set_port(1));
        }),
    ],
};

/// The acceptor opens the second TCP connection when woken.
pub static SENDS_SECOND_SYN: Element = Element {
    id: "acceptor/sends-second-tcp-start",
    says: "it transmits a second TCP connection start signal to the server as a response to the \
           third connection request, and a second TCP connection comes about",
    check: |run| {
        let (third, syn) = (run.third_request()?, run.second_syn()?);
        must(syn.at >= arrival(third), "it came before the third connection request")?;
        must(syn.destination == run.story.server, "it went elsewhere")?;
        let up = run.syn_ack(syn)?;
        must(arrival(up) <= run.second_request()?.at, "it came after the second request")?;
        let What::Wake { request } = third.what else { return Err("it is no wake".into()) };
        run.first(ACCEPTOR, SERVER, "word on the second connection", |packet| {
            packet.tcp() == syn.tcp()
                && packet.at >= arrival(up)
                && packet.what == What::Fetch { request }
        })?;
        Ok(())
    },
    spoils: SYN_SPOILS,
};

/// The acceptor receives the second request there.
pub static RECEIVES_SECOND_OVER_TCP: Element = Element {
    id: "acceptor/receives-second-request-over-second-tcp",
    says: "it receives the second connection request from the server over the second TCP \
           connection",
    check: |run| {
        let (syn, second) = (run.second_syn()?, run.second_request()?);
        must(second.tcp() == syn.tcp(), "it came another way")?;
        must(second.at >= arrival(run.syn_ack(syn)?), "the connection did not stand yet")?;
        must(second.source == run.story.server, "it did not come from the server")?;
        must(run.first_request()?.at < second.at, "nobody had asked yet")
    },
    spoils: &[
        Spoil("it is missing", |run| remove(run, is_notify)),
        Spoil("it comes in a datagram", |run| {
            edit(run, is_notify, |packet| packet.via = Via::Udp);
        }),
        Spoil("it comes before the connection", |run| hasten(run, is_notify)),
        Spoil("it comes from elsewhere", |run| {
            edit(run, is_notify, |packet| packet.source.set_port(1));
        }),
        Spoil("nobody had asked", |run| remove(run, is_connect)),
    ],
};
