//! An image that was linked with `--emit-relocs`: its code and constants, and whose they are.

use std::collections::BTreeMap;
use std::path::Path;

use addr2line::Context;
use addr2line::gimli::{Dwarf, EndianSlice, RunTimeEndian};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionFlags, SectionKind};

type Reader<'d> = EndianSlice<'d, RunTimeEndian>;

/// Where what is not found in any source line is booked.
pub(crate) const UNKNOWN: &str = "(no line)";

/// The program that uses the acceptor: no part of what is measured.
pub(crate) const PROBE: &str = "(probe)";

/// A function or constant of the image.
#[derive(Clone, Debug)]
pub(crate) struct Symbol {
    pub(crate) name: String,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) is_code: bool,
}

/// One source line that an instruction stands for; the innermost of an inline chain comes first.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The crate whose source it is.
    pub(crate) owner: String,
    /// The file within that crate.
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// A place of the image that holds another one's address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

pub(crate) struct Image<'d> {
    context: Context<Reader<'d>>,
    /// Code and constants by address, none within another.
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) references: Vec<Reference>,
    /// What is loaded: code, constants, and variables that do not begin as zero.
    pub(crate) flash: u64,
    /// What the probe tells of types.
    pub(crate) sizes: BTreeMap<String, u64>,
    /// The repository's root, to tell its own crates by.
    root: &'d Path,
}

impl<'d> Image<'d> {
    pub(crate) fn read(data: &'d [u8], root: &'d Path) -> Result<Self, String> {
        let file = object::File::parse(data).map_err(|error| error.to_string())?;
        let endian =
            if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let section = |id: addr2line::gimli::SectionId| -> Result<Reader<'d>, object::Error> {
            let found = file.section_by_name(id.name());
            let bytes = found.map(|section| section.data()).transpose()?.unwrap_or_default();
            Ok(EndianSlice::new(bytes, endian))
        };
        let dwarf = Dwarf::load(section).map_err(|error| error.to_string())?;
        let context = Context::from_dwarf(dwarf).map_err(|error| error.to_string())?;
        let loaded = file.sections().filter(is_loaded);
        let flash = loaded.map(|section| section.size()).sum();
        Ok(Self {
            context,
            symbols: symbols(&file),
            references: references(&file),
            flash,
            sizes: sizes(&file)?,
            root,
        })
    }

    /// The symbol that an address lies in.
    pub(crate) fn symbol(&self, address: u64) -> Option<&Symbol> {
        let after = self.symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = self.symbols.get(after.checked_sub(1)?)?;
        (address < symbol.address + symbol.size).then_some(symbol)
    }

    /// The inline chain of an instruction, innermost first.
    pub(crate) fn lines(&self, address: u64) -> Vec<Line> {
        let mut lines = Vec::new();
        let Ok(mut frames) = self.context.find_frames(address).skip_all_loads() else {
            return lines;
        };
        while let Ok(Some(frame)) = frames.next() {
            let Some(location) = frame.location else { continue };
            let Some(file) = location.file else { continue };
            let (owner, file) = owner(Path::new(file), self.root);
            lines.push(Line { owner, file, line: location.line.unwrap_or(0) });
        }
        lines
    }
}

/// Crates that no source chooses to use: their code belongs to whoever it was inlined into.
pub(crate) fn is_language(owner: &str) -> bool {
    matches!(owner, "core" | "compiler-builtins")
}

/// The crate and the file within it.
fn owner(file: &Path, root: &Path) -> (String, String) {
    if let Ok(inside) = file.strip_prefix(root) {
        let text = inside.to_string_lossy().into_owned();
        return match text.split_once('/') {
            Some(("core", rest)) => ("genkan-core".into(), rest.into()),
            _ => (PROBE.into(), text),
        };
    }
    let text = file.to_string_lossy();
    if let Some((_, rest)) = text.split_once("/registry/src/")
        && let [_, package, inside] = rest.splitn(3, '/').collect::<Vec<_>>()[..]
    {
        let name = package.rsplit_once('-').map_or(package, |(name, _version)| name);
        return (name.into(), inside.into());
    }
    // The language's sources: of this compiler, or of the one that made its parts.
    if let Some((_, rest)) = text.rsplit_once("/library/")
        && let Some((name, inside)) = rest.split_once('/')
    {
        return (name.into(), inside.into());
    }
    (UNKNOWN.into(), text.into_owned())
}

/// Whether a section takes flash.
fn is_loaded(section: &object::Section<'_, '_>) -> bool {
    let allocated = match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(object::elf::SHF_ALLOC),
        _ => false,
    };
    let zero = section.kind() == SectionKind::UninitializedData;
    allocated && !zero && section.name() != Ok(".sizes")
}

fn symbols(file: &object::File<'_>) -> Vec<Symbol> {
    let mut all = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.size() > 0) {
        let Some(index) = symbol.section_index() else { continue };
        let Ok(section) = file.section_by_index(index) else { continue };
        if !is_loaded(&section) {
            continue;
        }
        let is_code = section.kind() == SectionKind::Text;
        let name = symbol.name().unwrap_or_default();
        let name = format!("{:#}", rustc_demangle::demangle(name));
        // Thumb code has the lowest bit set in its symbols.
        let address = if is_code { symbol.address() & !1 } else { symbol.address() };
        all.insert(address, Symbol { name, address, size: symbol.size(), is_code });
    }
    all.into_values().collect()
}

fn references(file: &object::File<'_>) -> Vec<Reference> {
    let mut all = Vec::new();
    for section in file.sections().filter(is_loaded) {
        for (from, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let Ok(symbol) = file.symbol_by_index(index) else { continue };
            let is_code = symbol
                .section_index()
                .and_then(|index| file.section_by_index(index).ok())
                .is_some_and(|section| section.kind() == SectionKind::Text);
            let to = if is_code { symbol.address() & !1 } else { symbol.address() };
            all.push(Reference { from, to });
        }
    }
    all
}

fn sizes(file: &object::File<'_>) -> Result<BTreeMap<String, u64>, String> {
    let section = file.section_by_name(".sizes").ok_or("the image tells no sizes")?;
    let bytes = section.data().map_err(|error| error.to_string())?;
    let mut all = BTreeMap::new();
    for symbol in file.symbols() {
        let Some(name) = symbol.name().ok().and_then(|name| name.strip_prefix("SIZE_")) else {
            continue;
        };
        let at = usize::try_from(symbol.address() - section.address()).unwrap_or(usize::MAX);
        let value = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
        all.insert(
            name.to_lowercase().replace('_', "-"),
            u32::from_le_bytes(*value.ok_or("a size is cut off")?).into(),
        );
    }
    Ok(all)
}
