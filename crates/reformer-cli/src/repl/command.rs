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
    /// Write the conversation: where to, if not where it came from, and whether over another file.
    Save { file: Option<String>, replace: bool },
    /// Read a conversation.
    Load(String),
    /// What the model has looked up.
    Lookups,
    /// What is booked.
    Bookings,
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
pub(crate) const TABLE: [(&str, &str, &str); 14] = [
    ("/help", "", "this list"),
    ("/new", "", "start over, under the same system prompt"),
    ("/system", "[TEXT]", "show, or change and start over; `none` drops it"),
    ("/set", "[KEY VALUE]", "show or change sampling: `/set temperature 0.5`"),
    ("/show", "[WHAT]", "the conversation, the `settings` or the `model`"),
    ("/edit", "[TEXT]", "write a message in $EDITOR; an empty one is not sent"),
    ("/regen", "", "another reply to the last message"),
    ("/undo", "", "take the last message and its reply back"),
    ("/save", "[FILE]", "write the conversation as JSON; /save! replaces a file"),
    ("/load", "FILE", "read a conversation that /save or another tool wrote"),
    ("/lookups", "", "what the model has looked up in the tables"),
    ("/book", "", "what is booked"),
    ("/stats", "", "speed and context used"),
    ("/exit", "", "leave (so does Ctrl-D)"),
];

/// Words of other tools for the same.
pub(crate) const ALIASES: [(&str, &str); 9] = [
    ("/?", "/help"),
    ("/clear", "/new"),
    ("/reset", "/new"),
    ("/retry", "/regen"),
    ("/regenerate", "/regen"),
    ("/quit", "/exit"),
    ("/bye", "/exit"),
    ("/q", "/exit"),
    ("/history", "/show"),
];

/// Columns of the names and arguments in the list.
pub(crate) const NAMES: usize = 18;

/// Whether a person who types this at a prompt wants to leave. A program that says it in a pipe says a message.
pub(crate) fn leaves(line: &str) -> bool {
    matches!(line.trim().to_lowercase().as_str(), "exit" | "quit" | "exit()" | "quit()" | ":q")
}

/// Reads a line, or says what is wrong with it.
///
/// A command is one line whose first word has one slash, at its beginning. What else may begin with a slash is
/// something that was pasted: a path (`/usr/bin/…`), a comment (`// …`, `/* … */`), several lines.
pub(crate) fn parse(line: &str) -> Result<Command, String> {
    let text = line.trim();
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let commands = name.strip_prefix('/').is_some_and(|name| !name.contains(['/', '*']) && !name.is_empty());
    if !commands || text.contains('\n') {
        return Ok(Command::Say(text.to_owned()));
    }
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    let rest = rest.trim();
    let some = || (!rest.is_empty()).then(|| rest.to_owned());
    let file = || some().ok_or_else(|| format!("{name} needs a file name: {name} FILE"));
    let alone =
        |command| if rest.is_empty() { Ok(command) } else { Err(format!("{name} takes nothing after it")) };
    match name {
        "/help" => alone(Command::Help),
        "/new" => alone(Command::New),
        "/system" => Ok(Command::System(some())),
        "/set" => match rest.split_once(|c: char| c.is_whitespace() || c == '=') {
            Some((key, value)) => {
                let value = value.trim().trim_start_matches('=').trim();
                Ok(Command::Set(Some((key_of(key), value.to_owned()))))
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
        "/save" => Ok(Command::Save { file: some(), replace: false }),
        "/save!" => Ok(Command::Save { file: some(), replace: true }),
        "/load" => file().map(Command::Load),
        "/lookups" => alone(Command::Lookups),
        "/book" => alone(Command::Bookings),
        "/stats" => alone(Command::Stats),
        "/exit" => alone(Command::Exit),
        setting if is_setting(setting) => match rest {
            "" => Err(format!("{setting} needs a value: {setting} VALUE; /set shows all")),
            value => Ok(Command::Set(Some((key_of(&setting[1..]), value.to_owned())))),
        },
        unknown => Err(format!("unknown command {unknown}{}; /help lists them all", suggestion(unknown))),
    }
}

/// A setting's name, with either dash, or as other tools have it.
fn key_of(typed: &str) -> String {
    match typed.replace('-', "_").as_str() {
        "temp" => "temperature".into(),
        "max_new_tokens" | "n" => "max_tokens".into(),
        key => key.into(),
    }
}

fn is_setting(name: &str) -> bool {
    name.strip_prefix('/').is_some_and(|name| crate::sampling::KEYS.contains(&key_of(name).as_str()))
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
    fn what_was_pasted_is_a_message_as_it_is() {
        for text in [
            "/usr/bin/env python3",
            "// main",
            "//help",
            "/* a comment */",
            "/",
            "/help\nme",
            "/set temperature 1\n/new",
            "hello",
        ] {
            assert_eq!(parse(text), Ok(Command::Say(text.into())));
        }
        assert_eq!(parse(" hello "), Ok(Command::Say("hello".into())));
    }

    #[test]
    fn words_of_other_tools_do_what_people_mean() {
        assert_eq!(parse("/clear"), Ok(Command::New));
        assert_eq!(parse("/reset"), Ok(Command::New));
        assert_eq!(parse("/retry"), Ok(Command::Regen));
        let hot = Command::Set(Some(("temperature".into(), "0.5".into())));
        for line in ["/temperature 0.5", "/temp 0.5", "/set temp 0.5"] {
            assert_eq!(parse(line).as_ref(), Ok(&hot), "{line}");
        }
        assert!(parse("/temperature").unwrap_err().contains("/temperature VALUE"));
        assert!(leaves(" exit") && leaves("Quit") && !leaves("exit the building"));
        for (alias, name) in ALIASES {
            assert!(TABLE.iter().any(|(known, ..)| *known == name), "{alias}");
        }
    }

    #[test]
    fn a_conversation_is_saved_where_it_came_from_or_over_a_file_if_told_so() {
        assert_eq!(parse("/save"), Ok(Command::Save { file: None, replace: false }));
        assert_eq!(
            parse("/save! a b.json"),
            Ok(Command::Save { file: Some("a b.json".into()), replace: true })
        );
    }
}
