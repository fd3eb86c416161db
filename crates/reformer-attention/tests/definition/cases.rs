//! The case table: every semantic switch, and the shapes that break kernels.

use reformer_attention::naive::{self, Operands, Pair};
use reformer_attention::{
    Duplicates, FullConfig, Gradients, Inputs, KeyNorm, Keys, Layout, LocalConfig, LshConfig, Masks,
    Upstream, Wrap,
};
use reformer_attention::{
    full_backward, full_forward, local_backward, local_forward, lsh_backward, lsh_forward,
};
use reformer_lsh::Buckets;
use reformer_tensor::{Address, Cpu, Matrix, Purpose, Real};

#[derive(Clone, Copy, Debug)]
pub enum Config {
    Full(FullConfig),
    Local(LocalConfig),
    Lsh(LshConfig),
}

#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub config: Config,
    pub layout: Layout,
    pub rounds: usize,
    pub num_buckets: usize,
    /// Padded positions at the end of every sequence but the first.
    pub padding: usize,
    /// A random pair mask.
    pub pairs: bool,
}

impl Case {
    pub fn new(name: impl Into<String>, config: Config, len: usize) -> Self {
        let layout = Layout { batch: 2, len, heads: 2, head_dim: 8 };
        Self { name: name.into(), config, layout, rounds: 2, num_buckets: 4, padding: 0, pairs: false }
    }

    fn keys(&self) -> Keys {
        match &self.config {
            Config::Full(c) => c.keys,
            Config::Local(c) => c.keys,
            Config::Lsh(c) => Keys::Shared(c.keys),
        }
    }

    fn dropout(&self) -> f32 {
        match &self.config {
            Config::Full(c) => c.dropout,
            Config::Local(c) => c.dropout,
            Config::Lsh(c) => c.dropout,
        }
    }
}

/// All switches of LSH attention one at a time from each of the four starting points, then the other kinds, then shapes.
pub fn table() -> Vec<Case> {
    let (m, len) = (8, 45);
    let mut cases = Vec::new();
    let starts = [
        ("paper", LshConfig { exact_below: 0, ..LshConfig::paper(m) }),
        ("paper, exact", LshConfig { exact_below: 64, ..LshConfig::paper(m) }),
        ("hugging face", LshConfig::hugging_face(m)),
        ("trax", LshConfig::trax(m)),
        ("lucid", LshConfig::lucid(m)),
    ];
    for (start, config) in starts {
        let mut push = |what: &str, config: LshConfig| {
            cases.push(Case::new(format!("lsh {start}: {what}"), Config::Lsh(config), len));
        };
        push("as it is", config);
        push("not causal", LshConfig { causal: false, ..config });
        push("memory", LshConfig { causal_len: Some(30), ..config });
        push("other bucket rule", LshConfig { same_bucket: !config.same_bucket, ..config });
        let duplicates =
            if config.duplicates == Duplicates::Keep { Duplicates::Correct } else { Duplicates::Keep };
        push("other duplicate rule", LshConfig { duplicates, ..config });
        push("other rules", LshConfig { duplicates, same_bucket: !config.same_bucket, ..config });
        let wrap = if config.wrap == Wrap::Circular { Wrap::Bounded } else { Wrap::Circular };
        push("other wrap", LshConfig { wrap, ..config });
        push(
            "two before, one after",
            LshConfig { chunks_before: 2, chunks_after: 1, causal: false, ..config },
        );
        push("own chunk only", LshConfig { chunks_before: 0, ..config });
        push("dropout", LshConfig { dropout: 0.3, ..config });
        for (what, padding, pairs) in [("padding", 13, false), ("pair mask", 0, true)] {
            let config = Config::Lsh(LshConfig { causal: false, ..config });
            cases.push(Case { padding, pairs, ..Case::new(format!("lsh {start}: {what}"), config, len) });
        }
    }
    let shared = [Keys::Separate, Keys::Shared(KeyNorm::Rms), Keys::Shared(KeyNorm::UnitScaled)];
    for keys in shared {
        for causal in [true, false] {
            let full = FullConfig { keys, causal, ..FullConfig::causal() };
            let local = LocalConfig { keys, causal, ..LocalConfig::causal(m) };
            let around = LocalConfig { chunks_after: 1, wrap: Wrap::Circular, mask_queries: true, ..local };
            let dropped = FullConfig { dropout: 0.2, mask_queries: true, ..full };
            for (what, config, len, padding) in [
                ("full", Config::Full(full), 150, 0),
                ("full, padded", Config::Full(full), 37, 9),
                ("full, dropout", Config::Full(dropped), 70, 6),
                ("full, memory", Config::Full(FullConfig { causal_len: Some(140), ..full }), 150, 0),
                ("local", Config::Local(local), len, 0),
                ("local, around", Config::Local(around), len, 7),
            ] {
                let name = format!("{what} {keys:?}, causal {causal}");
                cases.push(Case { padding, ..Case::new(name, config, len) });
            }
        }
    }
    for config in
        [LshConfig { exact_below: 0, ..LshConfig::paper(m) }, LshConfig::trax(m), LshConfig::lucid(m)]
    {
        for len in [1, 2, 7, 8, 9, 16, 17] {
            cases.push(Case::new(format!("length {len} {:?}", config.wrap), Config::Lsh(config), len));
        }
        for rounds in [1, 3, 4] {
            let name = format!("{rounds} rounds {:?}", config.wrap);
            cases.push(Case { rounds, ..Case::new(name, Config::Lsh(config), 40) });
        }
        let one = Case::new(format!("one bucket {:?}", config.wrap), Config::Lsh(config), 40);
        cases.push(Case { num_buckets: 1, ..one });
    }
    let wide = LshConfig { exact_below: 0, ..LshConfig::paper(64) };
    let mut large = Case::new("the shape that counts", Config::Lsh(wide), 300);
    large.layout = Layout { batch: 1, len: 300, heads: 2, head_dim: 64 };
    cases.push(large);
    let long_chunk = LshConfig { exact_below: 0, ..LshConfig::paper(100) };
    cases.push(Case::new("chunks longer than a tile's queries", Config::Lsh(long_chunk), 230));
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
        let bucket = |band: usize, e: usize| {
            if token(band / layout.heads, e % len) {
                address.sub(9).sub(band as u64).bits(e as u64) % case.num_buckets as u32
            } else {
                case.num_buckets as u32
            }
        };
        let of_band = |band: usize| {
            let ids = (0..case.rounds * len).map(|e| bucket(band, e)).collect();
            Buckets::given(case.rounds, len, case.num_buckets + pad as usize, ids).unwrap()
        };
        Self {
            q: normal(1, 2.0),
            k: normal(2, 1.0),
            v: normal(3, 1.0),
            dout: normal(4, 1.0),
            buckets: (0..layout.bands()).map(of_band).collect(),
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
            k: (case.keys() == Keys::Separate).then(|| self.k.view()),
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
    let mut z = vec![f32::NAN; layout.bands() * layout.len];
    let (view, b) = (out.view_mut(), &data.buckets);
    match &case.config {
        Config::Full(c) => full_forward(cpu, c, layout, &inputs, view, &mut z),
        Config::Local(c) => local_forward(cpu, c, layout, &inputs, view, &mut z),
        Config::Lsh(c) => lsh_forward(cpu, c, layout, &inputs, b, view, &mut z),
    }
    .unwrap();
    let upstream = Upstream { out: out.view(), z: &z, dout: data.dout.view() };
    let into = Gradients { dq: dq.view_mut(), dk: inputs.k.map(|_| dk.view_mut()), dv: dv.view_mut() };
    match &case.config {
        Config::Full(c) => full_backward(cpu, c, layout, &inputs, &upstream, into),
        Config::Local(c) => local_backward(cpu, c, layout, &inputs, &upstream, into),
        Config::Lsh(c) => lsh_backward(cpu, c, layout, &inputs, b, &upstream, into),
    }
    .unwrap();
    Outcome { tensors: [out, dq, dk, dv].map(|m| m.as_slice().to_vec()), z }
}

/// One head of one sequence for the twin, owned.
pub struct Band<T> {
    pub q: Vec<T>,
    pub k: Vec<T>,
    pub v: Vec<T>,
    pub dout: Vec<T>,
    pub pairs: Vec<Vec<Pair>>,
    pub keys: Keys,
    pub dim: usize,
    pub dropout: Option<(Address, f32)>,
}

impl<T: Real> Band<T> {
    pub fn new(case: &Case, data: &Data, band: usize) -> Self {
        let layout = case.layout;
        let own = |m: &Matrix| -> Vec<T> {
            layout.band(m.view(), band).rows_iter().flatten().map(|&x| T::of(f64::from(x))).collect()
        };
        let (b, len) = (band / layout.heads, layout.len);
        let masks = Masks {
            tokens: data.tokens.as_ref().map(|t| &t[b * len..(b + 1) * len]),
            pairs: data.pairs.as_ref().map(|p| &p[b * len * len..(b + 1) * len * len]),
        };
        let pairs = match &case.config {
            Config::Full(c) => naive::full_pairs(c, len, masks),
            Config::Local(c) => naive::local_pairs(c, len, masks),
            Config::Lsh(c) => naive::lsh_pairs(c, len, masks, &data.buckets[band]),
        };
        let dropout = Some((data.address.sub(band as u64), case.dropout())).filter(|(_, rate)| *rate > 0.0);
        let (q, k, v, dout) = (own(&data.q), own(&data.k), own(&data.v), own(&data.dout));
        Self { q, k, v, dout, pairs, keys: case.keys(), dim: layout.head_dim, dropout }
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
    for index in 0..layout.bands() {
        let band = Band::<T>::new(case, data, index);
        let (out, band_z) = naive::attention(&band.operands(), &band.pairs);
        let [dq, dk, dv] = naive::attention_backward(&band.operands(), &band.pairs, &band.dout);
        z.extend(band_z);
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
