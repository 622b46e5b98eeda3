//! `genkan completions`: scripts for the shells, made from the command line's own definition.

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Outcome;
use crate::output::Output;

/// Print the completion script of a shell
///
/// bash: genkan completions bash > ~/.local/share/bash-completion/completions/genkan
/// zsh:  genkan completions zsh > ~/.zfunc/_genkan   (with ~/.zfunc in $fpath)
/// fish: genkan completions fish > ~/.config/fish/completions/genkan.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The shell
    shell: Supported,
}

/// The shells whose scripts are tested.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Supported {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(args: &Args, output: &Output) -> Outcome {
    let shell = match args.shell {
        Supported::Bash => Shell::Bash,
        Supported::Zsh => Shell::Zsh,
        Supported::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "genkan", &mut script);
    output.raw(&script);
    Ok(())
}
