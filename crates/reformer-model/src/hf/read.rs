//! Reading weights: one file or shards, any of three number types, every misfit named before a number is read.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::weights_file::WeightsFile;
use super::{INDEX, PICKLE, WEIGHTS, names, text};
use crate::config::Config;
use crate::error::{ModelError, Result};
use crate::parameters::{Parameters, TensorSpec, block_specs};

/// A tensor of a file: which file, and its name there.
type Source = (usize, String);

/// Where every tensor that a config asks for stands in the files.
struct Places {
    /// By group, and by place in the group; none for a bias that the config does not add.
    sources: Vec<Vec<Option<Source>>>,
    /// The decoder that a tied model's file may hold besides.
    decoder: Option<Source>,
}

/// The parameters that `config` asks for, from the directory's weights.
pub(super) fn parameters(dir: &Path, config: &Config) -> Result<Parameters> {
    let mut files = open(dir)?;
    let places = places(&files, config)?;
    // The files hold every number that is asked for: from here on they pay for what is allocated.
    let mut parameters = Parameters::zeros(config);
    for (group, sources) in parameters.groups_mut().iter_mut().zip(places.sources) {
        for (tensor, source) in sources.into_iter().enumerate() {
            if let Some((file, name)) = source {
                files[file].read(&name, group.tensor_mut(tensor))?;
            }
        }
    }
    if let Some((file, name)) = places.decoder {
        let mut decoder = vec![0.0; config.vocab_size * 2 * config.hidden_size];
        files[file].read(&name, &mut decoder)?;
        check_tied(files[file].path(), &decoder, config, &parameters)?;
    }
    Ok(parameters)
}

/// Compares the files' headers with what the config asks for; allocates nothing of a tensor's size.
pub(super) fn check(dir: &Path, config: &Config) -> Result<()> {
    places(&open(dir)?, config).map(|_| ())
}

fn open(dir: &Path) -> Result<Vec<WeightsFile>> {
    files(dir)?.iter().map(|path| WeightsFile::open(path)).collect()
}

fn places(files: &[WeightsFile], config: &Config) -> Result<Places> {
    refuse_too_few(files, config)?;
    let specs = Parameters::specs(config);
    let mut sources: Vec<Vec<Option<Source>>> = specs.iter().map(|group| vec![None; group.len()]).collect();
    let mut wanted: HashMap<&str, (usize, usize)> = HashMap::new();
    for (g, group) in specs.iter().enumerate() {
        wanted.extend(group.iter().enumerate().map(|(i, spec)| (&*spec.name, (g, i))));
    }
    let (mut extra, mut decoder, mut old_bias) = (Vec::new(), None, None);
    for (f, file) in files.iter().enumerate() {
        for (written, info) in file.tensors() {
            let Some(name) = names::canonical(&written) else { continue };
            let check = |expected: &[usize]| check_shape(file.path(), &name, &info.shape, expected);
            if let Some((g, i)) = wanted.remove(&*name) {
                check(&specs[g][i].shape)?;
                sources[g][i] = Some((f, written));
            } else if name == names::BIAS_OF_4 {
                check(&[config.vocab_size])?;
                old_bias = Some((f, written));
            } else if name == names::DECODER && config.tie_word_embeddings {
                check(&[config.vocab_size, 2 * config.hidden_size])?;
                decoder = Some((f, written));
            } else {
                extra.push((name.into_owned(), info.shape.clone()));
            }
        }
    }
    if let Some(bias) = old_bias
        && let Some((g, i)) = wanted.remove(names::BIAS)
    {
        sources[g][i] = Some(bias);
    }
    if !config.adds_head_bias() {
        wanted.remove(names::BIAS);
    }
    let path = files.first().map_or_else(PathBuf::new, |file| file.path().to_owned());
    extra.sort();
    if let Some(found) = other_head(&extra, &wanted) {
        return Err(ModelError::NoLanguageModel { path, found });
    }
    if let Some((name, (g, i))) = wanted.into_iter().min() {
        let expected = specs[g][i].shape.clone();
        return Err(ModelError::MissingTensor { path, name: name.into(), expected });
    }
    let count = extra.len();
    match extra.into_iter().next() {
        Some((name, shape)) => Err(ModelError::ExtraTensor { path, name, shape, count }),
        None => Ok(Places { sources, decoder }),
    }
}

/// Refuses files that hold fewer tensors than the config has layers by the first one missing, without laying out every
/// layer: a config of a few bytes can name a great many.
fn refuse_too_few(files: &[WeightsFile], config: &Config) -> Result<()> {
    let held: HashSet<String> = files
        .iter()
        .flat_map(WeightsFile::tensors)
        .filter_map(|(written, _)| names::canonical(&written).map(Cow::into_owned))
        .collect();
    if held.len() >= config.layers() {
        return Ok(());
    }
    let mut blocks = (0..config.layers()).flat_map(|layer| block_specs(config, layer));
    match blocks.find(|spec| !held.contains(&spec.name)) {
        Some(TensorSpec { name, shape: expected, .. }) => {
            let path = files.first().map_or_else(PathBuf::new, |file| file.path().to_owned());
            Err(ModelError::MissingTensor { path, name, expected })
        }
        None => Ok(()),
    }
}

/// What stands in the place of a language model's head, if that is not there.
fn other_head(extra: &[(String, Vec<usize>)], missing: &HashMap<&str, (usize, usize)>) -> Option<String> {
    if !missing.keys().any(|name| name.starts_with("lm_head.")) {
        return None;
    }
    let named = |prefix: &str| extra.iter().find(|(name, _)| name.starts_with(prefix));
    if let Some((name, _)) = named("classifier.") {
        return Some(format!("a model with a classification head ({name})"));
    }
    if let Some((name, _)) = named("qa_outputs.") {
        return Some(format!("a model with a question-answering head ({name})"));
    }
    let only_the_head = missing.keys().all(|name| name.starts_with("lm_head."));
    (extra.is_empty() && only_the_head && missing.contains_key(names::DECODER))
        .then(|| "the bare model without a head".to_owned())
}

/// The weight files of a directory.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let single = dir.join(WEIGHTS);
    let index = dir.join(INDEX);
    if !single.exists() && !index.exists() && dir.join(PICKLE).exists() {
        return Err(ModelError::Pickle { path: dir.join(PICKLE) });
    }
    if single.exists() || !index.exists() {
        return Ok(vec![single]);
    }
    let wrong = |reason: String| ModelError::Index { path: index.clone(), reason };
    let table: serde_json::Value = serde_json::from_str(&text(&index)?).map_err(|e| wrong(e.to_string()))?;
    let map = table["weight_map"].as_object().ok_or_else(|| wrong("it has no \"weight_map\"".into()))?;
    let shards: Option<BTreeSet<&str>> = map.values().map(serde_json::Value::as_str).collect();
    let shards =
        shards.ok_or_else(|| wrong("\"weight_map\" holds something that is not a file name".into()))?;
    if shards.is_empty() {
        return Err(wrong("\"weight_map\" names no file".into()));
    }
    // A table is a stranger's text: it may name files of its own directory only.
    if let Some(name) = shards.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        return Err(wrong(format!("\"{name}\" is not a plain file name")));
    }
    Ok(shards.into_iter().map(|name| dir.join(name)).collect())
}

fn check_shape(path: &Path, name: &str, got: &[usize], expected: &[usize]) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (got.to_vec(), expected.to_vec());
    Err(ModelError::TensorShape { path: path.into(), name: name.into(), got, expected })
}

/// A tied model's file may hold the decoder, as `[E | E]`.
fn check_tied(path: &Path, decoder: &[f32], config: &Config, parameters: &Parameters) -> Result<()> {
    let h = config.hidden_size;
    let (_, words) = parameters.find(names::WORDS).expect("every model has word embeddings");
    let tied =
        decoder.chunks_exact(2 * h).zip(words.chunks_exact(h)).all(|(d, e)| d[..h] == *e && d[h..] == *e);
    if tied { Ok(()) } else { Err(ModelError::TiedDecoder { path: path.into() }) }
}
