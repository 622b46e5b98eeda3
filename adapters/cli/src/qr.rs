//! QR codes in a terminal.
//!
//! Bech32 in capitals is the QR code's "alphanumeric" mode, which needs a quarter fewer modules.
//! Half blocks put two modules into one character, so the code is about square, with the quiet zone
//! that readers need. Light modules are ink. With colours, ink is white on black whatever the
//! terminal's own are; without, a terminal with dark ink wants the inverted code.

use anstyle::{Ansi256Color, Color, Style};
use qrcode::{Color as Module, EcLevel, QrCode};

use crate::exit::Failure;

/// Modules of quiet zone on each side.
const QUIET: usize = 4;

/// White and black, of the 256 colours that no theme changes.
const WHITE: Color = Color::Ansi256(Ansi256Color(231));
const BLACK: Color = Color::Ansi256(Ansi256Color(16));

/// `text` as a code in fixed colours, where there are colours.
pub(crate) fn painted(text: &str, inverted: bool) -> Result<String, Failure> {
    let (ink, ground) = if inverted { (BLACK, WHITE) } else { (WHITE, BLACK) };
    let style = Style::new().fg_color(Some(ink)).bg_color(Some(ground));
    let code = half_blocks(text, inverted)?;
    Ok(code.lines().map(|line| format!("{style}{line}{style:#}\n")).collect())
}

/// `text` as lines of half blocks. With `inverted`, for terminals with dark text on light ground.
pub(crate) fn half_blocks(text: &str, inverted: bool) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(text.to_uppercase(), EcLevel::M)
        .map_err(|error| Failure::other(format!("no QR code for this text: {error}")))?;
    let (width, colors) = (code.width(), code.to_colors());
    let dark = |x: usize, y: usize| {
        let module = |x: usize, y: usize| colors.get(y * width + x) == Some(&Module::Dark);
        let (x, y) = (x.wrapping_sub(QUIET), y.wrapping_sub(QUIET));
        x < width && y < width && module(x, y)
    };
    let side = width + 2 * QUIET;
    let mut out = String::new();
    for y in (0..side).step_by(2) {
        for x in 0..side {
            // A set half is light ink: a light module, unless inverted. Below the last row is
            // nothing.
            let upper = dark(x, y) == inverted;
            let lower = y + 1 < side && dark(x, y + 1) == inverted;
            out.push(match (upper, lower) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a code off its half blocks, as a camera would off the screen.
    fn scan(code: &str, inverted: bool) -> String {
        const SCALE: usize = 4;
        let lines: Vec<Vec<char>> = code.lines().map(|line| line.chars().collect()).collect();
        let (width, height) = (lines[0].len(), 2 * lines.len());
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, |x, y| {
                let (x, y) = (x / SCALE, y / SCALE);
                let ink = match lines[y / 2][x] {
                    '█' => true,
                    '▀' => y.is_multiple_of(2),
                    '▄' => !y.is_multiple_of(2),
                    _ => false,
                };
                if ink == inverted { 0 } else { 255 }
            });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    #[test]
    fn a_scanned_code_gives_the_id_again() {
        for byte in 0..8 {
            let id = genkan_core::EquipmentId([byte * 31; 32]);
            for inverted in [false, true] {
                let code = half_blocks(&id.to_string(), inverted).unwrap();
                assert_eq!(scan(&code, inverted).parse(), Ok(id));
            }
        }
    }

    #[test]
    fn a_label_is_small_and_has_its_quiet_zone() {
        let id = genkan_core::EquipmentId([7; 32]).to_string();
        let code = half_blocks(&id, false).unwrap();
        let lines: Vec<&str> = code.lines().collect();
        let side = 29 + 2 * QUIET;
        assert!(lines.iter().all(|line| line.chars().count() == side), "version 3 is enough");
        assert_eq!(lines.len(), side.div_ceil(2));
        assert!(lines[..2].iter().all(|line| line.chars().all(|c| c == '█')));
        assert!(lines.iter().all(|line| line.starts_with(['█', '▀'])));
    }
}
