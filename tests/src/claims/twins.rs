//! Negative twins: each behaviour with one of its elements taken away, and what fails then.

use genkan_core::{AcceptorEvent, IssuerEvent};

use super::run::{ACCEPTOR, Held, ISSUER, Run, SERVER, is_connect, is_notify, is_wake, must};
use super::sabotage as lost;
use super::scenario::{Behaviour, Sabotage, Setting, Stage};
use crate::story::What;

/// A behaviour without one of its elements.
#[derive(Debug)]
pub struct Twin {
    /// The behaviour.
    pub behaviour: Behaviour,
    /// What is taken away.
    pub without: &'static str,
    /// Changes the setting.
    pub set: fn(&mut Setting),
    /// What is done to what travels.
    pub sabotage: Option<Sabotage>,
    /// The element that must fail, by its id.
    pub breaks: &'static str,
    /// What can be seen instead.
    pub shows: fn(&Run) -> Held,
}

impl Twin {
    /// Plays it. Counter-runs are taken from the behaviour's own run.
    #[must_use]
    pub fn play(&self, good: &Run) -> Run {
        let mut setting = Setting::of(self.behaviour);
        (self.set)(&mut setting);
        let story = Stage::new(setting).play(self.sabotage);
        Run { story, record: good.record.filter(|_| setting.stored), ..good.clone() }
    }

    /// The claim with all elements of the behaviour: that of the whole system.
    #[must_use]
    pub const fn claim(&self) -> u16 {
        match self.behaviour {
            ConnectionRequest => 12,
            WakeThenStream => 13,
            PasswordGate => 14,
            CertifiedKeyExchange => 15,
        }
    }
}

const fn twin(
    behaviour: Behaviour,
    without: &'static str,
    sabotage: Sabotage,
    breaks: &'static str,
    shows: fn(&Run) -> Held,
) -> Twin {
    Twin { behaviour, without, set: |_| (), sabotage: Some(sabotage), breaks, shows }
}

const fn setting(
    behaviour: Behaviour,
    without: &'static str,
    set: fn(&mut Setting),
    breaks: &'static str,
    shows: fn(&Run) -> Held,
) -> Twin {
    Twin { behaviour, without, set, sabotage: None, breaks, shows }
}

use Behaviour::{CertifiedKeyExchange, ConnectionRequest, PasswordGate, WakeThenStream};

/// All twins.
pub static TWINS: &[Twin] = &[
    twin(
        ConnectionRequest,
        "registrations",
        lost::lose_registrations,
        "server/stores-registration",
        |run| {
            let listed = run.story.listed.iter().any(|entry| entry.id == run.story.id(ACCEPTOR));
            must(!listed, "the acceptor is on the list")?;
            nothing_passed_on(run)?;
            refused(run)
        },
    ),
    twin(
        ConnectionRequest,
        "first TCP start signal",
        lost::lose_first_syn,
        "server/receives-first-tcp-start",
        |run| {
            let asked = run.story.packets.iter().any(is_connect);
            must(!asked, "a request has left")?;
            nothing_passed_on(run)
        },
    ),
    twin(
        ConnectionRequest,
        "first connection request",
        lost::lose_first_request,
        "server/receives-first-request",
        nothing_passed_on,
    ),
    setting(
        ConnectionRequest,
        "an equipment with the requested ID",
        |setting| setting.stranger = true,
        "server/identifies-acceptor",
        |run| {
            nothing_passed_on(run)?;
            refused(run)
        },
    ),
    twin(
        ConnectionRequest,
        "second connection request",
        lost::lose_second_request,
        "server/sends-second-request",
        no_contact,
    ),
    twin(
        ConnectionRequest,
        "the way to the issuer's address",
        lost::lose_call_back,
        "acceptor/sends-communication-request",
        never_accepted,
    ),
    twin(
        ConnectionRequest,
        "communication request",
        lost::lose_communication_request,
        "issuer/accepts",
        |run| {
            never_accepted(run)?;
            never_started(run)
        },
    ),
    twin(
        ConnectionRequest,
        "the issuer's acceptance",
        lost::lose_acceptance,
        "acceptor/starts-communication",
        never_started,
    ),
    twin(
        WakeThenStream,
        "registrations",
        lost::lose_registrations,
        "acceptor/receives-third-request",
        |run| {
            nothing_passed_on(run)?;
            refused(run)
        },
    ),
    twin(
        WakeThenStream,
        "third connection request",
        lost::lose_third_request,
        "server/sends-third-request",
        |run| {
            let mut ours = run.story.between(ACCEPTOR, SERVER);
            must(!ours.any(|packet| packet.what == What::Syn), "a second TCP was opened")?;
            no_second_request(run)?;
            refused(run)
        },
    ),
    twin(
        WakeThenStream,
        "second TCP start signal",
        lost::lose_second_syn,
        "server/receives-second-tcp-start",
        |run| {
            no_second_request(run)?;
            refused(run)
        },
    ),
    twin(
        WakeThenStream,
        "the acceptor's word on the second TCP connection",
        lost::lose_fetch,
        "acceptor/sends-second-tcp-start",
        |run| {
            no_second_request(run)?;
            refused(run)
        },
    ),
    twin(
        WakeThenStream,
        "second connection request on the second TCP connection",
        lost::lose_second_request,
        "server/sends-second-request-over-second-tcp",
        no_contact,
    ),
    setting(
        PasswordGate,
        "the right password in the first request",
        |setting| setting.given = Some([0x13; 32]),
        "acceptor/only-with-password",
        no_contact,
    ),
    setting(
        PasswordGate,
        "any password in the first request",
        |setting| setting.given = None,
        "both/password-in-first-request",
        no_contact,
    ),
    setting(
        PasswordGate,
        "a stored password",
        |setting| setting.stored = false,
        "acceptor/stores-password",
        no_contact,
    ),
    twin(
        PasswordGate,
        "the second request as the server made it",
        lost::tamper_second_request,
        "server/passes-password-on",
        no_contact,
    ),
    twin(
        CertifiedKeyExchange,
        "a valid certificate on the first TCP connection",
        lost::forge_first,
        "first/certificate",
        |run| {
            no_info_on_streams(run, ISSUER)?;
            nothing_passed_on(run)?;
            failed(run)
        },
    ),
    twin(
        CertifiedKeyExchange,
        "certificate on the first TCP connection",
        lost::lose_first_certificate,
        "first/certificate",
        |run| {
            no_info_on_streams(run, ISSUER)?;
            nothing_passed_on(run)
        },
    ),
    twin(
        CertifiedKeyExchange,
        "first key generation information",
        lost::tamper_first_info,
        "first/key-information-up",
        |run| {
            no_request_left(run)?;
            nothing_passed_on(run)
        },
    ),
    twin(
        CertifiedKeyExchange,
        "second key generation information",
        lost::tamper_second_info,
        "first/key-information-down",
        |run| {
            no_request_left(run)?;
            nothing_passed_on(run)
        },
    ),
    twin(
        CertifiedKeyExchange,
        "first request as it was encrypted",
        lost::tamper_first_request,
        "server/decrypts-first-request",
        nothing_passed_on,
    ),
    twin(
        CertifiedKeyExchange,
        "a valid certificate on the second TCP connection",
        lost::forge_second,
        "second/certificate",
        |run| {
            no_info_on_streams(run, ACCEPTOR)?;
            no_second_request(run)?;
            refused(run)
        },
    ),
    twin(
        CertifiedKeyExchange,
        "certificate on the second TCP connection",
        lost::lose_second_certificate,
        "second/certificate",
        |run| {
            no_info_on_streams(run, ACCEPTOR)?;
            no_second_request(run)
        },
    ),
    twin(
        CertifiedKeyExchange,
        "third key generation information",
        lost::tamper_third_info,
        "second/key-information-up",
        no_second_request,
    ),
    twin(
        CertifiedKeyExchange,
        "fourth key generation information",
        lost::tamper_fourth_info,
        "second/key-information-down",
        no_second_request,
    ),
    twin(
        CertifiedKeyExchange,
        "second request as it was encrypted",
        lost::tamper_second_request,
        "acceptor/decrypts-second-request",
        no_contact,
    ),
];

/// The server has sent nobody a second or third connection request.
fn nothing_passed_on(run: &Run) -> Held {
    let mut sent = run.story.packets.iter().filter(|packet| packet.from == SERVER);
    must(!sent.any(|packet| is_notify(packet) || is_wake(packet)), "something was passed on")?;
    no_contact(run)
}

/// The acceptor may have been woken, but the second connection request has not left.
fn no_second_request(run: &Run) -> Held {
    must(!run.story.packets.iter().any(is_notify), "a second connection request has left")?;
    no_contact(run)
}

/// The acceptor has sent the issuer nothing at all, not even a SYN.
fn no_contact(run: &Run) -> Held {
    let none = run.story.between(ACCEPTOR, ISSUER).next().is_none();
    must(none, "the acceptor has contacted the issuer")?;
    never_accepted(run)?;
    never_started(run)
}

fn never_accepted(run: &Run) -> Held {
    must(run.issuer_connected().is_err(), "the issuer has a connection")
}

fn never_started(run: &Run) -> Held {
    let mut told = run.story.acceptor_told(ACCEPTOR);
    let started = told.any(|(_, event)| matches!(event, AcceptorEvent::Connected { .. }));
    must(!started, "the acceptor has a connection")?;
    let mut sent = run.story.between(ACCEPTOR, ISSUER);
    let spoke = sent.any(|packet| matches!(packet.what, What::Payload(_) | What::Peer(_)));
    must(!spoke, "the acceptor has spoken")
}

fn refused(run: &Run) -> Held {
    let mut told = run.story.issuer_told(ISSUER);
    let refused = told.any(|(_, event)| matches!(event, IssuerEvent::Refused { .. }));
    must(refused, "the issuer was not refused")
}

fn failed(run: &Run) -> Held {
    let mut told = run.story.issuer_told(ISSUER);
    let failed = told.any(|(_, event)| matches!(event, IssuerEvent::Failed { .. }));
    must(failed, "the issuer was not told that it failed")
}

fn no_info_on_streams(run: &Run, client: &'static str) -> Held {
    let mut sent = run.story.between(client, SERVER).filter(|packet| packet.tcp().is_some());
    let left = sent.any(|packet| matches!(packet.what, What::Initiation(_)));
    must(!left, "key generation information has left")
}

fn no_request_left(run: &Run) -> Held {
    must(!run.story.packets.iter().any(is_connect), "a request has left")
}
