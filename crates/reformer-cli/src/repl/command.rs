//! The chat's slash commands as data: one table that `/help`, Tab completion and the parser share.

/// What a line asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Say this to the model.
    Say(String),
    /// List the commands.
    Help,
    /// Forget the conversation.
    New,
    /// Show or change the system prompt.
    System(Option<String>),
    /// Show or change sampling settings.
    Set(Option<(String, String)>),
    /// Show the conversation, the settings or the model.
    Show(Show),
    /// Write a message in an editor, from this.
    Edit(String),
    /// Another reply.
    Regen,
    /// Take the last exchange back.
    Undo,
    /// Write the conversation.
    Save(String),
    /// Read a conversation.
    Load(String),
    /// Speed and context.
    Stats,
    /// Leave.
    Exit,
}

/// What `/show` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// The turns so far.
    Conversation,
    /// The sampling settings.
    Settings,
    /// The model.
    Model,
}

/// Name, argument, meaning.
pub(crate) const TABLE: [(&str, &str, &str); 12] = [
    ("/help", "", "this list"),
    ("/new", "", "start over, under the same system prompt"),
    ("/system", "[TEXT]", "show, or change and start over; `none` drops it"),
    ("/set", "[KEY VALUE]", "show or change sampling: `/set temperature 0.5`"),
    ("/show", "[WHAT]", "the conversation, the `settings` or the `model`"),
    ("/edit", "[TEXT]", "write a message in $EDITOR; an empty one is not sent"),
    ("/regen", "", "another reply to the last message"),
    ("/undo", "", "take the last message and its reply back"),
    ("/save", "FILE", "write the conversation as JSON messages"),
    ("/load", "FILE", "read a conversation that /save wrote"),
    ("/stats", "", "speed and context used"),
    ("/exit", "", "leave (so does Ctrl-D)"),
];

/// Columns of the names and arguments in the list.
pub(crate) const NAMES: usize = 18;

/// Reads a line, or says what is wrong with it.
pub(crate) fn parse(line: &str) -> Result<Command, String> {
    let text = line.trim();
    // A doubled slash says a message that begins with one.
    if !text.starts_with('/') || text.starts_with("//") {
        return Ok(Command::Say(text.strip_prefix('/').unwrap_or(text).to_owned()));
    }
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let some = || (!rest.is_empty()).then(|| rest.to_owned());
    let file = || some().ok_or_else(|| format!("{name} needs a file name: {name} FILE"));
    let alone =
        |command| if rest.is_empty() { Ok(command) } else { Err(format!("{name} takes nothing after it")) };
    match name {
        "/help" | "/?" => alone(Command::Help),
        "/new" => alone(Command::New),
        "/system" => Ok(Command::System(some())),
        "/set" => match rest.split_once(|c: char| c.is_whitespace() || c == '=') {
            Some((key, value)) => {
                let value = value.trim().trim_start_matches('=').trim();
                Ok(Command::Set(Some((key.replace('-', "_"), value.to_owned()))))
            }
            None if rest.is_empty() => Ok(Command::Set(None)),
            None => Err(format!("/set {rest} needs a value: /set {rest} VALUE")),
        },
        "/show" => match rest {
            "" | "conversation" => Ok(Command::Show(Show::Conversation)),
            "settings" => Ok(Command::Show(Show::Settings)),
            "model" => Ok(Command::Show(Show::Model)),
            other => Err(format!("/show knows conversation, settings and model, not {other}")),
        },
        "/edit" => Ok(Command::Edit(rest.to_owned())),
        "/regen" => alone(Command::Regen),
        "/undo" => alone(Command::Undo),
        "/save" => file().map(Command::Save),
        "/load" => file().map(Command::Load),
        "/stats" => alone(Command::Stats),
        "/exit" | "/quit" | "/bye" => alone(Command::Exit),
        unknown => Err(format!("unknown command {unknown}{}; /help lists them all", suggestion(unknown))),
    }
}

fn suggestion(unknown: &str) -> String {
    let near = TABLE.iter().map(|(name, ..)| (strsim::jaro_winkler(unknown, name), name));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, name)) if likeness > 0.75 => format!(", did you mean {name}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_table_parses() {
        for (name, argument, _) in TABLE {
            let line = if argument == "FILE" { format!("{name} a.json") } else { name.to_owned() };
            assert!(!matches!(parse(&line), Ok(Command::Say(_)) | Err(_)), "{line}");
        }
    }

    #[test]
    fn the_list_fits_a_terminal_of_80_columns() {
        for (name, argument, meaning) in TABLE {
            assert!(name.len() + 1 + argument.len() <= NAMES + 1, "{name} {argument}");
            assert!(NAMES + 2 + meaning.len() <= 80, "{name}: {meaning}");
        }
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest_command() {
        assert!(parse("/regne").unwrap_err().contains("did you mean /regen?"));
        assert!(parse("/zzz").unwrap_err().contains("/help lists them all"));
    }

    #[test]
    fn settings_are_set_with_a_space_or_an_equals_sign_and_either_dash() {
        let wanted = Command::Set(Some(("top_p".into(), "0.5".into())));
        for line in ["/set top_p 0.5", "/set top-p 0.5", "/set top_p=0.5", "/set top_p = 0.5"] {
            assert_eq!(parse(line).as_ref(), Ok(&wanted), "{line}");
        }
        assert!(parse("/set top_p").unwrap_err().contains("needs a value"));
    }

    #[test]
    fn a_doubled_slash_says_a_message_that_begins_with_one() {
        assert_eq!(parse("//help"), Ok(Command::Say("/help".into())));
        assert_eq!(parse(" hello "), Ok(Command::Say("hello".into())));
    }
}
