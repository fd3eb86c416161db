//! The case table: every semantic switch, and the shapes that break kernels.

use reformer_attention::naive::{self, Operands, Pair};
use reformer_attention::{
    Attention, Causal, Duplicates, ExactLength, FullConfig, Gradients, Inputs, KeyNorm, Keys, Layout,
    LocalConfig, LshConfig, Masks, Upstream, Visibility, Wrap,
};
use reformer_lsh::Buckets;
use reformer_tensor::{Address, Cpu, Matrix, Purpose, Real};

#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub attention: Attention,
    pub layout: Layout,
    pub rounds: usize,
    pub num_buckets: usize,
    /// Padded positions at the end of every sequence but the first.
    pub padding: usize,
    /// A random pair mask.
    pub pairs: bool,
}

impl Case {
    pub fn new(name: impl Into<String>, attention: impl Into<Attention>, len: usize) -> Self {
        let layout = Layout { batch: 2, len, heads: 2, head_dim: 8 };
        let attention = attention.into();
        Self { name: name.into(), attention, layout, rounds: 2, num_buckets: 4, padding: 0, pairs: false }
    }
}

/// All switches of LSH attention one at a time from each of the four starting points, then the other kinds, then
/// shapes.
pub fn table() -> Vec<Case> {
    let (m, len) = (8, 45);
    let mut cases = Vec::new();
    let starts = [
        ("paper", LshConfig { exact: ExactLength::Never, ..LshConfig::paper(m) }),
        ("paper, exact", LshConfig { exact: ExactLength::UpTo(64), ..LshConfig::paper(m) }),
        ("hugging face", LshConfig::hugging_face(m)),
        ("trax", LshConfig::trax(m)),
        ("lucid", LshConfig::lucid(m)),
    ];
    for (start, config) in starts {
        let mut push = |what: &str, config: LshConfig| {
            cases.push(Case::new(format!("lsh {start}: {what}"), config, len));
        };
        push("as it is", config);
        let both_ways = LshConfig { visibility: config.visibility.with_causal(false), ..config };
        push("not causal", both_ways);
        let visibility = Visibility { causal: Causal::Below(30), ..config.visibility };
        push("memory", LshConfig { visibility, ..config });
        push("other bucket rule", LshConfig { same_bucket: !config.same_bucket, ..config });
        let duplicates =
            if config.duplicates == Duplicates::Keep { Duplicates::Correct } else { Duplicates::Keep };
        push("other duplicate rule", LshConfig { duplicates, ..config });
        push("other rules", LshConfig { duplicates, same_bucket: !config.same_bucket, ..config });
        let wrap = if config.wrap == Wrap::Circular { Wrap::Bounded } else { Wrap::Circular };
        push("other wrap", LshConfig { wrap, ..config });
        push("two before, one after", LshConfig { chunks_before: 2, chunks_after: 1, ..both_ways });
        push("own chunk only", LshConfig { chunks_before: 0, ..config });
        push("dropout", LshConfig { dropout: 0.3, ..config });
        for (what, padding, pairs) in [("padding", 13, false), ("pair mask", 0, true)] {
            cases.push(Case { padding, pairs, ..Case::new(format!("lsh {start}: {what}"), both_ways, len) });
        }
    }
    let shared = [Keys::Separate, Keys::Shared(KeyNorm::Rms), Keys::Shared(KeyNorm::UnitScaled)];
    for keys in shared {
        for causal in [true, false] {
            let visibility = Visibility::CAUSAL.with_causal(causal);
            let full = FullConfig { keys, visibility, ..FullConfig::causal() };
            let local = LocalConfig { keys, visibility, ..LocalConfig::causal(m) };
            let masked = visibility.with_masked_queries(true);
            let around = LocalConfig { chunks_after: 1, wrap: Wrap::Circular, visibility: masked, ..local };
            let dropped = FullConfig { dropout: 0.2, visibility: masked, ..full };
            let end = if causal { Causal::Below(140) } else { Causal::No };
            let memory = FullConfig { visibility: Visibility { causal: end, ..visibility }, ..full };
            for (what, config, len, padding) in [
                ("full", Attention::Full(full), 150, 0),
                ("full, padded", Attention::Full(full), 37, 9),
                ("full, dropout", Attention::Full(dropped), 70, 6),
                ("full, memory", Attention::Full(memory), 150, 0),
                ("local", Attention::Local(local), len, 0),
                ("local, around", Attention::Local(around), len, 7),
            ] {
                let name = format!("{what} {keys:?}, causal {causal}");
                cases.push(Case { padding, ..Case::new(name, config, len) });
            }
        }
    }
    for config in [
        LshConfig { exact: ExactLength::Never, ..LshConfig::paper(m) },
        LshConfig::trax(m),
        LshConfig::lucid(m),
    ] {
        for len in [1, 2, 7, 8, 9, 16, 17] {
            cases.push(Case::new(format!("length {len} {:?}", config.wrap), config, len));
        }
        for rounds in [1, 3, 4] {
            let name = format!("{rounds} rounds {:?}", config.wrap);
            cases.push(Case { rounds, ..Case::new(name, config, 40) });
        }
        let one = Case::new(format!("one bucket {:?}", config.wrap), config, 40);
        cases.push(Case { num_buckets: 1, ..one });
    }
    let wide = LshConfig { exact: ExactLength::Never, ..LshConfig::paper(64) };
    let mut large = Case::new("the shape that counts", wide, 300);
    large.layout = Layout { batch: 1, len: 300, heads: 2, head_dim: 64 };
    cases.push(large);
    let long_chunk = LshConfig { exact: ExactLength::Never, ..LshConfig::paper(100) };
    cases.push(Case::new("chunks longer than a tile's queries", long_chunk, 230));
    cases
}

/// Random operands of a case.
pub struct Data {
    pub q: Matrix,
    pub k: Matrix,
    pub v: Matrix,
    pub dout: Matrix,
    pub buckets: Vec<Buckets>,
    pub tokens: Option<Vec<bool>>,
    pub pairs: Option<Vec<bool>>,
    pub address: Address,
}

impl Data {
    pub fn new(case: &Case, seed: u64) -> Self {
        let layout = case.layout;
        let address = Address::new(seed, Purpose::Test);
        let normal = |n: u64, scale: f32| {
            let mut x = Matrix::zeros(layout.rows(), layout.cols());
            address.sub(n).fill_normal(x.as_mut_slice());
            x.as_mut_slice().iter_mut().for_each(|x| *x *= scale);
            x
        };
        let (batch, len, cut) = (layout.batch, layout.len, layout.len.saturating_sub(case.padding));
        let token = |b: usize, t: usize| b == 0 || t < cut;
        let tokens =
            (case.padding > 0).then(|| (0..batch * len).map(|row| token(row / len, row % len)).collect());
        let pad = u32::from(case.padding > 0);
        let bucket = |index: usize, e: usize| {
            if token(index / layout.heads, e % len) {
                address.sub(9).sub(index as u64).bits(e as u64) % case.num_buckets as u32
            } else {
                case.num_buckets as u32
            }
        };
        let of_head = |index: usize| {
            let ids = (0..case.rounds * len).map(|e| bucket(index, e)).collect();
            Buckets::given(case.rounds, len, case.num_buckets + pad as usize, ids).unwrap()
        };
        Self {
            q: normal(1, 2.0),
            k: normal(2, 1.0),
            v: normal(3, 1.0),
            dout: normal(4, 1.0),
            buckets: (0..layout.head_count()).map(of_head).collect(),
            tokens,
            pairs: case.pairs.then(|| {
                (0..batch * len * len).map(|e| !address.sub(5).bits(e as u64).is_multiple_of(3)).collect()
            }),
            address: address.sub(6),
        }
    }

    pub fn inputs(&self, case: &Case) -> Inputs<'_> {
        Inputs {
            q: self.q.view(),
            k: (case.attention.keys() == Keys::Separate).then(|| self.k.view()),
            v: self.v.view(),
            masks: Masks { tokens: self.tokens.as_deref(), pairs: self.pairs.as_deref() },
            dropout: Some(self.address),
        }
    }
}

/// `out, dq, dk, dv` and `z` of a whole call.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<T> {
    pub tensors: [Vec<T>; 4],
    pub z: Vec<T>,
}

pub const NAMES: [&str; 4] = ["out", "dq", "dk", "dv"];

/// The crate's fast path.
pub fn fast(cpu: &Cpu, case: &Case, data: &Data) -> Outcome<f32> {
    let (layout, inputs) = (case.layout, data.inputs(case));
    let zeros = || Matrix::zeros(layout.rows(), layout.cols());
    let (mut out, mut dq, mut dk, mut dv) = (zeros(), zeros(), zeros(), zeros());
    let mut z = vec![f32::NAN; layout.head_count() * layout.len];
    let (view, b) = (out.view_mut(), &data.buckets);
    case.attention.forward(cpu, layout, &inputs, b, view, &mut z).unwrap();
    let upstream = Upstream { out: out.view(), z: &z, dout: data.dout.view() };
    let into = Gradients { dq: dq.view_mut(), dk: inputs.k.map(|_| dk.view_mut()), dv: dv.view_mut() };
    case.attention.backward(cpu, layout, &inputs, b, &upstream, into).unwrap();
    Outcome { tensors: [out, dq, dk, dv].map(|m| m.as_slice().to_vec()), z }
}

/// One head of one sequence for the twin, owned.
pub struct Head<T> {
    pub q: Vec<T>,
    pub k: Vec<T>,
    pub v: Vec<T>,
    pub dout: Vec<T>,
    pub pairs: Vec<Vec<Pair>>,
    pub keys: Keys,
    pub dim: usize,
    pub dropout: Option<(Address, f32)>,
}

impl<T: Real> Head<T> {
    pub fn new(case: &Case, data: &Data, index: usize) -> Self {
        let layout = case.layout;
        let own = |m: &Matrix| -> Vec<T> {
            layout.head(m.view(), index).rows_iter().flatten().map(|&x| T::of(f64::from(x))).collect()
        };
        let (b, len) = (index / layout.heads, layout.len);
        let masks = Masks {
            tokens: data.tokens.as_ref().map(|t| &t[b * len..(b + 1) * len]),
            pairs: data.pairs.as_ref().map(|p| &p[b * len * len..(b + 1) * len * len]),
        };
        let pairs = naive::pairs(&case.attention, len, masks, Some(&data.buckets[index]));
        let dropout =
            Some((data.address.sub(index as u64), case.attention.dropout())).filter(|(_, rate)| *rate > 0.0);
        let (q, k, v, dout) = (own(&data.q), own(&data.k), own(&data.v), own(&data.dout));
        Self { q, k, v, dout, pairs, keys: case.attention.keys(), dim: layout.head_dim, dropout }
    }

    pub fn operands(&self) -> Operands<'_, T> {
        Operands { q: &self.q, k: &self.k, v: &self.v, dim: self.dim, keys: self.keys, dropout: self.dropout }
    }

    /// `Σ out·dout`: the loss whose gradients the backward twin returns.
    pub fn loss(&self) -> T {
        let out = naive::attention(&self.operands(), &self.pairs).0;
        out.iter().zip(&self.dout).map(|(&o, &g)| o * g).sum()
    }
}

/// The definition.
pub fn twin<T: Real>(case: &Case, data: &Data) -> Outcome<T> {
    let layout = case.layout;
    let (d, len) = (layout.head_dim, layout.len);
    let mut tensors = [(); 4].map(|()| vec![T::zero(); layout.rows() * layout.cols()]);
    let mut z = Vec::new();
    for index in 0..layout.head_count() {
        let head = Head::<T>::new(case, data, index);
        let (out, head_z) = naive::attention(&head.operands(), &head.pairs);
        let [dq, dk, dv] = naive::attention_backward(&head.operands(), &head.pairs, &head.dout);
        z.extend(head_z);
        let (b, h) = (index / layout.heads, index % layout.heads);
        for (to, from) in tensors.iter_mut().zip([out, dq, dk, dv]) {
            for t in 0..len {
                let at = (b * len + t) * layout.cols() + h * d;
                to[at..at + d].copy_from_slice(&from[t * d..(t + 1) * d]);
            }
        }
    }
    Outcome { tensors, z }
}
