//! `reformer bench gemm`: one matrix product as layers call it, `2·m·n·k` operations.

use reformer::tensor::{Cpu, Precision, View, ViewMut, Write, matmul, matmul_nt, matmul_tn};
use serde_json::json;

use super::report::{Bench, Result};
use super::{fits, normal, positive, touched};
use crate::args::bench::{FormChoice, GemmBench};
use crate::number;

type Product = fn(&Cpu, View<'_>, View<'_>, Write, ViewMut<'_>);

/// Measures every combination of type, form, m, n and k.
pub(super) fn run(args: &GemmBench, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    bench.title("[m, k] × [k, n] → [m, n]")?;
    for &dtype in &args.dtype {
        for &form in &args.form {
            for &m in &args.m {
                for &n in &args.n {
                    for &k in &args.k {
                        positive(&[("--m", m), ("--n", n), ("--k", k)])?;
                        let sizes = (m as f64, n as f64, k as f64);
                        let bytes = 4.0 * (sizes.0 * sizes.1 + sizes.1 * sizes.2 + sizes.0 * sizes.2);
                        fits(&format!("a product of {m} × {k} by {k} × {n}"), bytes, "--m, --n or --k")?;
                        measure(bench, dtype, form, (m, n, k))?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn measure(
    bench: &mut Bench<'_>,
    dtype: Precision,
    form: FormChoice,
    (m, n, k): (usize, usize, usize),
) -> anyhow::Result<()> {
    let (cpu, dtype) = bench.in_dtype(dtype);
    let case = bench.begin();
    let (multiply, name): (Product, _) = match form {
        FormChoice::Nn => (matmul, "nn"),
        FormChoice::Nt => (matmul_nt, "nt"),
        FormChoice::Tn => (matmul_tn, "tn"),
    };
    let a = if form == FormChoice::Tn { normal(bench.seed, 0, k, m) } else { normal(bench.seed, 0, m, k) };
    let b = if form == FormChoice::Nt { normal(bench.seed, 1, n, k) } else { normal(bench.seed, 1, k, n) };
    let mut c = touched(m, n);
    let measured = bench.time(case, 0, || {
        multiply(&cpu, a.view(), b.view(), Write::Overwrite, c.view_mut());
        Ok(())
    })?;
    let result = Result {
        bench: "gemm",
        parameters: json!({ "m": m, "n": n, "k": k, "form": name, "dtype": dtype }),
        flops: Some(2.0 * m as f64 * n as f64 * k as f64),
        flops_formula: "2·m·n·k",
        cells: vec![
            ("m", number::count(m)),
            ("n", number::count(n)),
            ("k", number::count(k)),
            ("form", name.into()),
            ("dtype", dtype.into()),
        ],
    };
    bench.report(result, &measured)
}
