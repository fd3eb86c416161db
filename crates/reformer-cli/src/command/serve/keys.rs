//! Keys that requests must bring, and pages that may call: read, and refused where they could not work.

use anyhow::Context;

use crate::args::serve::ServeArgs;
use crate::exit::usage;

/// The keys of the flag, the variable and the file.
pub(super) fn read(args: &ServeArgs) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::new();
    if let Some(key) = &args.api_key {
        if key.trim().is_empty() {
            return Err(usage(anyhow::anyhow!(
                "the key of --api-key or REFORMER_API_KEY is empty, which would let everybody in; give one, or \
                 unset the variable"
            )));
        }
        keys.push(key.trim().to_owned());
    }
    if let Some(path) = &args.api_key_file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the keys in {}", path.display()))
            .map_err(usage)?;
        let before = keys.len();
        keys.extend(text.lines().map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned));
        if keys.len() == before {
            return Err(usage(anyhow::anyhow!("{} has no key in it; write one a line", path.display())));
        }
    }
    Ok(keys)
}

/// An origin is a scheme and a host, as browsers send it: anything else would never match.
pub(super) fn check_origin(origin: &str) -> anyhow::Result<()> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let whole = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ']));
    if whole || origin == "*" {
        return Ok(());
    }
    Err(usage(anyhow::anyhow!(
        "--cors-origin {origin:?} is no origin; give a scheme and a host, without a slash at the end, such as \
         https://chat.example or http://localhost:3000, or *"
    )))
}
