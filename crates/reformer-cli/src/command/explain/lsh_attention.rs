//! The unit on LSH attention: hash, sort, chunk, attend, repeat, on a sentence in front of a layer.

use reformer::lsh::{Buckets, hash_vectors, sort_buckets};
use reformer::tensor::Cpu;

use super::attend;
use super::five_rows;
use super::layer::{Layer, ROUNDS};
use super::lesson::{Lesson, Step, percent};
use super::matrices::{self, Panel};

const SHOWN: [usize; 4] = [1, 2, 4, ROUNDS];

pub(crate) fn lesson(cpu: &Cpu, layer: &Layer) -> anyhow::Result<Lesson> {
    let buckets = hash_vectors(cpu, layer.qk.view(), &layer.rotations, None)?;
    let first = rounds(&buckets, 1)?;
    let sorted = sort_buckets(&first);
    let exact = attend::exact(cpu, &layer.qk)?;
    let with = attend::hashed(cpu, &layer.qk, &first, layer.chunk, 1)?;
    let alone = attend::hashed(cpu, &layer.qk, &first, layer.chunk, 0)?;

    let ids = first.round(0);
    let mut by_bucket: Vec<String> = Vec::new();
    for bucket in 0..first.num_buckets() as u32 {
        let members: Vec<&str> =
            sorted.bucket(0, bucket).iter().map(|&t| layer.tokens[t as usize].as_str()).collect();
        if !members.is_empty() {
            by_bucket.push(cut(&format!("bucket {bucket}: {}", members.join(" "))));
        }
    }
    let order: Vec<u32> = sorted.order_of(0).to_vec();
    let chunks: Vec<String> = order
        .chunks(layer.chunk)
        .enumerate()
        .map(|(chunk, members)| {
            let words: Vec<String> = members
                .iter()
                .map(|&t| format!("{}/{}", layer.tokens[t as usize], ids[t as usize]))
                .collect();
            cut(&format!("chunk {chunk}: {}", words.join(" ")))
        })
        .collect();
    let (seen, all) = (attend::pairs(&with), attend::pairs(&exact));
    let (missed_alone, missed_with) =
        (five_rows::missed(ids, &order, &alone).len(), five_rows::missed(ids, &order, &with).len());

    let mut panels = vec![Panel { name: "exact".into(), weights: exact.clone(), kept: None }];
    let mut kept = Vec::new();
    for shown in SHOWN {
        let weights = attend::hashed(cpu, &layer.qk, &rounds(&buckets, shown)?, layer.chunk, 1)?;
        let mass = attend::mass_kept(&exact, &weights);
        kept.push(mass);
        let name = if shown == 1 { "1 round".to_owned() } else { format!("{shown} rounds") };
        panels.push(Panel { name, weights, kept: Some(mass) });
    }
    let table = SHOWN.iter().zip(&kept).zip(&panels[1..]).map(|((rounds, mass), panel)| {
        let pairs = attend::pairs(&panel.weights);
        format!("{rounds:>6}   {:>6}   {pairs:>5} of {all}", percent(*mass))
    });
    let table: Vec<String> =
        std::iter::once("rounds     kept   pairs seen".to_owned()).chain(table).collect();

    let steps = vec![
        Step::new("Hash: queries that are keys")
            .say(format!("{}: {} tokens, whose vectors serve as query and key at once, since a query looks for keys like itself. Each is hashed to argmax [xR; −xR] of {} directions:", capital(&layer.whose), layer.tokens.len(), first.num_buckets()))
            .table(by_bucket)
            .number("tokens", layer.tokens.clone())
            .number("buckets", ids.to_vec()),
        Step::new("Sort by bucket, cut into chunks")
            .say(format!("Buckets are of unequal size, which no machine likes. So tokens are sorted by bucket, then by position, and the list is cut into equal chunks of {} (word/bucket):", layer.chunk))
            .table(chunks)
            .number("order", order.clone())
            .number("chunk", layer.chunk),
        Step::new("Attend: same bucket, own chunk and the one before")
            .say("Each token attends to tokens of its own bucket at earlier positions, in its chunk and the chunk before it. It sees itself only if it sees nothing else: a vector is always most like itself, and that says nothing.")
            .table([
                format!("pairs that exact attention compares: {all}"),
                format!("pairs that one round of LSH weighs:  {seen}"),
            ])
            .number("pairs", seen)
            .number("exact_pairs", all)
            .picture("five_rows.svg", five_rows::draw(layer, &first, &sorted, &with)),
        Step::new("Why the chunk before is needed")
            .say("A bucket may lie across the border of two chunks. Without looking back its two parts would not see each other:")
            .table([
                format!("pairs of one bucket missed in the own chunk only:        {missed_alone}"),
                format!("pairs of one bucket missed with the one before it too:  {missed_with}"),
            ])
            .say("A bucket longer than two chunks is still cut; more buckets make that rare.")
            .number("missed_alone", missed_alone)
            .number("missed_with", missed_with)
            .picture("look_back.svg", five_rows::borders(layer, &first, &sorted, &alone, &with)),
        Step::new("Repeat: more rounds keep more of exact attention")
            .say("A single hash separates some that belong together. Several rounds with directions of their own, added up by their softmax, keep more of the weight that exact attention gives:")
            .table(table)
            .say("Where a pair meets in several rounds the paper counts it once (log N is taken from its score); trax and Hugging Face let it count as often as it meets.")
            .number("rounds", SHOWN.to_vec())
            .number("kept", kept)
            .picture(
                "rounds.svg",
                matrices::draw(
                    "What LSH attention keeps of exact attention",
                    "A row is a query, a column a key. Blue: weight. Orange: weight of exact attention that is not seen.",
                    &panels,
                ),
            ),
    ];
    Ok(Lesson { unit: "lsh-attention", steps })
}

/// The first rounds.
fn rounds(buckets: &Buckets, rounds: usize) -> reformer::lsh::Result<Buckets> {
    let len = buckets.len();
    Buckets::given(rounds, len, buckets.num_buckets(), buckets.ids()[..rounds * len].to_vec())
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A line of a table cut to a screen.
fn cut(line: &str) -> String {
    super::canvas::shortened(line, 74)
}
