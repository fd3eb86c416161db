//! Showing a lesson: a screen a step with Enter between, everything at once, or JSON; and its pictures into a
//! directory.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::lesson::Lesson;
use crate::args::explain::ExplainArgs;
use crate::json;
use crate::terminal::{BOLD, DIM, PLAIN, Terminal};

/// Shows `lesson` as the arguments ask.
pub(crate) fn show(lesson: &Lesson, args: &ExplainArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.output {
        draw(lesson, folder)?;
    }
    if args.json {
        json::line(&lesson.as_json())?;
        return Ok(ExitCode::SUCCESS);
    }
    let pause = !args.all && terminal.stdin && terminal.stdout;
    let (bold, dim, plain) = if terminal.colour { (BOLD, DIM, PLAIN) } else { ("", "", "") };
    let mut out = crate::terminal::stdout();
    let count = lesson.steps.len();
    for (at, step) in lesson.steps.iter().enumerate() {
        writeln!(out, "{bold}{} {}/{count}  {}{plain}\n", lesson.unit, at + 1, step.title)?;
        for line in &step.lines {
            writeln!(out, "{line}")?;
        }
        for picture in &step.pictures {
            match &args.output {
                Some(folder) => {
                    writeln!(out, "\n{dim}picture: {}{plain}", folder.join(picture.name).display())?;
                }
                None => writeln!(out, "\n{dim}picture: -o DIR writes {}{plain}", picture.name)?,
            }
        }
        writeln!(out)?;
        out.flush()?;
        if pause && at + 1 < count && !go_on(&mut out, dim, plain)? {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for Enter; false at `q` or the end of input.
fn go_on(out: &mut impl Write, dim: &str, plain: &str) -> io::Result<bool> {
    write!(out, "{dim}Enter: next, q: leave{plain} ")?;
    out.flush()?;
    let mut answer = String::new();
    if io::stdin().lock().read_line(&mut answer)? == 0 {
        writeln!(out)?;
        return Ok(false);
    }
    Ok(!answer.trim().eq_ignore_ascii_case("q"))
}

fn draw(lesson: &Lesson, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the directory {} for pictures", folder.display()))?;
    for picture in lesson.steps.iter().flat_map(|step| &step.pictures) {
        let path = folder.join(picture.name);
        fs::write(&path, &picture.svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
