//! What must hold for any length, mask and bucketing; bad input; decoding.

use proptest::prelude::*;
use reformer_attention::decode::{Scratch, Step};
use reformer_attention::{
    ALONE, Attention, AttentionError, BucketTable, Causal, Duplicates, ExactLength, FullConfig, Gradients,
    Inputs, KeyNorm, KeyValues, Keys, Layout, LocalConfig, LshConfig, Upstream, Visibility,
};
use reformer_lsh::{BucketCount, Buckets, Rotations, hash_vectors};
use reformer_tensor::{Address, Cpu, Matrix, Precision, Purpose};
use reformer_testing::compare::worst;
use reformer_testing::numbers::normal;

fn hash(cpu: &Cpu, x: &Matrix, layout: Layout, rounds: usize, tokens: Option<&[bool]>) -> Vec<Buckets> {
    let rotations =
        Rotations::draw(1, 0, 0, layout.head_dim, rounds, &BucketCount::new(&[8]).unwrap()).unwrap();
    let of_head = |index: usize| {
        let b = index / layout.heads;
        let tokens = tokens.map(|t| &t[b * layout.len..(b + 1) * layout.len]);
        hash_vectors(cpu, layout.head(x.view(), index), &rotations, tokens).unwrap()
    };
    (0..layout.head_count()).map(of_head).collect()
}

/// `out, dqk, dv, z` of attention with shared queries and keys.
fn attend(
    cpu: &Cpu,
    attention: impl Into<Attention>,
    layout: Layout,
    inputs: &Inputs<'_>,
    buckets: &[Buckets],
    dout: &Matrix,
) -> [Matrix; 4] {
    let attention = attention.into();
    let zeros = || Matrix::zeros(layout.rows(), layout.cols());
    let (mut out, mut dqk, mut dv) = (zeros(), zeros(), zeros());
    let mut z = Matrix::zeros(layout.head_count(), layout.len);
    attention.forward(cpu, layout, inputs, buckets, out.view_mut(), z.as_mut_slice()).unwrap();
    let upstream = Upstream { out: out.view(), z: z.as_slice(), dout: dout.view() };
    let into = Gradients { dq: dqk.view_mut(), dk: None, dv: dv.view_mut() };
    attention.backward(cpu, layout, inputs, buckets, &upstream, into).unwrap();
    [out, dqk, dv, z]
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // Equal infinities are no distance.
    worst(a.iter().zip(b).map(|(a, b)| if a == b { 0.0 } else { f64::from((a - b).abs()) })) as f32
}

/// `x` with `extra` rows of noise after the rows of every sequence.
fn padded(x: &Matrix, len: usize, extra: usize, noise: f32) -> Matrix {
    let batch = x.rows() / len;
    Matrix::from_fn(batch * (len + extra), x.cols(), |i, j| {
        let (b, t) = (i / (len + extra), i % (len + extra));
        if t < len { x.row(b * len + t)[j] } else { noise * ((i * 31 + j * 17) % 13) as f32 - noise }
    })
}

fn unpadded(x: &Matrix, len: usize, extra: usize) -> Matrix {
    let batch = x.rows() / (len + extra);
    Matrix::from_fn(batch * len, x.cols(), |i, j| x.row(i / len * (len + extra) + i % len)[j])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn padded_equals_unpadded_forward_and_gradient(
        len in 1_usize..150, extra in 1_usize..40, rounds in 1_usize..5, chunk in 1_usize..60,
        before in 0_usize..3, after in 0_usize..3, same_bucket: bool, correct: bool, causal: bool,
        exact in prop_oneof![Just(ExactLength::Never), Just(ExactLength::Reach), Just(ExactLength::UpTo(1000))],
        mask_queries: bool, seed: u64,
    ) {
        let cpu = Cpu::single();
        let config = LshConfig {
            visibility: Visibility::CAUSAL.with_causal(causal).with_masked_queries(mask_queries),
            chunks_before: before, chunks_after: after, same_bucket, exact,
            duplicates: if correct { Duplicates::Correct } else { Duplicates::Keep },
            ..LshConfig::paper(chunk)
        };
        let layout = Layout { batch: 2, len, heads: 1, head_dim: 6 };
        let (qk, v, dout) = (normal(seed, 2 * len, 6), normal(!seed, 2 * len, 6), normal(seed ^ 9, 2 * len, 6));
        let buckets = hash(&cpu, &qk, layout, rounds, None);
        let plain = attend(&cpu, config, layout, &Inputs::shared(qk.view(), v.view()), &buckets, &dout);

        let longer = Layout { len: len + extra, ..layout };
        let tokens: Vec<bool> = (0..longer.rows()).map(|i| i % longer.len < len).collect();
        let (qk, v) = (padded(&qk, len, extra, 3.0), padded(&v, len, extra, 5.0));
        let dout = padded(&dout, len, extra, 0.0);
        let buckets = hash(&cpu, &qk, longer, rounds, Some(&tokens));
        let inputs = Inputs::shared(qk.view(), v.view()).with_tokens(Some(&tokens));
        let [out, dqk, dv, z] = attend(&cpu, config, longer, &inputs, &buckets, &dout);
        for (what, got, plain) in [("out", &out, &plain[0]), ("dqk", &dqk, &plain[1]), ("dv", &dv, &plain[2])] {
            let off = distance(unpadded(got, len, extra).as_slice(), plain.as_slice());
            prop_assert!(off < 2e-5, "{what} off by {off:e}");
        }
        for (i, z) in z.as_slice().iter().enumerate().filter(|(i, _)| i % longer.len >= len) {
            prop_assert!(!mask_queries || *z == f32::NEG_INFINITY, "padded row {i} has z {z}");
        }
    }

    #[test]
    fn one_round_of_one_bucket_and_one_chunk_is_full_shared_attention(
        len in 1_usize..300, extra in 0_usize..9, causal: bool, seed: u64,
    ) {
        let cpu = Cpu::single();
        let layout = Layout { batch: 1, len, heads: 2, head_dim: 5 };
        let (qk, v, dout) = (normal(seed, len, 10), normal(!seed, len, 10), normal(seed ^ 9, len, 10));
        let inputs = Inputs::shared(qk.view(), v.view());
        let visibility = Visibility::CAUSAL.with_causal(causal);
        let config = LshConfig { visibility, exact: ExactLength::Never, ..LshConfig::paper(len + extra) };
        let buckets = vec![Buckets::given(1, len, 2, vec![1; len]).unwrap(); 2];
        let chunked = attend(&cpu, config, layout, &inputs, &buckets, &dout);
        let config = FullConfig { visibility, ..FullConfig::shared(KeyNorm::Rms) };
        let whole = attend(&cpu, config, layout, &inputs, &[], &dout);
        for (a, b) in chunked.iter().zip(&whole) {
            prop_assert!(distance(a.as_slice(), b.as_slice()) < 2e-5);
        }
    }

    #[test]
    fn any_length_and_bucketing_gives_finite_rows_that_average_values(
        len in 1_usize..300, rounds in 1_usize..5, buckets in 1_usize..9, chunk in 1_usize..70, seed: u64,
        same_bucket: bool, before in 0_usize..3, after in 0_usize..2, causal: bool, circular: bool, correct: bool,
    ) {
        let cpu = Cpu::new(2).unwrap();
        let config = LshConfig {
            visibility: Visibility::CAUSAL.with_causal(causal), exact: ExactLength::Never,
            same_bucket, chunks_before: before, chunks_after: after,
            wrap: if circular { reformer_attention::Wrap::Circular } else { reformer_attention::Wrap::Bounded },
            duplicates: if correct { Duplicates::Correct } else { Duplicates::Keep },
            ..LshConfig::paper(chunk)
        };
        let layout = Layout { batch: 1, len, heads: 1, head_dim: 3 };
        let place = Address::new(seed, Purpose::Test);
        let ids = (0..rounds * len).map(|e| place.bits(e as u64) % buckets as u32).collect();
        let buckets = [Buckets::given(rounds, len, buckets, ids).unwrap()];
        // Values of one make every row an average of ones.
        let (qk, ones) = (normal(seed, len, 3), Matrix::from_fn(len, 3, |_, _| 1.0));
        let [out, dqk, dv, z] = attend(&cpu, config, layout, &Inputs::shared(qk.view(), ones.view()), &buckets, &ones);
        prop_assert!(out.as_slice().iter().all(|x| (x - 1.0).abs() < 1e-5));
        prop_assert!(z.as_slice().iter().all(|z| z.is_finite()));
        // … whose loss does not depend on the scores, and shares its gradient among the values.
        prop_assert!(dqk.as_slice().iter().all(|x| x.abs() < 1e-4));
        let total: f32 = dv.as_slice().iter().sum();
        prop_assert!((total - 3.0 * len as f32).abs() < 1e-3 * len as f32, "{total}");
    }

    #[test]
    fn a_step_is_the_last_row_of_the_forward_pass(
        len in 1_usize..120, rounds in 1_usize..4, seed: u64, same_bucket: bool, keep: bool,
    ) {
        let cpu = Cpu::single();
        let duplicates = if keep { Duplicates::Keep } else { Duplicates::Correct };
        let layout = Layout { batch: 1, len, heads: 1, head_dim: 4 };
        let (qk, v) = (normal(seed, len, 4), normal(!seed, len, 4));
        let inputs = Inputs::shared(qk.view(), v.view());
        let buckets = hash(&cpu, &qk, layout, rounds, None);
        let table = BucketTable::of_prompt(&buckets[0], 8, len).unwrap();
        let (mut out, mut z, mut step) = (Matrix::zeros(len, 4), vec![0.0; len], [0.0; 4]);
        let mut scratch = Scratch::default();
        let remembered = |keys: Keys| {
            let mut rows = KeyValues::new(1, 4, Precision::F32);
            rows.extend(qk.view(), v.view(), keys).unwrap();
            rows
        };
        let rows = remembered(Keys::Shared(KeyNorm::Rms));
        let last = Step { q: qk.row(len - 1), head: 0, position: len - 1, rows: &rows };

        // No bucket is longer than a chunk of len, whether chunked or exact.
        for exact in [ExactLength::Never, ExactLength::UpTo(len)] {
            let config = LshConfig { same_bucket, duplicates, exact, ..LshConfig::paper(len) };
            let attention = Attention::Lsh(config);
            attention.forward(&cpu, layout, &inputs, &buckets, out.view_mut(), &mut z).unwrap();
            attention.step(&last, Some(&table), &mut scratch, &mut step).unwrap();
            prop_assert!(distance(&step, out.row(len - 1)) < 1e-5);
        }
        for keys in [Keys::Separate, Keys::Shared(KeyNorm::UnitScaled)] {
            let rows = remembered(keys);
            let last = Step { rows: &rows, ..last };
            let mut inputs = inputs;
            inputs.k = (keys == Keys::Separate).then(|| qk.view());
            let local = Attention::Local(LocalConfig { keys, ..LocalConfig::causal(7) });
            let full = Attention::Full(FullConfig { keys, ..FullConfig::causal() });
            for attention in [local, full] {
                attention.forward(&cpu, layout, &inputs, &[], out.view_mut(), &mut z).unwrap();
                attention.step(&last, None, &mut scratch, &mut step).unwrap();
                prop_assert!(distance(&step, out.row(len - 1)) < 1e-5);
            }
        }
    }
}

#[test]
fn no_pair_is_seen_without_chunks_that_chunks_would_hide() {
    // Per length up to two chunks and a bit: with the default bound the rows are those of chunks at every length.
    let (cpu, chunk) = (Cpu::single(), 6);
    for (before, after, causal, same_bucket) in [
        (1, 0, Causal::No, true),
        (0, 0, Causal::Yes, true),
        (0, 1, Causal::Yes, true),
        (1, 0, Causal::Yes, true),
        (1, 1, Causal::No, true),
        (2, 1, Causal::No, true),
        (1, 0, Causal::Yes, false),
        (1, 1, Causal::Below(9), true),
    ] {
        let visibility = Visibility { causal, ..Visibility::CAUSAL };
        let default = LshConfig {
            chunks_before: before,
            chunks_after: after,
            visibility,
            same_bucket,
            ..LshConfig::paper(chunk)
        };
        let chunked = LshConfig { exact: ExactLength::Never, ..default };
        for len in 1..3 * chunk + 2 {
            let layout = Layout { batch: 1, len, heads: 1, head_dim: 4 };
            let (qk, v) = (normal(len as u64, len, 4), normal(99, len, 4));
            let buckets = hash(&cpu, &qk, layout, 2, None);
            let inputs = Inputs::shared(qk.view(), v.view());
            let got = attend(&cpu, default, layout, &inputs, &buckets, &v);
            let expected = attend(&cpu, chunked, layout, &inputs, &buckets, &v);
            for (got, expected) in got.iter().zip(&expected) {
                let off = distance(got.as_slice(), expected.as_slice());
                assert!(off < 2e-5, "{before} before, {after} after, {causal:?}, length {len}: {off:e}");
            }
        }
    }
}

#[test]
fn the_first_row_takes_its_own_value_exactly() {
    let cpu = Cpu::single();
    let layout = Layout { batch: 1, len: 20, heads: 1, head_dim: 4 };
    let (qk, v) = (normal(1, 20, 4), normal(2, 20, 4));
    let buckets = hash(&cpu, &qk, layout, 4, None);
    let inputs = Inputs::shared(qk.view(), v.view());
    for config in [LshConfig::paper(4), LshConfig::hugging_face(4), LshConfig::lucid(4)] {
        let [out, _, dv, z] = attend(&cpu, config, layout, &inputs, &buckets, &v);
        assert_eq!((out.row(0), z.as_slice()[0]), (v.row(0), ALONE));
        assert!(dv.as_slice().iter().all(|x| x.is_finite()));
    }
}

#[test]
fn nan_and_infinity_are_reported_with_their_place() {
    let cpu = Cpu::new(2).unwrap();
    let layout = Layout { batch: 1, len: 600, heads: 2, head_dim: 4 };
    let good = normal(1, 600, 8);
    let buckets = hash(&cpu, &good, layout, 1, None);
    let (mut out, mut z) = (Matrix::zeros(600, 8), vec![0.0; 1200]);
    for (value, row, col) in [(f32::NAN, 577, 6), (f32::INFINITY, 3, 0), (f32::NEG_INFINITY, 255, 7)] {
        let mut bad = good.clone();
        bad.row_mut(row)[col] = value;
        let inputs = Inputs::shared(good.view(), bad.view());
        let attention = Attention::Lsh(LshConfig::paper(8));
        let error = attention.forward(&cpu, layout, &inputs, &buckets, out.view_mut(), &mut z);
        let Err(AttentionError::NonFinite { what, row: r, col: c, .. }) = error else { panic!("{error:?}") };
        assert_eq!((what, r, c), ("v", row, col));
    }
}

#[test]
fn what_does_not_fit_is_refused_with_both_sizes() {
    let cpu = Cpu::single();
    let layout = Layout { batch: 1, len: 10, heads: 2, head_dim: 4 };
    let x = normal(1, 10, 8);
    let (mut out, mut z) = (Matrix::zeros(10, 8), vec![0.0; 20]);
    let inputs = Inputs::shared(x.view(), x.view());
    let config = LshConfig { exact: ExactLength::Never, ..LshConfig::paper(4) };
    let mut refuse = |config: &LshConfig, layout, inputs: &Inputs<'_>, buckets: &[Buckets], z: &mut [f32]| {
        let attention = Attention::Lsh(*config);
        attention.forward(&cpu, layout, inputs, buckets, out.view_mut(), z).unwrap_err().to_string()
    };
    let buckets = hash(&cpu, &x, layout, 2, None);
    let message = refuse(&config, Layout { len: 11, ..layout }, &inputs, &buckets, &mut z);
    assert!(message.contains("cover 10 positions, expected 11"), "{message}");
    let message = refuse(&config, layout, &inputs, &buckets[..1], &mut z);
    assert!(message.contains("has 1 entries, expected 2"), "{message}");
    let message = refuse(&config, layout, &inputs, &buckets, &mut [0.0; 3]);
    assert!(message.contains("z has 3 entries, expected 20"), "{message}");
    let message = refuse(&LshConfig { chunk_length: 0, ..config }, layout, &inputs, &buckets, &mut z);
    assert!(message.contains("chunk_length of LSH attention is 0, expected at least 1"), "{message}");
    let message = refuse(&LshConfig { dropout: 1.0, ..config }, layout, &inputs, &buckets, &mut z);
    assert!(message.contains("expected in [0, 1)"), "{message}");
    let message = refuse(&config, layout, &inputs.with_tokens(Some(&[true; 9])), &buckets, &mut z);
    assert!(message.contains("token mask has 9 entries, expected 10"), "{message}");
    let separate = Inputs::separate(x.view(), x.view(), x.view());
    assert!(refuse(&config, layout, &separate, &buckets, &mut z).contains("shares queries and keys"));
    let short = normal(1, 9, 8);
    let message = refuse(&config, layout, &Inputs::shared(x.view(), short.view()), &buckets, &mut z);
    assert!(message.contains("v is 9 x 8, expected 10 x 8"), "{message}");
    let mut uneven = buckets.clone();
    uneven[1] = Buckets::given(1, 10, 8, vec![0; 10]).unwrap();
    let message = refuse(&config, layout, &inputs, &uneven, &mut z);
    assert!(message.contains("head 1 have 1 rounds, those of head 0 have 2"), "{message}");
}

#[test]
fn a_sequence_of_no_positions_is_nothing_to_do() {
    let cpu = Cpu::single();
    let layout = Layout { batch: 3, len: 0, heads: 2, head_dim: 4 };
    let x = Matrix::zeros(0, 8);
    let inputs = Inputs::shared(x.view(), x.view());
    let [out, ..] = attend(&cpu, LshConfig::paper(4), layout, &inputs, &[], &x);
    assert!(out.as_slice().is_empty());
    let rows = KeyValues::new(1, 4, Precision::F32);
    let step = Step { q: &[0.0; 4], head: 0, position: 0, rows: &rows };
    assert!(
        Attention::from(FullConfig::causal())
            .step(&step, None, &mut Scratch::default(), &mut [0.0; 4])
            .is_err()
    );
}

#[test]
fn a_step_reaches_the_latest_of_its_bucket_and_nobody_else() {
    // One bucket of 40, chunks of 8 and one before: the latest 16, itself among them.
    let (x, len) = (normal(7, 40, 4), 40);
    let mut rows = KeyValues::new(1, 4, Precision::F32);
    rows.extend(x.view(), x.view(), Keys::Shared(KeyNorm::Rms)).unwrap();
    let table =
        |ids: Vec<u32>| BucketTable::of_prompt(&Buckets::given(2, len, 2, ids).unwrap(), 2, len).unwrap();
    let lsh = Attention::Lsh(LshConfig::paper(8));
    let step = Step { q: x.row(39), head: 0, position: 39, rows: &rows };
    let (mut scratch, mut got, mut expected) = (Scratch::default(), [0.0; 4], [0.0; 4]);
    lsh.step(&step, Some(&table(vec![0; 80])), &mut scratch, &mut got).unwrap();
    let keys = Keys::Shared(KeyNorm::Rms);
    let window = Attention::Local(LocalConfig { keys, ..LocalConfig::causal(16) });
    let shifted = {
        let mut rows = KeyValues::new(1, 4, Precision::F32);
        let last = x.view().rows_range(24..40);
        rows.extend(last, last, Keys::Shared(KeyNorm::Rms)).unwrap();
        rows
    };
    let alone = Step { position: 15, rows: &shifted, ..step };
    window.step(&alone, None, &mut scratch, &mut expected).unwrap();
    assert!(distance(&got, &expected) < 1e-6);
    // Alone in its bucket in both rounds: its own value, exactly.
    let lonely = (0..80).map(|i| u32::from(i % 40 == 39)).collect();
    lsh.step(&step, Some(&table(lonely)), &mut scratch, &mut got).unwrap();
    assert_eq!(got, x.row(39));
}

#[test]
fn a_step_that_needs_what_was_given_back_says_so() {
    let x = normal(8, 200, 4);
    let mut rows = KeyValues::new(1, 4, Precision::F32);
    rows.extend(x.view(), x.view(), Keys::Separate).unwrap();
    rows.forget_before(150);
    let step = Step { q: x.row(199), head: 0, position: 199, rows: &rows };
    let (mut scratch, mut out) = (Scratch::default(), [0.0; 4]);
    let (local, full) = (Attention::Local(LocalConfig::causal(16)), Attention::Full(FullConfig::causal()));
    local.step(&step, None, &mut scratch, &mut out).unwrap();
    let message = full.step(&step, None, &mut scratch, &mut out).unwrap_err().to_string();
    assert!(message.contains("position 0 is needed, but only those from 128 on"), "{message}");
}

#[test]
fn a_pair_that_meets_in_every_round_counts_once_with_correction() {
    // Two positions always together, two rounds; the second row sees the first only.
    let cpu = Cpu::single();
    let layout = Layout { batch: 1, len: 3, heads: 1, head_dim: 2 };
    let x = normal(5, 3, 2);
    let inputs = Inputs::shared(x.view(), x.view());
    // Position 2 meets 0 in both rounds and 1 in the first.
    let buckets = [Buckets::given(2, 3, 2, vec![0, 0, 0, 0, 1, 0]).unwrap()];
    let corrected = LshConfig { exact: ExactLength::Never, ..LshConfig::paper(3) };
    let [out, ..] = attend(&cpu, corrected, layout, &inputs, &buckets, &x);
    let everything = attend(&cpu, FullConfig::shared(KeyNorm::Rms), layout, &inputs, &[], &x);
    assert!(distance(out.row(2), everything[0].row(2)) < 1e-6);
    let kept = LshConfig { duplicates: Duplicates::Keep, ..corrected };
    let [out, ..] = attend(&cpu, kept, layout, &inputs, &buckets, &x);
    assert!(distance(out.row(2), everything[0].row(2)) > 1e-3, "kept duplicates weigh twice");
}
