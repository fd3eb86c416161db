//! The house rules that a machine can check, one file a rule.
//!
//! - [`rooms`]: dependencies between our crates follow the drawing, `unsafe` stays in the numerics floor;
//! - [`files`]: every file opens with a module doc, is named for what it holds, is neither too long nor too wide, and
//!   prints, exits or reads the environment only in a program;
//! - [`mod@circles`]: no two files of a crate need each other;
//! - [`words`]: a word means one thing;
//! - [`comments`]: kernels say why.

mod circles;
mod comments;
mod files;
mod rooms;
mod source;
mod tree;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use circles::{Modules, circles, module_of};
use tree::{file_name, read, read_dir};
use words::Words;

/// What the rules have found and counted.
#[derive(Default)]
struct Tidy {
    faults: Vec<String>,
    words: Words,
    lengths: Vec<usize>,
    circles: usize,
    kernel_lines: usize,
    kernel_whys: usize,
}

/// Runs every rule and reports all faults at once.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut tidy = Tidy::default();
    for folder in read_dir(&root.join("crates"))? {
        let name = file_name(&folder);
        rooms::check(&folder, &name, &mut tidy.faults)?;
        tidy.check_crate(root, &folder, &name)?;
    }
    tidy.check_crate(root, &root.join("xtask"), "xtask")?;
    tidy.words.faults(&mut tidy.faults);
    let mut pages = Vec::new();
    tree::files(root, "md", &mut pages)?;
    for page in pages {
        files::check_width(&shown(root, &page), &read(&page)?, &mut tidy.faults);
    }
    tidy.report()
}

impl Tidy {
    fn check_crate(&mut self, root: &Path, folder: &Path, name: &str) -> Result<()> {
        let (mut paths, mut modules) = (Vec::<PathBuf>::new(), Modules::new());
        tree::files(folder, "rs", &mut paths)?;
        for path in paths {
            let (text, shown) = (read(&path)?, shown(root, &path));
            self.lengths.push(text.lines().count());
            files::check(&path, &shown, name, &text, &mut self.faults);
            if comments::asks(&shown) {
                let (lines, whys) = comments::count(&text);
                self.kernel_lines += lines;
                self.kernel_whys += whys;
                comments::check(&shown, &text, &mut self.faults);
            }
            let below = path.strip_prefix(folder.join("src")).unwrap_or(Path::new("")).to_string_lossy();
            // Tests in files of their own are no part of the code, as those below it are none.
            let tests = below.split(['/', '.']).any(|part| part == "tests");
            if let Some(module) = module_of(&below).filter(|_| !tests) {
                let tokens = source::tokens(&text);
                self.words.note(&shown, &tokens);
                modules.insert(module, tokens);
            }
        }
        for circle in circles(&modules) {
            self.circles += 1;
            // Told, and no error before the tree has none.
            self.faults.push(format!("{name}: files that need each other: {}", circle.join(" ⇄ ")));
        }
        Ok(())
    }

    fn report(mut self) -> Result<()> {
        self.lengths.sort_unstable();
        println!(
            "tidy: {} files, median {} lines, longest {}",
            self.lengths.len(),
            self.lengths.get(self.lengths.len() / 2).copied().unwrap_or(0),
            self.lengths.last().copied().unwrap_or(0)
        );
        println!("tidy: circles between files: {}", self.circles);
        println!(
            "tidy: kernels say why {:.1} times in 100 lines of code",
            100.0 * self.kernel_whys as f64 / self.kernel_lines.max(1) as f64
        );
        if self.faults.is_empty() {
            return Ok(());
        }
        for fault in &self.faults {
            println!("tidy: {fault}");
        }
        bail!("tidy found {} faults", self.faults.len())
    }
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
