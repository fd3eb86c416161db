//! Circles between files: two files of one crate that need each other are one file in two pieces, and neither can be
//! read first.
//!
//! A file needs another one if a `use` item of it, outside tests, names something that the other one defines. `pub use`
//! hands a name on and needs nothing; a name that is handed on leads to the file that defines it. A circle is a largest
//! set of files each of which leads to all the others.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Import, Token, imports};

/// A crate's files by module: `["tile", "packed"]` for `src/tile/packed.rs`, nothing for the root.
pub(crate) type Modules = BTreeMap<Vec<String>, Vec<Token>>;

/// The module that a file below `src` is, if it is one of the library's or binary's.
pub(crate) fn module_of(below_src: &str) -> Option<Vec<String>> {
    let mut path: Vec<String> = below_src.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    match path.last()?.as_str() {
        "mod" => drop(path.pop()),
        "lib" | "main" if path.len() == 1 => path.clear(),
        _ if path[0] == "bin" => return None,
        _ => {}
    }
    Some(path)
}

/// The circles of a crate, each as its modules in order.
pub(crate) fn circles(modules: &Modules) -> Vec<Vec<String>> {
    let imports: BTreeMap<&Vec<String>, Vec<Import>> =
        modules.iter().map(|(module, tokens)| (module, imports(tokens))).collect();
    let mut needs: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> = BTreeMap::new();
    for (&module, taken) in &imports {
        let targets = taken.iter().filter(|import| !import.exported);
        let targets = targets.filter_map(|import| definition(&imports, module, &import.path, 0));
        needs.insert(module, targets.filter(|&target| target != module).collect());
    }
    let reach: BTreeMap<_, _> = needs.keys().map(|&module| (module, reachable(&needs, module))).collect();
    let mut circles = BTreeSet::new();
    for &module in needs.keys() {
        let circle: Vec<String> = reach[module]
            .iter()
            .filter(|&&other| reach[other].contains(module))
            .map(|other| if other.is_empty() { "(root)".to_owned() } else { other.join("/") })
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable<'a>(
    needs: &BTreeMap<&'a Vec<String>, BTreeSet<&'a Vec<String>>>,
    from: &'a Vec<String>,
) -> BTreeSet<&'a Vec<String>> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        open.extend(needs[module].iter().filter(|&&next| seen.insert(next)));
    }
    seen
}

/// The module that defines what `path` names in `module`; nothing for what other crates define.
fn definition<'a>(
    imports: &BTreeMap<&'a Vec<String>, Vec<Import>>,
    module: &[String],
    path: &[String],
    depth: usize,
) -> Option<&'a Vec<String>> {
    let (mut at, mut rest) = (module.to_vec(), path);
    let child = |at: &[String], name: &String| {
        let path: Vec<String> = at.iter().chain([name]).cloned().collect();
        imports.contains_key(&path).then_some(path)
    };
    match rest.first()?.as_str() {
        "crate" => (at, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {}
        // A child of this module, or another crate.
        name => drop(child(&at, &name.to_owned())?),
    }
    while rest.first().is_some_and(|name| name == "super") {
        at.pop();
        rest = &rest[1..];
    }
    while let Some(below) = rest.first().and_then(|name| child(&at, name)) {
        (at, rest) = (below, &rest[1..]);
    }
    let (&here, taken) = imports.get_key_value(&at)?;
    // Handed on from elsewhere? A chain of such is short; a loop of them does not compile.
    let handed = rest.first().and_then(|name| taken.iter().find(|import| import.name == *name));
    match handed {
        Some(import) if depth < 8 => definition(imports, &at, &import.path, depth + 1),
        _ => Some(here),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::tokens;

    fn of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        circles(&files.iter().map(|(name, text)| (module_of(name).unwrap(), tokens(text))).collect())
    }

    #[test]
    fn two_files_that_use_each_other_are_a_circle() {
        let found =
            of(&[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "use super::a::f;")]);
        assert_eq!(found, [["a", "b"]]);
    }

    #[test]
    fn three_files_in_a_ring_are_one_circle() {
        let ring = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::C;"), ("c.rs", "use crate::a::A;")];
        assert_eq!(of(&ring), [["a", "b", "c"]]);
    }

    #[test]
    fn a_name_that_the_root_hands_on_leads_to_the_file_that_defines_it() {
        let handed =
            [("lib.rs", "mod a; pub use a::A;"), ("a.rs", "use crate::b::B;"), ("b.rs", "use crate::A;")];
        assert_eq!(of(&handed), [["a", "b"]]);
        let below = [("lib.rs", "mod a; pub use a::A;"), ("a.rs", ""), ("b.rs", "use crate::A;")];
        assert_eq!(of(&below), Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_folder_that_uses_its_file_which_uses_it_is_a_circle() {
        let found = of(&[("t/mod.rs", "mod u; use u::U;"), ("t/u.rs", "use super::SIZE;")]);
        assert_eq!(found, [["t", "t/u"]]);
        let handed = of(&[("t/mod.rs", "mod u; pub use u::U;"), ("t/u.rs", "use super::SIZE;")]);
        assert_eq!(handed, Vec::<Vec<String>>::new());
    }

    #[test]
    fn what_only_tests_use_is_no_circle() {
        let found =
            of(&[("a.rs", "use crate::b::B;"), ("b.rs", "#[cfg(test)] mod tests { use crate::a::f; }")]);
        assert_eq!(found, Vec::<Vec<String>>::new());
    }
}
