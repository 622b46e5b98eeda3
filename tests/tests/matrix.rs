//! How often pairs of NATs meet: a small matrix.

use core::num::NonZeroUsize;
use core::time::Duration;

use genkan_sim::matrix::{KINDS, Kind, Lab, RFC6081, cell};

fn table(kinds: &[Kind], rate: f64, loss: f64, n: u64) {
    println!("λ={rate} loss={loss}");
    print!("{:8}", "");
    for kind in kinds {
        print!("{:>15}", kind.name);
    }
    println!();
    let mut good = 0;
    for a in kinds {
        print!("{:8}", a.name);
        for b in kinds {
            if !a.has_room(rate) || !b.has_room(rate) {
                print!("{:>15}", "full");
                continue;
            }
            let mut lab = Lab::new(a.config(rate), b.config(rate));
            lab.loss = loss;
            lab.jitter = Duration::from_millis(3);
            let cell = cell(&lab, 0..n, NonZeroUsize::new(2).unwrap());
            good += usize::from(cell.rate() >= 0.99);
            print!(
                "{:>15}",
                format!(
                    "{:.1}/{}/{}",
                    cell.rate() * 100.0,
                    cell.packets(0.5).unwrap_or(0),
                    cell.took(0.5).map_or(0, |t| t.as_millis())
                )
            );
        }
        println!();
    }
    println!("{good} cells at 99 %");
}

#[test]
fn tables() {
    let n = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(100);
    table(&RFC6081, 0.0, 0.0, n);
    table(&RFC6081, 5.0, 0.02, n);
    for (rate, loss) in [(0.0, 0.0), (5.0, 0.02), (50.0, 0.0), (200.0, 0.05)] {
        table(&KINDS, rate, loss, n);
    }
}
