//! How many instructions something takes and how deep its stack goes, and what it may take.
//!
//! Under `-icount shift=6` QEMU's clock moves on by 64 ns with each instruction, and the board's 25 MHz timer
//! by a tick each 40 ns: eight ticks are five instructions. Instructions, not cycles.
//!
//! For the depth the memory below the stack is painted before and looked at afterwards.

use core::arch::asm;
use core::sync::atomic::{Ordering, compiler_fence};

use semihosting::println;

/// The board's CMSDK timer 0: control, value, reload.
const TIMER: [*mut u32; 3] =
    [0x4000_0000 as *mut u32, 0x4000_0004 as *mut u32, 0x4000_0008 as *mut u32];
/// Instructions, and the timer's ticks that they take.
const INSTRUCTIONS: u64 = 5;
const TICKS: u64 = 8;
/// How many bytes below the stack are painted: nothing that is counted goes so deep.
const PAINTED: usize = 16 << 10;
const PAINT: u32 = 0x7a69_7a69;

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
    /// Bytes of the deepest stack.
    depth: usize,
}

impl Count {
    /// Counts this, too. Nothing of it may be moved out of here.
    #[inline(never)]
    pub fn of(&mut self, step: &mut dyn FnMut()) {
        let end = paint();
        compiler_fence(Ordering::SeqCst);
        let before = ticks();
        compiler_fence(Ordering::SeqCst);
        step();
        compiler_fence(Ordering::SeqCst);
        self.ticks += u64::from(before.wrapping_sub(ticks()));
        self.steps += 1;
        self.depth = self.depth.max(depth(end));
    }

    /// Both together.
    pub const fn and(self, other: Self) -> Self {
        Self {
            ticks: self.ticks + other.ticks,
            steps: self.steps + other.steps,
            depth: if self.depth > other.depth { self.depth } else { other.depth },
        }
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

    /// One line: what one of so many alike takes, and may take; and how deep the deepest went.
    pub fn row(&mut self, name: &str, count: Count, alike: u64, budget: u64) {
        assert!(alike > 0, "{name}: a row of nothing would cost nothing");
        let measured = self.instructions(count) / alike;
        let verdict = if measured > budget { "  exceeded" } else { "" };
        self.exceeded += u32::from(measured > budget);
        println!("{:<44} {:>10} {:>10} {:>7}{}", name, measured, budget, count.depth, verdict);
    }

    /// So deep it may go, and no deeper.
    pub fn hold(&mut self, name: &str, count: Count, bytes: usize) {
        assert!(count.depth > 0, "{name}: whatever is done takes some stack");
        if count.depth > bytes {
            println!("{}: {} bytes of stack, and may take {}", name, count.depth, bytes);
            self.exceeded += 1;
        }
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

/// Paints what is below the stack; where that ends.
#[inline(always)]
fn paint() -> usize {
    let end: usize;
    // SAFETY: what is written lies below the stack, where nobody keeps anything: there are no interrupts.
    unsafe {
        asm!(
            "mov {end}, sp",
            "sub {at}, {end}, {painted}",
            "2:",
            "str {paint}, [{at}], #4",
            "cmp {at}, {end}",
            "blo 2b",
            end = out(reg) end,
            at = out(reg) _,
            painted = in(reg) PAINTED,
            paint = in(reg) PAINT,
        );
    }
    end
}

/// How many bytes below `end` are not as they were painted.
#[inline(always)]
fn depth(end: usize) -> usize {
    let mut at = end - PAINTED;
    // SAFETY: the stack and what is below it are memory of this board.
    while at < end && unsafe { (at as *const u32).read_volatile() } == PAINT {
        at += 4;
    }
    assert!(at > end - PAINTED, "deeper than what was painted");
    end - at
}
