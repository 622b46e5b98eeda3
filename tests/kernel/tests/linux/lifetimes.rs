//! How long UDP mappings live, with 2 s unanswered and 5 s answered.
//!
//! The kernel has two stages, and the second begins later than one would think: only with a packet
//! that comes more than 2 s after the first, and not with the first answer.

use genkan_kernel_tests::Step::{self, Answer, Closed, Out, Reboot, Stranger};
use genkan_kernel_tests::scenario::{A, B, R, R2, S, wait};
use genkan_kernel_tests::{Namespace, Outcome, Rules, Seen, SiteSpec, Timeouts, same};
use genkan_sim::nat::{Lifetimes, presets};

/// What the presets say, in seconds, and what a namespace has that nobody has set anything in.
#[test]
fn an_untouched_kernel_has_the_lifetimes_of_the_presets() {
    let Lifetimes { udp_initial, udp_replied, tcp, .. } = presets::linux_masquerade().lifetimes;
    assert_eq!(Timeouts::default().tcp, tcp);
    assert_eq!(Timeouts::default().initial(), udp_initial);
    assert_eq!(Timeouts::default().replied(), udp_replied);
    let namespace = Namespace::new();
    for (key, expected) in [
        ("udp_timeout", udp_initial),
        ("udp_timeout_stream", udp_replied),
        ("tcp_timeout_syn_sent", tcp.syn_sent),
        ("tcp_timeout_syn_recv", tcp.syn_received),
        ("tcp_timeout_established", tcp.established),
        ("tcp_timeout_unacknowledged", tcp.unacknowledged),
        ("tcp_timeout_fin_wait", tcp.fin_wait),
        ("tcp_timeout_close_wait", tcp.close_wait),
        ("tcp_timeout_last_ack", tcp.last_ack),
        ("tcp_timeout_time_wait", tcp.time_wait),
        ("tcp_timeout_close", tcp.closed),
    ] {
        let seconds = namespace.get(&format!("net/netfilter/nf_conntrack_{key}"));
        assert_eq!(seconds, expected.as_secs().to_string(), "{key}");
    }
}

fn short(rules: Rules, steps: &[Step]) -> Outcome {
    let timeouts = Timeouts { initial: 2, replied: 5, ..Timeouts::default() };
    let outcome = same(&SiteSpec { timeouts, ..SiteSpec::new(rules) }, steps);
    let acts = |(step, _): &(&Step, Seen)| !matches!(step, Step::Wait(_) | Reboot);
    steps.iter().zip(outcome).filter(acts).map(|(_, seen)| seen).collect()
}

const IN: Seen = Seen::At(A);

#[test]
fn unanswered_it_dies_after_the_first_timeout() {
    let seen = short(Rules::Plain, &[Out(A, R), wait(2_500), Answer(R, A)]);
    assert_eq!(seen[1..], [Seen::Nothing]);
}

#[test]
fn an_answer_refreshes_but_the_first_stage_stays_within_two_seconds() {
    let steps = [Out(A, R), wait(1_500), Answer(R, A), wait(1_500), Answer(R, A)];
    assert_eq!(short(Rules::Plain, &steps)[1..], [IN, IN]);
    let steps = [Out(A, R), Answer(R, A), Out(A, R), Answer(R, A), wait(2_500), Answer(R, A)];
    assert_eq!(short(Rules::Plain, &steps)[3..], [IN, Seen::Nothing]);
}

#[test]
fn what_is_still_used_after_two_seconds_lives_longer() {
    let steps = [
        Out(A, R),
        Answer(R, A),
        wait(1_500),
        Answer(R, A),
        wait(1_000),
        Answer(R, A), // at 2.5 s: the second stage
        wait(4_000),
        Answer(R, A), // inbound packets keep it alive by themselves
        wait(4_500),
        Answer(R, A),
        wait(5_500),
        Answer(R, A),
    ];
    assert_eq!(short(Rules::Plain, &steps)[1..], [IN, IN, IN, IN, IN, Seen::Nothing]);
}

#[test]
fn the_first_answer_does_not_begin_the_second_stage() {
    let late =
        [Out(A, R), wait(1_500), Out(A, R), wait(1_500), Answer(R, A), wait(2_500), Answer(R, A)];
    assert_eq!(short(Rules::Plain, &late)[2..], [IN, Seen::Nothing]);
    let again = [
        Out(A, R),
        wait(1_500),
        Out(A, R),
        wait(1_500),
        Answer(R, A),
        Answer(R, A),
        wait(4_500),
        Answer(R, A),
    ];
    assert_eq!(short(Rules::Plain, &again)[2..], [IN, IN, IN]);
}

#[test]
fn outbound_packets_alone_keep_it_in_the_first_stage() {
    let steps = [
        Out(A, R),
        wait(1_500),
        Out(A, R),
        wait(1_500),
        Out(A, R),
        wait(1_500),
        Answer(R, A),
        wait(500),
        Out(A, R), // answered and old enough: the second stage
        wait(4_500),
        Out(A, R),
        wait(4_500),
        Answer(R, A),
    ];
    assert_eq!(short(Rules::Plain, &steps)[6..], [IN]);
    let lone =
        [Out(A, R), wait(1_500), Out(A, R), wait(1_500), Out(A, R), wait(2_500), Answer(R, A)];
    assert_eq!(short(Rules::Plain, &lone)[3..], [Seen::Nothing]);
}

#[test]
fn who_is_not_let_in_refreshes_nothing() {
    let steps = [Out(A, R), wait(1_500), Stranger(R2, A, R), wait(1_000), Answer(R, A)];
    assert_eq!(short(Rules::Plain, &steps)[1..], [Seen::Nothing, Seen::Nothing]);
}

#[test]
fn each_destination_has_a_lifetime_of_its_own() {
    let steps =
        [Out(A, R), Out(A, S), wait(1_500), Out(A, S), wait(1_000), Answer(R, A), Answer(S, A)];
    let seen = short(Rules::Plain, &steps);
    assert_eq!(seen[3..], [Seen::Nothing, IN]);
}

#[test]
fn a_dead_mapping_comes_back_with_the_kept_port_or_a_drawn_one() {
    let steps = [Out(A, R), wait(2_500), Out(A, R), Answer(R, A), Out(B, R)];
    short(Rules::Plain, &steps);
    short(Rules::Range(20_000, 39_999), &steps);
    short(Rules::FullyRandom, &steps);
    short(Rules::Sequential, &steps);
    // Its port is free for others.
    short(Rules::Plain, &[Out(A, R), wait(2_500), Out(B, R), Answer(R, B), Out(A, R)]);
}

#[test]
fn icmp_errors_do_not_end_or_answer_a_mapping() {
    let steps = [Closed(A, R), wait(1_500), Out(A, R), Answer(R, A), Out(A, S)];
    let seen = short(Rules::Plain, &steps);
    assert_eq!((seen[0], seen[2]), (Seen::Unreachable, IN));
    let steps = [Closed(A, R), Closed(A, R), wait(2_500), Out(B, R), Out(A, R)];
    short(Rules::Plain, &steps);
}

#[test]
fn a_full_cone_lives_as_long_as_its_map_entry() {
    let steps = [
        Out(A, R),
        Stranger(S, A, R),
        wait(1_200),
        Out(A, R),
        wait(1_200),
        Stranger(S, A, R),
        wait(2_500),
        Stranger(S, A, R),
    ];
    short(Rules::FullCone(2), &steps);
}
