//! A tokenizer's files in a model directory, as Hugging Face has them.
//!
//! `tokenizer.json` decides; without it `tokenizer_config.json` may say that tokens are bytes
//! (`"tokenizer_class": "ReformerByteTokenizer"`), and a bare `config.json` with the 258 tokens of
//! google/reformer-enwik8 or our 261 means bytes too. `"ReformerPixelTokenizer"` with `image_width`, `image_height` and
//! `levels` means pixels. Our own key is `dialogue_form`; keys of others are kept.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::hugging_face::HuggingFace;
use super::{END, Kind, PAD, Raster, Tokenizer, bytes};
use crate::{ChatTemplate, Form, Role, TextError};

const BYTE_CLASS: &str = "ReformerByteTokenizer";
const PIXEL_CLASS: &str = "ReformerPixelTokenizer";
/// Bytes of a tokenizer's file at most; the largest in use have some 30 MB.
const LIMIT: u64 = 1 << 28;

impl Tokenizer {
    /// The tokenizer of a model directory.
    pub fn load(directory: &Path) -> Result<Self, TextError> {
        Self::of_files(directory).map_err(|error| match error {
            TextError::Template { reason } => TextError::NoTokenizer {
                path: directory.join("tokenizer_config.json"),
                problem: format!(
                    "its chat_template (or chat_template.jinja beside it) cannot be used: {reason}"
                ),
                advice: "expected a Jinja template as Hugging Face has them; correct it or take it out",
            },
            TextError::NoTokenizer { path, problem, advice }
                if path == Path::new("tokenizer_config.json") =>
            {
                TextError::NoTokenizer { path: directory.join(path), problem, advice }
            }
            other => other,
        })
    }

    fn of_files(directory: &Path) -> Result<Self, TextError> {
        let config = match read(&directory.join("tokenizer_config.json"))? {
            Some(text) => parse_object(&directory.join("tokenizer_config.json"), &text)?,
            None => Map::new(),
        };
        let mut tokenizer = if let Some(json) = read(&directory.join("tokenizer.json"))? {
            Self::from_json(json, config).map_err(|error| match error {
                TextError::Tokenizer { reason, .. } => TextError::NoTokenizer {
                    path: directory.join("tokenizer.json"),
                    problem: format!("not a tokenizer that can be read: {reason}"),
                    advice: "expected the fast tokenizer of Hugging Face's `tokenizers`; \
                             save it again with `tokenizer.save_pretrained(...)`",
                },
                other => other,
            })?
        } else if config.get("tokenizer_class").and_then(Value::as_str) == Some(BYTE_CLASS) {
            let marks = config.get("additional_special_tokens");
            let mut tokenizer = match marks.and_then(Value::as_array) {
                Some(marks) if marks.is_empty() => Self::bytes_without_marks(),
                _ => Self::bytes(),
            };
            tokenizer.config = config;
            tokenizer.read_config()?;
            tokenizer
        } else if config.get("tokenizer_class").and_then(Value::as_str) == Some(PIXEL_CLASS) {
            let raster = Raster::of_config(&config).map_err(|problem| TextError::NoTokenizer {
                path: directory.join("tokenizer_config.json"),
                problem,
                advice: "correct the key",
            })?;
            Self { config, ..Self::pixels(raster) }
        } else {
            Self::without_files(directory)?
        };
        if tokenizer.config.get("chat_template").is_none()
            && let Some(source) = read(&directory.join("chat_template.jinja"))?
        {
            tokenizer.set_foreign_template(ChatTemplate::parse(source)?);
        }
        if tokenizer.form == Form::Template && tokenizer.template.is_none() {
            return Err(TextError::NoTokenizer {
                path: directory.join("tokenizer_config.json"),
                problem: "dialogue_form is \"template\" and there is no chat_template".to_owned(),
                advice: "put the template back, as `chat_template` or in chat_template.jinja",
            });
        }
        Ok(tokenizer)
    }

    /// Writes `tokenizer_config.json` and, if tokens are not bytes, `tokenizer.json`.
    pub fn save(&self, directory: &Path) -> Result<(), TextError> {
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            reformer_files::replace(&path, text.as_bytes()).map_err(|e| TextError::io("write", &path, e))
        };
        if let Kind::HuggingFace(inner) = &self.kind {
            write("tokenizer.json", inner.json())?;
        }
        let mut text = serde_json::to_string_pretty(&self.written_config())
            .expect("a map of JSON values can be written");
        text.push('\n');
        write("tokenizer_config.json", &text)
    }

    /// A tokenizer from the text of its `tokenizer.json` and the keys of its `tokenizer_config.json`.
    pub(super) fn from_json(json: String, config: Map<String, Value>) -> Result<Self, TextError> {
        let inner = HuggingFace::parse(json)?;
        let marks: BTreeMap<Role, u32> =
            Role::ALL.into_iter().filter_map(|role| Some((role, inner.id_of(role.mark())?))).collect();
        let named = |key: &str| token_of(&config, key).and_then(|token| inner.id_of(token));
        let known = |names: &[&str]| names.iter().find_map(|name| inner.id_of(name));
        let end = named("eos_token").or_else(|| known(&[END, "</s>", "<|endoftext|>"]));
        let pad = named("pad_token").or_else(|| known(&[PAD, "<pad>"]));
        let complete = marks.len() == Role::ALL.len();
        let mut tokenizer = Self {
            kind: Kind::HuggingFace(Box::new(inner)),
            marks,
            end,
            pad,
            form: if complete { Form::Marks } else { Form::Course },
            template: complete.then(ChatTemplate::marks),
            config,
        };
        tokenizer.read_config()?;
        Ok(tokenizer)
    }

    fn without_files(directory: &Path) -> Result<Self, TextError> {
        let config_path = directory.join("config.json");
        if let Some(text) = read(&config_path)? {
            let config = parse_object(&config_path, &text)?;
            let vocabulary = config.get("vocab_size").and_then(Value::as_u64);
            if vocabulary == Some(bytes::VOCAB_WITHOUT_MARKS as u64) {
                return Ok(Self::bytes_without_marks());
            }
            if vocabulary == Some(bytes::VOCAB as u64) {
                return Ok(Self::bytes());
            }
        }
        let problem = if directory.join("spiece.model").exists() {
            "no tokenizer.json, only a SentencePiece model (spiece.model)"
        } else if directory.is_dir() {
            "neither tokenizer.json nor a tokenizer_config.json of a byte tokenizer"
        } else {
            "no such directory"
        };
        Err(TextError::NoTokenizer {
            path: directory.to_owned(),
            problem: problem.to_owned(),
            advice: "expected a Hugging Face model directory with tokenizer.json \
                     (transformers writes one with `AutoTokenizer.from_pretrained(dir).save_pretrained(dir)`)",
        })
    }

    /// Template and form from the config's keys.
    fn read_config(&mut self) -> Result<(), TextError> {
        let source = match self.config.get("chat_template") {
            Some(Value::String(source)) => Some(source.clone()),
            // Several templates by name; the one called "default" is for chatting.
            Some(Value::Array(templates)) => templates
                .iter()
                .find(|template| template["name"] == "default")
                .and_then(|template| template["template"].as_str())
                .map(str::to_owned),
            _ => None,
        };
        if let Some(source) = source {
            self.set_foreign_template(ChatTemplate::parse(source)?);
        }
        match self.config.get("dialogue_form").and_then(Value::as_str) {
            Some("marks") => self.form = Form::Marks,
            Some("course") => self.form = Form::Course,
            Some("text") => self.form = Form::Text,
            Some("template") => self.form = Form::Template,
            Some(other) => {
                return Err(TextError::NoTokenizer {
                    path: "tokenizer_config.json".into(),
                    problem: format!(
                        "dialogue_form is \"{other}\", expected \"marks\", \"course\", \"text\" or \"template\""
                    ),
                    advice: "correct the key or remove it",
                });
            }
            None => {}
        }
        Ok(())
    }

    /// Takes a template from the directory. A model whose files do not say how we trained it (`dialogue_form`) was
    /// trained by its template.
    fn set_foreign_template(&mut self, mut template: ChatTemplate) {
        for key in ["bos_token", "eos_token", "pad_token", "unk_token"] {
            if let Some(token) = token_of(&self.config, key) {
                template = template.with_token(key, token);
            }
        }
        self.template = Some(template);
        if self.config.get("dialogue_form").is_none() {
            self.form = Form::Template;
        }
    }

    fn written_config(&self) -> Map<String, Value> {
        let mut config = self.config.clone();
        let mut default = |key: &str, value: Value| {
            config.entry(key.to_owned()).or_insert(value);
        };
        default(
            "tokenizer_class",
            match &self.kind {
                Kind::Bytes => json!(BYTE_CLASS),
                Kind::Pixels(_) => json!(PIXEL_CLASS),
                Kind::HuggingFace(_) => json!("PreTrainedTokenizerFast"),
            },
        );
        for (key, id) in [("pad_token", self.pad), ("eos_token", self.end)] {
            if let Some(name) = id.and_then(|id| self.special_name(id)) {
                default(key, json!(name));
            }
        }
        let marks: Vec<&str> = self.marks.keys().map(|role| role.mark()).collect();
        if matches!(self.kind, Kind::Bytes) || !marks.is_empty() {
            default("additional_special_tokens", json!(marks));
        }
        default("clean_up_tokenization_spaces", json!(false));
        if let Some(template) = &self.template {
            config.insert("chat_template".to_owned(), json!(template.source()));
        }
        if let Kind::Pixels(raster) = &self.kind {
            raster.write_config(&mut config);
        }
        let form = serde_json::to_value(self.form).expect("a form has a name");
        config.insert("dialogue_form".to_owned(), form);
        config
    }
}

/// A special token's text: a string, or an object with `content`.
fn token_of<'a>(config: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    match config.get(key)? {
        Value::String(token) => Some(token),
        object => object.get("content")?.as_str(),
    }
}

/// The file's text, or none if there is no such file.
fn read(path: &Path) -> Result<Option<String>, TextError> {
    match reformer_files::read(path, LIMIT) {
        Ok(bytes) => crate::corpus::utf8(path, bytes).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TextError::io("read", path, error)),
    }
}

fn parse_object(path: &Path, text: &str) -> Result<Map<String, Value>, TextError> {
    serde_json::from_str(text).map_err(|error| TextError::Malformed {
        path: path.to_owned(),
        line: error.line(),
        problem: error.to_string(),
        expected: "a JSON object".to_owned(),
    })
}
