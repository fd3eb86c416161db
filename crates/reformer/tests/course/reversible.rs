//! Lab 2 and parts 2 and 3 of the assignment: residual layers, reversible layers, their inverse, and noise.

use std::cell::Cell;
use std::convert::Infallible;

use reformer::reversible::{Block, Coupling, Streams, Sublayer, sequence};
use reformer::tensor::{Address, Matrix, Purpose};

/// `f(x) = a·x + b` of every number, with noise drawn anew at each call or replayed from an address.
#[derive(Clone, Debug)]
struct Line {
    a: f32,
    b: f32,
    noise: Noise,
}

#[derive(Clone, Debug)]
enum Noise {
    None,
    /// From the same address at every call.
    Replayed(Address),
    /// From an address that moves on with every call, as a generator's state does.
    Fresh(Cell<u64>),
}

fn line(a: f32, b: f32) -> Line {
    Line { a, b, noise: Noise::None }
}

impl Sublayer<()> for Line {
    type Activations = Matrix;
    type Differentials = Matrix;
    type Saved = ();
    type Gradient = ();
    type Error = Infallible;

    fn forward(&self, (): &(), x: &Matrix, y: &mut Matrix) -> Result<(), Infallible> {
        let mut noise = vec![0.0; x.as_slice().len()];
        match &self.noise {
            Noise::None => {}
            Noise::Replayed(address) => address.fill_normal(&mut noise),
            Noise::Fresh(call) => {
                Address::new(call.replace(call.get() + 1), Purpose::Test).fill_normal(&mut noise);
            }
        }
        for ((y, x), noise) in y.as_mut_slice().iter_mut().zip(x.as_slice()).zip(noise) {
            *y += self.a * x + self.b + noise;
        }
        Ok(())
    }

    fn reverse_and_grad(
        &self,
        context: &(),
        x: &Matrix,
        (): &(),
        y: &mut Matrix,
        dy: &Matrix,
        dx: &mut Matrix,
        (): &mut (),
    ) -> Result<(), Infallible> {
        let mut residual = Matrix::zeros(x.rows(), x.cols());
        self.forward(context, x, &mut residual)?;
        for i in 0..x.as_slice().len() {
            y.as_mut_slice()[i] -= residual.as_slice()[i];
            dx.as_mut_slice()[i] += self.a * dy.as_slice()[i];
        }
        Ok(())
    }
}

/// The two halves of a row of numbers.
fn halves(numbers: &[f32]) -> Streams<Matrix> {
    let half = numbers.len() / 2;
    let matrix = |x: &[f32]| Matrix::from_slice(1, half, x);
    Streams { first: matrix(&numbers[..half]), second: matrix(&numbers[half..]) }
}

fn joined(streams: &Streams<Matrix>) -> Vec<f32> {
    [streams.first.as_slice(), streams.second.as_slice()].concat()
}

/// `reversible_layer_forward`: `y1 = x1 + f(x2)`, `y2 = x2 + g(y1)`.
fn forward(x: &[f32], f: Line, g: Line) -> Vec<f32> {
    let mut streams = halves(x);
    Coupling { f, g }.forward(&(), &mut streams).unwrap();
    joined(&streams)
}

/// `reversible_layer_reverse`: `x2 = y2 − g(y1)`, `x1 = y1 − f(x2)`.
fn reverse(y: &[f32], f: Line, g: Line) -> Vec<f32> {
    let mut streams = halves(y);
    Coupling { f, g }.inverse(&(), &mut streams).unwrap();
    joined(&streams)
}

fn one_to_eight() -> Vec<f32> {
    (1..=8).map(|i| i as f32).collect()
}

#[test]
fn a_residual_layer_adds_its_function_to_its_input() {
    let residual = |f: &Line, x: Matrix| {
        let mut y = x.clone();
        f.forward(&(), &x, &mut y).unwrap();
        y
    };
    let one = Matrix::from_vec(1, 1, vec![1.0]);
    assert_eq!(residual(&line(1.0, 1.0), one.clone()).as_slice(), [3.0], "1 + (1 + 1)");
    let (f, g) = (line(2.0, 0.0), line(10.0, 0.0));
    let four = [&f, &g, &f, &g].into_iter().fold(one, |x, layer| residual(layer, x));
    assert_eq!(four.as_slice(), [1089.0], "3 · 11 · 3 · 11");
}

#[test]
fn two_reversible_blocks_of_the_same_functions_give_65_and_681() {
    let block = Coupling { f: line(2.0, 0.0), g: line(10.0, 0.0) };
    let blocks = [block.clone(), block];
    let mut streams = halves(&[1.0, 1.0]);
    sequence::forward(&(), &mut streams, &blocks, |_, _| Ok(())).unwrap();
    assert_eq!(joined(&streams), [65.0, 681.0]);
    sequence::inverse(&(), &mut streams, &blocks).unwrap();
    assert_eq!(joined(&streams), [1.0, 1.0]);
}

#[test]
fn a_swap_of_the_streams_undoes_itself() {
    // trax alternates half-residual layers with a layer that swaps the streams; a coupling names them instead.
    let swap = |Streams { first, second }| Streams { first: second, second: first };
    let swapped = swap(halves(&[1.0, 5.0]));
    assert_eq!(joined(&swapped), [5.0, 1.0]);
    assert_eq!(joined(&swap(halves(&[5.0, 1.0]))), [1.0, 5.0]);
    let (f, g) = (line(2.0, 0.5), line(10.0, -1.0));
    let mut by_swaps = halves(&[1.0, 5.0]);
    f.forward(&(), &by_swaps.second, &mut by_swaps.first).unwrap();
    let mut by_swaps = swap(by_swaps);
    g.forward(&(), &by_swaps.second, &mut by_swaps.first).unwrap();
    assert_eq!(joined(&swap(by_swaps)), forward(&[1.0, 5.0], f, g));
}

#[test]
fn reversible_layer_forward_gives_the_published_values() {
    let y = forward(&one_to_eight(), line(1.0, 2.0), line(3.0, 0.0));
    assert_eq!(y, [8.0, 10.0, 12.0, 14.0, 29.0, 36.0, 43.0, 50.0]);
    let y = forward(&[1.0; 128], line(1.0, 1.0), line(2.0, 0.0));
    assert_eq!(y, [[3.0; 64], [7.0; 64]].concat());
    let y = forward(&[1.0; 20], line(3.0, 1.0), line(0.4, 0.0));
    assert_eq!(y, [[5.0; 10], [3.0; 10]].concat());
}

#[test]
fn reversible_layer_reverse_gives_the_published_values() {
    let x = reverse(&one_to_eight(), line(1.0, 2.0), line(3.0, 0.0));
    assert_eq!(x, [-3.0, 0.0, 3.0, 6.0, 2.0, 0.0, -2.0, -4.0]);
    let x = reverse(&[1.0; 128], line(1.0, 1.0), line(2.0, 0.0));
    assert_eq!(x, [[1.0; 64], [-1.0; 64]].concat());
    let x = reverse(&[[5.0; 10], [3.0; 10]].concat(), line(3.0, 1.0), line(0.4, 0.0));
    assert_eq!(x, [1.0; 20]);
}

#[test]
fn reverse_undoes_forward() {
    let (f, g) = (line(1.0, 2.0), line(3.0, 0.0));
    let y = forward(&one_to_eight(), f.clone(), g.clone());
    assert_eq!(reverse(&y, f, g), one_to_eight());
}

/// How far the inverse ends from the input if `f` is noisy.
fn distance_after_a_round_trip(noise: Noise) -> f32 {
    let (mut f, g) = (line(1.0, 2.0), line(3.0, 0.0));
    f.noise = noise;
    let coupling = Coupling { f, g };
    let x = one_to_eight();
    let mut streams = halves(&x);
    coupling.forward(&(), &mut streams).unwrap();
    coupling.inverse(&(), &mut streams).unwrap();
    joined(&streams).iter().zip(&x).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn noise_drawn_anew_is_not_inverted_and_noise_replayed_from_its_address_is() {
    assert!(distance_after_a_round_trip(Noise::Fresh(Cell::new(27_686))) > 0.1);
    let replayed = Noise::Replayed(Address::new(27_686, Purpose::Test));
    // Numbers up to 50 are rounded to 4e-6 on the way.
    assert!(distance_after_a_round_trip(replayed) < 1e-5);
}
