//! In which numbers to decode, and what LSH layers attend to: from the flags to what the model takes.

use reformer::generate::{GenerateError, Generator};
use reformer::model::{DecodeOptions, Kind, Model, Packed};
use reformer::tensor::Precision;

use crate::args::AttentionChoice;
use crate::args::decoding::DecodingArgs;
use crate::interrupt::Interrupt;
use crate::open_model::OpenModel;

/// The weights packed as asked, and rounded alike in the model itself; LSH layers that are off give nothing from now
/// on.
pub(crate) fn pack(model: &mut Model, weights: Precision, attention: AttentionChoice) -> Option<Packed> {
    if attention == AttentionChoice::Off {
        let lsh = model.config().attn_layers.iter().enumerate().filter(|(_, kind)| **kind == Kind::Lsh);
        for layer in lsh.map(|(layer, _)| layer).collect::<Vec<_>>() {
            let name = format!("reformer.encoder.layers.{layer}.attention.output.dense.weight");
            if let Some(projection) = model.parameters_mut().find_mut(&name) {
                projection.fill(0.0);
            }
        }
    }
    (weights == Precision::Bf16).then(|| model.pack_bf16())
}

/// What LSH layers compute instead, if anything.
pub(crate) fn attention(choice: AttentionChoice) -> Option<Kind> {
    (choice == AttentionChoice::Full).then_some(Kind::Full)
}

/// How decode states remember, and what they attend to.
pub(crate) fn options(decoding: DecodingArgs) -> DecodeOptions {
    DecodeOptions {
        storage: decoding.cache,
        attention: attention(decoding.attention),
        ..DecodeOptions::default()
    }
}

/// What continues texts with an opened model as the flags say, until an interrupt.
pub(crate) fn generator<'a>(
    opened: &'a OpenModel,
    packed: Option<&'a Packed>,
    decoding: DecodingArgs,
    clock: &'a dyn Fn() -> f64,
    interrupt: &'a Interrupt,
) -> Result<Generator<'a>, GenerateError> {
    Ok(Generator::new(&opened.cpu, &opened.model, &opened.tokenizer, clock)?
        .with_packed(packed)
        .with_options(options(decoding))
        .with_stop(interrupt.flag()))
}
