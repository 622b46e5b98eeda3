//! Each line is drawn, at its time, between its lanes, and nothing in it breaks the picture.

use core::time::Duration;

use super::draw;
use crate::net::Unroutable;
use crate::packet::Via;
use crate::see::open::Opener;
use crate::transcript::{Entry, Fate, Line, Note, Origin};

fn packet(at: u64, from: &str, to: &str, fate: Fate) -> Line {
    Line::Packet(Entry {
        at: Duration::from_millis(at),
        from: from.into(),
        to: to.into(),
        via: Via::Udp,
        source: "192.0.2.1:1".parse().unwrap(),
        destination: "192.0.2.2:2".parse().unwrap(),
        hop_limit: None,
        bytes: vec![0x44; 28],
        kind: genkan_core::wire::Kind::of(&[0x44]).ok(),
        origin: Origin::Sender,
        fate,
    })
}

fn note(at: u64, host: &str, text: &str) -> Line {
    Line::Note(Note { at: Duration::from_millis(at), host: host.into(), text: text.into() })
}

fn delivered(at: u64) -> Fate {
    Fate::Delivered(Duration::from_millis(at))
}

fn drawn(lines: &[Line]) -> String {
    draw(lines, &Opener::default(), 0..usize::MAX)
}

/// The corners of all arrows: begin and end.
fn arrows(svg: &str) -> Vec<[(f64, f64); 2]> {
    let arrow = |path: &str| {
        let mut numbers = path.split(['M', 'L', ' ']).filter_map(|word| word.parse().ok());
        let mut next = || numbers.next().unwrap();
        [(next(), next()), (next(), next())]
    };
    svg.lines()
        .filter(|line| line.contains("class=\"arrow"))
        .map(|line| arrow(line.split("d=\"").nth(1).unwrap().split('"').next().unwrap()))
        .collect()
}

/// The x of each lane, by name, from the names above the lanes.
fn lane(svg: &str, name: &str) -> f64 {
    let end = format!(">{name}</text>");
    let text = svg.lines().find(|line| line.contains("\"name\"") && line.ends_with(&end)).unwrap();
    text.split("x=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
}

#[test]
fn lanes_stand_in_order_of_appearance_and_arrows_end_below_where_they_begin() {
    let svg = drawn(&[
        packet(0, "lamp", "server", delivered(20)),
        packet(20, "server", "phone", delivered(60)),
    ]);
    assert!(lane(&svg, "lamp") < lane(&svg, "server"));
    assert!(lane(&svg, "server") < lane(&svg, "phone"));
    let arrows = arrows(&svg);
    let [begin, end] = arrows[0];
    assert!((begin.0 - lane(&svg, "lamp")).abs() < 0.1);
    assert!((end.0 - lane(&svg, "server")).abs() < 10.0);
    assert!(end.1 > begin.1, "it took time");
    assert!((arrows[1][0].1 - end.1).abs() < 0.1, "what is sent on arrival begins there");
    assert_eq!(svg.matches("class=\"head").count(), 2);
    assert!(!svg.contains("class=\"cross"));
}

#[test]
fn what_is_lost_ends_on_the_way_and_what_a_nat_drops_at_the_nat() {
    let svg = drawn(&[
        packet(0, "lamp", "server", Fate::Lost),
        packet(1, "server", "nat1", Fate::Unroutable(Unroutable::Nat)),
        packet(2, "server", "192.0.2.9:7", Fate::Unroutable(Unroutable::NoRoute)),
    ]);
    assert_eq!(svg.matches("class=\"cross").count(), 3);
    assert_eq!(svg.matches("class=\"head").count(), 0);
    let ends: Vec<f64> = arrows(&svg).iter().map(|[_, end]| end.0).collect();
    assert!(ends[0] > lane(&svg, "lamp") && ends[0] < lane(&svg, "server") - 50.0);
    assert!((ends[1] - lane(&svg, "nat1")).abs() < 0.1);
    assert!(ends[2] < lane(&svg, "elsewhere") - 50.0);
    assert!(svg.contains("(lost)") && svg.contains("(dropped by a NAT)"));
}

/// Where each label's baseline has its middle.
fn labels(svg: &str) -> Vec<(f64, f64)> {
    let labels = svg.lines().filter(|line| line.contains("class=\"label"));
    let place = |line: &str| {
        let place = line.split("translate(").nth(1).unwrap().split(')').next().unwrap();
        let (x, y) = place.split_once(' ').unwrap();
        (x.parse().unwrap(), y.parse::<f64>().unwrap() - 4.0)
    };
    labels.map(place).collect()
}

#[test]
fn no_label_is_struck_through_by_the_arrow_that_it_answers_or_by_a_lane() {
    for lanes in 2..9 {
        let name = |number: usize| format!("lamp{number}");
        let mut lines: Vec<Line> = (0..lanes).map(|number| note(0, &name(number), "on")).collect();
        let last = name(lanes - 1);
        lines.push(packet(500, &last, "lamp0", delivered(520)));
        lines.push(packet(520, "lamp0", &last, delivered(540)));
        lines.push(packet(540, &last, "lamp0", Fate::Lost));
        let svg = drawn(&lines);
        let (labels, arrows) = (labels(&svg), arrows(&svg));
        assert_eq!((labels.len(), arrows.len()), (3, 3));
        for (number, &(x, y)) in labels.iter().enumerate() {
            for lane in (0..lanes).map(|number| lane(&svg, &name(number))) {
                assert!((x - lane).abs() > 50.0, "{lanes} lanes: a label at a lane");
            }
            let Some([begin, end]) = number.checked_sub(1).map(|before| arrows[before]) else {
                continue;
            };
            // Letters are 8 pixels high.
            let above = begin.1 + (end.1 - begin.1) * (x - begin.0) / (end.0 - begin.0);
            assert!(y - 8.0 > above, "{lanes} lanes: label {number} at {y}, arrow at {above}");
        }
    }
}

#[test]
fn packets_that_go_together_arrive_side_by_side() {
    let svg = drawn(&[
        packet(0, "lamp", "server", delivered(20)),
        packet(0, "lamp", "server", delivered(20)),
        note(20, "server", "got both"),
    ]);
    let [[_, first], [_, second]] = arrows(&svg)[..] else { panic!("two arrows") };
    assert!(second.1 > first.1 + 10.0);
    let mark = svg.lines().find(|line| line.contains("note-mark\"")).unwrap();
    let y: f64 = mark.split(' ').nth(3).unwrap().split('L').next().unwrap().parse().unwrap();
    assert!(y > second.1, "what follows stands below: {y} {second:?}");
}

#[test]
fn a_long_silence_is_one_gap_with_its_length_and_takes_no_more_room_for_being_longer() {
    let height = |svg: &str| -> f64 {
        svg.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let after = |at| drawn(&[note(0, "lamp", "a"), note(at, "lamp", "b")]);
    assert!(!after(500).contains("later"));
    assert!(after(20_000).contains("20.0 s later"));
    assert!(after(86_400_000).contains("24.0 h later"));
    assert_eq!(height(&after(20_000)), height(&after(86_400_000)));
}

#[test]
fn lines_before_and_after_what_is_drawn_are_counted() {
    let lines: Vec<Line> = (0..50).map(|at| note(at, "lamp", "tick")).collect();
    let part = |shown| draw(&lines, &Opener::default(), shown);
    let first = part(0..20);
    assert_eq!(first.matches("class=\"note\"").count(), 20);
    assert!(first.contains("… 30 more") && !first.contains("before<"));
    let last = part(45..50);
    assert_eq!(last.matches("class=\"note\"").count(), 5);
    assert!(last.contains("… 45 before") && !last.contains("more<"));
    assert!(last.contains(">0.049<") && !last.contains(">0.044<"), "the last ones");
    assert!(!drawn(&lines).contains("more<"));
    for nothing in [70..90, 60..63, 5..5] {
        assert!(part(nothing).contains("<svg"));
    }
    assert!(draw(&[], &Opener::default(), 0..5).contains("<svg"));
}

#[test]
fn no_text_breaks_out_of_its_element() {
    let svg = drawn(&[
        note(0, "a<b>&\"c", "<script>&\u{1}\u{ffff}]]>"),
        packet(1, "a<b>&\"c", "x", Fate::Cut),
    ]);
    assert!(!svg.contains("<script") && !svg.contains('\u{1}') && !svg.contains("a<b"));
    assert!(svg.contains("&lt;script&gt;&amp;") && svg.contains("a&lt;b&gt;&amp;&quot;c"));
}
