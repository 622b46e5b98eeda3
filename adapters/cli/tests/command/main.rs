//! The command as a user runs it: started as a process, judged by what it prints and how it ends.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod key;
#[cfg(test)]
mod sim;
mod start;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tunnel;
