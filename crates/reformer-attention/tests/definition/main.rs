//! The fast paths against the definition, the definition's backward against finite differences.

#![allow(unreachable_pub)]

mod cases;

use cases::{Case, Data, Head, NAMES, fast, table, twin};
use reformer_attention::{
    ALONE, Attention, ExactLength, FullConfig, Layout, LocalConfig, LshConfig, Visibility,
};
use reformer_tensor::Cpu;
use reformer_testing::compare::worst_error;

#[track_caller]
fn judge(cpu: &Cpu, case: &Case, seed: u64) {
    let data = Data::new(case, seed);
    let (got, truth, plain) = (fast(cpu, case, &data), twin::<f64>(case, &data), twin::<f32>(case, &data));
    for (i, name) in NAMES.iter().enumerate() {
        // Operands are of order 1, and so is what cancels where a gradient is 0.
        let scale = truth.tensors[i].iter().fold(1.0_f64, |m, x| m.max(x.abs()));
        let (error, plain) = (
            worst_error(&got.tensors[i], &truth.tensors[i]),
            worst_error(&plain.tensors[i], &truth.tensors[i]),
        );
        let allowed = 2.0 * plain + 4.0 * f64::from(f32::EPSILON) * scale;
        assert!(error <= allowed, "{}: {name} off by {error:.2e}, allowed {allowed:.2e}", case.name);
    }
    for (row, (&z, &truth)) in got.z.iter().zip(&truth.z).enumerate() {
        let lone = z == ALONE && truth < 0.5 * f64::from(ALONE);
        let same = z.is_infinite() && truth.is_infinite()
            || (f64::from(z) - truth).abs() <= 2e-6 * truth.abs().max(8.0);
        assert!(lone || same, "{}: z of row {row} is {z}, expected {truth}", case.name);
    }
}

#[test]
fn every_case_is_as_close_to_the_f64_definition_as_twice_the_f32_definition() {
    let cpu = Cpu::new(2).unwrap();
    for (seed, case) in table().iter().enumerate() {
        judge(&cpu, case, seed as u64);
    }
}

/// Long enough for several ranges of chunks, which threads share, and for overhangs between them.
fn long_cases() -> Vec<Case> {
    let small = |head_dim, len| Layout { batch: 1, len, heads: 1, head_dim };
    let case = |name: &str, config: Attention, layout, rounds, num_buckets| Case {
        layout,
        rounds,
        num_buckets,
        ..Case::new(name, config, 1)
    };
    let paper = LshConfig { exact: ExactLength::Never, ..LshConfig::paper(8) };
    let visibility = Visibility::BIDIRECTIONAL.with_masked_queries(true);
    let around = LshConfig { chunks_before: 1, chunks_after: 1, visibility, ..LshConfig::paper(6) };
    let visibility = Visibility::BIDIRECTIONAL;
    let local = LocalConfig { chunks_after: 1, visibility, ..LocalConfig::causal(10) };
    vec![
        case("paper", Attention::Lsh(paper), small(5, 4999), 3, 700),
        case("paper, buckets of many chunks", Attention::Lsh(paper), small(3, 4500), 2, 30),
        case("hugging face", Attention::Lsh(LshConfig::hugging_face(8)), small(4, 4100), 2, 600),
        case("both sides", Attention::Lsh(around), small(2, 5000), 2, 900),
        case("local", Attention::Local(local), small(3, 4300), 1, 1),
        case(
            "several waves",
            Attention::Lsh(LshConfig { chunk_length: 4, ..paper }),
            small(1, 36_000),
            1,
            9000,
        ),
        case("full", Attention::Full(FullConfig::causal()), small(2, 700), 1, 1),
    ]
}

#[test]
fn long_lists_are_as_close_to_the_definition() {
    let cpu = Cpu::new(2).unwrap();
    for (seed, case) in long_cases().iter().enumerate() {
        judge(&cpu, case, seed as u64);
    }
}

#[test]
fn the_definitions_gradients_are_the_slopes_of_its_output() {
    for (seed, case) in
        table().into_iter().enumerate().filter(|(_, case)| case.layout.len <= 20 || case.padding > 0)
    {
        let mut case = case;
        case.layout = Layout { batch: 2, len: case.layout.len.min(14), heads: 1, head_dim: 4 };
        case.padding = case.padding.min(5);
        let data = Data::new(&case, seed as u64);
        let mut head = Head::<f64>::new(&case, &data, 1);
        let [dq, dk, dv] =
            reformer_attention::naive::attention_backward(&head.operands(), &head.pairs, &head.dout);
        let step = 1e-5;
        for e in (0..head.q.len()).step_by(3) {
            for (which, expected) in [dq[e], dk[e], dv[e]].into_iter().enumerate() {
                let mut losses = [0.0; 2];
                for (loss, sign) in losses.iter_mut().zip([1.0, -1.0]) {
                    let operand = match which {
                        0 => &mut head.q,
                        1 => &mut head.k,
                        _ => &mut head.v,
                    };
                    let kept = operand[e];
                    operand[e] = kept + sign * step;
                    *loss = head.loss();
                    match which {
                        0 => head.q[e] = kept,
                        1 => head.k[e] = kept,
                        _ => head.v[e] = kept,
                    }
                }
                let slope = (losses[0] - losses[1]) / (2.0 * step);
                assert!(
                    (slope - expected).abs() <= 1e-6 * (1.0 + expected.abs()),
                    "{}: d{} [{e}] is {expected}, the slope {slope}",
                    case.name,
                    ["q", "k", "v"][which]
                );
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for case in table().iter().step_by(7).chain(&long_cases()) {
        let data = Data::new(case, 3);
        let one = fast(&Cpu::single(), case, &data);
        for threads in [2, 3] {
            assert_eq!(one, fast(&Cpu::new(threads).unwrap(), case, &data), "{}", case.name);
        }
    }
}

#[test]
fn a_warm_workspace_gives_the_same_bits() {
    let case = Case::new("warm", LshConfig { exact: ExactLength::Never, ..LshConfig::paper(8) }, 61);
    let data = Data::new(&case, 8);
    let cpu = Cpu::single();
    let cold = fast(&cpu, &case, &data);
    cpu.workspace.take(1 << 16).fill(f32::NAN);
    for _ in 0..3 {
        assert_eq!(cold, fast(&cpu, &case, &data));
    }
    assert_eq!(cpu.workspace.in_use_bytes(), 0);
}
