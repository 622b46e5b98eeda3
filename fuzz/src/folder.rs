//! A folder for temporary files, gone with the thread that made it.
//!
//! A process that is killed, as fuzzers are, leaves its folder behind: whoever makes one next removes
//! those of processes that are no more.

use core::sync::atomic::{AtomicU32, Ordering};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use genkan_std::StateDir;

/// What the names of all folders begin with; the number of their process follows.
const PREFIX: &str = "genkan-fuzz-";

/// A folder with a state directory in it.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) state: StateDir,
}

impl Folder {
    /// This thread's.
    pub(crate) fn own() -> Rc<Self> {
        thread_local! {
            static FOLDER: Rc<Folder> = Rc::new(Folder::make());
        }
        FOLDER.with(Rc::clone)
    }

    fn make() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let parent = std::env::temp_dir();
        sweep(&parent);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        // What a process of this number has left behind.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for temporary files");
        let state = StateDir::open(path.join("state")).expect("a state directory");
        Self { path, state }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that are no more, where the system can say so.
fn sweep(parent: &Path) {
    if !Path::new("/proc/self").exists() {
        return;
    }
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let process = number.and_then(|number| number.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            // Somebody else's stays where it is.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
