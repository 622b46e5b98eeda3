//! The command as a user runs it: started as a process, judged by what it prints and how it ends.

mod authority;
mod command_line;
mod key;
mod support;
