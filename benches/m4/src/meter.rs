//! How many instructions something takes, and what it may take.
//!
//! Under `-icount shift=6` QEMU's clock moves on by 64 ns with each instruction, and the board's 25 MHz timer
//! by a tick each 40 ns: eight ticks are five instructions. Instructions, not cycles.

use core::arch::asm;
use core::sync::atomic::{Ordering, compiler_fence};

use semihosting::println;

/// The board's CMSDK timer 0: control, value, reload.
const TIMER: [*mut u32; 3] =
    [0x4000_0000 as *mut u32, 0x4000_0004 as *mut u32, 0x4000_0008 as *mut u32];
/// Instructions, and the timer's ticks that they take.
const INSTRUCTIONS: u64 = 5;
const TICKS: u64 = 8;

fn ticks() -> u32 {
    let [_, value, _] = TIMER;
    // SAFETY: the register is there on this board, and reading it changes nothing.
    unsafe { value.read_volatile() }
}

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    ticks: u64,
    steps: u64,
}

impl Count {
    /// Counts this, too. Nothing of it may be moved out of here.
    #[inline(never)]
    pub fn of(&mut self, step: &mut dyn FnMut()) {
        let before = ticks();
        compiler_fence(Ordering::SeqCst);
        step();
        compiler_fence(Ordering::SeqCst);
        self.ticks += u64::from(before.wrapping_sub(ticks()));
        self.steps += 1;
    }

    /// Both together.
    pub const fn and(self, other: Self) -> Self {
        Self { ticks: self.ticks + other.ticks, steps: self.steps + other.steps }
    }
}

/// Prints what was counted, and remembers whether it was too much.
#[derive(Debug)]
pub struct Table {
    /// A thousand times nothing.
    nothing: Count,
    exceeded: u32,
}

impl Table {
    /// Starts the timer. `None`: it does not count instructions, because it finds another length of a
    /// loop whose length is known.
    pub fn start() -> Option<Self> {
        let [control, value, reload] = TIMER;
        // SAFETY: the registers are there on this board, and nothing else uses the timer.
        unsafe {
            reload.write_volatile(u32::MAX);
            value.write_volatile(u32::MAX);
            control.write_volatile(1);
        }
        let mut nothing = Count::default();
        for _ in 0..1_000 {
            nothing.of(&mut || ());
        }
        let table = Self { nothing, exceeded: 0 };
        let loops = [1_000, 101_000].map(|rounds| {
            let mut count = Count::default();
            count.of(&mut || spin(rounds));
            table.instructions(count)
        });
        println!("loops of 2,000 and 202,000 instructions: {} and {}", loops[0], loops[1]);
        (loops[1].abs_diff(loops[0] + 200_000) <= 2).then_some(table)
    }

    /// Instructions, without what counting itself costs.
    pub fn instructions(&self, count: Count) -> u64 {
        let nothing = self.nothing.ticks * count.steps / self.nothing.steps;
        count.ticks.saturating_sub(nothing) * INSTRUCTIONS / TICKS
    }

    /// One line: what one of so many alike takes, and may take.
    pub fn row(&mut self, name: &str, count: Count, alike: u64, budget: u64) {
        assert!(alike > 0, "{name}: a row of nothing would cost nothing");
        let measured = self.instructions(count) / alike;
        let verdict = if measured > budget { "  exceeded" } else { "" };
        self.exceeded += u32::from(measured > budget);
        println!("{:<44} {:>10} {:>10}{}", name, measured, budget, verdict);
    }

    /// Whether every budget was kept.
    pub fn is_green(&self) -> bool {
        if self.exceeded > 0 {
            println!("{} above budget", self.exceeded);
        }
        self.exceeded == 0
    }
}

/// Two instructions a round.
fn spin(rounds: u32) {
    // SAFETY: it changes a register of its own and flags.
    unsafe {
        asm!("2:", "subs {0}, {0}, #1", "bne 2b", inout(reg) rounds => _, options(nomem, nostack));
    }
}
